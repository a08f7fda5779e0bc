//! When an experiment ends, and how.

use super::*;
use crate::decide::codes;
use crate::event::v1::TrialStop;
use crate::event::v2::{EndReason, ExperimentEnded};

#[test]
fn the_budget_of_trials_ends_an_experiment() {
    let mut lab = Lab::new(&json!({"budget": {"trials": 2, "concurrency": 2}}));
    assert_eq!(lab.status(), ExperimentStatus::Created);
    assert_eq!(lab.experiment().wanted(), 2);
    lab.succeed(0.5);
    assert_eq!(lab.status(), ExperimentStatus::Running);
    lab.run(&failed("no data"));
    assert_eq!(lab.status(), ExperimentStatus::Finished);
    assert_eq!(lab.experiment().end, Some(EndReason::Trials));
    assert_eq!(lab.experiment().best, Some((TrialId(0), 0.5)));
    let more = lab.suggestion(0.3);
    assert_eq!(lab.code(&more), codes::EXPERIMENT_ENDED);
}

#[test]
fn an_experiment_without_a_success_has_failed() {
    let mut lab = Lab::new(&json!({"budget": {"trials": 2}}));
    lab.run(&failed("a"));
    lab.run(&failed("b"));
    assert_eq!(lab.status(), ExperimentStatus::Failed);
}

#[test]
fn no_more_trials_run_at_once_than_asked_for() {
    let mut lab = Lab::new(&json!({"budget": {"trials": 5, "concurrency": 3}}));
    assert_eq!(lab.experiment().wanted(), 3);
    lab.suggest();
    lab.suggest();
    assert_eq!(lab.experiment().wanted(), 1);
    lab.suggest();
    assert_eq!(lab.experiment().wanted(), 0);
    let slots: Vec<_> = lab.experiment().trials.iter().map(|t| t.attempt().unwrap().slot).collect();
    assert_eq!(slots, [0, 1, 2]);
    lab.end(1, failed("x"));
    assert_eq!(lab.experiment().wanted(), 1);
    let next = lab.suggest();
    assert_eq!(lab.trial(next).attempt().unwrap().slot, 1, "a free slot is used again");
}

#[test]
fn the_budget_of_time_stops_what_runs() {
    let mut lab = Lab::new(&json!({"budget": {"duration": "1h"}}));
    let trial = lab.suggest();
    lab.start(trial);
    lab.report(trial, &[0.25]);
    assert!(lab.wait(3_599).is_empty());
    lab.wait(1);
    assert_eq!(lab.status(), ExperimentStatus::Terminating);
    assert_eq!(lab.trial(trial).stopping, Some(TrialStop::Experiment));
    lab.end(trial, Outcome::Stopped);
    assert_eq!(lab.trial_status(trial), TrialStatus::SysCanceled);
    assert_eq!(lab.trial(trial).value, Some(0.25), "what it had reached is kept");
    assert_eq!(lab.status(), ExperimentStatus::Failed);
}

#[test]
fn time_counts_from_the_first_trial() {
    let mut lab = Lab::new(&json!({"budget": {"duration": "1h"}}));
    lab.wait(100_000);
    assert_eq!(lab.status(), ExperimentStatus::Created);
    lab.succeed(1.0);
    lab.wait(3_600);
    assert_eq!(lab.status(), ExperimentStatus::Finished);
}

#[test]
fn a_target_that_is_reached_ends_an_experiment() {
    for (goal, target, misses, hits) in [("minimize", 0.1, 0.11, 0.1), ("maximize", 0.9, 0.89, 0.95)] {
        let mut lab = Lab::new(&json!({"objective": goal, "budget": {"target": target, "concurrency": 2}}));
        let other = lab.suggest();
        lab.succeed(misses);
        assert_eq!(lab.status(), ExperimentStatus::Running);
        lab.succeed(hits);
        assert_eq!(lab.status(), ExperimentStatus::Terminating, "{goal}");
        let key = lab.key(other);
        lab.give(&Command::RecordCleared { key });
        lab.advance();
        assert_eq!(lab.trial_status(other), TrialStatus::SysCanceled);
        assert_eq!(lab.status(), ExperimentStatus::Finished);
    }
}

