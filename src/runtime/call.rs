//! The calls that the runtime makes of backends, and their answers, as data: a shell performs them, a simulation plays them.

use engine::id::SubmissionKey;
use engine::ports::backend::{Chunk, Found, JobHandle, JobState, ReadError, Source, Submitted, TaskOrder};

/// A call of a backend.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// Start a task.
    Submit {
        /// What to run.
        order: Box<TaskOrder>,
    },
    /// Look for a job.
    Find {
        /// What was or will be submitted.
        order: Box<TaskOrder>,
    },
    /// Ask for the states of jobs.
    Poll {
        /// The jobs.
        jobs: Vec<(SubmissionKey, JobHandle)>,
    },
    /// Read what a job writes.
    Read {
        /// Its key.
        key: SubmissionKey,
        /// The job.
        handle: JobHandle,
        /// What to read.
        source: Source,
        /// From which byte.
        from: u64,
        /// At most this many bytes.
        limit: usize,
    },
    /// Name the files in a directory that a job writes.
    List {
        /// Its key.
        key: SubmissionKey,
        /// The job.
        handle: JobHandle,
        /// The directory.
        dir: String,
    },
    /// End a job.
    Stop {
        /// Its key.
        key: SubmissionKey,
        /// The job.
        handle: JobHandle,
    },
}

/// The answer to a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To `Submit`.
    Submitted(SubmissionKey, Submitted),
    /// To `Find`.
    Found(SubmissionKey, Found),
    /// To `Poll`, for each job.
    Polled(Vec<(SubmissionKey, JobState)>),
    /// To `Read`.
    Read(SubmissionKey, Source, Result<Chunk, ReadError>),
    /// To `Stop`.
    Stopped(SubmissionKey, Result<(), String>),
    /// To `List`.
    Listed(SubmissionKey, Result<Vec<String>, ReadError>),
}

impl Call {
    /// What is done, in a word.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Submit { .. } => "submit",
            Self::Find { .. } => "find",
            Self::Poll { .. } => "poll",
            Self::Read { .. } => "read",
            Self::List { .. } => "list",
            Self::Stop { .. } => "stop",
        }
    }
}

impl Answer {
    /// What came of it, in a word: `later` is a service that is away, refuses the caller or asks for fewer requests.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Submitted(_, Submitted::Refused(_)) => "refused",
            Self::Submitted(_, Submitted::Later(..)) => "later",
            Self::Submitted(_, Submitted::Unknown(_)) | Self::Found(_, Found::Unknown(_)) => "unknown",
            Self::Polled(states) if states.iter().any(|(_, state)| matches!(state, JobState::Unknown(_))) => {
                "unknown"
            }
            Self::Read(_, _, Err(error)) | Self::Listed(_, Err(error)) if error.may_pass() => "later",
            Self::Read(_, _, Err(_)) | Self::Listed(_, Err(_)) | Self::Stopped(_, Err(_)) => "failed",
            _ => "ok",
        }
    }
}
