//! Alibaba Cloud MaxCompute (ODPS): trials as MaxCompute instances, through its interface over HTTP.
//!
//! Read [`api`] first: the operations; [`watch`] puts them together. Below it, [`protocol`] and [`signature`] say how a
//! request looks and who sent it, [`job`] what is submitted, [`model`] what is answered, and [`fault`] what errors
//! mean. [`command`] makes what is submitted of a task's command, and [`result`] takes numbers from the rows of a query.

pub mod account;
mod advice;
pub mod api;
pub mod backend;
pub mod codes;
pub mod command;
pub mod config;
pub mod endpoint;
pub mod fault;
pub mod handle;
pub mod job;
pub mod model;
mod pai;
pub mod projects;
pub mod protocol;
mod query;
pub mod result;
pub mod settings;
pub mod signature;
mod text;
pub mod tunnel;
pub mod watch;

pub use backend::MaxComputeBackend;
