//! Alibaba Cloud MaxCompute (ODPS): trials as MaxCompute instances, through its interface over HTTP.

pub mod endpoint;
pub mod signature;
