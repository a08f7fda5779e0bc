//! Where the files of a task are, and how a handle names them.

use engine::id::SubmissionKey;
use engine::ports::backend::JobHandle;
use std::path::{Path, PathBuf};

/// One start of one task. The text form, which is the handle, is `KEY.INCARNATION`, such as `kq3m2x7a-12-1-0.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Incarnation {
    /// The task.
    pub(super) key: SubmissionKey,
    /// From 1. A new one is used only when it is certain that nothing was or will be started by those before.
    pub(super) number: u32,
}

impl Incarnation {
    /// The name given to the core.
    pub(super) fn handle(self) -> JobHandle {
        JobHandle(format!("{}.{}", self.key, self.number))
    }

    /// Reads a handle.
    pub(super) fn parse(handle: &JobHandle) -> Option<Self> {
        let (key, number) = handle.0.rsplit_once('.')?;
        Some(Self { key: key.parse().ok()?, number: number.parse().ok()? })
    }

    /// The directory of this start.
    pub(super) fn control_dir(self, runs: &Path) -> PathBuf {
        attempt_dir(runs, &self.key).join(format!("task-{}.{}", self.key.task, self.number))
    }
}

/// The directory of an attempt.
pub(super) fn attempt_dir(runs: &Path, key: &SubmissionKey) -> PathBuf {
    runs.join(key.experiment.to_string()).join(key.trial.to_string()).join(key.attempt.to_string())
}

/// The file that a task appends its reports to.
pub(super) const REPORT: &str = "report.jsonl";
/// The file with the trial's parameters.
pub(super) const PARAMS: &str = "params.json";
/// The directory for checkpoints.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// The working directory.
pub(super) const WORK: &str = "work";
/// What the supervisor is to do.
pub(super) const ORDER: &str = "order.json";
/// Who may start the task.
pub(super) const CLAIM: &str = "claim";
/// There once the end was asked for.
pub(super) const STOP: &str = "stop";
/// Why a supervisor gave up before it had the claim.
pub(super) const ERROR: &str = "error";
