//! The percentile rule of Optuna.
//!
//! A trial is stopped if its best value so far is worse than the percentile, at the same step, of the trials that ran to
//! their end. Values are compared as they were reported, without averaging; between two trials the percentile is
//! interpolated as by `numpy.percentile`.

use super::quantile::{Peers, Quantile, Rank};
use crate::arguments::Arguments;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::early_stop::{EarlyStop, Verdict};
use engine::ports::sampler::TrialResult;
use engine::value::Goal;
use std::collections::BTreeMap;

/// The arguments of the rule, with Optuna's names.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The best so many percent are kept.
    pub percentile: f64,
    /// Trials that must have run to their end before anything is stopped.
    pub startup_trials: usize,
    /// The first step at which a trial is judged.
    pub warmup_steps: u64,
    /// Steps from one judgement to the next.
    pub interval: u64,
    /// Trials with a value at the same step that are needed.
    pub least_trials: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { percentile: 25.0, startup_trials: 5, warmup_steps: 0, interval: 1, least_trials: 1 }
    }
}

/// Where a trial was last compared.
#[derive(Debug, Clone, Copy)]
struct Check {
    interval: u64,
    step: u64,
    /// The least loss up to this step.
    best: f64,
}

#[derive(Debug, Default)]
struct Trial {
    /// By step: the loss.
    reports: BTreeMap<u64, f64>,
    best: Option<f64>,
    check: Option<Check>,
}

/// The percentile rule.
#[derive(Debug)]
pub struct Percentile {
    goal: Goal,
    settings: Settings,
    running: BTreeMap<TrialId, Trial>,
    completed: usize,
    /// By step: the losses of completed trials.
    steps: BTreeMap<u64, Quantile>,
}

pub(crate) fn read(mut arguments: Arguments<'_>, goal: Goal) -> Result<Box<dyn EarlyStop>, Vec<SpecError>> {
    let default = Settings::default();
    arguments.optimize_mode(goal);
    let mut whole = |names: &[&'static str], least, default| {
        arguments.whole(names, least..=1_000_000_000).unwrap_or(default)
    };
    let startup = whole(&["n_startup_trials", "startup_trials"], 0, default.startup_trials as u64);
    let warmup_steps = whole(&["n_warmup_steps", "warmup_steps"], 0, default.warmup_steps);
    let interval = whole(&["interval_steps", "interval"], 1, default.interval);
    let least = whole(&["n_min_trials", "least_trials"], 1, default.least_trials as u64);
    let percentile = arguments.number(&["percentile"], 0.0..=100.0).unwrap_or(default.percentile);
    arguments.finish()?;
    let settings = Settings {
        percentile,
        startup_trials: startup as usize,
        warmup_steps,
        interval,
        least_trials: least as usize,
    };
    Ok(Box::new(Percentile::new(goal, settings)))
}

impl Percentile {
    /// The rule with its settings.
    pub fn new(goal: Goal, settings: Settings) -> Self {
        Self { goal, settings, running: BTreeMap::new(), completed: 0, steps: BTreeMap::new() }
    }
}

