//! PAI's assessor.
//!
//! A trial's best value so far is compared with what *all* other trials, running ones included, had reached at the same
//! step: their running averages, or their plain values. It is stopped if it is worse than the quantile at
//! `proportion` (0.5: the median), or after `patience` reports in a row that were each worse than the one before.

use super::quantile::{Peers, Quantile, Rank};
use crate::arguments::Arguments;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::early_stop::{EarlyStop, Verdict};
use engine::ports::sampler::TrialResult;
use engine::value::Goal;
use std::collections::BTreeMap;

/// The arguments of the rule, with PAI's names and defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Reports of a trial before it is judged.
    pub start_step: u64,
    /// Whether the others' running averages are compared with, and not their values.
    pub moving_avg: bool,
    /// Which quantile of the others, best first.
    pub proportion: f64,
    /// Declines in a row after which a trial is stopped; 0: never.
    pub patience: u64,
    /// Whether anything is stopped at all.
    pub earlystop: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { start_step: 2, moving_avg: true, proportion: 0.5, patience: 10, earlystop: true }
    }
}

#[derive(Debug, Default)]
struct Trial {
    sum: f64,
    count: u64,
    best: f64,
    last: f64,
    last_step: u64,
    declines: u64,
    /// By step: what it has in the quantile of that step.
    entered: BTreeMap<u64, f64>,
}

/// PAI's assessor.
#[derive(Debug)]
pub struct PaiAssessor {
    goal: Goal,
    settings: Settings,
    trials: BTreeMap<TrialId, Trial>,
    steps: BTreeMap<u64, Quantile>,
}

pub(crate) fn read(mut arguments: Arguments<'_>, goal: Goal) -> Result<Box<dyn EarlyStop>, Vec<SpecError>> {
    let default = Settings::default();
    arguments.optimize_mode(goal);
    let settings = Settings {
        start_step: arguments.whole(&["start_step"], 0..=1_000_000).unwrap_or(default.start_step),
        moving_avg: arguments.boolean(&["moving_avg"]).unwrap_or(default.moving_avg),
        proportion: arguments.number(&["proportion"], 0.0..=1.0).unwrap_or(default.proportion),
        patience: arguments.whole(&["patience"], 0..=1_000_000).unwrap_or(default.patience),
        earlystop: arguments.boolean(&["earlystop"]).unwrap_or(default.earlystop),
    };
    // The backend's name: it says nothing about the rule.
    arguments.ignore("platform");
    arguments.finish()?;
    Ok(Box::new(PaiAssessor::new(goal, settings)))
}

impl PaiAssessor {
    /// The rule with its settings.
    pub fn new(goal: Goal, settings: Settings) -> Self {
        Self { goal, settings, trials: BTreeMap::new(), steps: BTreeMap::new() }
    }
}

