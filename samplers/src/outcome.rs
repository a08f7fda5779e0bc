//! How good an ended trial was, for searches that only compare.

use engine::ports::sampler::{Problem, TrialResult};
use engine::spec::Outcomes;
use engine::value::Goal;
use std::cmp::Ordering;
use std::sync::Arc;

/// How a trial ended. Trials that ran to their end come before those that were stopped, whose values stand for fewer
/// steps; those that break a constraint come after both, by how much they break it (K. Deb, "An efficient constraint handling
/// method for genetic algorithms", Computer Methods in Applied Mechanics and Engineering 186, 2000); those without a
/// value come last. Smaller is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Outcome {
    /// With this loss.
    Finished(f64),
    /// Stopped early with this loss.
    Stopped(f64),
    /// With metrics that break constraints so much.
    Infeasible(f64),
    /// Without a value.
    Failed,
}

impl Outcome {
    /// Whether it has a value.
    pub(crate) fn informs(self) -> bool {
        self != Self::Failed
    }

    fn key(self) -> (u8, f64) {
        match self {
            Self::Finished(loss) => (0, loss),
            Self::Stopped(loss) => (1, loss),
            Self::Infeasible(violation) => (2, violation),
            Self::Failed => (3, 0.0),
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

/// Tells outcomes of one problem.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    goal: Goal,
    outcomes: Arc<Outcomes>,
}

impl Judge {
    pub(crate) fn new(problem: &Problem) -> Self {
        Self { goal: problem.goal, outcomes: Arc::clone(&problem.outcomes) }
    }

    /// How many objectives there are.
    pub(crate) fn objectives(&self) -> usize {
        self.outcomes.goals.len().max(1)
    }

    /// The outcome of a trial with these metrics; with several objectives the loss is that of the first.
    pub(crate) fn outcome(&self, result: TrialResult, metrics: &[f64]) -> Outcome {
        let violation = if metrics.is_empty() { 0.0 } else { self.outcomes.violation(metrics) };
        // Minus zero must not rank before zero.
        match result {
            TrialResult::Failed | TrialResult::Stopped(None) => Outcome::Failed,
            _ if violation > 0.0 => Outcome::Infeasible(violation),
            TrialResult::Value(value) => Outcome::Finished(self.goal.loss(value) + 0.0),
            TrialResult::Stopped(Some(value)) => Outcome::Stopped(self.goal.loss(value) + 0.0),
        }
    }

    /// What is minimized, one number for each objective, if the trial ran to its end and is feasible; else nothing.
    pub(crate) fn losses(&self, outcome: Outcome, metrics: &[f64]) -> Vec<f64> {
        match outcome {
            Outcome::Finished(loss) if self.outcomes.goals.is_empty() => vec![loss],
            Outcome::Finished(_) => self.outcomes.losses(metrics),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::spec::OutcomeConstraint;

    #[test]
    fn the_feasible_come_before_the_stopped_the_infeasible_and_the_failed() {
        let limit = OutcomeConstraint { metric: 1, bound: 2.0, at_most: true };
        let outcomes = Outcomes { constraints: vec![limit], ..Outcomes::default() };
        let judge = Judge { goal: Goal::Maximize, outcomes: Arc::new(outcomes) };
        let of = |result, metrics: &[f64]| judge.outcome(result, metrics);
        let mut outcomes = [
            of(TrialResult::Failed, &[]),
            of(TrialResult::Value(99.0), &[99.0, 6.0]),
            of(TrialResult::Value(9.0), &[9.0, 4.0]),
            of(TrialResult::Stopped(Some(9.0)), &[]),
            of(TrialResult::Value(1.0), &[1.0, 2.0]),
            of(TrialResult::Value(3.0), &[3.0, -5.0]),
        ];
        outcomes.sort();
        let sorted = [
            Outcome::Finished(-3.0),
            Outcome::Finished(-1.0),
            Outcome::Stopped(-9.0),
            Outcome::Infeasible(1.0),
            Outcome::Infeasible(2.0),
            Outcome::Failed,
        ];
        assert_eq!(outcomes, sorted);
        assert_eq!(of(TrialResult::Value(0.0), &[]).cmp(&of(TrialResult::Value(-0.0), &[])), Ordering::Equal);
        assert_eq!(judge.losses(sorted[0], &[3.0, -5.0]), [-3.0]);
        assert!(judge.losses(sorted[3], &[9.0, 4.0]).is_empty());
    }

    #[test]
    fn several_objectives_are_all_minimized() {
        let outcomes = Outcomes { goals: vec![Goal::Maximize, Goal::Minimize], ..Outcomes::default() };
        let judge = Judge { goal: Goal::Maximize, outcomes: Arc::new(outcomes) };
        let outcome = judge.outcome(TrialResult::Value(3.0), &[3.0, 7.0]);
        assert_eq!((judge.objectives(), judge.losses(outcome, &[3.0, 7.0])), (2, vec![-3.0, 7.0]));
    }
}
