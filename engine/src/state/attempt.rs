//! One try at running a trial, and its tasks.

use crate::event::v1::Outcome;
use crate::id::{AttemptNo, Seq, TaskIndex};
use crate::ports::backend::JobHandle;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TaskPhase {
    /// To be submitted; perhaps it has been.
    Planned,
    /// The backend holds it.
    Accepted,
    /// It runs.
    Running,
    /// It is not known whether the backend holds it.
    Doubtful(String),
    /// It has ended.
    Ended(Outcome),
}

/// One task of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRun {
    /// Its place in the trial.
    pub task: TaskIndex,
    /// Where it stands.
    pub phase: TaskPhase,
    /// The record that planned it, or cleared it for another submission.
    pub planned: Seq,
    /// The backend's name for the job.
    pub handle: Option<JobHandle>,
    /// When it was first seen running, by our clock.
    pub seen_running: Option<Timestamp>,
    /// When it began to run, by the backend's clock.
    pub started: Option<Timestamp>,
    /// When it ended, by the backend's clock.
    pub ended: Option<Timestamp>,
}

/// One try at running a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number within the trial, from 1.
    pub number: AttemptNo,
    /// The slot that it occupies while it is the current one.
    pub slot: u16,
    /// When it was planned.
    pub planned: Timestamp,
    /// The tasks that it has reached, in order; the last one is the current one.
    pub tasks: Vec<TaskRun>,
}

impl Attempt {
    /// The current or last task.
    pub fn task(&self) -> Option<&TaskRun> {
        self.tasks.last()
    }

    /// How the attempt ended, if its current task has.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self.task().map(|task| &task.phase) {
            Some(TaskPhase::Ended(outcome)) => Some(outcome),
            _ => None,
        }
    }

    /// Why it is not known whether its current task was submitted, if that is so.
    pub fn doubt(&self) -> Option<&str> {
        match self.task().map(|task| &task.phase) {
            Some(TaskPhase::Doubtful(reason)) => Some(reason),
            _ => None,
        }
    }

    /// When it began to run, by the backend's clock: a task may end without having been seen to run.
    pub fn started(&self) -> Option<Timestamp> {
        self.tasks.iter().find_map(|task| task.started)
    }

    /// When it began to run as far as time-outs are concerned: the backend's clock may be wrong, but nothing runs before
    /// it was planned or after it was seen.
    pub fn began(&self) -> Option<Timestamp> {
        let seen = |task: &TaskRun| Some(task.started?.min(task.seen_running?).max(self.planned));
        self.tasks.iter().find_map(seen)
    }

    /// When its last task ended.
    pub fn ended(&self) -> Option<Timestamp> {
        self.task().and_then(|task| task.ended)
    }
}
