//! What people do: pause, resume, stop, enqueue, retry, remove.

use super::*;
use crate::decide::codes;
use crate::event::v1::{PauseReason, TrialStop};

fn stop_trials(trials: &[u32]) -> Command {
    Command::StopTrials { experiment: id(), trials: trials.iter().map(|trial| TrialId(*trial)).collect() }
}

fn retry(trials: &[u32]) -> Command {
    Command::RetryTrials { experiment: id(), trials: trials.iter().map(|trial| TrialId(*trial)).collect() }
}

fn enqueue(x: f64) -> Command {
    Command::EnqueuePoint { experiment: id(), point: point(x) }
}

#[test]
fn a_paused_experiment_starts_nothing_and_lets_its_trials_run() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    lab.start(trial);
    let pause = Command::PauseExperiment { experiment: id() };
    lab.give(&pause);
    assert!(lab.give(&pause).is_empty(), "asking twice changes nothing");
    assert_eq!(lab.status(), ExperimentStatus::Waiting);
    assert_eq!(lab.experiment().paused, Some(PauseReason::Asked));
    assert_eq!(lab.experiment().wanted(), 0);
    let suggestion = lab.suggestion(0.5);
    assert_eq!(lab.code(&suggestion), codes::EXPERIMENT_ENDED);
    lab.give(&enqueue(0.5));
    lab.end(trial, lost());
    assert_eq!(lab.trial(trial).attempts.len(), 2, "a running trial goes on");
    assert_eq!(lab.experiment().suggested(), 1);
    lab.give(&Command::ResumeExperiment { experiment: id() });
    lab.advance();
    assert_eq!(lab.status(), ExperimentStatus::Running);
    assert_eq!(lab.experiment().suggested(), 2, "the queue goes first");
    assert!(lab.give(&Command::ResumeExperiment { experiment: id() }).is_empty());
}

#[test]
fn a_stopped_experiment_ends_when_its_trials_have() {
    let mut lab = Lab::new(&json!({}));
    let (one, two) = (lab.suggest(), lab.suggest());
    lab.start(one);
    lab.stop();
    assert_eq!(lab.status(), ExperimentStatus::Terminating);
    assert_eq!(lab.code(&Command::PauseExperiment { experiment: id() }), codes::EXPERIMENT_ENDED);
    assert_eq!(lab.code(&Command::ResumeExperiment { experiment: id() }), codes::EXPERIMENT_ENDED);
    assert_eq!(lab.code(&enqueue(0.5)), codes::EXPERIMENT_ENDED);
    assert_eq!(lab.code(&retry(&[0])), codes::EXPERIMENT_ENDED);
    assert!(lab.give(&Command::StopExperiment { experiment: id() }).is_empty());
    lab.end(one, Outcome::Stopped);
    let key = lab.key(two);
    lab.give(&Command::RecordCleared { key });
    lab.advance();
    assert_eq!(lab.trial_status(one), TrialStatus::SysCanceled);
    assert_eq!(lab.trial_status(two), TrialStatus::SysCanceled);
    assert_eq!(lab.status(), ExperimentStatus::UserCanceled);
    assert_eq!(lab.code(&Command::StopExperiment { experiment: id() }), codes::EXPERIMENT_ENDED);
}

#[test]
fn a_stop_reaches_trials_whatever_else_comes_before_it_is_acted_on() {
    let mut lab = Lab::new(&json!({}));
    let (one, two) = (lab.suggest(), lab.suggest());
    lab.give(&Command::StopExperiment { experiment: id() });
    // News arrive in the same round as the request.
    lab.start(one);
    let key = lab.key(two);
    lab.give(&Command::RecordDoubt { key, reason: String::new() });
    lab.give(&Command::RecordCleared { key });
    lab.advance();
    assert_eq!(lab.trial(one).stopping, Some(TrialStop::Experiment));
    assert_eq!(lab.trial(two).stopping, Some(TrialStop::Experiment));
}

#[test]
fn a_stopped_experiment_can_be_resumed() {
    let mut lab = Lab::new(&json!({"budget": {"trials": 9, "duration": "1h"}}));
    lab.succeed(1.0);
    lab.stop();
    assert_eq!(lab.status(), ExperimentStatus::UserCanceled);
    lab.give(&Command::ResumeExperiment { experiment: id() });
    assert_eq!(lab.status(), ExperimentStatus::Running);
    lab.stop();
    lab.wait(3_600);
    lab.give(&Command::ResumeExperiment { experiment: id() });
    lab.wait(3_599);
    lab.stop();
    lab.give(&Command::ResumeExperiment { experiment: id() });
    assert_eq!(lab.status(), ExperimentStatus::Running, "a second is left");
    lab.driver.wait(crate::time::Span::from_secs(1));
    lab.stop();
    assert_eq!(lab.code(&Command::ResumeExperiment { experiment: id() }), codes::BUDGET_USED);
}

