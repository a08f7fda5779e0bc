//! Backends: where tasks run.
//!
//! No engine of the world gives exactly-once: an acknowledged job can vanish, an answer can be lost, a job can be
//! run twice by its own engine. The port is shaped so that the core can still start each task at most once.

use crate::error::{Code, SpecError};
use crate::event::v1::Outcome;
use crate::id::{AttemptNo, SubmissionKey, TrialId};
use crate::time::{Span, Timestamp};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The backend's own name for a job, opaque to the core; it names the incarnation as well as the job, and all that is
/// needed to reach it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobHandle(pub String);

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CommandLine {
    /// A line for the shell.
    Shell(String),
    /// A program and its arguments, run without a shell.
    Args(Vec<String>),
}

/// A template file: every `${...}` in `source` is replaced and the text written to `target`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateFile {
    /// Where it is read.
    pub source: String,
    /// Where it is written; relative to the attempt's working directory.
    pub target: String,
}

/// One task, ready to run: everything is substituted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskOrder {
    /// Names this submission for ever.
    pub key: SubmissionKey,
    /// What to run.
    pub command: CommandLine,
    /// Environment variables of the experiment file, on top of the backend's own.
    pub env: BTreeMap<String, String>,
    /// The trial's parameters in nested form, for `RETRIAL_PARAMS`.
    pub params: serde_json::Map<String, serde_json::Value>,
    /// Replacements for template files: name to text.
    pub bindings: Vec<(String, String)>,
    /// Template files.
    pub templates: Vec<TemplateFile>,
    /// When its attempt was planned: no submission is older.
    pub planned: Timestamp,
    /// After this time the task is ended.
    pub timeout: Option<Span>,
    /// How long a task may take to end after it was asked to.
    pub grace: Span,
    /// The slot that it occupies, from 0: no two running attempts of an experiment share one.
    pub slot: u16,
    /// The number of slots of the experiment.
    pub slots: u16,
    /// The attempts from whose checkpoint it may go on: from the first that has kept one.
    pub resume_from: Vec<Earlier>,
    /// The backend's own part of the experiment file, substituted.
    pub config: serde_json::Value,
}

/// An attempt that may have kept a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// The trial: the same one, or one that it goes on from.
    pub trial: TrialId,
    /// Its attempt.
    pub attempt: AttemptNo,
}

/// The answer to a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// The backend holds the job.
    Accepted(JobHandle),
    /// The backend held it before.
    AlreadyExists(JobHandle),
    /// The backend refuses it; trying again is no use.
    Refused(String),
    /// It is not known whether the job exists: look for it before anything is sent again.
    Unknown(String),
    /// The job certainly does not exist and may be submitted again, not before this time.
    Later(Span, String),
}

/// The answer to a search by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// One job.
    One(JobHandle),
    /// Several jobs under one key: the backend ran it twice.
    Several(Vec<JobHandle>),
    /// None is visible, but one may still appear.
    NoneYet,
    /// None is visible, and the backend will not say that none exists: for a policy or a person. It may be asked again.
    Undecided(String),
    /// As [`Found::NoneForSure`], but the settings forbid to send it again: a person decides, unless its trial is being
    /// stopped, so that nothing would be sent.
    NotAgain(String),
    /// None exists and none will appear.
    NoneForSure,
    /// It could not be found out now.
    Unknown(String),
}

/// What a backend knows of a job.
#[derive(Debug, Clone, PartialEq)]
pub enum JobState {
    /// Accepted, not running.
    Queued,
    /// Running.
    Running {
        /// Since when, by the backend's clock.
        started: Timestamp,
    },
    /// Ended; a job that was accepted and is gone is [`Outcome::Lost`].
    Ended {
        /// When it began to run, if it did.
        started: Option<Timestamp>,
        /// When it ended.
        ended: Timestamp,
        /// How.
        outcome: Outcome,
    },
    /// It could not be found out now.
    Unknown(String),
}

/// Something that a job writes and the core reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The file named by `RETRIAL_REPORT`.
    Report,
    /// A file, relative to the attempt's working directory or an address that the backend understands.
    File(String),
    /// A question to the backend's tables. Its one row is read as a JSON object: columns to values.
    Query(String),
}

