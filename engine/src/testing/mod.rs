//! What tests of several crates share: one conformance suite per port, and histories to feed them.
//!
//! Behind the feature `testing`; never part of a released program.

pub mod backend;
pub mod driver;
pub mod early_stop;
pub mod history;
pub mod journal;
pub mod moves;
pub mod sampler;
