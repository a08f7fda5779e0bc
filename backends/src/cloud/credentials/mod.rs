//! Who the program is for a cloud: access keys, and where they come from.
//!
//! Read [`Credentials`] first, then [`chain`] for where they are looked for and [`refreshing`] for how they stay valid.
//! Secrets are never logged, journaled or put into an error. An experiment names credentials by a [`Choice`].

mod answer;
pub mod chain;
mod choice;
mod cli_profile;
pub mod codes;
mod credentials_file;
mod error;
pub mod fetch;
mod metadata;
mod program;
pub mod refreshing;
mod source;
mod sts;
mod surroundings;
mod web;

pub use answer::Grant;
pub use chain::{Candidate, Place, Survey, survey};
pub use choice::{Choice, RoleChoice};
pub use refreshing::Refreshing;
pub use source::tail;
pub use surroundings::Surroundings;
pub use web::Web;

use crate::cloud::secret::Secret;
use async_trait::async_trait;
use engine::error::Code;

/// An access key, with the token that goes with it if it is a temporary one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Names the key; not a secret by itself, and sent with each request.
    pub access_key_id: String,
    /// Signs requests; never sent.
    pub access_key_secret: Secret<String>,
    /// The session's token of a temporary key.
    pub security_token: Option<Secret<String>>,
}

/// Why there are no usable credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CredentialsError {
    /// The kind of mistake.
    pub code: Code,
    /// What could not be had, and from where; without secrets.
    pub message: String,
    /// What to do about it.
    pub cure: String,
}

/// Where credentials come from.
#[async_trait]
pub trait Provider: Send + Sync + std::fmt::Debug {
    /// Credentials that are valid now.
    async fn get(&self) -> Result<Credentials, CredentialsError>;

    /// Fetches them anew, because the service has refused those of the last [`Provider::get`].
    async fn refresh(&self) -> Result<Credentials, CredentialsError>;
}

/// The same credentials for ever, such as those given explicitly.
#[async_trait]
impl Provider for Credentials {
    async fn get(&self) -> Result<Credentials, CredentialsError> {
        Ok(self.clone())
    }

    async fn refresh(&self) -> Result<Credentials, CredentialsError> {
        Ok(self.clone())
    }
}
