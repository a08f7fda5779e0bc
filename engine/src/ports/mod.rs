//! What the core needs of the world, as traits: other crates implement them, the root package wires them.

pub mod backend;
pub mod early_stop;
pub mod journal;
pub mod sampler;
