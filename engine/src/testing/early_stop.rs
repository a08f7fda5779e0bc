//! What every [`EarlyStop`] must do, as a suite that each of them runs: see [`CASES`].

use crate::id::TrialId;
use crate::ports::early_stop::{EarlyStop, Verdict};
use crate::ports::sampler::TrialResult;

/// Makes the rule under test.
pub type Maker<'a> = &'a dyn Fn() -> Box<dyn EarlyStop>;
/// What a rule did that it must not do.
pub type Violation = String;
/// One case.
pub type Case = fn(Maker<'_>) -> Result<(), Violation>;

/// All cases with their names.
pub const CASES: &[(&str, Case)] = &[
    ("a_trial_that_has_reported_nothing_goes_on", a_trial_that_has_reported_nothing_goes_on),
    ("judging_changes_nothing", judging_changes_nothing),
    ("how_trials_were_interleaved_does_not_matter", how_trials_were_interleaved_does_not_matter),
    ("odd_reports_do_no_harm", odd_reports_do_no_harm),
    ("a_reason_is_given_for_every_stop", a_reason_is_given_for_every_stop),
    ("a_failed_trial_is_forgotten_and_may_begin_anew", a_failed_trial_is_forgotten_and_may_begin_anew),
];

/// Trials and steps of the curves.
const TRIALS: u32 = 12;
const STEPS: u64 = 20;

/// The curve of a trial: some better, some worse, with bumps.
fn curve(trial: u32, step: u64) -> f64 {
    let level = f64::from((trial * 7) % TRIALS) / f64::from(TRIALS);
    let bump = if (step + u64::from(trial)).is_multiple_of(5) { 0.2 } else { 0.0 };
    level + bump - 1.0 / (step as f64 + 1.0)
}

fn a_trial_that_has_reported_nothing_goes_on(make: Maker<'_>) -> Result<(), Violation> {
    let mut rule = make();
    for trial in 0..TRIALS {
        for step in 1..=STEPS {
            rule.reported(TrialId(trial), step, curve(trial, step));
        }
        rule.ended(TrialId(trial), TrialResult::Value(curve(trial, STEPS)));
    }
    match rule.judge(TrialId(TRIALS)) {
        Verdict::Continue => Ok(()),
        Verdict::Stop { why } => Err(format!("stopped without a report: {why}")),
    }
}

/// Feeds all curves; the last three trials stay running. Returns their judgements.
fn judged(make: Maker<'_>, by_trial: bool, ask: bool) -> Vec<Verdict> {
    let mut rule = make();
    let running = TRIALS - 3;
    if by_trial {
        for trial in (0..TRIALS).rev() {
            for step in 1..=STEPS {
                rule.reported(TrialId(trial), step, curve(trial, step));
                if ask {
                    rule.judge(TrialId(trial));
                }
            }
        }
    } else {
        for step in 1..=STEPS {
            for trial in 0..TRIALS {
                rule.reported(TrialId(trial), step, curve(trial, step));
            }
        }
    }
    for trial in 0..running {
        rule.ended(TrialId(trial), TrialResult::Value(curve(trial, STEPS)));
    }
    (running..TRIALS).map(|trial| rule.judge(TrialId(trial))).collect()
}

fn judging_changes_nothing(make: Maker<'_>) -> Result<(), Violation> {
    let (quiet, asked) = (judged(make, true, false), judged(make, true, true));
    if quiet == asked { Ok(()) } else { Err(format!("{quiet:?} became {asked:?}")) }
}

fn how_trials_were_interleaved_does_not_matter(make: Maker<'_>) -> Result<(), Violation> {
    let (one, other) = (judged(make, true, false), judged(make, false, false));
    if one == other { Ok(()) } else { Err(format!("{one:?} became {other:?}")) }
}

fn odd_reports_do_no_harm(make: Maker<'_>) -> Result<(), Violation> {
    let mut rule = make();
    // Steps that come back, gaps, huge values, a late report of an ended trial, an end without a value.
    for (step, value) in [
        (5, 1.0),
        (3, f64::NAN),
        (4, f64::INFINITY),
        (1, f64::MAX),
        (1, f64::MIN),
        (u64::MAX, 0.0),
        (5, -0.0),
    ] {
        for trial in 0..3 {
            rule.reported(TrialId(trial), step, value);
            rule.judge(TrialId(trial));
        }
    }
    rule.ended(TrialId(0), TrialResult::Failed);
    rule.ended(TrialId(1), TrialResult::Value(0.0));
    rule.ended(TrialId(1), TrialResult::Value(0.0));
    rule.ended(TrialId(2), TrialResult::Stopped(None));
    rule.ended(TrialId(9), TrialResult::Failed);
    rule.reported(TrialId(1), 9, 1.0);
    for trial in 0..9 {
        rule.judge(TrialId(trial));
    }
    match rule.judge(TrialId(100)) {
        Verdict::Continue => Ok(()),
        Verdict::Stop { why } => Err(format!("a trial that has reported nothing was stopped: {why}")),
    }
}

/// A trial fails after reports that are better, or worse, than all others; for the rest it must not have been there. So
/// must a trial that has failed and reports again be judged as if it had not reported before.
fn a_failed_trial_is_forgotten_and_may_begin_anew(make: Maker<'_>) -> Result<(), Violation> {
    let running = TRIALS - 3;
    let verdicts = |failing: Option<f64>| {
        let mut rule = make();
        for trial in 0..TRIALS {
            if let Some(value) = failing.filter(|_| trial >= running - 2) {
                for step in 1..=STEPS {
                    rule.reported(TrialId(trial), step, value * (step as f64));
                }
                rule.ended(TrialId(trial), TrialResult::Failed);
            }
            for step in 1..=STEPS {
                rule.reported(TrialId(trial), step, curve(trial, step));
            }
            if trial < running {
                rule.ended(TrialId(trial), TrialResult::Value(curve(trial, STEPS)));
            }
        }
        (running..TRIALS).map(|trial| rule.judge(TrialId(trial))).collect::<Vec<_>>()
    };
    let expected = verdicts(None);
    for value in [-100.0, 100.0, f64::NAN] {
        let found = verdicts(Some(value));
        if found != expected {
            return Err(format!("{expected:?} became {found:?} after failures with {value}"));
        }
    }
    Ok(())
}

fn a_reason_is_given_for_every_stop(make: Maker<'_>) -> Result<(), Violation> {
    for verdict in judged(make, true, false) {
        if matches!(&verdict, Verdict::Stop { why } if why.is_empty()) {
            return Err("stopped without a reason".to_owned());
        }
    }
    Ok(())
}
