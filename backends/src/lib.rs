//! Where tasks run: the backends, and what is read from the jobs that they run.
//!
//! This crate starts processes and reads files; it decides nothing. Whether a task is tried again, and what a
//! report means for its trial, is the engine's business. It must never start a task twice under one key: read
//! [`local`] first for how that is kept whatever is killed when.

pub mod cloud;
pub mod codes;
pub mod dlc;
pub mod fake;
pub mod files;
pub mod local;
pub mod maxcompute;
pub mod metrics;
mod protobuf;
pub mod registry;
pub mod shared;
mod suggest;
mod template;

pub use local::{LocalBackend, supervise_if_asked, supervisor_command};
pub use metrics::{Collector, MetricSource};
