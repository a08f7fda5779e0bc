//! The one place where the core meets the world.
//!
//! ```text
//! command -> decide -> apply -> append -> (durable) -> answer the caller, start effects -> answers -> command ...
//! ```
//!
//! [`dispatcher::Dispatcher`] owns the state and the journal, [`executor::Executor`] turns effects into calls of backends and
//! their answers into commands. Both are synchronous and read no clock, so that a simulation can drive them;
//! [`shell`] gives them threads, time and real backends. Recovery is the same code: what is due is due again.
//!
//! The state runs ahead of the disk by what the journal has not synced yet. Nothing of that is visible outside: answers and
//! effects wait for the durable watermark, and if a sync fails the process ends without having told anybody.

pub mod call;
mod complaints;
pub mod dispatcher;
pub mod executor;
#[cfg(test)]
mod executor_tests;
#[cfg(test)]
mod isolation_tests;
pub mod limits;
#[cfg(test)]
mod limits_tests;
mod polls;
mod reads;
pub mod search;
#[cfg(test)]
mod search_tests;
pub mod shell;
#[cfg(test)]
mod shell_tests;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod take_tests;
pub mod watch;
pub mod window;
#[cfg(test)]
mod window_tests;

pub use complaints::Trouble;