#[test]
fn a_person_stops_single_trials() {
    let mut lab = Lab::new(&json!({}));
    let (one, two) = (lab.suggest(), lab.suggest());
    lab.start(one);
    assert_eq!(lab.give(&stop_trials(&[one, one])).len(), 1);
    assert!(lab.give(&stop_trials(&[one])).is_empty());
    lab.end(one, Outcome::Stopped);
    assert_eq!(lab.trial_status(one), TrialStatus::UserCanceled);
    assert_eq!(lab.code(&stop_trials(&[one])), codes::TRIAL_ENDED);
    assert_eq!(lab.code(&stop_trials(&[two, 77])), codes::UNKNOWN_TRIAL);
    assert_eq!(lab.trial(two).stopping, None, "a refused command changes nothing");
    assert_eq!(lab.status(), ExperimentStatus::Running);
}

#[test]
fn queued_points_are_tried_before_the_sampler_is_asked() {
    let mut lab = Lab::new(&json!({"budget": {"trials": 3}}));
    lab.give(&enqueue(0.25));
    lab.give(&enqueue(0.75));
    assert_eq!(lab.experiment().wanted(), 0);
    lab.advance();
    assert_eq!(lab.experiment().suggested(), 1, "one at a time");
    assert_eq!(lab.trial(0).point, point(0.25));
    lab.end(0, failed("x"));
    assert_eq!(lab.trial(1).point, point(0.75));
    lab.end(1, failed("x"));
    assert_eq!(lab.experiment().wanted(), 1);
    assert_eq!(lab.code(&enqueue(7.0)), codes::OUTSIDE_SPACE);
    let trial = lab.suggest();
    assert_eq!(lab.code(&enqueue(0.5)), codes::BUDGET_USED, "it would never be tried");
    lab.end(trial, failed("y"));
    assert_eq!(lab.status(), ExperimentStatus::Failed);
    assert_eq!(lab.code(&enqueue(0.5)), codes::EXPERIMENT_ENDED);
}

#[test]
fn the_queue_is_bounded() {
    let mut lab = Lab::new(&json!({}));
    lab.give(&Command::PauseExperiment { experiment: id() });
    for _ in 0..crate::limits::MAX_QUEUE {
        lab.driver.give(&enqueue(0.5)).unwrap();
    }
    assert_eq!(lab.code(&enqueue(0.5)), codes::QUEUE_FULL);
}

#[test]
fn failed_trials_are_tried_again_as_new_ones_beyond_the_budget() {
    let mut lab = Lab::new(&json!({"budget": {"trials": 2, "concurrency": 2}}));
    lab.run(&failed("x"));
    lab.succeed(1.0);
    assert_eq!(lab.status(), ExperimentStatus::Finished);
    assert_eq!(lab.code(&retry(&[1])), codes::SUCCEEDED_BEFORE);
    assert_eq!(lab.code(&retry(&[9])), codes::UNKNOWN_TRIAL);
    assert!(lab.give(&retry(&[])).is_empty());
    assert_eq!(lab.give(&retry(&[0, 0])).len(), 2, "reopened, and one point");
    assert!(lab.give(&retry(&[0])).is_empty(), "it waits already");
    lab.advance();
    let again = lab.trial(2);
    assert_eq!((again.retry_of, again.extra), (Some(TrialId(0)), true));
    assert_eq!(again.point, lab.trial(0).point);
    assert_eq!(lab.code(&retry(&[2])), codes::NO_CHANGE);
    lab.start(2);
    lab.report(2, &[0.5]);
    lab.end(2, Outcome::Succeeded);
    assert_eq!(lab.status(), ExperimentStatus::Finished);
    assert_eq!(lab.experiment().best, Some((TrialId(2), 0.5)));
    assert_eq!(lab.code(&retry(&[0])), codes::SUCCEEDED_BEFORE, "another trial of its point has succeeded");
}

#[test]
fn nothing_is_tried_again_in_an_experiment_that_would_end_at_once() {
    let mut lab = Lab::new(&json!({"budget": {"trials": 9, "target": 1.0}}));
    lab.run(&failed("x"));
    lab.succeed(0.5);
    assert_eq!(lab.status(), ExperimentStatus::Finished);
    assert_eq!(lab.code(&retry(&[0])), codes::BUDGET_USED);
    assert_eq!(lab.status(), ExperimentStatus::Finished);
}