impl EarlyStop for PaiAssessor {
    fn name(&self) -> &'static str {
        "pai"
    }

    fn reported(&mut self, trial: TrialId, step: u64, value: f64) {
        if !value.is_finite() || !self.settings.earlystop {
            return;
        }
        let own = self.trials.entry(trial).or_default();
        if own.count == 0 || self.goal.better(value, own.best) {
            own.best = value;
        }
        let declined = own.count > 0 && self.goal.better(own.last, value);
        own.declines = if declined { own.declines + 1 } else { 0 };
        own.count += 1;
        own.sum += value;
        own.last = value;
        own.last_step = own.last_step.max(step);
        let shown = if self.settings.moving_avg { own.sum / own.count as f64 } else { value };
        let loss = self.goal.loss(shown);
        let quantile = self
            .steps
            .entry(step)
            .or_insert_with(|| Quantile::new(Rank::Share(self.settings.proportion), Peers::Others));
        if let Some(before) = own.entered.insert(step, loss) {
            quantile.remove(trial.0, before);
        }
        quantile.insert(trial.0, loss);
    }

    // What a trial had reached stays a measure for the others, unless it has failed.
    fn ended(&mut self, trial: TrialId, result: TrialResult) {
        let own = self.trials.remove(&trial).filter(|_| result == TrialResult::Failed);
        for (step, loss) in own.into_iter().flat_map(|own| own.entered) {
            if let Some(quantile) = self.steps.get_mut(&step) {
                quantile.remove(trial.0, loss);
            }
        }
    }

    fn judge(&self, trial: TrialId) -> Verdict {
        let Some(own) = self.trials.get(&trial) else { return Verdict::Continue };
        if own.count < self.settings.start_step || !self.settings.earlystop {
            return Verdict::Continue;
        }
        let step = own.last_step;
        if self.settings.patience > 0 && own.declines >= self.settings.patience {
            let why = format!("the value got worse {} times in a row, last to {}", own.declines, own.last);
            return Verdict::Stop { why };
        }
        let entered = own.entered.get(&step).map(|loss| (trial.0, *loss));
        let Some(limit) = self.steps.get(&step).and_then(|quantile| quantile.value(entered)) else {
            return Verdict::Continue;
        };
        let limit = self.goal.loss(limit);
        if self.goal.better(limit, own.best) {
            let why = format!(
                "the best value up to step {step}, {}, is worse than {limit}, the quantile {} of the other trials",
                own.best, self.settings.proportion
            );
            return Verdict::Stop { why };
        }
        Verdict::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(goal: Goal, settings: Settings, at_step_1: &[f64]) -> PaiAssessor {
        let mut rule = PaiAssessor::new(goal, settings);
        for (trial, value) in (0..).zip(at_step_1) {
            rule.reported(TrialId(trial), 1, *value);
        }
        rule
    }

    fn stopped(rule: &PaiAssessor, trial: u32) -> bool {
        matches!(rule.judge(TrialId(trial)), Verdict::Stop { .. })
    }

    #[test]
    fn of_an_even_number_of_others_the_worse_middle_one_is_the_limit() {
        let settings = Settings { start_step: 1, ..Settings::default() };
        // The first open code: sorted[(n - 1) / 2] when maximizing, sorted[n / 2] when minimizing.
        for (own, stop) in [(2.0, false), (1.9, true)] {
            let rule = rule(Goal::Maximize, settings.clone(), &[1.0, 2.0, 3.0, 4.0, own]);
            assert_eq!(stopped(&rule, 4), stop, "{own}");
        }
        for (own, stop) in [(3.0, false), (3.1, true)] {
            let rule = rule(Goal::Minimize, settings.clone(), &[1.0, 2.0, 3.0, 4.0, own]);
            assert_eq!(stopped(&rule, 4), stop, "{own}");
        }
    }

    #[test]
    fn ended_trials_remain_peers_and_a_lone_trial_goes_on() {
        let settings = Settings { start_step: 1, ..Settings::default() };
        let mut rule = rule(Goal::Maximize, settings, &[5.0]);
        assert!(!stopped(&rule, 0));
        rule.ended(TrialId(0), TrialResult::Stopped(None));
        rule.reported(TrialId(1), 1, 4.0);
        assert!(stopped(&rule, 1));
    }

    #[test]
    fn moving_averages_are_compared_if_asked_for() {
        for (moving_avg, stop) in [(true, false), (false, true)] {
            let settings = Settings { moving_avg, ..Settings::default() };
            let mut rule = rule(Goal::Maximize, settings, &[0.0, 5.0]);
            rule.reported(TrialId(0), 2, 10.0);
            rule.reported(TrialId(1), 2, 6.0);
            assert_eq!(stopped(&rule, 1), stop);
        }
    }

    #[test]
    fn declines_in_a_row_stop_a_trial_and_a_rise_forgives_them() {
        let settings = Settings { patience: 2, ..Settings::default() };
        let mut rule = rule(Goal::Minimize, settings, &[1.0]);
        rule.reported(TrialId(0), 2, 2.0);
        assert!(!stopped(&rule, 0));
        rule.reported(TrialId(0), 3, 1.5);
        rule.reported(TrialId(0), 4, 1.6);
        assert!(!stopped(&rule, 0));
        rule.reported(TrialId(0), 5, 1.7);
        assert!(stopped(&rule, 0));
    }

    #[test]
    fn the_switch_turns_it_off() {
        let settings = Settings { earlystop: false, start_step: 0, ..Settings::default() };
        let rule = rule(Goal::Maximize, settings, &[5.0, 1.0]);
        assert!(!stopped(&rule, 1));
    }
}
