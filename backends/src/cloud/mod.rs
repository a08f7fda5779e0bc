//! What the clouds share: secrets, credentials, one HTTP client, its pace and its retries.
//!
//! Nothing here knows a service. Nothing here prints, logs or stores a secret: read [`secret`] first.

pub mod codes;
pub mod credentials;
pub mod secret;
