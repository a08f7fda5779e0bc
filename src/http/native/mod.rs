//! The native API, `/v1`: everything that the command line can do, and what workers need.

mod act;
mod ask;
mod experiments;
mod feed;
mod jobs;
mod pages;
mod schema;
mod service;
mod table;
mod trials;

pub use pages::Pages;
pub use table::operations;

use super::reach::{perform, seen, trial};
