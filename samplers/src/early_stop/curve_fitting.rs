//! Stops a trial whose learning curve leads to less than the best trial has: NNI's Curvefitting.
//!
//! The forecast is described in `curve.rs`. Unlike NNI's, the rule works in both directions: `threshold` is how much of the
//! best final value has to be expected, taken as a distance of `1 - threshold` times its size.

use super::curve::{LEAST_POINTS, forecast};
use crate::arguments::Arguments;
use crate::codes;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::early_stop::{EarlyStop, Verdict};
use engine::ports::sampler::TrialResult;
use engine::value::Goal;
use std::collections::BTreeMap;

/// The arguments of the rule, with NNI's names and defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How many reports a trial makes.
    pub epoch_num: u64,
    /// Reports of a trial before it is judged.
    pub start_step: u64,
    /// The share of the best final value that has to be expected.
    pub threshold: f64,
    /// Reports from one judgement to the next.
    pub gap: u64,
}

/// The rule.
#[derive(Debug)]
pub struct CurveFitting {
    goal: Goal,
    settings: Settings,
    /// By trial and step: the loss.
    running: BTreeMap<TrialId, BTreeMap<u64, f64>>,
    /// The least final loss.
    best: Option<f64>,
}

pub(crate) fn read(mut arguments: Arguments<'_>, goal: Goal) -> Result<Box<dyn EarlyStop>, Vec<SpecError>> {
    arguments.optimize_mode(goal);
    let names = ["epoch_num", "max_resource"];
    let epoch_num = arguments.whole(&names, 1..=1_000_000_000);
    if !arguments.is_given(&names) {
        arguments.mistake(
            codes::MISSING_ARGUMENT,
            "epoch_num",
            "`epoch_num` is not given, so it is not known how far to look ahead".to_owned(),
            "add `epoch_num` with the number of reports that a whole trial makes",
        );
    }
    let settings = Settings {
        epoch_num: epoch_num.unwrap_or(1),
        start_step: arguments.whole(&["start_step"], 0..=1_000_000).unwrap_or(6),
        threshold: arguments.number(&["threshold"], 0.0..=9999.0).unwrap_or(0.95),
        gap: arguments.whole(&["gap"], 1..=1_000_000).unwrap_or(1),
    };
    arguments.finish()?;
    Ok(Box::new(CurveFitting::new(goal, settings)))
}

impl CurveFitting {
    /// The rule with its settings.
    pub fn new(goal: Goal, settings: Settings) -> Self {
        Self { goal, settings, running: BTreeMap::new(), best: None }
    }
}