/// A part of a [`Source`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The bytes from the position asked for, or from `start` if those before are no longer kept.
    pub bytes: Vec<u8>,
    /// Position of the first byte.
    pub start: u64,
    /// Whether the source held no more bytes when it was read.
    pub at_end: bool,
}

/// Why a source could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It does not exist (yet).
    #[error("there is no {0}")]
    Absent(String),
    /// It could not be read now.
    #[error("failed to read {what}: {reason}")]
    Failed {
        /// What.
        what: String,
        /// Why.
        reason: String,
    },
    /// It was read, and is no result; reading it again gives the same.
    #[error("{what} gives no result: {reason}")]
    Useless {
        /// What.
        what: String,
        /// Why.
        reason: String,
    },
    /// The service that keeps it cannot be reached, or refuses it to whoever asks. It is there all the same.
    #[error("failed to read {what}: {code}: {message}")]
    Unavailable {
        /// What.
        what: String,
        /// The kind of failure.
        code: Code,
        /// Why.
        message: String,
        /// What to do about it.
        cure: String,
    },
}

impl ReadError {
    /// Whether the same read may succeed later.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Unavailable { .. })
    }
}

/// How a backend can tell whether a submission arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotency {
    /// Submitting the same key again gives the same job.
    Native,
    /// A job can be found by its key.
    FindByKey,
    /// Neither: a doubt is for a policy or a person.
    None,
}

/// Where the lines arrive that a task appends to the file named by `RETRIAL_REPORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reports {
    /// In a file of their own: [`Source::Report`].
    File,
    /// Among those of standard output, which the variable then names.
    Stdout,
}

/// What a backend can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// How a submission is told from its repetition.
    pub idempotency: Idempotency,
    /// Most jobs asked for in one poll.
    pub poll_batch: usize,
    /// Time between two polls of the same job.
    pub poll_interval: Span,
    /// The longest that a job which stays as it is may rest between two polls, if that spares calls.
    pub poll_rest: Span,
    /// Where reports arrive.
    pub reports: Reports,
}

/// Runs tasks somewhere. Every call has its own deadline and may be repeated.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The name under which it is configured.
    fn name(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Starts the task unless a job under its key exists.
    async fn submit(&self, order: &TaskOrder) -> Submitted;

    /// What would be asked for to start a task, as it is shown to people: without secrets.
    fn preview(&self, order: &TaskOrder) -> Result<serde_json::Value, Vec<SpecError>> {
        Ok(serde_json::to_value(order).unwrap_or_default())
    }

    /// Asks, without starting anything, whether this task could be submitted from here and now.
    async fn check(&self, _order: &TaskOrder) -> Result<(), SpecError> {
        Ok(())
    }

    /// Looks for the job of an order's key; what else the order says tells where to look.
    async fn find(&self, order: &TaskOrder) -> Found;

    /// Asks for the states of jobs, in the order given.
    async fn poll(&self, handles: &[JobHandle]) -> Vec<JobState>;

    /// Reads at most `limit` bytes of what a job writes, from a byte position.
    async fn read(
        &self,
        handle: &JobHandle,
        source: &Source,
        from: u64,
        limit: usize,
    ) -> Result<Chunk, ReadError>;

    /// The files in a directory that a job writes, in the form that [`Source::File`] takes, sorted.
    async fn list(&self, _handle: &JobHandle, dir: &str) -> Result<Vec<String>, ReadError> {
        Err(ReadError::Failed { what: dir.to_owned(), reason: "this backend cannot list files".to_owned() })
    }

    /// Returns when a job may have changed its state, so that a poll before its time is worth while. Only a hint:
    /// it may return for nothing, and a change may come without it.
    async fn changed(&self) {
        let () = std::future::pending().await;
    }

    /// Ends the job; a job that has ended counts as stopped. The end itself is seen by [`Backend::poll`].
    async fn stop(&self, handle: &JobHandle) -> Result<(), String>;

    /// The commands that remove what an attempt has left at the backend, such as its tables, as the experiment file
    /// names them. Each may be run any number of times.
    fn cleaning(&self, _order: &TaskOrder) -> Vec<String> {
        Vec::new()
    }

    /// Runs one command of [`Backend::cleaning`] and waits for its end.
    async fn clean(&self, _order: &TaskOrder, command: &str) -> Result<(), String> {
        Err(format!("this backend cleans nothing up, also not by `{command}`"))
    }
}
