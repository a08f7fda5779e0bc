//! How failures of files and of sled become the port's errors. Read [`on_file`] first.

pub use engine::ports::journal::JournalError;
use std::io::{Error, ErrorKind};
use std::path::Path;

/// A failed file operation; a full device is told apart, since the cure differs.
pub(crate) fn on_file(path: &Path, action: &str, error: &Error) -> JournalError {
    if is_full(error) {
        JournalError::Full { path: path.to_owned() }
    } else {
        JournalError::Io { action: format!("{action} {}", path.display()), reason: error.to_string() }
    }
}

/// Whether the device (or the user's quota) has no room left.
pub(crate) fn is_full(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
