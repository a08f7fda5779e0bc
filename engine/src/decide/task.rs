//! What backends say of tasks. Nothing is ever rejected: news may come twice, late, or out of order, and then gives
//! no event or one without effect.

use crate::event::v1::Outcome;
use crate::event::{Event, v1};
use crate::id::SubmissionKey;
use crate::limits;
use crate::state::{Experiment, TaskPhase};
use crate::time::Timestamp;

impl Experiment {
    pub(super) fn record_accepted(&self, key: SubmissionKey, handle: &str) -> Vec<Event> {
        match self.open_phase(&key) {
            Some(TaskPhase::Planned | TaskPhase::Doubtful(_)) => vec![
                v1::TaskAccepted {
                    trial: key.trial,
                    attempt: key.attempt,
                    task: key.task,
                    handle: handle.to_owned(),
                }
                .into(),
            ],
            _ => Vec::new(),
        }
    }

    /// The submission certainly did not arrive: it is free to be sent, or the trial is free to end.
    pub(super) fn record_cleared(&self, key: SubmissionKey, at: Timestamp) -> Vec<Event> {
        if !matches!(self.open_phase(&key), Some(TaskPhase::Planned | TaskPhase::Doubtful(_))) {
            return Vec::new();
        }
        if self.trial(key.trial).is_some_and(|trial| trial.stopping.is_some()) {
            return vec![task_ended(key, Outcome::Stopped, at)];
        }
        vec![v1::TaskCleared { trial: key.trial, attempt: key.attempt, task: key.task }.into()]
    }

    pub(super) fn record_doubt(&self, key: SubmissionKey, reason: &str) -> Vec<Event> {
        if self.open_phase(&key) != Some(&TaskPhase::Planned) {
            return Vec::new();
        }
        vec![
            v1::TaskDoubtful {
                trial: key.trial,
                attempt: key.attempt,
                task: key.task,
                reason: bounded(reason),
            }
            .into(),
        ]
    }

    pub(super) fn record_started(&self, key: SubmissionKey, started: Timestamp) -> Vec<Event> {
        if self.open_phase(&key) != Some(&TaskPhase::Accepted) {
            return Vec::new();
        }
        vec![v1::TaskStarted { trial: key.trial, attempt: key.attempt, task: key.task, started }.into()]
    }

    pub(super) fn record_ended(&self, key: SubmissionKey, outcome: &Outcome, ended: Timestamp) -> Vec<Event> {
        let outcome = bounded_outcome(outcome);
        if self.open_phase(&key).is_some() {
            return vec![task_ended(key, outcome, ended)];
        }
        let known = self.trial(key.trial).and_then(|trial| {
            let attempt = trial.attempts.iter().find(|attempt| attempt.number == key.attempt)?;
            attempt.tasks.iter().find(|task| task.task == key.task)
        });
        match known.map(|task| &task.phase) {
            // The same end again is no news; another one for a settled task is kept as evidence.
            Some(TaskPhase::Ended(before)) if *before == outcome => Vec::new(),
            Some(_) => vec![
                v1::LateResult { trial: key.trial, attempt: key.attempt, task: key.task, outcome }.into(),
            ],
            None => Vec::new(),
        }
    }

    /// The phase of a submission that is the current task of a trial that has not ended, unless it has ended itself.
    fn open_phase(&self, key: &SubmissionKey) -> Option<&TaskPhase> {
        let trial = self.trial(key.trial)?;
        if trial.status.is_ended() {
            return None;
        }
        self.task(key).map(|task| &task.phase).filter(|phase| !matches!(phase, TaskPhase::Ended(_)))
    }
}

pub(super) fn task_ended(key: SubmissionKey, outcome: Outcome, ended: Timestamp) -> Event {
    v1::TaskEnded { trial: key.trial, attempt: key.attempt, task: key.task, outcome, ended }.into()
}

/// At most [`limits::MAX_REASON_BYTES`] of a text, keeping its end: the last lines of a log say most.
pub(super) fn bounded(text: &str) -> String {
    let mut from = text.len().saturating_sub(limits::MAX_REASON_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or_default().to_owned()
}

fn bounded_outcome(outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Failed { exit, signal, reason } => {
            Outcome::Failed { exit: *exit, signal: *signal, reason: bounded(reason) }
        }
        Outcome::Lost { reason } => Outcome::Lost { reason: bounded(reason) },
        Outcome::Preempted { reason } => Outcome::Preempted { reason: bounded(reason) },
        Outcome::Refused { reason } => Outcome::Refused { reason: bounded(reason) },
        Outcome::Succeeded | Outcome::TimedOut | Outcome::Stopped => outcome.clone(),
    }
}
