//! What the clouds share: secrets, credentials, one HTTP client, its pace and its retries.
//!
//! Nothing here knows a service. Nothing here prints, logs or stores a secret: read [`secret`] first. [`client`] puts
//! the rest together: one call is paced ([`rate`]), signed with the corrected time ([`skew`]), sent ([`http`]), and
//! repeated where that is safe ([`retry`], by what a [`fault`] means); of long answers only what matters is kept ([`picked`]). Time and chance come from a [`world::World`].

pub mod client;
pub mod codes;
pub mod credentials;
pub mod encode;
pub mod fault;
pub mod handle;
pub mod host;
pub mod http;
pub(crate) mod locked;
pub mod picked;
pub mod providers;
pub mod proxy;
pub mod rate;
pub mod retry;
pub mod secret;
pub mod skew;
pub mod world;
pub mod xml;
