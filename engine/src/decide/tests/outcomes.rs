//! Several objectives, constraints on outcomes, costs, and the end for want of gain.

use super::*;
use crate::decide::codes;
use crate::event::v2::EndReason;

/// An experiment whose trials are run by clients.
fn lab(objective: &Json, budget: &Json) -> Lab {
    Lab::new(&json!({
        "run": null, "metric": {"report": true, "final": "final"}, "objective": objective, "budget": budget,
    }))
}

/// Runs one trial with these metrics.
fn tell(lab: &mut Lab, values: &[f64]) -> u32 {
    let trial = lab.suggest();
    lab.give(&Command::TellTrial {
        experiment: id(),
        trial: TrialId(trial),
        lease: None,
        values: Some(values.to_vec()),
    });
    lab.advance();
    trial
}

fn front(lab: &Lab) -> Vec<u32> {
    lab.experiment().front.iter().map(|trial| trial.0).collect()
}

#[test]
fn the_front_holds_what_nothing_dominates() {
    let goals = json!({"goals": {"accuracy": "max", "latency": "min"}, "constraints": ["latency <= 50"]});
    let mut lab = lab(&goals, &json!({"trials": 20, "concurrency": 1, "patience": 3}));
    tell(&mut lab, &[0.8, 20.0]);
    tell(&mut lab, &[0.9, 30.0]);
    assert_eq!(front(&lab), [0, 1]);
    assert_eq!(lab.experiment().best, None, "no trial is the best one");
    tell(&mut lab, &[0.9, 60.0]);
    tell(&mut lab, &[0.7, 25.0]);
    assert_eq!((front(&lab), lab.experiment().since_best), (vec![0, 1], 2));
    tell(&mut lab, &[0.9, 20.0]);
    assert_eq!((front(&lab), lab.experiment().since_best), (vec![4], 0), "it dominates both");
    tell(&mut lab, &[0.9, 20.0]);
    assert_eq!(front(&lab), [4, 5], "equal trials stand beside each other");
    for _ in 0..3 {
        tell(&mut lab, &[0.1, 40.0]);
    }
    assert_eq!(lab.experiment().end, Some(EndReason::Patience));
}

#[test]
fn the_best_trial_keeps_the_constraints() {
    let objective = json!({"metric": "accuracy", "goal": "max", "constraints": ["latency <= 20"]});
    let mut lab = lab(&objective, &json!({"trials": 3, "concurrency": 1}));
    tell(&mut lab, &[0.99, 21.0]);
    assert_eq!((lab.trial_status(0), lab.experiment().best), (TrialStatus::Succeeded, None));
    tell(&mut lab, &[0.5, 20.0]);
    assert_eq!(lab.experiment().best, Some((TrialId(1), 0.5)));
    tell(&mut lab, &[0.9, 500.0]);
    assert_eq!(lab.experiment().best, Some((TrialId(1), 0.5)));
    assert_eq!(lab.status(), ExperimentStatus::Finished);
}

#[test]
fn a_report_that_keeps_the_constraints_comes_before_a_better_one_that_does_not() {
    let mut lab = Lab::new(&json!({
        "objective": {"metric": "accuracy", "goal": "max", "constraints": ["latency <= 20"], "cost": "hours"},
        "budget": {"trials": 2, "concurrency": 1},
    }));
    let trial = lab.suggest();
    lab.start(trial);
    for (step, values) in [[0.9, 30.0, 1.0], [0.6, 15.0, 2.0], [0.5, 15.0, 3.0]].into_iter().enumerate() {
        lab.give(&Command::ReportMetrics {
            experiment: id(),
            trial: TrialId(trial),
            attempt: AttemptNo(1),
            first: u32::try_from(step).unwrap(),
            points: vec![ReportPoint { step: step as u64, values: values.to_vec(), last: false }],
        });
    }
    lab.end(trial, Outcome::Succeeded);
    assert_eq!(lab.trial(trial).value, Some(0.6));
    assert_eq!(*lab.trial(trial).metrics, [0.6, 15.0, 3.0], "the cost is what it was in the end");
    assert_eq!(lab.experiment().spent, 3.0);
}

#[test]
fn the_cost_of_all_trials_ends_an_experiment() {
    let objective = json!({"metric": "accuracy", "goal": "max", "cost": "hours"});
    let mut lab = lab(&objective, &json!({"trials": 50, "concurrency": 1, "cost": 10}));
    tell(&mut lab, &[0.5, 6.0]);
    tell(&mut lab, &[0.5, -3.0]);
    assert_eq!((lab.experiment().spent, &lab.experiment().end), (6.0, &None), "nothing is paid back");
    tell(&mut lab, &[0.5, 4.0]);
    assert_eq!(lab.experiment().end, Some(EndReason::Cost));
    assert_eq!(lab.status(), ExperimentStatus::Finished);
    let refused = lab.code(&Command::ResumeExperiment { experiment: id() });
    assert_eq!(refused, codes::EXPERIMENT_ENDED);
    let text = json!({
        "run": null, "metric": {"report": true, "final": "final"}, "objective": objective,
        "budget": {"trials": 50, "concurrency": 1, "cost": 12},
    });
    lab.update(&text);
    assert_eq!(lab.status(), ExperimentStatus::Running, "more may be spent");
}

#[test]
fn the_sampler_ends_an_experiment_that_has_nothing_to_gain() {
    let enough = Command::RecordEnough { experiment: id(), expected: 0.001 };
    let mut plain = lab(&json!("minimize"), &json!({"trials": 50, "concurrency": 1}));
    tell(&mut plain, &[0.5]);
    assert!(plain.give(&enough).is_empty(), "nobody asked for it");
    let mut lab = lab(&json!("minimize"), &json!({"trials": 50, "concurrency": 1, "gain": 0.01}));
    tell(&mut lab, &[0.5]);
    lab.give(&enough);
    lab.advance();
    assert_eq!(lab.experiment().end, Some(EndReason::Gain { expected: 0.001 }));
    assert_eq!(lab.status(), ExperimentStatus::EarlyStopped);
}
