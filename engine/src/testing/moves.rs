//! Random commands, legal and illegal, for property tests: three numbers become a command that mostly makes sense.

use super::driver::Driver;
use crate::command::Command;
use crate::event::v1::{Outcome, ReportPoint};
use crate::id::{AttemptNo, ExperimentId, SubmissionKey, TaskIndex, TrialId};
use crate::state::{Experiment, Trial};
use crate::time::{Span, Timestamp};
use crate::value::{Point, Value};
use std::collections::BTreeMap;

/// One random step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// What is done.
    pub kind: u8,
    /// Which trial it concerns.
    pub which: u32,
    /// Its details.
    pub detail: u32,
}

/// What a move comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Time passes.
    Wait(Span),
    /// A command is given.
    Give(Box<Command>),
}

impl Move {
    /// The command that this move stands for, in a driver that knows one experiment. `specs` are the texts among which an
    /// update chooses.
    pub fn step(self, driver: &Driver, experiment: ExperimentId, specs: &[String]) -> Step {
        let Some(known) = driver.state().experiment(experiment) else { return Step::Wait(Span(1)) };
        let command = match self.kind % 100 {
            0..=7 => return Step::Wait(Span(u64::from(self.detail % 90_000))),
            8..=9 => return Step::Wait(Span::from_secs(u64::from(self.detail % 3_000))),
            10..=24 => Command::Advance { experiment },
            25..=39 => self.suggestion(known),
            // There are no backends to bring news.
            40..=55 if known.spec.run.is_none() => self.by_a_worker(known, driver.now()),
            40..=48 => {
                Command::RecordAccepted { key: self.key(known), handle: format!("job-{}", self.detail % 7) }
            }
            49..=55 => Command::RecordStarted { key: self.key(known), started: self.started(driver.now()) },
            56..=66 => {
                Command::RecordEnded { key: self.key(known), outcome: self.outcome(), ended: driver.now() }
            }
            67..=72 => self.reports(known),
            73..=75 => Command::RecordCleared { key: self.key(known) },
            76..=78 => Command::RecordDoubt { key: self.key(known), reason: "no answer".to_owned() },
            79 if self.detail.is_multiple_of(5) => Command::RecordEnough { experiment, expected: 1e-3 },
            79..=80 => Command::StopHopeless {
                experiment,
                trial: self.trial(known),
                rule: "median".to_owned(),
                step: 3,
                why: "worse than most".to_owned(),
            },
            81..=84 => {
                // Not always as many as there are metrics.
                let metrics =
                    known.spec.objective.metrics.len() + usize::from(self.detail.is_multiple_of(29));
                let values = self.values(metrics);
                let trial = self.trial(known);
                let lease = (!self.which.is_multiple_of(3)).then(|| self.lease(known, trial));
                Command::TellTrial { experiment, trial, lease, values }
            }
            _ => self.by_a_person(known, specs),
        };
        Step::Give(Box::new(command))
    }

    /// A client takes a trial, renews its lease, or takes one that it was given without a lease.
    fn by_a_worker(self, known: &Experiment, now: Timestamp) -> Command {
        let experiment = known.id;
        let worker = format!("worker {}", self.which % 3);
        let request =
            if self.detail.is_multiple_of(7) { String::new() } else { format!("{}", self.detail % 41) };
        let until = match self.detail % 5 {
            0 => Timestamp(now.0.saturating_sub(1_000)),
            _ => now.after(Span(u64::from(self.detail % 90_000))),
        };
        if self.kind % 100 < 48 {
            return Command::TakeTrial { experiment, worker, request, until };
        }
        let trial = self.trial(known);
        let lease = self.lease(known, trial).max(u32::from(!self.detail.is_multiple_of(5)));
        Command::LeaseTrial { experiment, trial, lease, worker, request, until }
    }

    /// Mostly the number of a trial's lease.
    fn lease(self, known: &Experiment, trial: TrialId) -> u32 {
        let number = known.trial(trial).map_or(0, Trial::lease_number);
        match self.detail % 11 {
            0 => number.saturating_sub(1),
            1 => number + 1,
            _ => number,
        }
    }

    fn by_a_person(self, known: &Experiment, specs: &[String]) -> Command {
        let experiment = known.id;
        match self.kind % 100 {
            85 => Command::PauseExperiment { experiment },
            86..=87 => Command::ResumeExperiment { experiment },
            88 if self.detail.is_multiple_of(4) => Command::StopExperiment { experiment },
            88 => Command::LabelExperiment { experiment, labels: self.labels() },
            89..=90 => Command::StopTrials {
                experiment,
                trials: vec![self.trial(known), TrialId(self.detail % 5), self.trial(known)],
            },
            91..=92 => {
                Command::RetryTrials { experiment, trials: vec![self.trial(known), TrialId(self.detail % 5)] }
            }
            93..=94 => Command::EnqueuePoint { experiment, point: self.point() },
            95 => Command::UpdateExperiment {
                experiment,
                spec: specs.get(self.detail as usize % specs.len().max(1)).cloned().unwrap_or_default(),
            },
            96 if self.detail.is_multiple_of(8) => Command::RecordExhaustion { experiment },
            96 => {
                let until = known.updated.after(Span(u64::from(self.detail % 100_000)));
                let until = (!self.which.is_multiple_of(5)).then_some(until);
                Command::SetWindow { experiment, open: !self.detail.is_multiple_of(3), until }
            }
            97 => Command::TakeQueued { experiment },
            98 => Command::TakeCheckpoint,
            99 if self.detail.is_multiple_of(16) => Command::RemoveExperiment { experiment },
            _ => Command::NameActor { name: format!("person {}", self.detail % 3) },
        }
    }

