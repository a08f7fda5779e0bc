//! The best point where each is tried several times: judged by the mean of its trials, once enough of them have
//! succeeded.

use super::experiment::Experiment;
use super::trial::Trial;
use crate::id::TrialId;
use crate::value::{Point, mean};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

type PointKey = Vec<(u16, u8, u64)>;

/// By point, its successes in the order of their ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<(PointKey, Vec<TrialId>)>", into = "Vec<(PointKey, Vec<TrialId>)>")]
pub(crate) struct Successes(pub(super) BTreeMap<PointKey, Vec<TrialId>>);

impl From<Vec<(PointKey, Vec<TrialId>)>> for Successes {
    fn from(pairs: Vec<(PointKey, Vec<TrialId>)>) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl From<Successes> for Vec<(PointKey, Vec<TrialId>)> {
    fn from(successes: Successes) -> Self {
        successes.0.into_iter().collect()
    }
}

/// What the trials of one point gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Replicates {
    /// How many have succeeded.
    pub trials: u32,
    /// The mean of their values.
    pub mean: f64,
    /// The standard deviation of one value: that of a sample, 0 for a single one.
    pub deviation: f64,
}

impl Experiment {
    /// What the trials of a point gave; none if points are tried once, or none of them has succeeded.
    pub fn replicates(&self, point: &Point) -> Option<Replicates> {
        let trials = self.replicated.0.get(&point.key())?;
        let values = || trials.iter().filter_map(|id| self.trial(*id)?.value);
        let mean = mean(values());
        let squares: f64 = values().map(|value| (value - mean) * (value - mean)).sum();
        let count = u32::try_from(trials.len()).unwrap_or(u32::MAX);
        let deviation = if count > 1 { (squares / f64::from(count - 1)).sqrt() } else { 0.0 };
        Some(Replicates { trials: count, mean, deviation })
    }

    /// A trial with the means of its point in place of its own value and metrics, and without attempts, leases and reports. None if
    /// points are tried once, or no trial of the point has succeeded.
    pub fn averaged(&self, trial: &Trial) -> Option<Trial> {
        let found = self.replicates(&trial.point)?;
        let trials = self.replicated.0.get(&trial.point.key())?;
        Some(Trial {
            point: trial.point.clone(),
            origin: trial.origin.clone(),
            stopping: trial.stopping.clone(),
            value: Some(found.mean),
            metrics: self.mean_metrics(trials, trial.metrics.len()).into(),
            reason: trial.reason.clone(),
            reports: Vec::new(),
            attempts: Vec::new(),
            lease: None,
            ..*trial
        })
    }

    fn mean_metrics(&self, trials: &[TrialId], count: usize) -> Vec<f64> {
        let of = |at: usize| trials.iter().filter_map(move |id| self.trial(*id)?.metrics.get(at).copied());
        (0..count).map(|at| mean(of(at))).collect()
    }

    /// The first of a point's successes and their mean; none before there are enough of them, and where their mean metrics break
    /// a constraint.
    pub(super) fn judged(&self, trials: &[TrialId]) -> Option<(TrialId, f64)> {
        let first = self.trial(*trials.first()?)?;
        if trials.len() < self.spec.objective.replicates as usize {
            return None;
        }
        let metrics = self.mean_metrics(trials, first.metrics.len());
        let mean = self.replicates(&first.point)?.mean;
        self.spec.objective.outcomes.is_feasible(&metrics).then_some((first.id, mean))
    }

    /// Takes in a success where points are tried several times.
    pub(super) fn judge_point(&mut self, id: TrialId) {
        let Some(key) = self.trial(id).map(|trial| trial.point.key()) else { return };
        let trials = self.replicated.0.entry(key).or_default();
        trials.push(id);
        let trials = trials.clone();
        let goal = self.spec.objective.goal;
        let own = self.judged(&trials);
        if let Some((_, mean)) = own
            && self.best.is_none_or(|(_, best)| goal.better(mean, best))
        {
            self.best = own;
            self.since_best = 0;
        } else if self.best.is_some_and(|(best, _)| trials.first() == Some(&best)) {
            // The best point is no longer as good as it was.
            self.best = self.best_judged();
        }
    }

    /// The best of all points, and of equal ones the first.
    pub(super) fn best_judged(&self) -> Option<(TrialId, f64)> {
        let goal = self.spec.objective.goal;
        self.replicated.0.values().filter_map(|trials| self.judged(trials)).reduce(|best, other| {
            let order = goal.loss(other.1).total_cmp(&goal.loss(best.1)).then(other.0.cmp(&best.0));
            if order.is_lt() { other } else { best }
        })
    }
}
