//! The frozen wire structs of version 2, and how those of version 1 become them. The rules of [`super::v1`] hold.

use super::v1::{self, ExperimentEnd, Origin, wire};
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

wire! {
    /// Why an experiment ends.
    enum EndReason {
        /// All trials of the budget have ended.
        Trials,
        /// The target value was reached.
        Target,
        /// The last trials of the budget's patience brought no improvement.
        Patience,
        /// The time of the budget is over.
        Duration,
        /// The search space holds no further point.
        Exhausted,
        /// Somebody stopped it.
        Asked,
        /// The engine itself stopped it.
        Engine {
            /// Why.
            reason: String,
        },
        /// Its trials have cost what the budget allows.
        Cost,
        /// No improvement worth the budget's `gain` is to be expected.
        Gain {
            /// The improvement that is expected, in the unit of the value.
            expected: f64,
        },
    }
}
wire! {
    /// The experiment is ending: no further trial starts and running ones are stopped.
    struct ExperimentStopping {
        /// Why.
        reason: EndReason,
    }
}
wire! {
    /// The experiment has ended; nothing of it runs.
    struct ExperimentEnded {
        /// How.
        status: ExperimentEnd,
        /// Why.
        reason: EndReason,
    }
}

impl From<v1::EndReason> for EndReason {
    fn from(old: v1::EndReason) -> Self {
        match old {
            v1::EndReason::Trials => Self::Trials,
            v1::EndReason::Target => Self::Target,
            v1::EndReason::Patience => Self::Patience,
            v1::EndReason::Duration => Self::Duration,
            v1::EndReason::Exhausted => Self::Exhausted,
            v1::EndReason::Asked => Self::Asked,
            v1::EndReason::Engine { reason } => Self::Engine { reason },
        }
    }
}

impl From<v1::ExperimentStopping> for ExperimentStopping {
    fn from(old: v1::ExperimentStopping) -> Self {
        Self { reason: old.reason.into() }
    }
}

impl From<v1::ExperimentEnded> for ExperimentEnded {
    fn from(old: v1::ExperimentEnded) -> Self {
        Self { status: old.status, reason: old.reason.into() }
    }
}