impl EarlyStop for Percentile {
    fn name(&self) -> &'static str {
        "percentile"
    }

    fn reported(&mut self, trial: TrialId, step: u64, value: f64) {
        if !value.is_finite() {
            return;
        }
        let loss = self.goal.loss(value);
        let own = self.running.entry(trial).or_default();
        own.reports.insert(step, loss);
        let best = own.best.map_or(loss, |best| best.min(loss));
        own.best = Some(best);
        let Some(past) = step.checked_sub(self.settings.warmup_steps) else { return };
        let interval = past / self.settings.interval.max(1);
        match &mut own.check {
            Some(check) if interval <= check.interval => {
                if step <= check.step {
                    check.best = check.best.min(loss);
                }
            }
            check => *check = Some(Check { interval, step, best }),
        }
    }

    fn ended(&mut self, trial: TrialId, result: TrialResult) {
        let Some(own) = self.running.remove(&trial) else { return };
        if !matches!(result, TrialResult::Value(_)) {
            return;
        }
        self.completed += 1;
        let rank = Rank::Between(self.settings.percentile / 100.0);
        for (step, loss) in own.reports {
            self.steps.entry(step).or_insert_with(|| Quantile::new(rank, Peers::All)).insert(trial.0, loss);
        }
    }

    fn judge(&self, trial: TrialId) -> Verdict {
        let check = self.running.get(&trial).and_then(|own| own.check);
        let Some(Check { step, best, .. }) = check else { return Verdict::Continue };
        let Some(losses) = self.steps.get(&step) else { return Verdict::Continue };
        let peers = losses.len();
        if self.completed < self.settings.startup_trials || peers < self.settings.least_trials {
            return Verdict::Continue;
        }
        match losses.value(None) {
            Some(limit) if best > limit => {
                let (best, limit) = (self.goal.loss(best), self.goal.loss(limit));
                let why = format!(
                    "the best value up to step {step}, {best}, is worse than {limit}, the best {} % of {peers} ended trials \
                     at this step",
                    self.settings.percentile
                );
                Verdict::Stop { why }
            }
            _ => Verdict::Continue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(settings: Settings) -> Percentile {
        let mut rule = Percentile::new(Goal::Maximize, settings);
        for trial in 0..5 {
            for step in 0..10 {
                rule.reported(TrialId(trial), step, f64::from(trial));
            }
            rule.ended(TrialId(trial), TrialResult::Value(f64::from(trial)));
        }
        rule
    }

    fn stops_at(rule: &mut Percentile, trial: u32, step: u64, value: f64) -> bool {
        rule.reported(TrialId(trial), step, value);
        matches!(rule.judge(TrialId(trial)), Verdict::Stop { .. })
    }

    #[test]
    fn only_the_best_part_goes_on_and_the_best_so_far_counts() {
        // numpy.percentile([0, 1, 2, 3, 4], 70) is 2.8.
        let mut rule = rule(Settings { percentile: 30.0, ..Settings::default() });
        assert!(stops_at(&mut rule, 5, 0, 2.79));
        assert!(!stops_at(&mut rule, 6, 0, 2.81));
        assert!(!stops_at(&mut rule, 6, 1, 0.0));
        assert!(!stops_at(&mut rule, 7, 40, 0.0), "nobody was there");
    }

    #[test]
    fn warming_up_and_too_few_trials_protect() {
        for (settings, stop) in [
            (Settings::default(), true),
            (Settings { startup_trials: 6, ..Settings::default() }, false),
            (Settings { least_trials: 6, ..Settings::default() }, false),
            (Settings { warmup_steps: 4, ..Settings::default() }, false),
            (Settings { warmup_steps: 3, ..Settings::default() }, true),
        ] {
            assert_eq!(stops_at(&mut rule(settings.clone()), 9, 3, 0.0), stop, "{settings:?}");
        }
    }

    #[test]
    fn within_an_interval_the_first_report_is_judged() {
        let settings = Settings { warmup_steps: 2, interval: 4, percentile: 50.0, ..Settings::default() };
        let mut rule = rule(settings);
        assert!(!stops_at(&mut rule, 9, 1, 0.0));
        assert!(stops_at(&mut rule, 9, 3, 1.0), "the first from step 2 on");
        assert!(stops_at(&mut rule, 9, 5, 4.0), "not looked at before step 6");
        assert!(!stops_at(&mut rule, 9, 6, 0.0), "its best is 4 by now");
    }

    #[test]
    fn stopped_and_failed_trials_are_no_peers() {
        let mut rule = Percentile::new(Goal::Minimize, Settings { startup_trials: 0, ..Settings::default() });
        for (trial, result) in (0..).zip([TrialResult::Failed, TrialResult::Stopped(Some(0.0))]) {
            rule.reported(TrialId(trial), 0, 0.0);
            rule.ended(TrialId(trial), result);
        }
        assert!(!stops_at(&mut rule, 9, 0, 1.0));
    }
}
