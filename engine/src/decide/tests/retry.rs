//! What is tried again, how often, and from where.

use super::*;
use crate::effect::Effect;
use crate::event::v1::TrialStop;
use crate::id::Seq;

#[test]
fn each_kind_of_end_has_its_own_number_of_tries() {
    let retry = json!({"failed": 2, "lost": 3, "preempted": 4});
    for (outcome, tries, status) in [
        (failed("x"), 2, TrialStatus::Failed),
        (lost(), 3, TrialStatus::Lost),
        (Outcome::Stopped, 3, TrialStatus::Lost),
        (preempted(), 4, TrialStatus::Lost),
        (Outcome::TimedOut, 1, TrialStatus::Failed),
        (Outcome::Refused { reason: "no".to_owned() }, 1, TrialStatus::Failed),
    ] {
        let mut lab = Lab::new(&json!({"retry": retry}));
        let trial = lab.run(&outcome);
        assert_eq!(lab.trial(trial).attempts.len(), tries, "{outcome:?}");
        assert_eq!(lab.trial_status(trial), status, "{outcome:?}");
        assert_eq!(lab.trial(trial).value, None);
    }
}

#[test]
fn a_lost_attempt_is_tried_again_with_the_same_point_in_the_same_slot() {
    let mut lab = Lab::new(&json!({}));
    lab.suggest();
    let trial = lab.suggest();
    lab.start(trial);
    let before = lab.trial(trial).clone();
    lab.end(trial, lost());
    let after = lab.trial(trial);
    assert_eq!(after.point, before.point);
    assert_eq!(after.attempts.len(), 2);
    assert_eq!(after.attempts[0].slot, after.attempts[1].slot);
    assert_eq!(after.status, TrialStatus::Running);
    lab.start(trial);
    lab.report(trial, &[0.5]);
    lab.end(trial, Outcome::Succeeded);
    assert_eq!(lab.trial_status(trial), TrialStatus::Succeeded);
}

#[test]
fn retries_wait_and_wait_longer() {
    let mut lab = Lab::new(&json!({"retry": {"lost": 4, "backoff": "10s"}}));
    let trial = lab.suggest();
    for (attempt, wait) in [(1, 10), (2, 20), (3, 40)] {
        assert_eq!(lab.trial(trial).attempts.len(), attempt);
        lab.end(trial, lost());
        let due = lab.driver.state().due(id(), Seq(0));
        assert!(due.iter().any(|effect| matches!(effect, Effect::Wake { .. })), "{due:?}");
        assert!(lab.wait(wait - 1).is_empty());
        lab.wait(1);
    }
    assert_eq!(lab.trial(trial).attempts.len(), 4);
    lab.end(trial, lost());
    assert_eq!(lab.trial_status(trial), TrialStatus::Lost, "the last failure waits for nothing");
}

#[test]
fn a_trial_that_waits_for_its_retry_can_be_stopped_at_once() {
    let mut lab = Lab::new(&json!({"retry": {"lost": 4, "backoff": "1h"}}));
    let (one, two) = (lab.suggest(), lab.suggest());
    lab.end(one, lost());
    lab.end(two, lost());
    lab.give(&Command::StopTrials { experiment: id(), trials: vec![TrialId(one)] });
    lab.advance();
    assert_eq!(lab.trial_status(one), TrialStatus::UserCanceled);
    lab.stop();
    assert_eq!(lab.trial_status(two), TrialStatus::SysCanceled);
    assert_eq!(lab.status(), ExperimentStatus::UserCanceled);
}

#[test]
fn several_tasks_run_in_order_within_one_attempt() {
    let mut lab = Lab::new(&json!({"run": {"fake": {"tasks": ["a", "b", "c"]}}}));
    let trial = lab.suggest();
    for task in 0..3 {
        assert_eq!(lab.key(trial), lab.key_of(trial, 1, task));
        lab.start(trial);
        lab.report(trial, &[1.0 - f64::from(task) / 10.0]);
        lab.end(trial, Outcome::Succeeded);
    }
    assert_eq!(lab.trial_status(trial), TrialStatus::Succeeded);
    assert_eq!(lab.trial(trial).value, Some(0.8));
}

#[test]
fn a_retry_begins_at_the_first_task_or_where_the_last_one_failed() {
    for (resume, begins) in [(false, 0), (true, 1)] {
        let mut lab = Lab::new(&json!({
            "run": {"fake": {"tasks": ["a", "b", "c"]}},
            "retry": {"attempts": 3, "resume": resume},
        }));
        let trial = lab.suggest();
        lab.end(trial, Outcome::Succeeded);
        lab.end(trial, failed("x"));
        assert_eq!(lab.key(trial), lab.key_of(trial, 2, begins));
        lab.end(trial, lost());
        assert_eq!(lab.key(trial), lab.key_of(trial, 3, begins));
    }
}

#[test]
fn a_stopped_trial_starts_no_further_task() {
    let mut lab = Lab::new(&json!({"run": {"fake": {"tasks": ["a", "b"]}}}));
    let trial = lab.suggest();
    lab.start(trial);
    lab.give(&Command::StopTrials { experiment: id(), trials: vec![TrialId(trial)] });
    lab.end(trial, Outcome::Succeeded);
    assert_eq!(lab.trial_status(trial), TrialStatus::UserCanceled);
}