    /// Some set and some taken away, at times under a name that cannot be used.
    fn labels(self) -> BTreeMap<String, Option<String>> {
        let label = |place: u32| {
            let name =
                if self.detail.is_multiple_of(23) { String::new() } else { format!("label {}", place % 5) };
            let set = !(self.detail >> place).is_multiple_of(3);
            (name, set.then(|| format!("value {}", self.which % 3)))
        };
        (self.which % 4..=self.which % 7).map(label).collect()
    }

    /// Mostly a trial that has not ended.
    fn trial(self, known: &Experiment) -> TrialId {
        let active: Vec<TrialId> = known.active_trials().map(|trial| trial.id).collect();
        match active.get(self.which as usize % (active.len() + 1)) {
            Some(id) if !self.which.is_multiple_of(11) => *id,
            _ => TrialId(self.which % (known.suggested() + 2)),
        }
    }

    /// Mostly the current submission of a trial.
    fn key(self, known: &Experiment) -> SubmissionKey {
        let trial = self.trial(known);
        let attempt = known.trial(trial).and_then(|trial| trial.attempt());
        let (mut number, mut task) = attempt.map_or((AttemptNo(1), TaskIndex(0)), |attempt| {
            (attempt.number, attempt.tasks.last().map_or(TaskIndex(0), |task| task.task))
        });
        match self.detail % 23 {
            0 => number = AttemptNo(number.0.saturating_sub(1)),
            1 => task = TaskIndex(task.0 + 1),
            2 => number = AttemptNo(number.0 + 1),
            3 => task = TaskIndex(task.0.saturating_sub(1)),
            _ => {}
        }
        SubmissionKey { experiment: known.id, trial, attempt: number, task }
    }

    fn outcome(self) -> Outcome {
        let reason = format!("reason {}", self.detail % 2);
        match self.detail % 12 {
            0 | 1 => Outcome::Failed { exit: Some(1), signal: None, reason },
            2 => Outcome::TimedOut,
            3 => Outcome::Lost { reason },
            4 => Outcome::Preempted { reason },
            5 => Outcome::Stopped,
            6 if self.detail.is_multiple_of(5) => Outcome::Refused { reason },
            _ => Outcome::Succeeded,
        }
    }

    fn value(self) -> Option<f64> {
        match self.detail % 14 {
            0 => None,
            1 => Some(f64::NAN),
            2 => Some(f64::INFINITY),
            3 => Some(f64::MAX),
            4 => Some(f64::MIN),
            5 => Some(f64::from_bits(1)),
            _ => Some(f64::from(self.detail % 1_000) / 100.0),
        }
    }

    /// A value of each metric; they go up and down apart from each other.
    fn values(self, metrics: usize) -> Option<Vec<f64>> {
        let value = self.value()?;
        let apart = |place: usize| f64::from(self.detail.rotate_right(5 * place as u32) % 7);
        Some(
            (0..metrics)
                .map(|place| if place == 0 { value } else { value.min(9.0) - apart(place) })
                .collect(),
        )
    }

    /// Backends' clocks are wrong at times.
    fn started(self, now: Timestamp) -> Timestamp {
        match self.detail % 6 {
            0 => Timestamp(now.0.saturating_sub(10_000_000)),
            1 => Timestamp(now.0.saturating_add(10_000_000)),
            _ => now,
        }
    }

    fn reports(self, known: &Experiment) -> Command {
        let trial = self.trial(known);
        let current = known.trial(trial).map_or(AttemptNo(0), Trial::reporter);
        let attempt = match self.detail % 13 {
            0 => AttemptNo(current.0 + 1),
            1 => AttemptNo(current.0.saturating_sub(1)),
            _ => current,
        };
        let reported = known.trial(trial).map_or(0, |trial| trial.reported(attempt));
        let first = u32::try_from(reported).unwrap_or(0).saturating_sub(self.detail % 3);
        let metrics = known.spec.objective.metrics.len() + usize::from(self.detail.is_multiple_of(29));
        let points = (0..=(self.detail % 4))
            .map(|place| ReportPoint {
                step: u64::from(first + place),
                values: self.values(metrics).unwrap_or_default(),
                last: self.detail.is_multiple_of(17),
            })
            .collect();
        let first = if self.detail.is_multiple_of(19) { first + 2 } else { first };
        Command::ReportMetrics { experiment: known.id, trial, attempt, first, points }
    }

    fn point(self) -> Point {
        let x = if self.detail.is_multiple_of(31) { 7.0 } else { f64::from(self.detail % 1_000) / 1_000.0 };
        Point(vec![(0, Value::Float(x))])
    }

    fn suggestion(self, known: &Experiment) -> Command {
        // A sampler is asked only if there is room, nearly always.
        if known.spec.run.is_some() && known.wanted() == 0 && !self.detail.is_multiple_of(20) {
            return Command::Advance { experiment: known.id };
        }
        Command::RecordSuggestion {
            experiment: known.id,
            trial: TrialId(known.suggested() + u32::from(self.detail.is_multiple_of(37))),
            point: self.point(),
            sampler: "made up".to_owned(),
            version: 1,
            ended: u32::try_from(known.ended_order.len()).unwrap_or(0),
            memo: vec![0; self.detail as usize % 5],
            parent: self.detail.is_multiple_of(3).then_some(TrialId(self.detail % 7)),
        }
    }
}
