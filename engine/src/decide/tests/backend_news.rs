//! What backends say may come twice, late, or out of order.

use super::*;
use crate::effect::Effect;
use crate::id::Seq;

#[test]
fn what_this_process_planned_is_submitted_and_what_another_planned_is_looked_for() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    let key = lab.key(trial);
    let boot = lab.driver.state().head();
    assert_eq!(lab.driver.state().due(id(), Seq(0)).first(), Some(&Effect::Submit { key }));
    assert_eq!(lab.driver.state().due(id(), boot).first(), Some(&Effect::Find { key }));
    lab.give(&Command::RecordCleared { key });
    assert_eq!(lab.driver.state().due(id(), boot).first(), Some(&Effect::Submit { key }));
}

#[test]
fn every_piece_of_news_counts_once() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    let (key, now) = (lab.key(trial), lab.driver.now());
    let accepted = Command::RecordAccepted { key, handle: "one".to_owned() };
    let started = Command::RecordStarted { key, started: now };
    let ended = Command::RecordEnded { key, outcome: failed("x"), ended: now };
    assert!(lab.give(&started).is_empty(), "it was not accepted yet");
    for news in [&accepted, &started, &ended] {
        assert_eq!(lab.give(news).len(), 1);
        assert!(lab.give(news).is_empty());
        assert!(lab.give(&accepted).is_empty());
    }
    assert!(lab.give(&Command::RecordAccepted { key, handle: "two".to_owned() }).is_empty());
    assert!(lab.give(&Command::RecordDoubt { key, reason: String::new() }).is_empty());
    assert!(lab.give(&Command::RecordCleared { key }).is_empty());
    lab.advance();
    assert_eq!(lab.trial_status(trial), TrialStatus::Failed);
    assert!(lab.give(&ended).is_empty());
}

#[test]
fn an_end_may_come_before_everything_else() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    lab.end(trial, Outcome::Refused { reason: "quota".to_owned() });
    assert_eq!(lab.trial_status(trial), TrialStatus::Failed);
    assert!(lab.trial(trial).reason.contains("quota"));
}

#[test]
fn a_late_result_is_recorded_and_changes_nothing() {
    let mut lab = Lab::new(&json!({"retry": {"lost": 2}}));
    let trial = lab.suggest();
    lab.start(trial);
    let (old, now) = (lab.key(trial), lab.driver.now());
    lab.end(trial, lost());
    lab.start(trial);
    let before = lab.trial(trial).clone();
    let late = Command::RecordEnded { key: old, outcome: Outcome::Succeeded, ended: now };
    let events = lab.give(&late);
    assert!(matches!(events.as_slice(), [Event::LateResult(_)]), "{events:?}");
    assert!(lab.advance().is_empty());
    assert_eq!(lab.trial(trial), &before);
    lab.report(trial, &[0.5]);
    lab.end(trial, Outcome::Succeeded);
    let counts = lab.experiment().counts.clone();
    assert!(matches!(lab.give(&late).as_slice(), [Event::LateResult(_)]));
    assert_eq!(lab.experiment().counts, counts);
    assert_eq!(lab.trial(trial).value, Some(0.5));
}

#[test]
fn news_of_what_was_never_planned_are_nothing() {
    let mut lab = Lab::new(&json!({}));
    lab.suggest();
    let now = lab.driver.now();
    for key in [lab.key_of(0, 2, 0), lab.key_of(0, 1, 1), lab.key_of(9, 1, 0)] {
        for news in [
            Command::RecordAccepted { key, handle: "x".to_owned() },
            Command::RecordStarted { key, started: now },
            Command::RecordEnded { key, outcome: Outcome::Succeeded, ended: now },
            Command::RecordCleared { key },
            Command::RecordDoubt { key, reason: String::new() },
        ] {
            assert!(lab.give(&news).is_empty(), "{news:?}");
        }
    }
}

#[test]
fn a_planned_task_that_is_to_be_stopped_is_looked_for_and_never_sent() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    let key = lab.key(trial);
    lab.give(&Command::StopTrials { experiment: id(), trials: vec![TrialId(trial)] });
    lab.advance();
    assert_eq!(lab.driver.state().due(id(), Seq(0)).first(), Some(&Effect::Find { key }));
    lab.give(&Command::RecordCleared { key });
    lab.advance();
    assert_eq!(lab.trial_status(trial), TrialStatus::UserCanceled);
}

#[test]
fn a_stop_is_due_until_the_task_has_ended() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    lab.start(trial);
    let (key, handle) = (lab.key(trial), lab.trial(trial).attempt().unwrap().task().unwrap().handle.clone());
    lab.give(&Command::StopTrials { experiment: id(), trials: vec![TrialId(trial)] });
    let stop = Effect::Stop { key, handle: handle.unwrap() };
    for _ in 0..3 {
        lab.advance();
        assert_eq!(lab.driver.state().due(id(), Seq(0)).first(), Some(&stop));
    }
    assert_eq!(lab.driver.state().held().count(), 1);
    lab.end(trial, Outcome::Stopped);
    assert_eq!(lab.driver.state().held().count(), 0);
}

#[test]
fn work_that_is_due_does_not_grow_with_the_history() {
    let mut lab = Lab::new(&json!({"budget": {"trials": 1000, "concurrency": 2}, "first_failures": 0}));
    let (one, two) = (lab.suggest(), lab.suggest());
    let before = (lab.driver.state().due(id(), Seq(0)).len(), lab.experiment().active_trials().count());
    lab.end(one, failed("x"));
    for _ in 0..200 {
        lab.run(&failed("x"));
    }
    lab.suggest();
    let known = lab.experiment();
    assert_eq!((lab.driver.state().due(id(), Seq(0)).len(), known.active_trials().count()), before);
    assert!(known.ready.is_empty() && known.timers.is_empty() && known.deadlines.is_empty());
    assert_eq!((known.unsettled.len(), known.slots.len()), (2, 2));
    assert!(!lab.trial_status(two).is_ended());
}

#[test]
fn long_reasons_are_cut_from_their_beginning() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    lab.end(trial, failed(&format!("{}ä the end", "ä".repeat(5_000))));
    let reason = &lab.trial(trial).reason;
    assert!(reason.len() <= crate::limits::MAX_REASON_BYTES && reason.ends_with("the end"));
}
