//! The program as people and scripts see it: what it prints, its JSON, its exit codes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod act;
mod archive;
mod ask_tell;
mod audit;
mod damage;
mod dlc;
mod errors;
mod importance;
mod interrupt;
mod json;
mod known;
mod look;
mod maxcompute;
mod metrics;
mod notify;
mod objectives;
mod population;
mod replicates;
mod retries;
mod run;
mod secret;
mod simulate;
mod storage;
mod tasks;
