//! What early stopping rules see of trials that are tried again.

use super::search::Search;
use engine::command::Command;
use engine::event::v1::{Outcome, ReportPoint};
use engine::id::{AttemptNo, ExperimentId, SubmissionKey, TaskIndex, TrialId};
use engine::spec::Spec;
use engine::state::Experiment;
use engine::testing::driver::Driver;
use engine::value::{Point, Value};
use serde_json::json;
use std::collections::BTreeMap;

const TRIAL: TrialId = TrialId(0);

fn id() -> ExperimentId {
    ExperimentId::from_random(1)
}

/// A trial whose attempts, all but the last of them lost, report these steps and values. Gives the judgement of rules
/// that saw everything as it came, and of rules that are built from the history.
fn judged(attempts: &[&[(u64, f64)]]) -> [bool; 2] {
    let document = json!({
        "space": {"x": {"uniform": [0.0, 1.0]}}, "objective": "minimize", "run": {"fake": {"command": "train"}},
        "budget": {"trials": 1}, "retry": {"lost": 9}, "early_stop": {"threshold": {"upper": 10}},
    });
    let spec = Spec::parse(&document, "").unwrap().0.canonical().to_string();
    let mut driver = Driver::default();
    driver
        .give(&Command::CreateExperiment { experiment: id(), spec, seed: 7, labels: BTreeMap::new() })
        .unwrap();
    driver.give(&suggestion()).unwrap();
    driver.advance(id()).unwrap();
    let mut live = Search::new(experiment(&driver)).unwrap();
    for (number, reports) in (1..).zip(attempts) {
        let key =
            SubmissionKey { experiment: id(), trial: TRIAL, attempt: AttemptNo(number), task: TaskIndex(0) };
        let now = driver.now();
        if number > 1 {
            let before = SubmissionKey { attempt: AttemptNo(number - 1), ..key };
            let outcome = Outcome::Lost { reason: "gone".to_owned() };
            driver.give(&Command::RecordEnded { key: before, outcome, ended: now }).unwrap();
            driver.advance(id()).unwrap();
        }
        driver.give(&Command::RecordAccepted { key, handle: format!("job-{key}") }).unwrap();
        driver.give(&Command::RecordStarted { key, started: now }).unwrap();
        for (first, (step, value)) in (0..).zip(*reports) {
            let known = experiment(&driver).trial(TRIAL).unwrap().reports.len();
            let points = vec![ReportPoint { step: *step, values: vec![*value], last: false }];
            let attempt = AttemptNo(number);
            let report = Command::ReportMetrics { experiment: id(), trial: TRIAL, attempt, first, points };
            driver.give(&report).unwrap();
            live.reported(experiment(&driver).trial(TRIAL).unwrap(), known);
        }
    }
    [live, Search::new(experiment(&driver)).unwrap()].map(|search| search.judge(TRIAL).is_some())
}

fn experiment(driver: &Driver) -> &Experiment {
    driver.state().experiment(id()).unwrap()
}

fn suggestion() -> Command {
    Command::RecordSuggestion {
        experiment: id(),
        trial: TRIAL,
        point: Point(vec![(0, Value::Float(0.5))]),
        sampler: "made up".to_owned(),
        version: 1,
        ended: 0,
        memo: Vec::new(),
        parent: None,
    }
}

#[test]
fn a_retry_is_judged_by_what_counts_of_its_trial() {
    let bad: &[(u64, f64)] = &[(0, 1.0), (1, 2.0), (2, 50.0)];
    for (attempts, stop) in [
        (&[bad] as &[&[(u64, f64)]], true),
        (&[bad, &[(0, 1.0)]], false),
        (&[bad, &[(2, 3.0), (3, 4.0)]], false),
        // It goes on after the bad report.
        (&[bad, &[(3, 3.0)]], true),
        (&[bad, &[(3, 3.0), (1, 3.0)]], false),
        (&[bad, &[(0, 1.0)], &[(0, 60.0)]], true),
        (&[bad, &[(0, 60.0)], &[(0, 1.0)]], false),
        (&[&[(0, f64::NAN)]], true),
        (&[&[(0, f64::NAN)], &[(0, 1.0)]], false),
    ] {
        assert_eq!(judged(attempts), [stop; 2], "{attempts:?}");
    }
}