impl EarlyStop for CurveFitting {
    fn name(&self) -> &'static str {
        "curve_fitting"
    }

    fn reported(&mut self, trial: TrialId, step: u64, value: f64) {
        if value.is_finite() {
            self.running.entry(trial).or_default().insert(step, self.goal.loss(value));
        }
    }

    fn ended(&mut self, trial: TrialId, result: TrialResult) {
        self.running.remove(&trial);
        if let TrialResult::Value(value) = result {
            let loss = self.goal.loss(value);
            self.best = Some(self.best.map_or(loss, |best| best.min(loss)));
        }
    }

    fn judge(&self, trial: TrialId) -> Verdict {
        let Settings { epoch_num, start_step, threshold, gap } = self.settings;
        let (Some(best), Some(own)) = (self.best, self.running.get(&trial)) else { return Verdict::Continue };
        let count = own.len() as u64;
        let start = start_step.max(LEAST_POINTS as u64);
        if count < start || count >= epoch_num {
            return Verdict::Continue;
        }
        // What was known when it was last to be judged.
        let looked_at = count - (count - start) % gap.max(1);
        let losses: Vec<f64> = own.values().take(looked_at as usize).copied().collect();
        let Some(expected) = forecast(&losses, epoch_num) else { return Verdict::Continue };
        let reached = own.values().copied().fold(f64::INFINITY, f64::min);
        let limit = best + (1.0 - threshold) * best.abs();
        if expected.min(reached) > limit {
            let (expected, best) = (self.goal.loss(expected), self.goal.loss(best));
            let why = format!(
                "after {looked_at} reports {expected} is to be expected at report {epoch_num}; the best trial has {best}, \
                 of which the share {threshold} is asked for"
            );
            return Verdict::Stop { why };
        }
        Verdict::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(goal: Goal, best: f64, settings: Settings) -> CurveFitting {
        let mut rule = CurveFitting::new(goal, settings);
        rule.ended(TrialId(0), TrialResult::Value(best));
        rule
    }

    const SETTINGS: Settings = Settings { epoch_num: 50, start_step: 6, threshold: 0.95, gap: 1 };

    /// The report at which a trial is stopped whose accuracy tends to `limit`.
    fn stopped_at(rule: &mut CurveFitting, limit: f64) -> Option<u64> {
        (1..=50).find(|step| {
            let accuracy = limit - 0.6 / (1.0 + *step as f64 / 3.0);
            let value = if rule.goal == Goal::Maximize { accuracy } else { 1.0 - accuracy };
            rule.reported(TrialId(1), *step, value);
            matches!(rule.judge(TrialId(1)), Verdict::Stop { .. })
        })
    }

    #[test]
    fn a_curve_that_leads_below_the_best_is_stopped_early_and_a_good_one_never() {
        for goal in [Goal::Maximize, Goal::Minimize] {
            let best = if goal == Goal::Maximize { 0.9 } else { 0.1 };
            let early = stopped_at(&mut rule(goal, best, SETTINGS), 0.7).unwrap();
            assert!((6..15).contains(&early), "{early}");
            assert_eq!(stopped_at(&mut rule(goal, best, SETTINGS), 0.95), None);
        }
    }

    #[test]
    fn nothing_is_stopped_before_its_start_nor_without_a_finished_trial() {
        let late = Settings { start_step: 20, ..SETTINGS };
        assert_eq!(stopped_at(&mut rule(Goal::Maximize, 0.9, late), 0.5), Some(20));
        assert_eq!(stopped_at(&mut CurveFitting::new(Goal::Maximize, SETTINGS), 0.5), None);
        let mut stopped = CurveFitting::new(Goal::Maximize, SETTINGS);
        stopped.ended(TrialId(0), TrialResult::Stopped(Some(0.9)));
        assert_eq!(stopped_at(&mut stopped, 0.5), None);
    }

    #[test]
    fn between_two_judgements_a_trial_is_judged_by_what_was_known_at_the_first() {
        let mut rule = rule(Goal::Maximize, 0.9, Settings { gap: 10, ..SETTINGS });
        for step in 1..=15 {
            rule.reported(TrialId(1), step, if step <= 6 { 0.1 * step as f64 } else { 0.55 });
            assert_eq!(rule.judge(TrialId(1)), Verdict::Continue, "{step}");
        }
        rule.reported(TrialId(1), 16, 0.55);
        assert!(matches!(rule.judge(TrialId(1)), Verdict::Stop { .. }));
    }

    #[test]
    fn the_share_is_a_distance_whatever_the_sign() {
        for (goal, best) in [(Goal::Maximize, -10.0), (Goal::Minimize, 10.0), (Goal::Minimize, -10.0)] {
            let mut rule = rule(goal, best, SETTINGS);
            for (trial, distance, stop) in [(1, 0.4, false), (2, 0.6, true)] {
                let value = if goal == Goal::Maximize { best - distance } else { best + distance };
                for step in 1..=8 {
                    rule.reported(TrialId(trial), step, value);
                }
                let stopped = matches!(rule.judge(TrialId(trial)), Verdict::Stop { .. });
                assert_eq!(stopped, stop, "{goal:?} {best} {distance}");
            }
        }
    }
}
