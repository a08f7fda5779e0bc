//! How good an ended trial was, for searches that only compare.

use engine::ports::sampler::TrialResult;
use engine::value::Goal;
use std::cmp::Ordering;

/// How a trial ended. Trials that ran to their end come before those that were stopped, whose values stand for fewer
/// steps; those without a value come last. Smaller is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Outcome {
    /// With this loss.
    Finished(f64),
    /// Stopped early with this loss.
    Stopped(f64),
    /// Without a value.
    Failed,
}

impl Outcome {
    pub(crate) fn of(result: TrialResult, goal: Goal) -> Self {
        // Minus zero must not rank before zero.
        match result {
            TrialResult::Value(value) => Self::Finished(goal.loss(value) + 0.0),
            TrialResult::Stopped(Some(value)) => Self::Stopped(goal.loss(value) + 0.0),
            TrialResult::Stopped(None) | TrialResult::Failed => Self::Failed,
        }
    }

    /// Whether it has a value.
    pub(crate) fn informs(self) -> bool {
        self != Self::Failed
    }

    fn key(self) -> (u8, f64) {
        match self {
            Self::Finished(loss) => (0, loss),
            Self::Stopped(loss) => (1, loss),
            Self::Failed => (2, 0.0),
        }
    }
}

impl Eq for Outcome {}

impl PartialOrd for Outcome {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Outcome {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((a, x), (b, y)) = (self.key(), other.key());
        a.cmp(&b).then(x.total_cmp(&y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_trials_come_before_stopped_ones_and_those_before_failed_ones() {
        let of = |result| Outcome::of(result, Goal::Maximize);
        let mut outcomes = [
            of(TrialResult::Failed),
            of(TrialResult::Stopped(Some(9.0))),
            of(TrialResult::Value(1.0)),
            of(TrialResult::Value(3.0)),
        ];
        outcomes.sort();
        let sorted =
            [Outcome::Finished(-3.0), Outcome::Finished(-1.0), Outcome::Stopped(-9.0), Outcome::Failed];
        assert_eq!(outcomes, sorted);
        assert_eq!(of(TrialResult::Value(0.0)).cmp(&of(TrialResult::Value(-0.0))), Ordering::Equal);
    }
}
