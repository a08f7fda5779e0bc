//! Alibaba Cloud PAI-DLC: trials as DLC jobs, through its `OpenAPI` of 2020-12-03.
//!
//! Read [`backend`] first, or [`api`] for the operations. Below it, [`protocol`] and [`signature`] say how a request looks and who sent it.
//! [`config`] is what the experiment file says, [`body`] what becomes of it, [`name`] how a job is found again, and
//! [`status`] what a job's status means.

mod advice;
pub mod api;
pub mod backend;
pub mod body;
pub mod config;
pub mod endpoint;
mod evidence;
mod failure;
mod fields;
mod flags;
pub mod handle;
pub mod lenient;
pub mod logs;
pub mod model;
pub mod name;
pub mod protocol;
pub mod query;
mod reconcile;
pub mod regions;
mod rules;
mod schema;
mod search;
pub mod setup;
pub mod signature;
pub mod status;
pub mod submit_line;
mod sweep;
mod sweeper;
mod templates;
mod words;

pub use backend::DlcBackend;
pub use config::{check_config, check_metric};
pub use fields::secret_variables;

#[cfg(test)]
mod body_tests;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod submit_line_tests;
