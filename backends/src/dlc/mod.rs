//! Alibaba Cloud PAI-DLC: trials as DLC jobs, through its `OpenAPI` of 2020-12-03.
//!
//! Read [`api`] first: the operations. Below it, [`protocol`] and [`signature`] say how a request looks and who sent it.
//! [`config`] is what the experiment file says, [`body`] what becomes of it, [`name`] how a job is found again, and
//! [`status`] what a job's status means.

pub mod api;
pub mod body;
pub mod config;
pub mod endpoint;
mod fields;
mod flags;
pub mod lenient;
pub mod logs;
pub mod model;
pub mod name;
pub mod protocol;
pub mod query;
mod rules;
mod schema;
pub mod signature;
pub mod status;
pub mod submit_line;
mod words;

#[cfg(test)]
mod body_tests;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod submit_line_tests;
