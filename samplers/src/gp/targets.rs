//! What each model learns: one for every objective, then one for every constraint on a metric, then one for the cost.

use super::history::Row;
use super::warp::{Warp, standard, warp, warp_around};
use engine::spec::Outcomes;

/// What one model is fitted to.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) trials: Vec<u32>,
    /// By trial: of mean 0 and deviation 1.
    pub(super) y: Vec<f64>,
}

/// The targets of all models.
#[derive(Debug)]
pub(super) struct Targets {
    pub(super) all: Vec<Target>,
    /// By objective: how its losses became the target.
    pub(super) warps: Vec<Warp>,
    /// By constraint: the value of its target up to which it holds.
    pub(super) bounds: Vec<f64>,
    /// What one unit of the last target is as a logarithm of the cost, if trials report one.
    pub(super) cost: Option<f64>,
}

impl Targets {
    /// How many models there are of a problem with these outcomes.
    pub(super) fn count(outcomes: &Outcomes) -> usize {
        outcomes.goals.len().max(1) + outcomes.constraints.len() + usize::from(outcomes.cost.is_some())
    }

    pub(super) fn new(outcomes: &Outcomes, rows: &[Row<'_>]) -> Self {
        let trials: Vec<u32> = rows.iter().map(|row| row.trial).collect();
        let (mut all, mut warps) = (Vec::new(), Vec::new());
        for objective in 0..outcomes.goals.len().max(1) {
            let losses = rows.iter().filter_map(|row| row.losses.get(objective).copied());
            let (y, warp) = warp(&losses.collect::<Vec<_>>());
            all.push(Target { trials: trials.clone(), y });
            warps.push(warp);
        }
        // Only trials with metrics say anything of the others.
        let measured: Vec<&Row<'_>> = rows.iter().filter(|row| !row.metrics.is_empty()).collect();
        let trials: Vec<u32> = measured.iter().map(|row| row.trial).collect();
        let mut bounds = Vec::with_capacity(outcomes.constraints.len());
        for constraint in &outcomes.constraints {
            let excess: Vec<f64> = measured.iter().map(|row| constraint.excess(row.metrics)).collect();
            let (y, bound) = warp_around(&excess);
            all.push(Target { trials: trials.clone(), y });
            bounds.push(bound);
        }
        let cost = outcomes.cost.map(|cost| {
            let costs = measured.iter().filter_map(|row| row.metrics.get(cost).copied());
            let (y, unit) = logarithms(&costs.collect::<Vec<_>>());
            all.push(Target { trials, y });
            unit
        });
        Self { all, warps, bounds, cost }
    }
}

/// The logarithms of costs, standardized, and what one unit of them is. What costs nothing counts as the least that anything did.
fn logarithms(costs: &[f64]) -> (Vec<f64>, f64) {
    let least = costs.iter().copied().filter(|cost| *cost > 0.0).fold(f64::INFINITY, f64::min);
    let least = if least.is_finite() { least } else { 1.0 };
    let logs: Vec<f64> = costs.iter().map(|cost| libm::log(cost.max(least))).collect();
    let (y, _, unit) = standard(&logs);
    (y, unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_compared_by_their_ratio() {
        let (y, unit) = logarithms(&[1.0, 10.0, 100.0, 0.0]);
        assert!((unit * (y[1] - y[0]) - libm::log(10.0)).abs() < 1e-12);
        assert!((unit * (y[2] - y[1]) - libm::log(10.0)).abs() < 1e-12);
        assert_eq!(y[3], y[0]);
        assert_eq!(logarithms(&[0.0, 0.0]).0, [0.0, 0.0]);
    }
}
