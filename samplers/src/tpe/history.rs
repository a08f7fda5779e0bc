//! The trials as TPE sees them: coordinates, who is good, who is bad, and which of the bad are kept.

use super::front;
use super::settings::{Liar, Settings};
use crate::axis::Axis;
use crate::math::order::ascending;
use crate::math::pareto::Fronts;
use crate::outcome::Outcome;
use crate::stream::mix;
use engine::id::TrialId;
use engine::value::Point;
use std::collections::BTreeSet;

/// The rank of an ended trial, by the class of its outcome and then by its loss or violation. Smaller is better; the
/// number breaks ties.
type Rank = (u8, u64, u32);

const FINISHED: u8 = 0;
const STOPPED: u8 = 1;
const INFEASIBLE: u8 = 2;

/// Which trials are good and which are bad.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Split {
    /// Numbers of the good trials, ascending.
    pub(super) good: Vec<u32>,
    /// With several objectives: the weight of each good trial, from its part in the hypervolume.
    pub(super) weights: Option<Vec<f64>>,
    /// Numbers of the bad trials that are kept, ascending.
    pub(super) bad: Vec<u32>,
    /// How many of the kept bad trials stand for older ones that are not kept as well.
    pub(super) thinned: usize,
    /// How many bad trials there are.
    pub(super) all_bad: usize,
}

/// All trials.
#[derive(Debug)]
pub(super) struct History {
    dimensions: usize,
    /// Coordinates, trial after trial; NaN where a parameter does not exist.
    coordinates: Vec<f64>,
    ranked: BTreeSet<Rank>,
    /// With several objectives: the feasible trials that ran to their end, which `ranked` then has not.
    fronts: Fronts,
    /// Trials that ended without a value: their points are bad.
    failed: BTreeSet<u32>,
    pending: BTreeSet<u32>,
    /// Sum of the losses in the order in which trials ended.
    sum: f64,
    finished: usize,
    /// The bad trials before `newest`, in the order in which they would be kept.
    older: BTreeSet<(u64, u32)>,
    bad: BTreeSet<u32>,
    /// The first bad trial that is kept because it is new.
    newest: u32,
    good: BTreeSet<u32>,
}

impl History {
    pub(super) fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            coordinates: Vec::new(),
            ranked: BTreeSet::new(),
            fronts: Fronts::new(),
            failed: BTreeSet::new(),
            pending: BTreeSet::new(),
            sum: 0.0,
            finished: 0,
            older: BTreeSet::new(),
            bad: BTreeSet::new(),
            newest: 0,
            good: BTreeSet::new(),
        }
    }

    /// How many trials have a value.
    pub(super) fn informed(&self) -> usize {
        self.ranked.len() + self.fronts.len()
    }

    /// The coordinates of the trials that have a value, the best first.
    pub(super) fn ranked(&self) -> Vec<&[f64]> {
        let feasible = self.fronts.iter().flat_map(|front| front.keys());
        let others = self.ranked.iter().map(|(_, _, trial)| trial);
        feasible.chain(others).map(|trial| self.coordinates(*trial)).collect()
    }

    /// The coordinates of a trial.
    pub(super) fn coordinates(&self, trial: u32) -> &[f64] {
        let start = trial as usize * self.dimensions;
        self.coordinates.get(start..start + self.dimensions).unwrap_or_default()
    }

    pub(super) fn suggested(&mut self, trial: TrialId, point: &Point, axes: &[Axis], liar: Liar) {
        let start = trial.0 as usize * self.dimensions;
        if self.coordinates.len() < start + self.dimensions {
            self.coordinates.resize(start + self.dimensions, f64::NAN);
        }
        for (leaf, value) in &point.0 {
            if let (Some(slot), Some(axis)) =
                (self.coordinates.get_mut(start + usize::from(*leaf)), axes.get(usize::from(*leaf)))
            {
                *slot = axis.coordinate(*value);
            }
        }
        self.pending.insert(trial.0);
        if liar != Liar::None {
            self.bad_insert(trial.0);
        }
    }

    /// A trial has ended; `losses` are given where there are several objectives.
    pub(super) fn ended(&mut self, trial: TrialId, outcome: Outcome, losses: Option<Vec<f64>>) {
        if !self.pending.remove(&trial.0) {
            return;
        }
        self.bad_insert(trial.0);
        let (class, value) = match outcome {
            Outcome::Finished(loss) => (FINISHED, loss),
            Outcome::Stopped(loss) => (STOPPED, loss),
            Outcome::Infeasible(violation) => (INFEASIBLE, violation),
            Outcome::Failed => {
                self.failed.insert(trial.0);
                return;
            }
        };
        if class == FINISHED {
            self.sum += value;
            self.finished += 1;
            if let Some(losses) = losses {
                self.fronts.insert(trial.0, losses);
                return;
            }
        }
        self.ranked.insert((class, ascending(value), trial.0));
    }

    fn bad_insert(&mut self, trial: u32) {
        if self.bad.insert(trial) && trial < self.newest {
            self.older.insert(key(trial));
        }
    }

    fn bad_remove(&mut self, trial: u32) {
        if self.bad.remove(&trial) {
            self.older.remove(&key(trial));
        }
    }

    /// Good and bad trials. The sets are kept up to date from call to call and are the same as if built anew.
    pub(super) fn split(&mut self, settings: &Settings) -> Split {
        let wanted = settings.good(self.informed());
        let mut good: BTreeSet<u32> = front::best(&self.fronts, wanted).into_iter().collect();
        good.extend(self.ranked.iter().take(wanted - good.len()).map(|(_, _, trial)| *trial));
        if self.lie_is_good(settings.liar, wanted) {
            good.extend(&self.pending);
        }
        let back: Vec<u32> = self.good.difference(&good).copied().collect();
        for trial in back {
            if !self.pending.contains(&trial) || settings.liar != Liar::None {
                self.bad_insert(trial);
            }
        }
        for trial in &good {
            self.bad_remove(*trial);
        }
        self.good = good;
        let mut split = self.kept(settings.reference as usize);
        if !self.fronts.is_empty() {
            split.weights = Some(front::weights(&self.fronts, &split.good));
        }
        split
    }

    fn lie_is_good(&self, liar: Liar, wanted: usize) -> bool {
        match liar {
            Liar::Best => true,
            Liar::Worst | Liar::None => false,
            Liar::Mean => {
                let mean = ascending(self.sum / self.finished.max(1) as f64);
                self.finished > 0
                    && self
                        .ranked
                        .iter()
                        .nth(wanted)
                        .is_some_and(|(class, loss, _)| (FINISHED, mean) < (*class, *loss))
            }
        }
    }

    fn kept(&mut self, most: usize) -> Split {
        let half = (most / 2).max(1);
        let thin = self.bad.len() > most.max(2);
        let newest = if thin { self.bad.iter().rev().nth(half - 1).copied().unwrap_or(0) } else { 0 };
        if newest > self.newest {
            let moved: Vec<u32> = self.bad.range(self.newest..newest).copied().collect();
            self.older.extend(moved.into_iter().map(key));
        } else {
            for trial in self.bad.range(newest..self.newest) {
                self.older.remove(&key(*trial));
            }
        }
        self.newest = newest;
        let mut bad: Vec<u32> = self.older.iter().take(half).map(|(_, trial)| *trial).collect();
        bad.sort_unstable();
        let thinned = bad.len();
        bad.extend(self.bad.range(newest..));
        let good = self.good.iter().copied().collect();
        Split { good, weights: None, bad, thinned, all_bad: self.bad.len() }
    }
}

