//! Alibaba Cloud PAI-DLC: trials as DLC jobs, through its `OpenAPI` of 2020-12-03.
//!
//! Read [`api`] first: the operations. Below it, [`protocol`] and [`signature`] say how a request looks and who sent it.

pub mod api;
pub mod endpoint;
pub mod lenient;
pub mod model;
pub mod protocol;
pub mod query;
pub mod signature;
