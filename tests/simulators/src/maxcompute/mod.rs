//! A simulator of `MaxCompute` (its REST protocol, SQL and some of PAI's algorithms), as far as Retrial uses it.
//!
//! [`Simulator`] is one that runs; [`Script`] is what it is told to do. How an instance lives is in `world.rs`, what each
//! call does in `service.rs`, what stands before it (signature, time, rate, faults) in `gate.rs`, what tests can look at
//! and change in [`control`], the tables in [`warehouse`], and the algorithms in [`pai`].
//!
//! It knows nothing of Retrial. Where the service's documents say nothing, it does the least surprising thing, and the
//! place says so. It keeps everything in memory.

mod catalogue;
pub mod control;
pub mod definition;
mod gate;
pub mod instance;
pub mod limits;
mod listing;
pub mod pai;
mod picture;
pub mod refusal;
mod reply;
pub mod script;
mod server;
mod service;
pub mod signature;
mod simulator;
pub mod sql;
mod storage;
pub mod submission;
pub mod table;
pub mod tunnel;
pub mod warehouse;
pub mod world;
pub mod xml;

pub use control::Call;
pub use refusal::Refusal;
pub use script::Script;
pub use simulator::{Error, Simulator};
