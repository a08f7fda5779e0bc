//! How a [`CredentialsError`] is made: with a number, a place and a cure, and never with a secret.

use super::{CredentialsError, codes};
use engine::error::Code;

impl CredentialsError {
    pub(super) fn new(code: Code, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { code, message: message.into(), cure: cure.into() }
    }

    /// Settings that are incomplete or cannot be read.
    pub(super) fn settings(message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::new(codes::BAD_SETTINGS, message, cure)
    }

    /// A service that did not answer, or not as it should.
    pub(super) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(codes::UNREACHABLE, message, "check the network and the proxy settings of this machine")
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        self.code == codes::UNREACHABLE
    }
}
