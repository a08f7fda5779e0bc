//! One instance: what it was asked for, and what has become of it.

use super::script::Life;
use super::sql::Failure;
use super::submission::Submission;
use super::table::Table;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The state of an instance's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It has not begun.
    Waiting,
    /// It runs.
    Running,
    /// It has begun and rests.
    Suspended,
    /// It has done its work.
    Success,
    /// It has not been able to.
    Failed,
    /// It was terminated.
    Cancelled,
}

impl Status {
    /// As the task's status is written.
    pub fn task(self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Running => "Running",
            Self::Suspended => "Suspended",
            Self::Success => "Success",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }

    /// As the instance's status is written.
    pub fn instance(self) -> &'static str {
        match self {
            Self::Waiting | Self::Running => "Running",
            Self::Suspended => "Suspended",
            Self::Success | Self::Failed | Self::Cancelled => "Terminated",
        }
    }

    /// Whether nothing follows.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Cancelled)
    }
}

/// What a task has given.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Rows.
    Rows(Arc<Table>),
    /// A text.
    Text(String),
    /// Why it failed.
    Failed(Failure),
}

/// An instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Its project.
    pub project: String,
    /// Whose it is.
    pub owner: String,
    /// What was asked for.
    pub submission: Submission,
    /// How it lives.
    pub life: Life,
    /// Its task's state.
    pub status: Status,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it began to run.
    pub begun_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// When it is to be cancelled, if it was terminated.
    pub stops_ms: Option<i64>,
    /// How often its work was begun: never more than once.
    pub starts: u32,
    /// What it has given.
    pub outcome: Option<Outcome>,
    /// Tells its work that nobody wants it any more.
    pub unwanted: Arc<AtomicBool>,
}
