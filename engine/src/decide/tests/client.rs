//! Experiments whose trials are run by clients that ask and tell.

use super::*;
use crate::decide::codes;
use crate::event::v1::TrialStop;

fn lab(budget: &Json) -> Lab {
    Lab::new(&json!({"run": null, "metric": {"report": true}, "budget": budget}))
}

fn tell(trial: u32, value: Option<f64>) -> Command {
    tell_all(trial, value.map(|value| vec![value]))
}

fn tell_all(trial: u32, values: Option<Vec<f64>>) -> Command {
    Command::TellTrial { experiment: id(), trial: TrialId(trial), lease: None, values }
}

fn hopeless(trial: u32) -> Command {
    Command::StopHopeless {
        experiment: id(),
        trial: TrialId(trial),
        rule: "median".to_owned(),
        step: 1,
        why: "bad".to_owned(),
    }
}

#[test]
fn clients_ask_and_tell_until_the_budget_is_used() {
    let mut lab = lab(&json!({"trials": 2}));
    assert_eq!(lab.experiment().wanted(), 0, "points are made when a client asks");
    let (one, two) = (lab.suggest(), lab.suggest());
    assert_eq!(lab.trial_status(one), TrialStatus::Running);
    let more = lab.suggestion(0.5);
    assert_eq!(lab.code(&more), codes::BUDGET_USED);
    assert_eq!(lab.code(&tell(one, Some(f64::NAN))), codes::NOT_FINITE);
    lab.give(&tell(one, Some(0.5)));
    assert_eq!(lab.code(&tell(one, Some(0.1))), codes::TRIAL_ENDED);
    assert_eq!(lab.code(&tell(7, Some(0.1))), codes::UNKNOWN_TRIAL);
    assert!(lab.advance().is_empty());
    lab.give(&tell(two, None));
    lab.advance();
    assert_eq!(lab.trial_status(two), TrialStatus::Failed);
    assert_eq!(lab.status(), ExperimentStatus::Finished);
}

#[test]
fn several_metrics_are_told_together_and_weighed() {
    let mut lab = Lab::new(&json!({
        "run": null, "metric": {"report": true}, "budget": {"trials": 9},
        "objective": {"metrics": {"auc": 0.5, "cost": -2.0}, "goal": "maximize"},
    }));
    let trial = lab.suggest();
    assert_eq!(lab.code(&tell(trial, Some(0.5))), codes::NOT_FINITE);
    assert_eq!(lab.code(&tell_all(trial, Some(vec![0.5, f64::INFINITY]))), codes::NOT_FINITE);
    assert_eq!(lab.code(&tell_all(trial, Some(vec![0.5, f64::MAX]))), codes::NOT_FINITE);
    lab.give(&tell_all(trial, Some(vec![0.5, 0.25])));
    let ended = lab.trial(trial);
    assert_eq!((ended.status, ended.value), (TrialStatus::Succeeded, Some(-0.25)));
    assert_eq!(ended.metrics.as_ref(), [0.5, 0.25]);
}

#[test]
fn queued_points_go_to_the_next_client_that_asks() {
    let mut lab = lab(&json!({"trials": 2}));
    let take = Command::TakeQueued { experiment: id() };
    assert!(lab.give(&take).is_empty());
    lab.give(&Command::EnqueuePoint { experiment: id(), point: point(0.5) });
    assert!(lab.advance().is_empty());
    lab.give(&take);
    assert_eq!(lab.trial(0).point, point(0.5));
    lab.give(&Command::PauseExperiment { experiment: id() });
    lab.give(&Command::EnqueuePoint { experiment: id(), point: point(0.6) });
    assert!(lab.give(&take).is_empty(), "it is paused");
}

#[test]
fn a_client_cannot_take_or_tell_what_the_engine_runs() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    assert_eq!(lab.code(&tell(trial, Some(0.5))), codes::NOT_BY_CLIENT);
    lab.suggest();
    lab.give(&Command::EnqueuePoint { experiment: id(), point: point(0.5) });
    assert!(
        lab.give(&Command::TakeQueued { experiment: id() }).is_empty(),
        "no more run at once than asked for"
    );
}

#[test]
fn a_client_that_is_told_to_stop_tells_what_it_reached() {
    let mut lab = lab(&json!({"trials": 9}));
    let trial = lab.suggest();
    lab.report(trial, &[0.9]);
    lab.give(&hopeless(trial));
    assert!(lab.advance().is_empty());
    assert!(matches!(lab.trial(trial).stopping, Some(TrialStop::Early { .. })));
    lab.report(trial, &[0.8]);
    lab.give(&tell(trial, Some(0.8)));
    let ended = lab.trial(trial);
    assert_eq!((ended.status, ended.value), (TrialStatus::EarlyStopped, Some(0.8)));
}

#[test]
fn a_client_that_never_tells_holds_nothing_up() {
    let mut lab = lab(&json!({"trials": 9}));
    let (one, two, three) = (lab.suggest(), lab.suggest(), lab.suggest());
    lab.report(one, &[0.9]);
    lab.give(&hopeless(one));
    lab.give(&hopeless(two));
    lab.give(&Command::StopTrials { experiment: id(), trials: vec![TrialId(one)] });
    let ended = lab.trial(one);
    assert_eq!((ended.status, ended.value), (TrialStatus::EarlyStopped, Some(0.9)));
    lab.stop();
    assert_eq!(lab.trial_status(two), TrialStatus::EarlyStopped);
    assert_eq!(lab.trial_status(three), TrialStatus::SysCanceled);
    assert_eq!(lab.status(), ExperimentStatus::UserCanceled);
}

#[test]
fn a_person_stops_a_trial_that_a_client_runs() {
    let mut lab = lab(&json!({"trials": 9}));
    let trial = lab.suggest();
    lab.give(&Command::StopTrials { experiment: id(), trials: vec![TrialId(trial)] });
    lab.advance();
    assert_eq!(lab.trial_status(trial), TrialStatus::UserCanceled);
    assert_eq!(lab.code(&tell(trial, Some(0.1))), codes::TRIAL_ENDED);
}

#[test]
fn failures_told_by_clients_do_not_pull_the_brake() {
    let mut lab = lab(&json!({"trials": 9}));
    for _ in 0..4 {
        let trial = lab.suggest();
        lab.give(&tell(trial, None));
        lab.advance();
    }
    assert_eq!(lab.status(), ExperimentStatus::Running);
}

#[test]
fn a_target_stops_the_trials_of_clients() {
    let mut lab = lab(&json!({"target": 0.1}));
    let (one, two) = (lab.suggest(), lab.suggest());
    lab.give(&tell(one, Some(0.05)));
    lab.advance();
    assert_eq!(lab.trial_status(two), TrialStatus::SysCanceled);
    assert_eq!(lab.status(), ExperimentStatus::Finished);
}
