//! What survives: kill -9 of controllers and of their tasks' supervisors, of samplers under load, and a full disk.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod ask_tell;
mod cloud;
mod dlc;
mod full;
mod kill;
mod maxcompute;
