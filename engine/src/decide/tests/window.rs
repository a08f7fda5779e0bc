//! Outside of a schedule's window no trial and no attempt starts, and what runs goes on.

use super::*;
use crate::decide::codes;
use crate::effect::Effect;
use crate::id::Seq;
use crate::time::Timestamp;

/// An experiment with a schedule, of whose window nobody has spoken yet.
fn scheduled(changes: &Json) -> Lab {
    let mut all = json!({"schedule": {"from": "22:00", "to": "06:00"}});
    for (key, value) in changes.as_object().unwrap() {
        all[key] = value.clone();
    }
    Lab::new(&all)
}

impl Lab {
    fn window(&mut self, open: bool, hours: u64) -> Timestamp {
        let until = self.driver.now().after(Span::from_secs(hours * 3_600));
        self.give(&Command::SetWindow { experiment: id(), open, until: Some(until) });
        self.advance();
        until
    }

    fn wake(&self) -> Option<Timestamp> {
        let due = self.driver.state().due(id(), Seq(0));
        due.iter().find_map(|effect| match effect {
            Effect::Wake { at, .. } => Some(*at),
            _ => None,
        })
    }
}

#[test]
fn no_trial_starts_before_the_window_opens_and_the_engine_wakes_for_it() {
    let mut lab = scheduled(&json!({}));
    assert_eq!(lab.experiment().wanted(), 0, "nobody has said that it is open");
    let opens = lab.window(false, 3);
    assert_eq!(lab.status(), ExperimentStatus::Waiting);
    assert_eq!((lab.experiment().wanted(), lab.wake()), (0, Some(opens)));
    let suggestion = lab.suggestion(0.5);
    assert_eq!(lab.code(&suggestion), codes::OUTSIDE_SCHEDULE);
    lab.driver.wait(Span::from_secs(3 * 3_600));
    let closes = lab.window(true, 8);
    assert_eq!((lab.experiment().wanted(), lab.wake()), (2, Some(closes)));
    assert_eq!(lab.status(), ExperimentStatus::Created);
    lab.succeed(0.5);
    assert_eq!(lab.status(), ExperimentStatus::Running);
}

#[test]
fn what_runs_when_the_window_closes_goes_on_to_its_end_with_all_its_tasks() {
    let mut lab = scheduled(&json!({"run": {"fake": {"tasks": ["first", "second"]}}}));
    lab.window(true, 8);
    let trial = lab.suggest();
    lab.start(trial);
    lab.window(false, 16);
    assert_eq!(lab.status(), ExperimentStatus::Waiting);
    lab.end(trial, Outcome::Succeeded);
    assert_eq!(lab.key(trial).task, TaskIndex(1), "its second task follows");
    lab.start(trial);
    lab.report(trial, &[0.5]);
    lab.end(trial, Outcome::Succeeded);
    assert_eq!(lab.trial_status(trial), TrialStatus::Succeeded);
    assert_eq!(lab.experiment().wanted(), 0);
}

#[test]
fn a_retry_waits_for_the_window_and_nothing_is_due_for_it_before() {
    for backoff in ["0s", "10s"] {
        let mut lab = scheduled(&json!({"retry": {"lost": 2, "backoff": backoff}}));
        lab.window(true, 8);
        let trial = lab.suggest();
        lab.start(trial);
        let opens = lab.window(false, 16);
        lab.end(trial, lost());
        assert!(lab.wait(3_600).is_empty(), "{backoff}");
        assert_eq!(lab.trial(trial).attempts.len(), 1, "{backoff}");
        assert_eq!(lab.wake(), Some(opens), "a time that is over would wake the engine again and again");
        lab.window(true, 8);
        assert_eq!(lab.trial(trial).attempts.len(), 2, "{backoff}");
    }
}

#[test]
fn a_time_that_runs_out_a_stop_and_an_end_do_not_wait_for_the_window() {
    let mut lab = scheduled(&json!({"budget": {"trials": 1, "trial_timeout": "1h"}}));
    lab.window(true, 8);
    let trial = lab.suggest();
    lab.start(trial);
    lab.window(false, 16);
    assert!(!lab.wait(3_640).is_empty(), "its time is over, with the grace and the margin");
    lab.end(trial, Outcome::TimedOut);
    assert_eq!(lab.status(), ExperimentStatus::Failed, "its only trial has ended");
    let mut lab = scheduled(&json!({}));
    lab.window(false, 16);
    lab.give(&Command::StopExperiment { experiment: id() });
    lab.advance();
    assert_eq!(lab.status(), ExperimentStatus::UserCanceled);
}

#[test]
fn a_pause_and_a_closed_window_are_lifted_one_by_one() {
    let mut lab = scheduled(&json!({}));
    lab.window(false, 1);
    lab.give(&Command::PauseExperiment { experiment: id() });
    lab.window(true, 8);
    assert_eq!((lab.status(), lab.experiment().wanted()), (ExperimentStatus::Waiting, 0));
    lab.window(false, 16);
    lab.give(&Command::ResumeExperiment { experiment: id() });
    assert_eq!((lab.status(), lab.experiment().wanted()), (ExperimentStatus::Waiting, 0));
    assert!(lab.give(&Command::ResumeExperiment { experiment: id() }).is_empty(), "nobody has paused it");
    lab.window(true, 8);
    assert_eq!((lab.status(), lab.experiment().wanted()), (ExperimentStatus::Created, 2));
}

#[test]
fn clients_get_no_trial_outside_of_the_window() {
    let mut lab = scheduled(&json!({"run": null, "metric": null}));
    lab.window(false, 1);
    assert!(!lab.experiment().has_room());
    lab.give(&Command::EnqueuePoint { experiment: id(), point: point(0.5) });
    assert!(lab.give(&Command::TakeQueued { experiment: id() }).is_empty());
    lab.window(true, 1);
    assert!(lab.experiment().has_room());
    assert_eq!(lab.give(&Command::TakeQueued { experiment: id() }).len(), 1);
}

#[test]
fn a_changed_schedule_is_closed_until_its_window_is_known_and_a_dropped_one_is_open() {
    let mut lab = scheduled(&json!({}));
    lab.window(true, 8);
    lab.update(&json!({"schedule": {"from": "01:00", "to": "06:00"}}));
    assert_eq!((lab.status(), lab.experiment().wanted()), (ExperimentStatus::Waiting, 0));
    lab.update(&json!({}));
    assert_eq!((lab.status(), lab.experiment().wanted()), (ExperimentStatus::Created, 2));
    assert!(lab.give(&Command::SetWindow { experiment: id(), open: false, until: None }).is_empty());
}

#[test]
fn a_replayed_window_is_the_recorded_one_and_the_same_news_are_recorded_once() {
    let mut lab = scheduled(&json!({}));
    let until = lab.window(false, 3);
    assert!(lab.give(&Command::SetWindow { experiment: id(), open: false, until: Some(until) }).is_empty());
    let replayed = lab.driver.replay().unwrap();
    assert_eq!(replayed.digest(), lab.driver.state().digest());
    assert_eq!(replayed.experiment(id()).unwrap().window, lab.experiment().window);
}
