//! The trials as the model sees them.

use crate::axis::{self, Axis};
use crate::stream::mix;
use engine::id::TrialId;
use engine::ports::sampler::TrialResult;
use engine::value::{Goal, Point};
use std::collections::BTreeSet;

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Finished(f64),
    /// Stopped early, with what it had reached.
    Stopped(f64),
    /// Without a value.
    Failed,
}

/// All trials.
#[derive(Debug, Default)]
pub(super) struct History {
    /// By trial: its coordinates, NaN where a parameter does not exist.
    coordinates: Vec<Vec<f64>>,
    /// In the order in which they ended.
    ended: Vec<(u32, End)>,
    informed: usize,
    pub(super) pending: BTreeSet<u32>,
}

impl History {
    pub(super) fn suggested(&mut self, trial: TrialId, point: &Point, axes: &[Axis]) {
        let at = trial.0 as usize;
        if self.coordinates.len() <= at {
            self.coordinates.resize(at + 1, Vec::new());
        }
        if let Some(slot) = self.coordinates.get_mut(at) {
            *slot = axis::coordinates(axes, point);
        }
        self.pending.insert(trial.0);
    }

    pub(super) fn ended(&mut self, trial: TrialId, result: TrialResult, goal: Goal) {
        if !self.pending.remove(&trial.0) {
            return;
        }
        let end = match result {
            TrialResult::Value(value) => End::Finished(goal.loss(value)),
            TrialResult::Stopped(Some(value)) => End::Stopped(goal.loss(value)),
            TrialResult::Stopped(None) | TrialResult::Failed => End::Failed,
        };
        self.informed += usize::from(end != End::Failed);
        self.ended.push((trial.0, end));
    }

    /// How many trials have a value.
    pub(super) const fn informed(&self) -> usize {
        self.informed
    }

    pub(super) fn coordinates(&self, trial: u32) -> &[f64] {
        self.coordinates.get(trial as usize).map_or(&[], Vec::as_slice)
    }

    /// Trials and their losses, in the order in which they ended, at most `most` of them.
    ///
    /// A trial that failed counts as bad as the worst; one that was stopped at least as bad as the median of those
    /// that ran to their end, since its value stands for fewer steps.
    pub(super) fn observations(&self, most: usize) -> Vec<(u32, f64)> {
        let mut finished: Vec<f64> = self
            .ended
            .iter()
            .filter_map(|(_, end)| if let End::Finished(loss) = end { Some(*loss) } else { None })
            .collect();
        finished.sort_by(f64::total_cmp);
        let median = finished.get(finished.len() / 2).copied().unwrap_or(f64::NEG_INFINITY);
        let mut worst = finished.last().copied().unwrap_or(f64::NEG_INFINITY);
        for (_, end) in &self.ended {
            if let End::Stopped(loss) = end {
                worst = worst.max(*loss);
            }
        }
        let loss = |end: &End| match end {
            End::Finished(loss) => *loss,
            End::Stopped(loss) => loss.max(median),
            End::Failed => worst,
        };
        let all: Vec<(u32, f64)> = self.ended.iter().map(|(trial, end)| (*trial, loss(end))).collect();
        if all.len() <= most { all } else { select(&all, most) }
    }
}

/// A quarter are the best, a quarter the newest, and half a random part of the others that changes little from one
/// suggestion to the next.
fn select(all: &[(u32, f64)], most: usize) -> Vec<(u32, f64)> {
    let mut places: Vec<usize> = (0..all.len()).collect();
    let at = |place: &usize| all.get(*place).copied().unwrap_or_default();
    places.sort_by(|a, b| at(a).1.total_cmp(&at(b).1).then(a.cmp(b)));
    let mut kept: BTreeSet<usize> = places.into_iter().take(most / 4).collect();
    kept.extend((0..all.len()).rev().take(most / 4));
    let mut others: Vec<(u64, usize)> =
        (0..all.len()).filter(|p| !kept.contains(p)).map(|p| (mix(0, u64::from(at(&p).0)), p)).collect();
    others.sort_unstable();
    let room = most - kept.len().min(most);
    kept.extend(others.into_iter().take(room).map(|(_, place)| place));
    kept.iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_trials_the_best_the_newest_and_some_others_are_kept() {
        let all: Vec<(u32, f64)> = (0..1_000).map(|t| (t, f64::from(t * 389 % 1_000))).collect();
        let kept = select(&all, 100);
        assert_eq!(kept.len(), 100);
        assert!(kept.is_sorted_by_key(|(trial, _)| *trial));
        assert_eq!(kept.iter().filter(|(_, loss)| *loss < 25.0).count(), 25);
        assert!(kept.iter().rev().take(25).all(|(trial, _)| *trial >= 975));
        let next = select(&all[..999], 100);
        let same = next.iter().filter(|row| kept.contains(row)).count();
        assert!(same >= 96, "{same}");
    }

    #[test]
    fn failures_count_as_the_worst_and_stopped_trials_never_as_good() {
        let mut history = History::default();
        let ends = [
            TrialResult::Value(1.0),
            TrialResult::Value(5.0),
            TrialResult::Value(3.0),
            TrialResult::Failed,
            TrialResult::Stopped(Some(0.0)),
            TrialResult::Stopped(Some(9.0)),
            TrialResult::Stopped(None),
        ];
        for (trial, result) in (0..).zip(ends) {
            history.suggested(TrialId(trial), &Point::default(), &[]);
            history.ended(TrialId(trial), result, Goal::Minimize);
        }
        let losses: Vec<f64> = history.observations(100).into_iter().map(|(_, loss)| loss).collect();
        assert_eq!(losses, [1.0, 5.0, 3.0, 9.0, 3.0, 9.0, 9.0]);
        assert_eq!(history.informed(), 5);
    }
}