/// The order in which older trials are kept: random, but the same in every experiment.
fn key(trial: u32) -> (u64, u32) {
    (mix(0, u64::from(trial)), trial)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(results: &[Option<f64>]) -> History {
        let mut history = History::new(0);
        for (trial, result) in (0..).zip(results) {
            history.suggested(TrialId(trial), &Point::default(), &[], Liar::Worst);
            if let Some(value) = result {
                history.ended(TrialId(trial), Outcome::Finished(*value), None);
            }
        }
        history
    }

    #[test]
    fn losses_are_ordered_as_numbers() {
        let values = [-1e300, -1.0, -1e-300, 0.0, 1e-300, 1.0, 1e300];
        assert!(values.windows(2).all(|pair| ascending(pair[0]) < ascending(pair[1])));
        assert_eq!(ascending(0.0), ascending(-0.0));
    }

    #[test]
    fn the_best_tenth_is_good_and_pending_trials_are_bad() {
        let mut values: Vec<Option<f64>> = (0..20).map(|i| Some(f64::from((i * 7) % 20))).collect();
        values.push(None);
        let split = history(&values).split(&Settings::default());
        // 0 and 1 are the values of trials 0 and 3.
        assert_eq!(split.good, [0, 3]);
        assert_eq!(split.bad.len(), 19);
        assert!(split.bad.contains(&20));
    }

    #[test]
    fn a_stopped_trial_ranks_behind_every_finished_one_and_a_failed_one_is_never_good() {
        let mut history = history(&[Some(5.0), None, None]);
        history.ended(TrialId(1), Outcome::Stopped(1.0), None);
        history.ended(TrialId(2), Outcome::Failed, None);
        assert_eq!(history.informed(), 2);
        assert_eq!(history.split(&Settings::default()).good, [0]);
        let everyone = Settings { gamma: super::super::settings::Gamma::Share(1.0), ..Settings::default() };
        assert_eq!(
            history.split(&everyone),
            Split { good: vec![0, 1], weights: None, bad: vec![2], thinned: 0, all_bad: 1 }
        );
    }

    #[test]
    fn the_kept_bad_trials_do_not_depend_on_when_they_were_asked_for() {
        let settings = Settings { reference: 40, ..Settings::default() };
        let values: Vec<Option<f64>> = (0..300u32).map(|i| Some(f64::from((i * 7919) % 311))).collect();
        let mut steady = History::new(0);
        for (trial, value) in (0..).zip(&values) {
            steady.suggested(TrialId(trial), &Point::default(), &[], Liar::Worst);
            steady.split(&settings);
            steady.ended(TrialId(trial), Outcome::Finished(value.unwrap_or_default()), None);
            let split = steady.split(&settings);
            assert_eq!(split, history(&values[..=trial as usize]).split(&settings), "{trial}");
        }
        let split = steady.split(&settings);
        assert_eq!((split.bad.len(), split.thinned), (40, 20));
        assert!(split.bad.ends_with(&[297, 298, 299]) || split.bad.len() == 40);
    }
}
