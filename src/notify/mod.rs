//! Notifications: who is told of the ends, failures, pauses and new best trials of experiments.
//!
//! They follow from the history: [`courier`] reads what has become durable from a cursor on, puts what is to be told into
//! an [`outbox`] on disk, and sends from there, so that a crash loses none and may send one twice. Nothing here is waited
//! for by the engine, and no failure reaches it.

mod courier;
mod message;
mod outbox;
mod target;

pub use courier::Courier;
pub use outbox::{looked_at, moved};