#[test]
fn the_backstop_ends_an_attempt_that_its_backend_lets_run_on() {
    let mut lab = Lab::new(&json!({"budget": {"trials": 9, "trial_timeout": "1m", "grace": "5s"}}));
    let trial = lab.suggest();
    lab.start(trial);
    assert!(lab.wait(94).is_empty());
    lab.wait(1);
    assert_eq!(lab.trial(trial).stopping, Some(TrialStop::Timeout));
    let due = lab.driver.state().due(id(), Seq(0));
    assert!(matches!(due.first(), Some(Effect::Stop { .. })), "{due:?}");
    assert!(lab.wait(604).is_empty());
    lab.wait(1);
    assert_eq!(lab.trial_status(trial), TrialStatus::Failed, "given up although nobody saw it end");
}

#[test]
fn a_wrong_clock_of_a_backend_neither_kills_nor_saves_an_attempt() {
    for skew in [-10_000_000, 10_000_000] {
        let mut lab = Lab::new(&json!({"budget": {"trials": 9, "trial_timeout": "1m", "grace": "5s"}}));
        let trial = lab.suggest();
        lab.accept(trial);
        let key = lab.key(trial);
        let started = crate::time::Timestamp(lab.driver.now().0 + skew);
        lab.give(&Command::RecordStarted { key, started });
        assert!(lab.advance().is_empty(), "skew {skew}");
        lab.wait(95);
        assert_eq!(lab.trial(trial).stopping, Some(TrialStop::Timeout), "skew {skew}");
    }
}

#[test]
fn all_tasks_of_an_attempt_share_its_time() {
    let mut lab = Lab::new(&json!({
        "run": {"fake": {"tasks": ["a", "b"]}},
        "budget": {"trials": 9, "trial_timeout": "1m", "grace": "5s"},
    }));
    let trial = lab.suggest();
    lab.start(trial);
    lab.wait(50);
    lab.end(trial, Outcome::Succeeded);
    lab.start(trial);
    lab.wait(45);
    assert_eq!(lab.trial(trial).stopping, Some(TrialStop::Timeout));
}

#[test]
fn a_trial_that_is_being_stopped_keeps_its_hour_when_it_is_seen_to_start() {
    let mut lab = Lab::new(&json!({"budget": {"trials": 9, "trial_timeout": "9h", "grace": "0s"}}));
    let trial = lab.suggest();
    lab.accept(trial);
    lab.give(&Command::StopTrials { experiment: id(), trials: vec![TrialId(trial)] });
    let (key, started) = (lab.key(trial), lab.driver.now());
    lab.give(&Command::RecordStarted { key, started });
    lab.wait(600);
    assert_eq!(lab.trial_status(trial), TrialStatus::UserCanceled);
}

#[test]
fn doubt_waits_for_a_person_unless_told_otherwise() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    let key = lab.key(trial);
    lab.give(&Command::RecordDoubt { key, reason: "no answer".to_owned() });
    assert!(lab.advance().is_empty());
    assert_eq!(lab.trial_status(trial), TrialStatus::Unknown);
    assert_eq!(lab.driver.state().due(id(), Seq(0)).first(), Some(&Effect::Find { key }));
    // It turns up after all.
    lab.start(trial);
    assert_eq!(lab.trial_status(trial), TrialStatus::Running);
    lab.report(trial, &[1.0]);
    lab.end(trial, Outcome::Succeeded);
    assert_eq!(lab.trial_status(trial), TrialStatus::Succeeded);
}

#[test]
fn doubt_may_be_answered_by_another_attempt() {
    let mut lab = Lab::new(&json!({"retry": {"doubtful": 2}}));
    let trial = lab.suggest();
    let first = lab.key(trial);
    lab.give(&Command::RecordDoubt { key: first, reason: "no answer".to_owned() });
    lab.advance();
    assert_eq!(lab.key(trial), lab.key_of(trial, 2, 0));
    let submit = Effect::Submit { key: lab.key(trial) };
    assert_eq!(lab.driver.state().due(id(), Seq(0)).first(), Some(&submit));
    // News of the first attempt change nothing.
    let started = lab.driver.now();
    assert!(lab.give(&Command::RecordAccepted { key: first, handle: "old".to_owned() }).is_empty());
    assert!(lab.give(&Command::RecordStarted { key: first, started }).is_empty());
    assert!(lab.give(&Command::RecordCleared { key: first }).is_empty());
    let key = lab.key(trial);
    lab.give(&Command::RecordDoubt { key, reason: "no answer".to_owned() });
    lab.advance();
    assert_eq!(lab.trial_status(trial), TrialStatus::Unknown, "two tries and no more");
}

#[test]
fn a_doubtful_trial_that_is_stopped_is_given_up_in_the_end() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    let key = lab.key(trial);
    lab.give(&Command::RecordDoubt { key, reason: "no answer".to_owned() });
    lab.give(&Command::StopTrials { experiment: id(), trials: vec![TrialId(trial)] });
    assert_eq!(lab.driver.state().due(id(), Seq(0)).first(), Some(&Effect::Find { key }));
    lab.wait(610);
    assert_eq!(lab.trial_status(trial), TrialStatus::UserCanceled);
}

#[test]
fn more_tries_after_a_change_help_a_trial_in_doubt() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    let key = lab.key(trial);
    lab.give(&Command::RecordDoubt { key, reason: "no answer".to_owned() });
    lab.update(&json!({"retry": {"doubtful": 2}}));
    assert_eq!(lab.trial(trial).attempts.len(), 2);
}
