//! One point of the search and what became of it.

use super::attempt::{Attempt, TaskPhase};
use super::lease::Lease;
use crate::event::v1::{Origin, TrialEnd, TrialStop};
use crate::id::{AttemptNo, TrialId};
use crate::time::Timestamp;
use crate::value::Point;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The status of a trial in the words of PAI, and Lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TrialStatus {
    /// Suggested; nothing of it runs yet.
    Waiting,
    /// Its tasks are being run, or a client runs it.
    Running,
    /// Ended with a value.
    Succeeded,
    /// Ended without a value.
    Failed,
    /// Judged hopeless.
    EarlyStopped,
    /// Stopped by a person.
    UserCanceled,
    /// Stopped because the experiment ended.
    SysCanceled,
    /// Its jobs vanished more often than the retries allow.
    Lost,
    /// It is not known whether its task runs: a person must decide.
    Unknown,
}

impl TrialStatus {
    /// All statuses, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::Waiting,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::EarlyStopped,
        Self::UserCanceled,
        Self::SysCanceled,
        Self::Lost,
        Self::Unknown,
    ];

    /// The word used in every answer.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::EarlyStopped => "EARLY_STOPPED",
            Self::UserCanceled => "USER_CANCELED",
            Self::SysCanceled => "SYS_CANCELED",
            Self::Lost => "LOST",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// Whether nothing more happens to the trial.
    pub const fn is_ended(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running | Self::Unknown)
    }
}

impl fmt::Display for TrialStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<&TrialEnd> for TrialStatus {
    fn from(end: &TrialEnd) -> Self {
        match end {
            TrialEnd::Succeeded => Self::Succeeded,
            TrialEnd::Failed => Self::Failed,
            TrialEnd::EarlyStopped => Self::EarlyStopped,
            TrialEnd::UserCanceled => Self::UserCanceled,
            TrialEnd::SysCanceled => Self::SysCanceled,
            TrialEnd::Lost => Self::Lost,
        }
    }
}

/// One report of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The attempt that reported it; for a trial that a client runs the number of the lease, or 0 without one.
    pub attempt: AttemptNo,
    /// The step.
    pub step: u64,
    /// The weighted value; `None` if what was reported was not a finite number.
    pub value: Option<f64>,
    /// The single metrics, if there are several.
    pub metrics: Box<[f64]>,
    /// Whether it is the trial's final result.
    pub last: bool,
    /// When it was recorded.
    pub time: Timestamp,
}

/// One point of the search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its number.
    pub id: TrialId,
    /// Its point.
    pub point: Point,
    /// Where the point comes from.
    pub origin: Origin,
    /// The trial that this one repeats.
    pub retry_of: Option<TrialId>,
    /// The trial from whose checkpoint it goes on.
    pub parent: Option<TrialId>,
    /// Whether it counts beyond the budget.
    pub extra: bool,
    /// Its status.
    pub status: TrialStatus,
    /// Set once it is to be stopped.
    pub stopping: Option<TrialStop>,
    /// When it was suggested.
    pub suggested: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Its value: the objective's weighted sum.
    pub value: Option<f64>,
    /// The single metrics of its value, if there are several.
    pub metrics: Box<[f64]>,
    /// Why it failed or was stopped.
    pub reason: String,
    /// Its reports in the order of arrival.
    pub reports: Vec<Report>,
    /// Its attempts; the last one is the current one.
    pub attempts: Vec<Attempt>,
    /// Its newest lease, if clients take it.
    pub lease: Option<Box<Lease>>,
}

impl Trial {
    /// The current or last attempt.
    pub fn attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// Whether nothing of it is under way, so that the next step is the engine's to decide.
    pub(crate) fn awaits_decision(&self) -> bool {
        let phase = self.attempt().and_then(Attempt::task).map(|task| &task.phase);
        matches!(phase, None | Some(TaskPhase::Ended(_)))
    }

    /// Whether its current task runs.
    pub(crate) fn is_running_task(&self) -> bool {
        let phase = self.attempt().and_then(Attempt::task).map(|task| &task.phase);
        matches!(phase, Some(TaskPhase::Running))
    }

    /// How many points an attempt has reported. Reports of attempts follow each other, so this need not count.
    pub fn reported(&self, attempt: AttemptNo) -> usize {
        self.reports_of(attempt).len()
    }

    /// What an attempt has reported.
    pub fn reports_of(&self, attempt: AttemptNo) -> &[Report] {
        let before = self.reports.partition_point(|report| report.attempt < attempt);
        let end = self.reports.partition_point(|report| report.attempt <= attempt);
        self.reports.get(before..end).unwrap_or_default()
    }

    /// Which of a trial's reports count: those of the last attempt that has reported, and those of earlier attempts before
    /// the step at which it went on.
    pub fn counted(reports: &[Report]) -> Vec<&Report> {
        let mut kept: Vec<&Report> = Vec::new();
        let mut until = None;
        let mut attempt = None;
        let mut first = u64::MAX;
        for report in reports.iter().rev() {
            if attempt != Some(report.attempt) {
                if attempt.is_some() {
                    until = Some(first);
                }
                attempt = Some(report.attempt);
            }
            if until.is_none_or(|until| report.step < until) {
                first = first.min(report.step);
                kept.push(report);
            }
        }
        kept.reverse();
        kept
    }

    /// The last step and value reported by the current attempt or holder, leaving out what was not a number.
    pub fn last_report(&self) -> Option<(u64, f64)> {
        let attempt = self.reporter();
        self.reports
            .iter()
            .rev()
            .take_while(|r| r.attempt == attempt)
            .find_map(|r| r.value.map(|value| (r.step, value)))
    }
}
