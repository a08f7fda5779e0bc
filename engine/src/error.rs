//! Errors of the core: what was refused, what could not be replayed, what is wrong with a specification.

use crate::id::{ExperimentId, Seq};
use std::fmt;

/// A stable error number; each has a page in `docs/errors/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{:04}", self.0)
    }
}

/// One mistake in an experiment's specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} at `{path}`: {message}")]
pub struct SpecError {
    /// The kind of mistake.
    pub code: Code,
    /// Where: keys and indices from the root, such as `space.lr.loguniform[0]`; empty for the whole document.
    pub path: String,
    /// Whether the mistake is in the key at the end of the path (an unknown name) and not in its value.
    pub at_key: bool,
    /// What is wrong, naming the thing.
    pub message: String,
    /// What to do about it; may be empty.
    pub cure: String,
}

impl SpecError {
    /// A mistake in the value at `path`.
    pub fn new(
        code: Code,
        path: impl Into<String>,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { code, path: path.into(), at_key: false, message: message.into(), cure: cure.into() }
    }

    /// A mistake in the name of the key at `path`.
    pub fn key(
        code: Code,
        path: impl Into<String>,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { at_key: true, ..Self::new(code, path, message, cure) }
    }
}

/// Why a command was refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// The kind of refusal.
    pub code: Code,
    /// What was refused and why.
    pub message: String,
    /// What to do about it; may be empty.
    pub cure: String,
    /// The single mistakes, where a document was refused.
    pub details: Vec<SpecError>,
}

impl Rejection {
    /// A refusal.
    pub fn new(code: Code, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { code, message: message.into(), cure: cure.into(), details: Vec::new() }
    }
}

/// An event does not fit the state: the history is damaged, or was written under rules that this program does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {seq} ({kind}) of experiment {experiment} cannot be applied: {reason}")]
pub struct ReplayError {
    /// The record.
    pub seq: Seq,
    /// Its experiment.
    pub experiment: ExperimentId,
    /// The event's name.
    pub kind: &'static str,
    /// What does not fit.
    pub reason: String,
}
