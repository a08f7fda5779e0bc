//! The pure core of Retrial: what an experiment is, and what happens to it.
//!
//! Nothing in this crate touches a file, a clock, the network or a source of randomness, and nothing
//! iterates over an unordered map: the same events always give the same state, bit for bit.

pub mod command;
pub mod decide;
pub mod effect;
pub mod envelope;
pub mod error;
pub mod event;
pub mod id;
pub mod limits;
pub mod ports;
pub mod space;
pub mod spec;
pub mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod value;
