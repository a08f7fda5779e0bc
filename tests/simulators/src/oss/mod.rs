//! A simulator of OSS, Alibaba Cloud's object storage (version 2019-05-17), as far as Retrial and its jobs use it.
//!
//! [`Simulator`] is one that runs; [`Script`] is what it is told to do. What each call does is in `service.rs`, what
//! stands before it (signature, time, token, permissions, faults) in `gate.rs`, and where objects are in [`store`].
//!
//! It knows nothing of Retrial. Where the service's documents say nothing, it does the least surprising thing, and the
//! place says so. It listens on this machine only.

mod gate;
mod listing;
mod refusal;
mod reply;
pub mod script;
mod server;
mod service;
pub mod signature;
mod simulator;
pub mod store;

pub use refusal::Refusal;
pub use script::{Bucket, Script};
pub use server::Call;
pub use service::Target;
pub use simulator::Simulator;
