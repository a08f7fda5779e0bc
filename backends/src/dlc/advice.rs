//! What a person is told of a call that failed: the error and what to do about it.

use crate::cloud::client::CallError;
use crate::cloud::codes;
use engine::error::{Code, SpecError};
use engine::ports::backend::ReadError;

/// A failed call as a mistake in the settings at `path`.
pub(super) fn mistake(error: CallError, path: &str) -> SpecError {
    let cure = cure(&error);
    SpecError::new(error.code, path, error.message, cure)
}

/// A failed call in two lines, for a log or a record.
pub(super) fn told(error: &CallError) -> String {
    format!("{error}\n  = help: {}", cure(error))
}

/// A failed call of a read of `what`.
pub(in crate::dlc) fn unread(error: CallError, what: String) -> ReadError {
    let cure = match error.code {
        codes::NOT_FOUND => "what a deleted job has printed is gone with it".to_owned(),
        _ => cure(&error),
    };
    ReadError::Unavailable { what, code: error.code, message: error.message, cure }
}

/// What to do: as the error itself says, or else by its kind.
fn cure(error: &CallError) -> String {
    if error.cure.is_empty() { by_code(error.code).to_owned() } else { error.cure.clone() }
}

fn by_code(code: Code) -> &'static str {
    match code {
        codes::UNREACHABLE => {
            "check the network, the proxy variables, and `region` and `network` (or `endpoint`) below `run.dlc`"
        }
        codes::KEY_REFUSED => {
            "check the access key: `retrial doctor` says which one is used and where it is from"
        }
        codes::TOKEN_REFUSED => "log in anew, or use credentials that are refreshed: see docs/credentials.md",
        codes::NO_PERMISSION => {
            "ask for the RAM actions paidlc:CreateJob, ListJobs, GetJob, StopJob, GetPodLogs and GetJobEvents, and for \
             membership in the workspace"
        }
        codes::CLOCK_WRONG => "set this machine's clock",
        codes::THROTTLED => "wait, or set RETRIAL_CALLS_PER_SECOND to less",
        codes::NOT_FOUND => "check `region` and `workspace_id` below `run.dlc`",
        codes::REQUEST_TOO_LARGE => {
            "keep code and data out of the command and the variables: put them into the image or a data source"
        }
        codes::REQUEST_REFUSED => "change what the service names",
        codes::NO_ANSWER => "wait, and try again: the service, or what stands before it, is out of order",
        _ => "see docs/credentials.md",
    }
}
