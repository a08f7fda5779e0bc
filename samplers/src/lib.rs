//! Samplers and early stopping: what is tried next, and what is not worth going on with.
//!
//! Everything here is a deterministic function of what it is handed: no clock, no file, no unordered map, no
//! randomness but the [`stream::Stream`]s that are named by seed, trial and purpose, and no transcendental
//! function whose bits differ between machines. Read [`recipe`] first: it turns a name and its arguments into a
//! [`engine::ports::sampler::Sampler`] or an [`engine::ports::early_stop::EarlyStop`].

pub mod anneal;
mod arguments;
pub mod auto;
mod axis;
pub mod cma_es;
pub mod codes;
mod design;
pub mod early_stop;
pub mod evolution;
mod feasible;
pub mod forest;
pub mod gp;
pub mod grid;
pub mod importance;
pub mod math;
pub mod nsga;
mod outcome;
pub mod pbt;
mod prior;
pub mod random;
pub mod recipe;
mod replicated;
mod search;
pub mod sobol;
pub mod stream;
pub mod tpe;
pub mod unique;

pub use gp::{Recommendation, Tried, recommend};
pub use recipe::{early_stop, sampler};
pub use search::{Found, Search};
