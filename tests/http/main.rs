//! The daemon as its clients see it: the real program serves a store, and is spoken to over HTTP.

mod daemon;
mod pai;

#[path = "../simulators/tests/support/official.rs"]
mod official;
#[path = "../support/mod.rs"]
mod support;
