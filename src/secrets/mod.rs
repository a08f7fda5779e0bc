//! Secrets of a store, sealed: tokens and keys that experiments name as `secret:NAME` and never hold.
//!
//! Nothing here writes a secret anywhere but into a sealed file, and nothing gives one away but [`Vault::open`], as a
//! [`Secret`]. Read [`Vault`] first.

mod lift;
mod seal;
mod unneeded;
mod vault;

pub use lift::{Lifted, MASK, lift, restore};
pub use unneeded::{at_stake, forget, forget_after, forgotten, leave};
pub use vault::{DERIVED, KEY_VARIABLE, Kept, Vault};

use crate::codes;
use crate::error::{Failure, exit};
use backends::cloud::secret::{Sealed, Secret};
use engine::error::Code;
use std::path::Path;
use std::sync::Arc;

/// How an experiment names a secret.
pub use backends::cloud::secret::SEALED_PREFIX as PREFIX;

/// Why a secret cannot be kept or had. Repeats no part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SecretError {
    /// The kind of mistake.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub cure: &'static str,
}

impl SecretError {
    fn new(code: Code, message: impl Into<String>, cure: &'static str) -> Self {
        Self { code, message: message.into(), cure }
    }

    /// A file or a folder that cannot be read or written.
    fn of_file(path: &Path, what: &str, error: &std::io::Error) -> Self {
        let message = format!("{} cannot be {what}: {error}", path.display());
        Self::new(codes::SECRETS_FILE, message, "make the folder of secrets this user's own")
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        let exit = if error.code == codes::BAD_SECRET { exit::USAGE } else { exit::FAILED };
        Self { code: Some(error.code.to_string()), ..Self::new(exit, error.message, error.cure) }
    }
}

/// How backends get at the secrets of a store. Nothing is read before one is asked for.
pub fn sealed(store: &Path) -> Sealed {
    let vault = Vault::of(store);
    Sealed::new(Arc::new(move |name: &str| -> Result<Secret<String>, String> {
        vault.open(name).map_err(|error| format!("{error}; {}", error.cure))
    }))
}