#[test]
fn an_experiment_loses_patience_only_after_a_first_success() {
    let mut lab = Lab::new(&json!({"budget": {"patience": 2}, "first_failures": 0}));
    for _ in 0..4 {
        lab.run(&failed("x"));
    }
    assert_eq!(lab.status(), ExperimentStatus::Running);
    lab.succeed(1.0);
    lab.succeed(1.0);
    lab.succeed(0.9);
    lab.run(&failed("x"));
    assert_eq!(lab.status(), ExperimentStatus::Running);
    lab.succeed(0.9);
    assert_eq!(lab.status(), ExperimentStatus::EarlyStopped);
}

#[test]
fn an_exhausted_space_ends_an_experiment_when_its_trials_have_ended() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    lab.give(&Command::RecordExhaustion { experiment: id() });
    assert!(lab.give(&Command::RecordExhaustion { experiment: id() }).is_empty());
    lab.advance();
    assert_eq!(lab.experiment().wanted(), 0);
    assert_eq!(lab.status(), ExperimentStatus::Running);
    lab.start(trial);
    lab.report(trial, &[1.0]);
    lab.end(trial, Outcome::Succeeded);
    assert_eq!(lab.status(), ExperimentStatus::NoMoreTrial);
}

#[test]
fn the_engine_itself_may_end_an_experiment() {
    let mut lab = Lab::new(&json!({}));
    lab.succeed(1.0);
    let reason = EndReason::Engine { reason: "the backend is gone".to_owned() };
    lab.driver.force(id(), crate::event::v2::ExperimentStopping { reason }.into()).unwrap();
    let events = lab.advance();
    assert!(matches!(events.last(), Some(Event::ExperimentEnded(ExperimentEnded { .. }))));
    assert_eq!(lab.status(), ExperimentStatus::SysCanceled);
}

#[test]
fn a_raised_budget_reopens_an_ended_experiment() {
    for (before, same, after) in [
        (json!({"trials": 1}), json!({"trials": 1, "concurrency": 3}), json!({"trials": 2})),
        (json!({"trials": 1}), json!({"trials": 1, "grace": "3s"}), json!({"duration": "1h"})),
        (
            json!({"trials": 9, "target": 0.5}),
            json!({"trials": 10, "target": 0.5}),
            json!({"trials": 9, "target": 0.1}),
        ),
        (json!({"trials": 9, "target": 0.5}), json!({"trials": 9, "target": 0.6}), json!({"trials": 9})),
    ] {
        let mut lab = Lab::new(&json!({"budget": before}));
        lab.succeed(0.4);
        assert_eq!(lab.status(), ExperimentStatus::Finished, "{before}");
        lab.update(&json!({"budget": same}));
        assert_eq!(lab.status(), ExperimentStatus::Finished, "{before} to {same}");
        lab.update(&json!({"budget": after}));
        assert_eq!(lab.status(), ExperimentStatus::Running, "{same} to {after}");
        lab.succeed(0.05);
    }
}

#[test]
fn more_time_reopens_an_experiment_whose_time_was_over() {
    let mut lab = Lab::new(&json!({"budget": {"trials": 9, "duration": "1m"}}));
    lab.succeed(0.4);
    lab.wait(60);
    assert_eq!(lab.status(), ExperimentStatus::Finished);
    lab.wait(600);
    lab.update(&json!({"budget": {"trials": 9, "duration": "2m"}}));
    assert_eq!(lab.status(), ExperimentStatus::Running, "a minute of the two is left");
    assert!(lab.wait(59).is_empty());
    lab.wait(1);
    assert_eq!(lab.status(), ExperimentStatus::Finished);
    lab.update(&json!({"budget": {"trials": 9, "duration": "1m"}}));
    assert_eq!(lab.status(), ExperimentStatus::Finished, "more than that is used");
}

#[test]
fn time_does_not_count_while_an_experiment_has_ended() {
    let mut lab = Lab::new(&json!({"budget": {"trials": 1, "duration": "1h"}}));
    lab.succeed(0.4);
    assert_eq!(lab.status(), ExperimentStatus::Finished);
    for trials in 2..5 {
        lab.wait(100_000);
        lab.update(&json!({"budget": {"trials": trials, "duration": "1h"}}));
        assert_eq!(lab.status(), ExperimentStatus::Running);
        lab.wait(600);
        lab.succeed(0.4);
        assert_eq!(lab.status(), ExperimentStatus::Finished);
    }
    lab.update(&json!({"budget": {"trials": 9, "duration": "1h"}}));
    assert!(lab.wait(1_799).is_empty());
    lab.wait(1);
    assert_eq!(lab.experiment().end, Some(EndReason::Duration), "half an hour was used before");
}

