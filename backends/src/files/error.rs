//! Why a file elsewhere could not be read, listed or written.

use super::codes;
use engine::error::Code;
use engine::ports::backend::ReadError;

/// A failure with its place and its cure; holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {place}: {message}; {cure}")]
pub struct FileError {
    /// The kind of failure.
    pub code: Code,
    /// The address.
    pub place: String,
    /// What is wrong, with the storage's own words and the id of the request if there are any.
    pub message: String,
    /// What to do about it.
    pub cure: String,
}

impl FileError {
    /// A failure whose place is not known yet.
    pub(super) fn new(code: Code, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { code, place: String::new(), message: message.into(), cure: cure.into() }
    }

    /// The same at a place.
    pub(super) fn at(mut self, place: &(impl ToString + ?Sized)) -> Self {
        self.place = place.to_string();
        self
    }
}

impl From<FileError> for ReadError {
    fn from(error: FileError) -> Self {
        if error.code == codes::ABSENT {
            return Self::Absent(error.place);
        }
        Self::Failed {
            reason: format!("{}: {}; {}", error.code, error.message, error.cure),
            what: error.place,
        }
    }
}
