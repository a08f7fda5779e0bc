//! Rules of the core by example. The properties that hold for every history are in `tests/properties.rs`.

mod backend_news;
mod budget;
mod client;
mod control;
mod label;
mod lease;
mod metrics;
mod outcomes;
mod replicates;
mod retry;
mod table;
mod window;

use crate::command::Command;
use crate::error::{Code, Rejection};
use crate::event::Event;
use crate::event::v1::{Outcome, ReportPoint};
use crate::id::{AttemptNo, ExperimentId, SubmissionKey, TaskIndex, TrialId};
use crate::spec::Spec;
use crate::state::{Attempt, Experiment, ExperimentStatus, Trial, TrialStatus};
use crate::testing::driver::{Driver, Failure};
use crate::time::Span;
use crate::value::{Point, Value};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// One experiment and everything that may happen to it.
struct Lab {
    driver: Driver,
}

fn id() -> ExperimentId {
    ExperimentId::from_random(1)
}

/// The canonical text of an experiment on the fake backend, with these changes.
fn text(changes: &Json) -> String {
    let mut document = json!({
        "space": {"x": {"uniform": [0.0, 1.0]}},
        "objective": "minimize",
        "metric": {"report": true, "final": "best"},
        "run": {"fake": {"command": "train"}},
        "budget": {"trials": 100, "concurrency": 2},
    });
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            document.as_object_mut().unwrap().remove(key);
        } else {
            document[key] = value.clone();
        }
    }
    Spec::parse(&document, "").unwrap().0.canonical().to_string()
}

fn point(x: f64) -> Point {
    Point(vec![(0, Value::Float(x))])
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed { exit: Some(1), signal: None, reason: reason.to_owned() }
}

fn lost() -> Outcome {
    Outcome::Lost { reason: "gone".to_owned() }
}

fn preempted() -> Outcome {
    Outcome::Preempted { reason: "taken".to_owned() }
}

impl Lab {
    /// An experiment with these changes to the usual specification.
    fn new(changes: &Json) -> Self {
        let mut lab = Self { driver: Driver::default() };
        lab.give(&Command::CreateExperiment {
            experiment: id(),
            spec: text(changes),
            seed: 7,
            labels: BTreeMap::new(),
        });
        lab
    }

    fn give(&mut self, command: &Command) -> Vec<Event> {
        let events = self.driver.give(command).unwrap();
        assert_eq!(self.driver.state().check(), Ok(()), "after {command:?}");
        events
    }

    fn refused(&mut self, command: &Command) -> Rejection {
        match self.driver.give(command) {
            Err(Failure::Rejected(rejection)) => rejection,
            other => panic!("{command:?} should be refused: {other:?}"),
        }
    }

    fn code(&mut self, command: &Command) -> Code {
        self.refused(command).code
    }

    fn advance(&mut self) -> Vec<Event> {
        let events = self.driver.advance(id()).unwrap();
        assert_eq!(self.driver.state().check(), Ok(()));
        events
    }

    fn wait(&mut self, seconds: u64) -> Vec<Event> {
        self.driver.wait(Span::from_secs(seconds));
        self.advance()
    }

    fn experiment(&self) -> &Experiment {
        self.driver.state().experiment(id()).unwrap()
    }

    fn status(&self) -> ExperimentStatus {
        self.experiment().status
    }

    fn trial(&self, trial: u32) -> &Trial {
        self.experiment().trial(TrialId(trial)).unwrap()
    }

    fn trial_status(&self, trial: u32) -> TrialStatus {
        self.trial(trial).status
    }

    /// Suggests the next trial and plans what follows.
    fn suggest(&mut self) -> u32 {
        let trial = self.experiment().suggested();
        self.give(&self.suggestion(f64::from(trial % 1_000) / 1_000.0));
        self.advance();
        trial
    }

    fn suggestion(&self, x: f64) -> Command {
        Command::RecordSuggestion {
            experiment: id(),
            trial: TrialId(self.experiment().suggested()),
            point: point(x),
            sampler: "made up".to_owned(),
            version: 1,
            ended: u32::try_from(self.experiment().ended_order.len()).unwrap(),
            memo: Vec::new(),
            parent: None,
        }
    }

    /// The current submission of a trial.
    fn key(&self, trial: u32) -> SubmissionKey {
        let attempt = self.trial(trial).attempt().unwrap();
        self.key_of(trial, attempt.number.0, attempt.task().unwrap().task.0)
    }

    #[expect(clippy::unused_self, reason = "reads as a part of the lab")]
    fn key_of(&self, trial: u32, attempt: u32, task: u16) -> SubmissionKey {
        SubmissionKey {
            experiment: id(),
            trial: TrialId(trial),
            attempt: AttemptNo(attempt),
            task: TaskIndex(task),
        }
    }

    fn accept(&mut self, trial: u32) {
        let key = self.key(trial);
        self.give(&Command::RecordAccepted { key, handle: format!("job-{key}") });
    }

    fn start(&mut self, trial: u32) {
        let (key, started) = (self.key(trial), self.driver.now());
        self.accept(trial);
        self.give(&Command::RecordStarted { key, started });
    }

    /// The current task of a trial ends, and what follows happens.
    fn end(&mut self, trial: u32, outcome: Outcome) {
        let (key, ended) = (self.key(trial), self.driver.now());
        self.give(&Command::RecordEnded { key, outcome, ended });
        self.advance();
    }

    fn report(&mut self, trial: u32, values: &[f64]) {
        let attempt = self.trial(trial).attempt().map_or(AttemptNo(0), |attempt: &Attempt| attempt.number);
        let first = u32::try_from(self.trial(trial).reported(attempt)).unwrap();
        let points = (u64::from(first)..)
            .zip(values)
            .map(|(step, value)| ReportPoint { step, values: vec![*value], last: false })
            .collect();
        self.give(&Command::ReportMetrics {
            experiment: id(),
            trial: TrialId(trial),
            attempt,
            first,
            points,
        });
    }

    /// Runs one whole trial that reports this value.
    fn succeed(&mut self, value: f64) -> u32 {
        let trial = self.suggest();
        self.start(trial);
        self.report(trial, &[value]);
        self.end(trial, Outcome::Succeeded);
        trial
    }

    /// Runs one whole trial whose attempts all end like this.
    fn run(&mut self, outcome: &Outcome) -> u32 {
        let trial = self.suggest();
        while !self.trial_status(trial).is_ended() {
            self.end(trial, outcome.clone());
        }
        trial
    }

    fn update(&mut self, changes: &Json) {
        self.give(&Command::UpdateExperiment { experiment: id(), spec: text(changes) });
        self.advance();
    }

    fn stop(&mut self) {
        self.give(&Command::StopExperiment { experiment: id() });
        self.advance();
    }
}