#[test]
fn more_patience_reopens_and_counts_anew() {
    let mut lab = Lab::new(&json!({"budget": {"patience": 1}}));
    lab.succeed(0.4);
    lab.succeed(0.5);
    assert_eq!(lab.status(), ExperimentStatus::EarlyStopped);
    lab.update(&json!({"budget": {"patience": 2}}));
    lab.succeed(0.5);
    assert_eq!(lab.status(), ExperimentStatus::Running);
    lab.succeed(0.5);
    assert_eq!(lab.status(), ExperimentStatus::EarlyStopped);
}

#[test]
fn another_sampler_may_find_points_where_the_first_had_none() {
    let mut lab = Lab::new(&json!({"sampler": "grid"}));
    lab.succeed(0.4);
    lab.give(&Command::RecordExhaustion { experiment: id() });
    lab.advance();
    assert_eq!(lab.status(), ExperimentStatus::NoMoreTrial);
    lab.update(&json!({"sampler": "grid", "budget": {"trials": 100, "concurrency": 4}}));
    assert_eq!(lab.status(), ExperimentStatus::NoMoreTrial);
    lab.update(&json!({"sampler": "random"}));
    assert_eq!(lab.status(), ExperimentStatus::Running);
    assert_eq!(lab.experiment().wanted(), 2);
}

#[test]
fn a_lowered_budget_ends_a_running_experiment_when_its_trials_have() {
    let mut lab = Lab::new(&json!({}));
    lab.succeed(0.4);
    let trial = lab.suggest();
    lab.update(&json!({"budget": {"trials": 1}}));
    assert_eq!(lab.experiment().wanted(), 0);
    assert_eq!(lab.status(), ExperimentStatus::Running);
    lab.end(trial, failed("x"));
    assert_eq!(lab.status(), ExperimentStatus::Finished);
}

#[test]
fn a_new_time_out_holds_for_what_runs_already() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    lab.start(trial);
    lab.update(&json!({"budget": {"trials": 9, "trial_timeout": "1m", "grace": "0s"}}));
    assert!(lab.wait(89).is_empty());
    lab.wait(1);
    assert_eq!(lab.trial(trial).stopping, Some(TrialStop::Timeout));
    let other = lab.suggest();
    lab.start(other);
    lab.update(&json!({"budget": {"trials": 9}}));
    lab.wait(500);
    assert_eq!(lab.trial(other).stopping, None);
}

#[test]
fn three_equal_first_failures_pull_the_brake() {
    let mut lab = Lab::new(&json!({}));
    lab.run(&failed("a"));
    lab.run(&Outcome::Refused { reason: "quota".to_owned() });
    lab.run(&Outcome::Refused { reason: "quota".to_owned() });
    assert_eq!(lab.status(), ExperimentStatus::Running, "they are not alike");
    lab.run(&Outcome::Refused { reason: "quota".to_owned() });
    assert_eq!(lab.status(), ExperimentStatus::Waiting);
    assert_eq!(lab.experiment().wanted(), 0);
    lab.give(&Command::ResumeExperiment { experiment: id() });
    for _ in 0..5 {
        lab.run(&Outcome::Refused { reason: "quota".to_owned() });
    }
    assert_eq!(lab.status(), ExperimentStatus::Running, "whoever resumes has seen it");
}

#[test]
fn a_success_releases_the_brake() {
    for judged in [false, true] {
        let mut lab = Lab::new(&json!({}));
        lab.run(&failed("a"));
        if judged {
            let trial = lab.suggest();
            lab.start(trial);
            let stop = Command::StopHopeless {
                experiment: id(),
                trial: TrialId(trial),
                rule: "median".to_owned(),
                step: 1,
                why: String::new(),
            };
            lab.give(&stop);
            lab.end(trial, Outcome::Stopped);
        } else {
            lab.succeed(1.0);
        }
        for _ in 0..5 {
            lab.run(&failed("a"));
        }
        assert_eq!(lab.status(), ExperimentStatus::Running);
    }
}

#[test]
fn the_brake_does_not_hold_what_would_end_anyway() {
    let mut lab = Lab::new(&json!({"budget": {"trials": 3}}));
    for _ in 0..3 {
        lab.run(&failed("a"));
    }
    assert_eq!(lab.status(), ExperimentStatus::Failed);
    // Trying again begins with a new brake.
    lab.give(&Command::RetryTrials { experiment: id(), trials: vec![TrialId(0)] });
    lab.advance();
    assert_eq!(lab.status(), ExperimentStatus::Running);
}
