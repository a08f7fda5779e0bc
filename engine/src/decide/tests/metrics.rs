//! How reports become values.

use super::*;
use crate::decide::codes;
use crate::event::v1::MetricReported;

fn run_with(changes: &Json, values: &[f64]) -> (TrialStatus, Option<f64>, String) {
    let mut lab = Lab::new(changes);
    let trial = lab.suggest();
    lab.start(trial);
    lab.report(trial, values);
    lab.end(trial, Outcome::Succeeded);
    let trial = lab.trial(trial);
    (trial.status, trial.value, trial.reason.clone())
}

#[test]
fn the_value_follows_from_the_mode_and_the_goal() {
    let reports = [0.5, 0.2, 0.8];
    for (goal, mode, value) in [
        ("minimize", "best", 0.2),
        ("maximize", "best", 0.8),
        ("minimize", "final", 0.8),
        ("maximize", "final", 0.8),
        ("minimize", "avg", 0.5),
    ] {
        let changes = json!({"objective": goal, "metric": {"report": true, "final": mode}});
        assert_eq!(
            run_with(&changes, &reports),
            (TrialStatus::Succeeded, Some(value), String::new()),
            "{mode}"
        );
    }
}

#[test]
fn what_is_not_a_number_is_never_a_value() {
    for (mode, reports, value) in [
        ("best", [0.5, f64::NAN], Some(0.5)),
        ("final", [0.5, f64::NAN], None),
        ("final", [f64::INFINITY, 0.5], Some(0.5)),
        ("avg", [0.5, f64::NAN], None),
        ("best", [f64::NAN, f64::NEG_INFINITY], None),
    ] {
        let (status, found, reason) = run_with(&json!({"metric": {"report": true, "final": mode}}), &reports);
        assert_eq!(found, value, "{mode} of {reports:?}");
        assert_eq!(status == TrialStatus::Failed, value.is_none());
        assert_eq!(reason.contains("finite"), value.is_none(), "{reason}");
    }
}

#[test]
fn a_mean_of_huge_numbers_is_as_finite_as_they_are() {
    for (reports, mean) in [
        (vec![1.7e308, 1.7e308], 1.7e308),
        (vec![f64::MAX; 3], f64::MAX),
        (vec![f64::MIN; 7], f64::MIN),
        (vec![f64::MAX, f64::MAX, f64::MIN], f64::MAX / 3.0),
        (vec![f64::from_bits(1); 3], f64::from_bits(1)),
    ] {
        let changes = json!({"metric": {"report": true, "final": "avg"}});
        let (status, found, reason) = run_with(&changes, &reports);
        assert_eq!((status, reason.as_str()), (TrialStatus::Succeeded, ""));
        let error = (found.unwrap() - mean).abs() / mean.abs();
        assert!(error < 1e-15, "{found:?} instead of {mean} of {reports:?}");
    }
}

#[test]
fn metrics_whose_weighted_sum_overflows_fail_their_trial_with_the_cause() {
    for mode in ["best", "final", "avg"] {
        let mut lab = Lab::new(&json!({
            "objective": {"metrics": {"auc": 1.0, "cost": 2.0}, "goal": "maximize"},
            "metric": {"report": true, "final": mode},
        }));
        let trial = lab.suggest();
        lab.start(trial);
        lab.give(&Command::ReportMetrics {
            experiment: id(),
            trial: TrialId(trial),
            attempt: AttemptNo(1),
            first: 0,
            points: vec![ReportPoint { step: 0, values: vec![1.0, 1.7e308], last: false }],
        });
        lab.end(trial, Outcome::Succeeded);
        assert_eq!(lab.trial_status(trial), TrialStatus::Failed);
        assert!(lab.trial(trial).reason.contains("weighted sum"), "{}", lab.trial(trial).reason);
    }
}

