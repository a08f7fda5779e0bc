//! The frozen wire structs of version 2, and how those of version 1 become them. The rules of [`super::v1`] hold.

use super::v1::{self, Origin, wire};
use crate::id::TrialId;
use crate::value::Point;
use serde::{Deserialize, Serialize};

wire! {
    /// A trial exists.
    struct TrialSuggested {
        /// Its number.
        trial: TrialId,
        /// Its point.
        point: Point,
        /// Where the point comes from.
        origin: Origin,
        /// The trial from whose checkpoint it goes on, if any.
        parent: Option<TrialId>,
    }
}

impl From<v1::TrialSuggested> for TrialSuggested {
    fn from(old: v1::TrialSuggested) -> Self {
        Self { trial: old.trial, point: old.point, origin: old.origin, parent: None }
    }
}
