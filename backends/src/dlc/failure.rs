//! What follows for a task when a call failed. Pure.

use crate::cloud::client::CallError;
use crate::cloud::codes;
use crate::cloud::fault::Fault;

/// Intervals of polls until a submission is tried again that the service refuses for a reason which is not the task's,
/// such as a missing permission: a person may cure it meanwhile.
pub(super) const LATER_POLLS: u32 = 6;

/// Whether the service answers and does not know the job. A wrong address is not known either, and says so otherwise.
pub(super) fn is_gone(error: &CallError) -> bool {
    let other = |fault: &Fault| {
        ["InvalidProduct", "InvalidApi", "InvalidAction", "InvalidVersion"]
            .iter()
            .any(|code| fault.code.starts_with(code))
    };
    error.code == codes::NOT_FOUND && error.fault.as_ref().is_some_and(|fault| !other(fault))
}

/// Whether a refusal is about the task, so that the same task is refused again, and not about who asks.
pub(super) fn is_the_tasks_fault(error: &CallError) -> bool {
    [codes::REQUEST_REFUSED, codes::REQUEST_TOO_LARGE, codes::NOT_FOUND].contains(&error.code)
}