#[test]
fn the_mean_of_each_of_several_huge_metrics_is_finite() {
    let mut lab = Lab::new(&json!({
        "objective": {"metrics": {"auc": 0.5, "cost": -0.5}, "goal": "maximize"},
        "metric": {"report": true, "final": "avg"},
    }));
    let trial = lab.suggest();
    lab.start(trial);
    let points =
        (0..2).map(|step| ReportPoint { step, values: vec![f64::MAX, f64::MAX], last: false }).collect();
    lab.give(&Command::ReportMetrics {
        experiment: id(),
        trial: TrialId(trial),
        attempt: AttemptNo(1),
        first: 0,
        points,
    });
    lab.end(trial, Outcome::Succeeded);
    assert_eq!(lab.trial(trial).value, Some(0.0));
    assert_eq!(lab.trial(trial).metrics.as_ref(), [f64::MAX, f64::MAX]);
}

#[test]
fn a_success_without_a_report_is_a_failure_that_says_so() {
    let (status, value, reason) = run_with(&json!({}), &[]);
    assert_eq!((status, value), (TrialStatus::Failed, None));
    assert!(reason.contains("reported no metric"), "{reason}");
}

#[test]
fn a_final_report_comes_before_every_mode() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    lab.start(trial);
    let point = |step, value, last| ReportPoint { step, values: vec![value], last };
    lab.give(&Command::ReportMetrics {
        experiment: id(),
        trial: TrialId(trial),
        attempt: AttemptNo(1),
        first: 0,
        points: vec![point(0, 0.1, false), point(1, 0.7, true), point(2, 0.2, false)],
    });
    lab.end(trial, Outcome::Succeeded);
    assert_eq!(lab.trial(trial).value, Some(0.7));
}

#[test]
fn several_metrics_are_weighed() {
    let mut lab = Lab::new(&json!({
        "objective": {"metrics": {"auc": 0.5, "cost": -2.0}, "goal": "maximize"},
    }));
    let trial = lab.suggest();
    lab.start(trial);
    let report = |first: u32, values: Vec<Vec<f64>>| Command::ReportMetrics {
        experiment: id(),
        trial: TrialId(trial),
        attempt: AttemptNo(1),
        first,
        points: (u64::from(first)..)
            .zip(values)
            .map(|(step, values)| ReportPoint { step, values, last: false })
            .collect(),
    };
    lab.give(&report(0, vec![vec![0.8, 0.1], vec![0.9, 0.4], vec![f64::NAN, 0.0]]));
    assert_eq!(lab.code(&report(3, vec![vec![1.0]])), codes::NOT_FINITE);
    lab.give(&report(3, vec![vec![f64::MAX, f64::MAX]]));
    assert_eq!(lab.trial(trial).reports[3].value, None, "the sum is not finite");
    lab.end(trial, Outcome::Succeeded);
    assert_eq!(lab.trial(trial).value, Some(0.8 * 0.5 - 2.0 * 0.1));
    assert_eq!(lab.trial(trial).metrics.as_ref(), [0.8, 0.1]);
}

#[test]
fn a_report_is_recorded_once_however_often_it_is_read() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    lab.start(trial);
    let report = |first: u32, count: u32, attempt| Command::ReportMetrics {
        experiment: id(),
        trial: TrialId(trial),
        attempt: AttemptNo(attempt),
        first,
        points: (first..first + count)
            .map(|step| ReportPoint { step: u64::from(step), values: vec![f64::from(step)], last: false })
            .collect(),
    };
    lab.give(&report(0, 3, 1));
    assert!(lab.give(&report(0, 3, 1)).is_empty());
    assert!(lab.give(&report(1, 1, 1)).is_empty());
    assert!(lab.give(&report(4, 1, 1)).is_empty(), "a gap: it will be read again");
    assert!(lab.give(&report(3, 1, 2)).is_empty(), "no such attempt");
    lab.give(&report(1, 4, 1));
    let steps: Vec<u64> = lab.trial(trial).reports.iter().map(|report| report.step).collect();
    assert_eq!(steps, [0, 1, 2, 3, 4]);
    lab.end(trial, Outcome::Succeeded);
    assert_eq!(lab.code(&report(5, 1, 1)), codes::TRIAL_ENDED);
}

