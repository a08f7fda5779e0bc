//! The trials as the forest sees them.

use crate::outcome::Outcome;
use crate::stream::mix;
use std::collections::{BTreeMap, BTreeSet};

/// All trials.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Trials that have not ended, with their coordinates.
    pub(super) pending: BTreeMap<u32, Vec<f64>>,
    /// Coordinates and outcome, in the order in which trials ended.
    ended: Vec<(Vec<f64>, Outcome)>,
    ranked: BTreeSet<(Outcome, u32)>,
    informed: usize,
}

impl History {
    pub(super) fn ended(&mut self, trial: u32, outcome: Outcome) {
        let Some(coordinates) = self.pending.remove(&trial) else { return };
        self.informed += usize::from(outcome.informs());
        self.ranked.insert((outcome, self.ended.len() as u32));
        self.ended.push((coordinates, outcome));
    }

    /// How many trials have a value.
    pub(super) const fn informed(&self) -> usize {
        self.informed
    }

    /// The coordinates of the best trials, the best first.
    pub(super) fn best(&self, most: usize) -> impl Iterator<Item = &[f64]> {
        let places = self.ranked.iter().take(most);
        places.filter_map(|(_, place)| self.ended.get(*place as usize)).map(|(x, _)| x.as_slice())
    }

    /// Coordinates and outcomes of at most `most` trials: a quarter the best, a quarter the newest, and half a random part of
    /// the others that changes little from one suggestion to the next.
    pub(super) fn observations(&self, most: usize) -> Vec<&(Vec<f64>, Outcome)> {
        let n = self.ended.len();
        if n <= most {
            return self.ended.iter().collect();
        }
        let mut kept: BTreeSet<usize> =
            self.ranked.iter().take(most / 4).map(|(_, place)| *place as usize).collect();
        kept.extend(n - most / 4..n);
        let mut others: Vec<(u64, usize)> =
            (0..n).filter(|place| !kept.contains(place)).map(|place| (mix(1, place as u64), place)).collect();
        others.sort_unstable();
        let room = most.saturating_sub(kept.len());
        kept.extend(others.into_iter().take(room).map(|(_, place)| place));
        kept.iter().filter_map(|place| self.ended.get(*place)).collect()
    }
}

/// Costs on a logarithmic scale above a base that lies as far below the best as the best twentieth reaches above it, as
/// SMAC takes them: differences among the good count more. 0 is the worst.
///
/// A failed trial is as bad as the worst; one that was stopped is at least as bad as the median of those that ran to
/// their end, since its value stands for fewer steps. One that breaks a constraint is worse than all that break none; as long as
/// there are none of these, violations are the costs.
pub(super) fn costs(outcomes: &[Outcome]) -> Vec<f64> {
    let finished = |outcome: &Outcome| if let Outcome::Finished(x) = outcome { Some(*x) } else { None };
    let mut sorted: Vec<f64> = outcomes.iter().filter_map(finished).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NEG_INFINITY);
    let known = |outcome: &Outcome| match outcome {
        Outcome::Finished(x) => Some(*x),
        Outcome::Stopped(x) => Some(x.max(median)),
        Outcome::Infeasible(_) | Outcome::Failed => None,
    };
    let violations: Vec<Outcome> = outcomes.iter().map(violation).collect();
    if outcomes.iter().all(|outcome| known(outcome).is_none()) && violations.iter().any(|v| v.informs()) {
        return costs(&violations);
    }
    let mut all: Vec<f64> = outcomes.iter().filter_map(known).collect();
    all.sort_unstable_by(f64::total_cmp);
    let (Some(low), Some(high)) = (all.first().copied(), all.last().copied()) else {
        return vec![0.0; outcomes.len()];
    };
    // Differences of finite numbers may not be finite.
    let scale = if (high - low).is_finite() { 1.0 } else { 0.25 };
    let range = (high * scale - low * scale).max(f64::MIN_POSITIVE);
    let twentieth = all.get(all.len() / 20).copied().unwrap_or(low);
    let reach = ((twentieth * scale - low * scale) / range).max(1e-9);
    outcomes
        .iter()
        .map(|outcome| {
            let above = match outcome {
                Outcome::Infeasible(violation) => 1.0 + 1.0 / (1.0 + 1.0 / violation),
                _ => known(outcome).map_or(1.0, |x| ((x * scale - low * scale) / range).min(1.0)),
            };
            libm::log((above + reach) / (1.0 + reach))
        })
        .collect()
}

/// A violation as if it were a loss.
const fn violation(outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Infeasible(violation) => Outcome::Finished(*violation),
        _ => Outcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_keep_the_order_and_stay_finite() {
        let outcomes = [
            Outcome::Finished(f64::MIN),
            Outcome::Finished(0.0),
            Outcome::Finished(f64::MAX),
            Outcome::Failed,
            Outcome::Stopped(f64::MIN),
        ];
        let costs = costs(&outcomes);
        assert!(costs.iter().all(|cost| cost.is_finite()), "{costs:?}");
        assert!(costs[0] < costs[1] && costs[1] < costs[2]);
        assert_eq!(costs[3], costs[2]);
        assert_eq!(costs[4], costs[1]);
        assert_eq!(super::costs(&[Outcome::Finished(3.0); 2]), super::costs(&[Outcome::Finished(5.0); 2]));
    }

    #[test]
    fn of_too_many_trials_the_best_the_newest_and_some_others_are_kept() {
        let mut history = History::default();
        for trial in 0..1_000u32 {
            history.pending.insert(trial, vec![f64::from(trial)]);
            history.ended(trial, Outcome::Finished(f64::from(trial * 389 % 1_000)));
        }
        let kept = history.observations(100);
        assert_eq!(kept.len(), 100);
        let good = |(_, outcome): &&&(Vec<f64>, Outcome)| *outcome < Outcome::Finished(25.0);
        assert_eq!(kept.iter().filter(good).count(), 25);
        assert!(kept.iter().rev().take(25).all(|(x, _)| x[0] >= 975.0));
        assert_eq!(history.best(3).map(|x| x[0] as u32 * 389 % 1_000).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
