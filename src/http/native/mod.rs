//! The native API, `/v1`: everything that the command line can do, and what workers need.

mod act;
mod aside;
mod ask;
mod audit;
mod candid;
mod experiments;
mod feed;
mod jobs;
mod labels;
mod pages;
mod place;
mod records;
mod results;
mod schema;
mod service;
mod table;
mod trials;

pub use aside::Aside;
pub use pages::Pages;
pub use place::History;
pub(super) use place::{PATTERN, is_place};
pub use table::operations;

use super::reach::{perform, seen, trial};