#[test]
fn many_reports_become_several_records_that_fit() {
    let metrics: serde_json::Map<String, Json> = (0..64).map(|m| (format!("m{m}"), json!(1.0))).collect();
    let mut lab = Lab::new(&json!({"objective": {"metrics": metrics, "goal": "minimize"}}));
    let trial = lab.suggest();
    lab.start(trial);
    let points = (0..700).map(|step| ReportPoint { step, values: vec![1.0; 64], last: false }).collect();
    let events = lab.give(&Command::ReportMetrics {
        experiment: id(),
        trial: TrialId(trial),
        attempt: AttemptNo(1),
        first: 0,
        points,
    });
    let mut total = 0;
    for event in &events {
        let Event::MetricReported(MetricReported { points, .. }) = event else { panic!("{event:?}") };
        total += points.len();
        let bytes: usize = points.iter().map(|point| 32 + 9 * point.values.len()).sum();
        assert!(bytes <= crate::limits::MAX_RECORD_BYTES / 2 && points.len() <= 512);
    }
    assert_eq!(total, 700);
}

#[test]
fn reports_beyond_the_limit_are_dropped() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    lab.start(trial);
    lab.report(trial, &vec![0.5; crate::limits::MAX_REPORTS_PER_TRIAL]);
    lab.report(trial, &[0.1]);
    assert_eq!(lab.trial(trial).reports.len(), crate::limits::MAX_REPORTS_PER_TRIAL);
    lab.end(trial, Outcome::Succeeded);
    assert_eq!(lab.trial(trial).value, Some(0.5));
}

#[test]
fn a_retry_from_a_checkpoint_keeps_the_reports_before_it() {
    for (again, value) in [(vec![(2, 0.3), (3, 0.2)], 0.15), (vec![(0, 0.6), (1, 0.5)], 0.5), (vec![], 0.1)] {
        let mut lab = Lab::new(&json!({"retry": {"lost": 2}}));
        let trial = lab.suggest();
        lab.start(trial);
        let report = |attempt: u32, reports: &[(u64, f64)]| Command::ReportMetrics {
            experiment: id(),
            trial: TrialId(trial),
            attempt: AttemptNo(attempt),
            first: 0,
            points: reports
                .iter()
                .map(|(step, value)| ReportPoint { step: *step, values: vec![*value], last: false })
                .collect(),
        };
        lab.give(&report(1, &[(0, 0.9), (1, 0.15), (2, 0.1)]));
        lab.end(trial, lost());
        lab.start(trial);
        lab.give(&report(2, &again));
        lab.end(trial, Outcome::Succeeded);
        assert_eq!(lab.trial(trial).value, Some(value), "{again:?}");
    }
}

#[test]
fn a_trial_judged_hopeless_keeps_what_it_had_reached() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    lab.start(trial);
    lab.report(trial, &[0.5, 0.4]);
    let stop = Command::StopHopeless {
        experiment: id(),
        trial: TrialId(trial),
        rule: "median".to_owned(),
        step: 1,
        why: "0.4 is worse than 0.2".to_owned(),
    };
    assert_eq!(lab.give(&stop).len(), 1);
    assert!(lab.give(&stop).is_empty());
    lab.end(trial, Outcome::Stopped);
    let ended = lab.trial(trial);
    assert_eq!((ended.status, ended.value), (TrialStatus::EarlyStopped, Some(0.4)));
    assert_eq!(ended.reason, "median: 0.4 is worse than 0.2");
    assert_eq!(lab.experiment().best, None, "only a success is best");
    assert!(lab.give(&stop).is_empty());
}

#[test]
fn a_trial_that_ends_well_before_it_is_stopped_has_succeeded() {
    let mut lab = Lab::new(&json!({}));
    let trial = lab.suggest();
    lab.start(trial);
    lab.report(trial, &[0.5]);
    lab.stop();
    lab.end(trial, Outcome::Succeeded);
    assert_eq!(lab.trial_status(trial), TrialStatus::Succeeded);
    assert_eq!(lab.status(), ExperimentStatus::UserCanceled);
}
