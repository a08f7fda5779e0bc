//! What is asked of the metrics of a trial beyond one value: several objectives, bounds on other metrics, a cost.

use crate::value::Goal;
use std::cmp::Ordering;

/// What is asked of the metrics of a trial beyond one value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcomes {
    /// Which way is better, of each of the first metrics, where they are several objectives; empty for one objective, the
    /// weighted sum.
    pub goals: Vec<Goal>,
    /// What a trial must keep to be of use.
    pub constraints: Vec<OutcomeConstraint>,
    /// The metric that says what a trial has cost.
    pub cost: Option<usize>,
}

/// A bound on a metric, which is known only once a trial has reported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutcomeConstraint {
    /// The place of the metric among those of the objective.
    pub metric: usize,
    /// The bound, finite; it may be reached.
    pub bound: f64,
    /// Whether the metric may be at most the bound, else at least.
    pub at_most: bool,
}

impl OutcomeConstraint {
    /// How far the metric is beyond the bound; 0 or less where the constraint is kept. A metric that is not known breaks it.
    pub fn excess(&self, metrics: &[f64]) -> f64 {
        let Some(metric) = metrics.get(self.metric) else { return f64::INFINITY };
        if self.at_most { metric - self.bound } else { self.bound - metric }
    }
}

impl Outcomes {
    /// Whether there are several objectives.
    pub fn is_multi(&self) -> bool {
        self.goals.len() > 1
    }

    /// What is to be minimized, one number for each of several objectives, of a trial's metrics.
    pub fn losses(&self, metrics: &[f64]) -> Vec<f64> {
        self.goals.iter().zip(metrics).map(|(goal, metric)| goal.loss(*metric)).collect()
    }

    /// How far metrics break the constraints: 0 if they keep them all, else the sum of the excesses, each in units of its bound
    /// where that is not 0.
    pub fn violation(&self, metrics: &[f64]) -> f64 {
        let excess = |constraint: &OutcomeConstraint| {
            let unit = if constraint.bound == 0.0 { 1.0 } else { constraint.bound.abs() };
            constraint.excess(metrics).max(0.0) / unit
        };
        self.constraints.iter().map(excess).sum()
    }

    /// Whether metrics keep all constraints.
    pub fn is_feasible(&self, metrics: &[f64]) -> bool {
        self.constraints.iter().all(|constraint| constraint.excess(metrics) <= 0.0)
    }

    /// How metrics `a` stand to `b` in all of several objectives: `Less` if they dominate them (are nowhere worse and somewhere better),
    /// `Greater` if they are dominated, `Equal` if they are the same, `None` if each is better somewhere.
    pub fn dominance(&self, a: &[f64], b: &[f64]) -> Option<Ordering> {
        let mut found = Ordering::Equal;
        for (goal, (a, b)) in self.goals.iter().zip(a.iter().zip(b)) {
            let here = if goal.better(*a, *b) {
                Ordering::Less
            } else if goal.better(*b, *a) {
                Ordering::Greater
            } else {
                continue;
            };
            if found == Ordering::Equal {
                found = here;
            } else if found != here {
                return None;
            }
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes() -> Outcomes {
        Outcomes {
            goals: vec![Goal::Maximize, Goal::Minimize],
            constraints: vec![
                OutcomeConstraint { metric: 1, bound: 20.0, at_most: true },
                OutcomeConstraint { metric: 2, bound: 0.0, at_most: false },
            ],
            cost: None,
        }
    }

    #[test]
    fn dominance_follows_the_goals() {
        let outcomes = outcomes();
        let of = |a: [f64; 2], b: [f64; 2]| outcomes.dominance(&a, &b);
        assert_eq!(of([0.9, 5.0], [0.8, 5.0]), Some(Ordering::Less));
        assert_eq!(of([0.9, 6.0], [0.9, 5.0]), Some(Ordering::Greater));
        assert_eq!(of([0.9, 6.0], [0.8, 5.0]), None);
        assert_eq!(of([0.9, 5.0], [0.9, 5.0]), Some(Ordering::Equal));
        assert_eq!(outcomes.losses(&[0.9, 5.0, 1.0]), [-0.9, 5.0]);
    }

    #[test]
    fn a_bound_may_be_reached_and_excess_is_in_units_of_the_bound() {
        let outcomes = outcomes();
        assert!(outcomes.is_feasible(&[0.5, 20.0, 0.0]));
        assert_eq!(outcomes.violation(&[0.5, 20.0, 0.0]), 0.0);
        assert!(!outcomes.is_feasible(&[0.5, 30.0, 0.0]));
        assert_eq!(outcomes.violation(&[0.5, 30.0, -2.0]), 0.5 + 2.0);
        assert!(!outcomes.is_feasible(&[0.5, 10.0]), "a metric that is not there keeps no bound");
    }
}