#[test]
fn only_an_ended_experiment_is_removed_and_then_it_is_unknown() {
    let mut lab = Lab::new(&json!({"budget": {"trials": 1}}));
    let remove = Command::RemoveExperiment { experiment: id() };
    assert_eq!(lab.code(&remove), codes::EXPERIMENT_RUNNING);
    lab.succeed(1.0);
    lab.give(&remove);
    assert_eq!(lab.code(&remove), codes::UNKNOWN_EXPERIMENT);
    assert_eq!(lab.code(&Command::Advance { experiment: id() }), codes::UNKNOWN_EXPERIMENT);
    let create = Command::CreateExperiment {
        experiment: id(),
        spec: text(&json!({})),
        seed: 1,
        labels: BTreeMap::new(),
    };
    assert_eq!(lab.code(&create), codes::EXPERIMENT_EXISTS, "its history stays");
}

#[test]
fn what_trials_were_made_for_cannot_change() {
    let mut lab = Lab::new(&json!({}));
    let before = lab.experiment().clone();
    for changes in [
        json!({"space": {"x": {"uniform": [0.0, 2.0]}}}),
        json!({"objective": "maximize"}),
        json!({"metric": {"report": true, "final": "avg"}}),
        json!({"run": {"fake": {"tasks": ["a", "b"]}}}),
        json!({"run": null}),
    ] {
        let update = Command::UpdateExperiment { experiment: id(), spec: text(&changes) };
        let rejection = lab.refused(&update);
        assert_eq!(rejection.code, codes::FIXED_PART, "{changes}");
        assert!(!rejection.details.is_empty());
    }
    let broken = Command::UpdateExperiment { experiment: id(), spec: "{}".to_owned() };
    assert_eq!(lab.code(&broken), codes::INVALID_SPEC);
    let huge = Command::UpdateExperiment { experiment: id(), spec: " ".repeat(70_000) };
    assert_eq!(lab.code(&huge), codes::INVALID_SPEC);
    assert_eq!(lab.experiment(), &before);
    assert!(lab.give(&Command::UpdateExperiment { experiment: id(), spec: text(&json!({})) }).is_empty());
}

#[test]
fn suggestions_must_fit() {
    let mut lab = Lab::new(&json!({"budget": {"trials": 1}}));
    let outside = lab.suggestion(2.0);
    assert_eq!(lab.code(&outside), codes::OUTSIDE_SPACE);
    let mut early = lab.suggestion(0.5);
    if let Command::RecordSuggestion { trial, .. } = &mut early {
        *trial = TrialId(4);
    }
    assert_eq!(lab.code(&early), codes::STALE_SUGGESTION);
    let mut wordy = lab.suggestion(0.5);
    if let Command::RecordSuggestion { memo, .. } = &mut wordy {
        *memo = vec![0; crate::limits::MAX_MEMO_BYTES + 1];
    }
    assert_eq!(lab.code(&wordy), codes::MEMO_TOO_LARGE);
    lab.suggest();
    let more = lab.suggestion(0.5);
    assert_eq!(lab.code(&more), codes::BUDGET_USED);
}

#[test]
fn people_get_numbers_and_checkpoints_prove_the_state() {
    let mut lab = Lab::new(&json!({}));
    let name = Command::NameActor { name: "ann@host".to_owned() };
    lab.give(&name);
    assert!(lab.give(&name).is_empty());
    lab.give(&Command::NameActor { name: "bob".to_owned() });
    let ann = lab.driver.state().actor("ann@host").unwrap();
    assert_eq!(lab.driver.state().actor_name(ann), "ann@host");
    lab.give(&Command::TakeCheckpoint);
    lab.succeed(0.5);
    lab.give(&Command::TakeCheckpoint);
    assert_eq!(lab.driver.state().checkpoint(), lab.driver.state().head());
    assert!(lab.driver.replay().is_ok());
    let forged = crate::event::v1::CheckpointTaken { digest_version: 1, digest: [7; 32] };
    let error = lab.driver.force(ExperimentId::STORE, forged.into()).unwrap_err();
    assert!(error.reason.contains("digest"), "{error}");
}

#[test]
fn a_changed_history_gives_another_digest() {
    let mut lab = Lab::new(&json!({}));
    lab.succeed(0.5);
    let trial = lab.suggest();
    lab.start(trial);
    let honest = lab.driver.state().digest();
    for (place, envelope) in lab.driver.history().iter().enumerate() {
        let mut history = lab.driver.history().to_vec();
        match &mut history[place].event {
            Event::TrialSuggested(suggested) => suggested.point = point(0.123),
            Event::MetricReported(reported) => reported.points[0].values = vec![0.4],
            Event::AttemptPlanned(planned) => planned.slot += 5,
            Event::TaskAccepted(accepted) => accepted.handle.push('x'),
            Event::TaskStarted(started) => started.started.0 += 1,
            Event::TaskEnded(ended) => ended.ended.0 += 1,
            Event::TrialEnded(ended) => ended.value = Some(0.3),
            Event::ExperimentCreated(created) => created.seed += 1,
            _ => continue,
        }
        let forged = crate::testing::driver::replay_from(crate::state::State::default(), &history).unwrap();
        assert_ne!(forged.digest(), honest, "{:?}", envelope.event);
    }
}
