//! What a person is told of a call that failed: the error and what to do about it. Begin with [`told`].

use super::codes as own;
use super::fault::is_the_tasks_fault;
use crate::cloud::client::{CallError, Effect};
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

/// A failed call of a question `what` to a table. One that is refused to whoever asks must not cost a trial that has done
/// its work.
pub(super) fn unread(error: CallError, what: String) -> ReadError {
    match error.effect {
        Effect::Nothing if is_the_tasks_fault(&error) => {
            ReadError::Useless { what, reason: error.to_string() }
        }
        Effect::Nothing => {
            let cure = cure(&error);
            ReadError::Unavailable { what, code: error.code, message: error.message, cure }
        }
        Effect::NothingYet(_) | Effect::Unknown => ReadError::Failed { what, reason: error.to_string() },
    }
}

/// What to do: as the error itself says, or else by its kind.
fn cure(error: &CallError) -> String {
    if error.cure.is_empty() { by_code(error.code).to_owned() } else { error.cure.clone() }
}

fn by_code(code: Code) -> &'static str {
    match code {
        codes::UNREACHABLE => "check the network, the proxy variables, `region` and `endpoint`",
        codes::KEY_REFUSED => {
            "check the access key: `retrial doctor` says which one is used and where it is from"
        }
        codes::TOKEN_REFUSED => "log in anew, or use credentials that are refreshed: see docs/credentials.md",
        codes::NO_PERMISSION => "ask the project's owner for odps:CreateInstance, odps:List and odps:Read",
        codes::CLOCK_WRONG => "set this machine's clock",
        codes::THROTTLED => "wait, or set RETRIAL_CALLS_PER_SECOND to less",
        codes::NO_ANSWER | own::SERVICE_FAILED => "wait, and try again: the service is out of order",
        own::NO_PROJECT | codes::NOT_FOUND => {
            "check `project` and `region`: a project is known in its own region only"
        }
        own::NO_QUOTA => "name another `quota`, let fewer trials run at once, or ask for more",
        _ => "see docs/maxcompute.md",
    }
}
