//! The daemon as its clients see it: the real program serves a store, and is spoken to over HTTP.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

mod archive;
mod audit;
mod client;
mod daemon;
mod elsewhere;
mod events;
mod forgotten;
mod generated;
mod life;
mod limits;
mod native;
mod pai;
mod removed;
mod secrets;
mod slow;
mod tls;
mod traces;
mod troubles;
mod users;
mod workers;

#[path = "../simulators/tests/support/official.rs"]
mod official;
#[path = "../support/mod.rs"]
mod support;
