//! Stops a trial whose own best has not improved for a number of reports.

use crate::arguments::Arguments;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::early_stop::{EarlyStop, Verdict};
use engine::ports::sampler::TrialResult;
use engine::value::Goal;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
struct Trial {
    count: u64,
    best: Option<f64>,
    since: u64,
}

/// The rule.
#[derive(Debug)]
pub struct Patience {
    goal: Goal,
    reports: u64,
    least_gain: f64,
    start_step: u64,
    trials: BTreeMap<TrialId, Trial>,
}

pub(crate) fn read(mut arguments: Arguments<'_>, goal: Goal) -> Result<Box<dyn EarlyStop>, Vec<SpecError>> {
    arguments.optimize_mode(goal);
    let patience = arguments.whole(&["patience", "reports"], 1..=1_000_000).unwrap_or(10);
    let least_gain = arguments.number(&["least_gain", "min_delta"], 0.0..=f64::MAX).unwrap_or(0.0);
    let start_step = arguments.whole(&["start_step"], 0..=1_000_000).unwrap_or(0);
    arguments.finish()?;
    Ok(Box::new(Patience::new(goal, patience, least_gain, start_step)))
}

impl Patience {
    /// Stops a trial after `reports` reports in a row none of which was better than its best by more than
    /// `least_gain`, but not within its first `start_step` reports.
    pub fn new(goal: Goal, reports: u64, least_gain: f64, start_step: u64) -> Self {
        Self { goal, reports, least_gain, start_step, trials: BTreeMap::new() }
    }
}

impl EarlyStop for Patience {
    fn name(&self) -> &'static str {
        "patience"
    }

    fn reported(&mut self, trial: TrialId, _: u64, value: f64) {
        let own = self.trials.entry(trial).or_default();
        own.count += 1;
        let loss = self.goal.loss(value);
        let gain = own.best.is_none_or(|best| loss < self.goal.loss(best) - self.least_gain);
        if gain && value.is_finite() {
            own.best = Some(value);
            own.since = 0;
        } else {
            own.since += 1;
        }
    }

    fn ended(&mut self, trial: TrialId, _: TrialResult) {
        self.trials.remove(&trial);
    }

    fn judge(&self, trial: TrialId) -> Verdict {
        match self.trials.get(&trial) {
            Some(own) if own.since >= self.reports && own.count >= self.start_step => {
                let best = own.best.map_or_else(|| "none".to_owned(), |best| best.to_string());
                Verdict::Stop { why: format!("no improvement in {} reports; best: {best}", own.since) }
            }
            _ => Verdict::Continue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_without_progress_is_stopped_and_small_gains_do_not_count() {
        let mut rule = Patience::new(Goal::Minimize, 2, 0.1, 0);
        for (step, value) in (1..).zip([1.0, 0.95]) {
            rule.reported(TrialId(0), step, value);
        }
        assert_eq!(rule.judge(TrialId(0)), Verdict::Continue);
        rule.reported(TrialId(0), 3, 0.91);
        assert!(matches!(rule.judge(TrialId(0)), Verdict::Stop { .. }));
        rule.reported(TrialId(0), 4, 0.5);
        assert_eq!(rule.judge(TrialId(0)), Verdict::Continue);
    }
}
