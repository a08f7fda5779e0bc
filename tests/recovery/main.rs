//! What survives: kill -9 of controllers and of their tasks' supervisors, of samplers and daemons under load, and a full disk.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../http/client.rs"]
mod client;
#[allow(dead_code, reason = "its own client is for other tests")]
#[path = "../http/daemon.rs"]
mod daemon;

mod archive;
mod ask_tell;
mod cloud;
mod dlc;
mod full;
mod kill;
mod maxcompute;
mod serve;
