//! The DLC backend against the simulated service, in time that passes only when somebody waits.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod logs;
mod never_twice;
mod port;
mod stage;
mod storage;
mod watching;
