//! Early stopping: is a running trial still worth its cost?

use crate::id::TrialId;
use crate::ports::sampler::TrialResult;

/// The judgement of a running trial.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Let it run.
    Continue,
    /// Stop it.
    Stop {
        /// The rule's reason, with the figures that it compared.
        why: String,
    },
}

/// Judges running trials by their reports. Values are in the user's direction.
///
/// A judgement is a function of the reports and ends handed in, not of how they were interleaved between trials.
pub trait EarlyStop: Send {
    /// The name under which it is configured.
    fn name(&self) -> &'static str;

    /// Takes one report in. Steps of one trial need not be dense or ascending; a value may be no number.
    fn reported(&mut self, trial: TrialId, step: u64, value: f64);

    /// A trial has ended. Only one that ran to its end has a [`TrialResult::Value`]; one that has failed is forgotten, as if
    /// it had never reported, and may report anew: so begins a retry.
    fn ended(&mut self, trial: TrialId, result: TrialResult);

    /// Judges a running trial by what has been reported so far.
    fn judge(&self, trial: TrialId) -> Verdict;
}
