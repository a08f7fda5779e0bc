//! The MaxCompute backend against the simulated service, which runs SQL and algorithms for real.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod many;
mod metrics;
mod never_twice;
mod port;
mod stage;
