//! Asynchronous successive halving.
//!
//! L. Li et al., "A System for Massively Parallel Hyperparameter Tuning", in the variant that stops trials and
//! never resumes them (as in Syne Tune and Optuna). At the steps `r`, `r * eta`, `r * eta^2`, ... a trial goes on only
//! if its value is among the best `1/eta` of all trials that have reached this step, but at least if it is the best of them.
//!
//! A running trial is judged again with each of its reports, at the highest rung that it has reached and with all that
//! is known by then: a place among the best can be lost to others. So the judgement does not depend on the order
//! in which reports of different trials arrived, nor on how many of them arrived at once.

use super::rungs::{Ladder, Rungs};
use crate::arguments::Arguments;
use crate::codes;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::early_stop::{EarlyStop, Verdict};
use engine::ports::sampler::TrialResult;
use engine::value::Goal;

/// Most steps that an argument can name.
const MOST_STEPS: u64 = 1_000_000_000_000;

/// The names of the last step.
pub(super) const LAST: [&str; 3] = ["max_resource", "max_t", "R"];

/// The rule.
#[derive(Debug)]
pub struct Asha {
    name: &'static str,
    rungs: Rungs,
}

pub(crate) fn read(
    name: &'static str,
    factor: u64,
    mut arguments: Arguments<'_>,
    goal: Goal,
) -> Result<Box<dyn EarlyStop>, Vec<SpecError>> {
    arguments.optimize_mode(goal);
    let mut ladder = read_ladder(&mut arguments, factor);
    if let Some(skipped) = arguments.whole(&["min_early_stopping_rate", "s"], 0..=40) {
        let times = u32::try_from(skipped).unwrap_or(u32::MAX);
        ladder.first = ladder.first.saturating_mul(ladder.factor.saturating_pow(times));
    }
    check(&mut arguments, ladder);
    arguments.finish()?;
    Ok(Box::new(Asha::new(name, goal, ladder)))
}

/// The arguments of every rule with rungs; without `max_resource` there is no last step.
pub(super) fn read_ladder(arguments: &mut Arguments<'_>, factor: u64) -> Ladder {
    let first = arguments.whole(&["min_resource", "grace_period", "r"], 1..=MOST_STEPS).unwrap_or(1);
    let last = arguments.whole(&LAST, 2..=MOST_STEPS).unwrap_or(u64::MAX);
    let factor = arguments.whole(&["reduction_factor", "eta"], 2..=100).unwrap_or(factor);
    let least = arguments.whole(&["least_trials", "grace"], 2..=1_000_000).unwrap_or(2);
    Ladder { first, factor, last, least_trials: least as usize }
}

/// A mistake if there is no rung.
pub(super) fn check(arguments: &mut Arguments<'_>, ladder: Ladder) {
    if ladder.first >= ladder.last {
        let message =
            format!("the first rung is at step {}, not before `max_resource`, {}", ladder.first, ladder.last);
        let cure =
            "nothing would ever be stopped: choose a smaller `min_resource`, or a larger `max_resource`";
        arguments.mistake(codes::CONTRADICTION, "max_resource", message, cure);
    }
}

impl Asha {
    /// The rule on a ladder, under one of its names.
    pub fn new(name: &'static str, goal: Goal, ladder: Ladder) -> Self {
        Self { name, rungs: Rungs::new(goal, ladder) }
    }
}

impl EarlyStop for Asha {
    fn name(&self) -> &'static str {
        self.name
    }

    fn reported(&mut self, trial: TrialId, step: u64, value: f64) {
        self.rungs.reported(trial, step, value);
    }

    fn ended(&mut self, trial: TrialId, result: TrialResult) {
        self.rungs.ended(trial, result);
    }

    fn judge(&self, trial: TrialId) -> Verdict {
        self.rungs.judge(trial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LADDER: Ladder = Ladder { first: 1, factor: 3, last: 27, least_trials: 2 };

    fn asha(ladder: Ladder) -> Asha {
        Asha::new("asha", Goal::Maximize, ladder)
    }

    fn stopped(rule: &Asha, trial: u32) -> bool {
        matches!(rule.judge(TrialId(trial)), Verdict::Stop { .. })
    }

    #[test]
    fn of_six_trials_at_a_rung_the_best_two_go_on() {
        let mut rule = asha(LADDER);
        for trial in 0..6 {
            rule.reported(TrialId(trial), 1, f64::from(trial));
        }
        let stops: Vec<bool> = (0..6).map(|trial| stopped(&rule, trial)).collect();
        assert_eq!(stops, [true, true, true, true, false, false]);
        let why = rule.judge(TrialId(3));
        assert!(
            matches!(&why, Verdict::Stop { why } if why.contains("1/3 of 6") && why.contains("reach 4")),
            "{why:?}"
        );
    }

    #[test]
    fn fewer_trials_than_the_factor_leave_the_best_one_and_a_lone_trial_goes_on() {
        let mut rule = asha(LADDER);
        rule.reported(TrialId(0), 1, 0.5);
        assert!(!stopped(&rule, 0));
        rule.reported(TrialId(1), 1, 0.4);
        assert_eq!((stopped(&rule, 0), stopped(&rule, 1)), (false, true));
        let mut patient = asha(Ladder { least_trials: 3, ..LADDER });
        patient.reported(TrialId(0), 1, 0.5);
        patient.reported(TrialId(1), 1, 0.4);
        assert!(!stopped(&patient, 1));
    }

    #[test]
    fn a_trial_is_judged_where_it_stands_and_stopped_ones_remain_peers() {
        let mut rule = asha(LADDER);
        rule.reported(TrialId(0), 1, 0.1);
        rule.reported(TrialId(0), 3, 0.9);
        rule.reported(TrialId(1), 1, 0.9);
        assert!(!stopped(&rule, 0), "it has left the rung at which it was worse");
        rule.ended(TrialId(0), TrialResult::Stopped(Some(0.9)));
        rule.reported(TrialId(1), 2, 0.0);
        assert!(!stopped(&rule, 1), "only the report at the rung counts");
        rule.reported(TrialId(1), 3, 0.8);
        assert!(stopped(&rule, 1));
    }

    #[test]
    fn the_first_report_at_or_past_a_rung_counts_in_whatever_order_reports_come() {
        let mut rule = asha(LADDER);
        rule.reported(TrialId(0), 9, 0.5);
        for (step, value) in [(12, 0.1), (10, 0.9), (11, 0.2)] {
            rule.reported(TrialId(1), step, value);
        }
        assert!(!stopped(&rule, 1), "its value from step 9 on is 0.9, of step 10");
        rule.reported(TrialId(1), 10, 0.4);
        assert!(stopped(&rule, 1), "the later report of a step replaces the earlier");
    }

    #[test]
    fn at_the_last_step_nothing_is_stopped_any_more() {
        assert_eq!(LADDER.steps().collect::<Vec<_>>(), [1, 3, 9]);
        let mut rule = asha(Ladder { first: 27, ..LADDER });
        rule.reported(TrialId(0), 27, 1.0);
        rule.reported(TrialId(1), 27, 0.0);
        assert!(!stopped(&rule, 1));
    }

    #[test]
    fn what_is_no_number_is_the_worst() {
        let mut rule = asha(LADDER);
        rule.reported(TrialId(0), 1, f64::NAN);
        rule.reported(TrialId(1), 1, -1e300);
        assert_eq!((stopped(&rule, 0), stopped(&rule, 1)), (true, false));
    }
}
