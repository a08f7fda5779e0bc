//! Alibaba Cloud PAI-DLC: trials as DLC jobs, through its `OpenAPI` of 2020-12-03.
//!
//! Read [`signature`] for how a request proves who sent it.

pub mod endpoint;
pub mod signature;
