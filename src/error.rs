//! What a person sees when something does not work, and the exit code that a script sees. One table for both.

use crate::runtime::dispatcher::{Fatal, Refused};
use engine::error::{Rejection, SpecError};
use engine::ports::journal::JournalError;
use serde_json::json;

/// The exit codes of every command.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// Failed.
    pub const FAILED: u8 = 1;
    /// Wrong usage or an invalid experiment file.
    pub const USAGE: u8 = 2;
    /// The experiment ended without a successful trial.
    pub const NO_SUCCESS: u8 = 3;
    /// The history is damaged.
    pub const CORRUPT: u8 = 4;
    /// Another process holds the store.
    pub const BUSY: u8 = 75;
    /// Interrupted.
    pub const INTERRUPTED: u8 = 130;
}

/// Why a command ended early: the thing, the place, the cure.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: u8,
    /// The error number, such as `E0400`, if there is one.
    pub code: Option<String>,
    /// What went wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub cure: String,
    /// Single mistakes.
    pub details: Vec<SpecError>,
    /// A finished text to print instead, for example with source lines.
    pub rendered: Option<String>,
}

impl Failure {
    /// A failure with a cure.
    pub fn new(exit: u8, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            exit,
            code: None,
            message: message.into(),
            cure: cure.into(),
            details: Vec::new(),
            rendered: None,
        }
    }

    /// The text for a terminal.
    pub fn text(&self) -> String {
        if let Some(rendered) = &self.rendered {
            return rendered.clone();
        }
        let code = self.code.as_ref().map_or(String::new(), |code| format!("[{code}]"));
        let mut text = format!("error{code}: {}\n", self.message);
        for detail in &self.details {
            text.push_str(&format!("  - `{}`: {} [{}]\n", detail.path, detail.message, detail.code));
            if !detail.cure.is_empty() {
                text.push_str(&format!("    help: {}\n", detail.cure));
            }
        }
        if !self.cure.is_empty() {
            text.push_str(&format!("  = help: {}\n", self.cure));
        }
        text
    }

    /// The same for programs.
    pub fn json(&self) -> serde_json::Value {
        let details: Vec<_> = self
            .details
            .iter()
            .map(|detail| {
                json!({"code": detail.code.to_string(), "path": detail.path, "message": detail.message, "help": detail.cure})
            })
            .collect();
        json!({"error": {"code": self.code, "message": self.message, "help": self.cure, "details": details}})
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self {
            code: Some(rejection.code.to_string()),
            details: rejection.details,
            ..Self::new(exit::FAILED, rejection.message, rejection.cure)
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let (exit, code, cure) = match &error {
            JournalError::Busy { .. } => (
                exit::BUSY,
                crate::codes::STORE_BUSY,
                "wait until that process ends, or give another store with --store; commands that only read, and stop, \
                 pause, resume, retry, enqueue and update, work meanwhile",
            ),
            JournalError::Corrupt { .. } => (
                exit::CORRUPT,
                crate::codes::STORE_CORRUPT,
                "`retrial audit export FILE --up-to SEQ` saves everything before the damage; `retrial audit verify` \
                 shows all of it",
            ),
            JournalError::Newer { .. } => (
                exit::FAILED,
                crate::codes::STORE_NEWER,
                "use the version of retrial that wrote it, or a newer one",
            ),
            JournalError::Full { .. } => (
                exit::FAILED,
                crate::codes::STORE_FULL,
                "make room on the device and repeat the command: nothing that was acknowledged is lost, and running \
                 trials are taken over again",
            ),
            JournalError::Io { .. } | JournalError::Poisoned { .. } => (
                exit::FAILED,
                crate::codes::STORE_IO,
                "check the device and the folder's permissions, then repeat the command: nothing that was \
                 acknowledged is lost",
            ),
            JournalError::Refused { .. } => {
                (exit::FAILED, crate::codes::STORE_IO, "this is an error of the program: please report it")
            }
        };
        Self { code: Some(code.to_string()), ..Self::new(exit, error.to_string(), cure) }
    }
}

impl From<Fatal> for Failure {
    fn from(fatal: Fatal) -> Self {
        match fatal {
            Fatal::Journal(error) => error.into(),
            Fatal::Replay(error) => Self {
                code: Some(crate::codes::REPLAY.to_string()),
                ..Self::new(
                    exit::CORRUPT,
                    error.to_string(),
                    "`retrial audit verify` tells whether the history was changed",
                )
            },
            Fatal::Search(..) => Self {
                code: Some(crate::codes::SEARCH.to_string()),
                ..Self::new(
                    exit::FAILED,
                    fatal.to_string(),
                    "use the version of retrial that began the experiment",
                )
            },
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Rejected(rejection) => rejection.into(),
            Refused::Fatal(fatal) => fatal.into(),
        }
    }
}

impl From<crate::runtime::shell::Gone> for Failure {
    fn from(gone: crate::runtime::shell::Gone) -> Self {
        Self::new(exit::FAILED, gone.to_string(), "")
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(exit::FAILED, error.to_string(), "")
    }
}
