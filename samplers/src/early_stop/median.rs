//! The median stopping rule: NNI's Medianstop.
//!
//! D. Golovin et al., "Google Vizier: a service for black-box optimization", KDD 2017, section 3.2.2. A trial is
//! stopped if its best value so far is worse than the median of the running averages, up to the same step, of the trials
//! that ran to their end.

use super::quantile::{Peers, Quantile, Rank};
use crate::arguments::Arguments;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::early_stop::{EarlyStop, Verdict};
use engine::ports::sampler::TrialResult;
use engine::value::Goal;
use std::collections::BTreeMap;

/// The median stopping rule.
#[derive(Debug)]
pub struct Median {
    goal: Goal,
    start_step: u64,
    share: f64,
    least_trials: usize,
    running: BTreeMap<TrialId, BTreeMap<u64, f64>>,
    completed: usize,
    /// By step: the running averages of completed trials.
    averages: BTreeMap<u64, Quantile>,
    best: BTreeMap<TrialId, f64>,
}

pub(crate) fn read(mut arguments: Arguments<'_>, goal: Goal) -> Result<Box<dyn EarlyStop>, Vec<SpecError>> {
    arguments.optimize_mode(goal);
    let start_step = arguments.whole(&["start_step"], 0..=1_000_000).unwrap_or(0);
    let share = arguments.number(&["share", "proportion"], 0.0..=1.0).unwrap_or(0.5);
    let least = arguments.whole(&["least_trials"], 1..=1_000_000).unwrap_or(1);
    arguments.finish()?;
    Ok(Box::new(Median::new(goal, start_step, share, least as usize)))
}

impl Median {
    /// A rule that leaves a trial alone for its first `start_step` reports and until `least_trials` trials have
    /// ended. `share` is 0.5 for the median; a smaller one stops more.
    pub fn new(goal: Goal, start_step: u64, share: f64, least_trials: usize) -> Self {
        Self {
            goal,
            start_step,
            share,
            least_trials,
            running: BTreeMap::new(),
            completed: 0,
            averages: BTreeMap::new(),
            best: BTreeMap::new(),
        }
    }
}

impl EarlyStop for Median {
    fn name(&self) -> &'static str {
        "median"
    }

    fn reported(&mut self, trial: TrialId, step: u64, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.running.entry(trial).or_default().insert(step, value);
        let best = self.best.entry(trial).or_insert(value);
        if self.goal.better(value, *best) {
            *best = value;
        }
    }

    fn ended(&mut self, trial: TrialId, result: TrialResult) {
        self.best.remove(&trial);
        let Some(reports) = self.running.remove(&trial) else { return };
        if !matches!(result, TrialResult::Value(_)) {
            return;
        }
        self.completed += 1;
        let mut sum = 0.0;
        for (count, (step, value)) in reports.into_iter().enumerate() {
            sum += value;
            let quantile = self
                .averages
                .entry(step)
                .or_insert_with(|| Quantile::new(Rank::Share(self.share), Peers::All));
            quantile.insert(trial.0, self.goal.loss(sum / (count + 1) as f64));
        }
    }

    fn judge(&self, trial: TrialId) -> Verdict {
        let (Some(reports), Some(best)) = (self.running.get(&trial), self.best.get(&trial)) else {
            return Verdict::Continue;
        };
        let Some((step, _)) = reports.last_key_value() else { return Verdict::Continue };
        if (reports.len() as u64) < self.start_step || self.completed < self.least_trials {
            return Verdict::Continue;
        }
        let Some(limit) = self.averages.get(step).and_then(|quantile| quantile.value(None)) else {
            return Verdict::Continue;
        };
        let limit = self.goal.loss(limit);
        if self.goal.better(limit, *best) {
            let why = format!(
                "the best value up to step {step}, {best}, is worse than {limit}, the median of the running averages of \
                 {} ended trials",
                self.completed
            );
            return Verdict::Stop { why };
        }
        Verdict::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_below_the_median_of_running_averages_is_stopped_after_the_start_step() {
        let mut rule = Median::new(Goal::Maximize, 2, 0.5, 1);
        for (trial, values) in [(0, [0.4, 0.6]), (1, [0.6, 0.8]), (2, [0.2, 0.2])] {
            for (step, value) in (1..).zip(values) {
                rule.reported(TrialId(trial), step, value);
            }
            rule.ended(TrialId(trial), TrialResult::Value(values[1]));
        }
        // The running averages at step 2 are 0.5, 0.7 and 0.2.
        rule.reported(TrialId(3), 1, 0.1);
        assert_eq!(rule.judge(TrialId(3)), Verdict::Continue, "before the start step");
        rule.reported(TrialId(3), 2, 0.45);
        assert!(matches!(rule.judge(TrialId(3)), Verdict::Stop { why } if why.contains("0.45")));
        rule.reported(TrialId(4), 1, 0.55);
        rule.reported(TrialId(4), 2, 0.1);
        assert_eq!(rule.judge(TrialId(4)), Verdict::Continue, "its best counts, not its last");
    }

    #[test]
    fn a_trial_that_did_not_run_to_its_end_is_no_peer_and_without_peers_nothing_is_stopped() {
        for result in [TrialResult::Failed, TrialResult::Stopped(None), TrialResult::Stopped(Some(0.0))] {
            let mut rule = Median::new(Goal::Minimize, 0, 0.5, 1);
            rule.reported(TrialId(0), 1, 0.0);
            rule.ended(TrialId(0), result);
            rule.reported(TrialId(1), 1, 9.0);
            assert_eq!(rule.judge(TrialId(1)), Verdict::Continue, "{result:?}");
        }
        let rule = Median::new(Goal::Minimize, 0, 0.5, 1);
        assert_eq!(rule.judge(TrialId(7)), Verdict::Continue);
    }
}
