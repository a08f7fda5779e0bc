//! Time as values. The engine never reads a clock: the shell hands the time in.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

/// A length of time in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span(pub u64);

impl Span {
    /// A span of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }
}

impl Timestamp {
    /// The moment `span` later; saturates.
    #[must_use]
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add_unsigned(span.0))
    }

    /// The time since `earlier`, or zero if that is later (clocks step back).
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        if self.0 > earlier.0 { Span(self.0.abs_diff(earlier.0)) } else { Span(0) }
    }
}
