//! The daemon's HTTP APIs: the native one below `/v1`, and that of PAI `AutoML`. Begin with [`server`].
//!
//! Nothing here decides anything: requests become commands of the engine, answers are views of its state.

pub mod access;
mod intake;
pub mod listen;
mod naming;
mod native;
mod openapi;
mod operation;
mod pace;
mod pai;
mod problem;
mod reach;
pub mod server;
mod signature;

pub use native::History;
