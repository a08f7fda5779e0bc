//! A simulator of PAI-DLC (`OpenAPI` version 2020-12-03), as far as Retrial uses it.
//!
//! [`Simulator`] is one that runs; [`Script`] is what it is told to do. How a job lives is in `job.rs`, what each call
//! does in `service.rs`, what stands before it (signature, time, nonce, rate, faults) in `gate.rs`, and what tests can
//! look at and change in [`control`].
//!
//! It knows nothing of Retrial. Where the service's documents say nothing, it does the least surprising thing, and the
//! place says so. It must never be reachable from other machines: whoever has its key can let it run commands.

pub mod control;
mod gate;
pub mod job;
pub mod limits;
mod listing;
mod mount;
mod picture;
pub mod pod;
mod process;
pub mod refusal;
pub mod script;
mod server;
mod service;
pub mod signature;
pub mod world;

pub use crate::wire;
pub use control::Call;
pub use refusal::Refusal;
pub use script::Script;
pub use service::operation;

use crate::clock;
use crate::serving::{self, Serving, StartError};
use serde_json::{Value, json};
use server::Shared;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The script's clock.
    #[error("standing_clock is not a time such as 2026-01-01T00:00:00Z: {0}")]
    Clock(String),
    /// Its address.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// A simulator that runs until it is dropped; processes of its jobs end with it.
#[derive(Debug)]
pub struct Simulator {
    serving: Serving,
    shared: Arc<Shared>,
}

impl Simulator {
    /// Starts one on an address of this machine; with port 0 the system chooses the port.
    pub fn start(script: Script, listen: SocketAddr) -> Result<Self, Error> {
        let standing = script
            .standing_clock
            .as_deref()
            .map(|text| clock::parse(text).ok_or_else(|| Error::Clock(text.to_owned())));
        let shared = Arc::new(Shared::new(script, standing.transpose()?));
        let (serving, ending) = (Arc::clone(&shared), Arc::clone(&shared));
        let serving = Serving::start(
            listen,
            serving::WORKERS,
            |listener| server::serve(serving, listener),
            move || process::end_all(&ending),
        )?;
        Ok(Self { serving, shared })
    }

    /// Starts one on a free port of 127.0.0.1.
    pub fn anywhere(script: Script) -> Result<Self, Error> {
        Self::start(script, serving::anywhere())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// Calls the simulator's own interface, such as `control("POST", "faults", &json!([...]))`: see [`control`].
    pub fn control(&self, method: &str, path: &str, body: &Value) -> Result<Value, Refusal> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let segments: Vec<&str> = path.split('/').collect();
        let wire = wire::Wire { query: query.to_owned(), ..wire::Wire::default() };
        let query: BTreeMap<String, String> = wire.pairs().into_iter().collect();
        self.shared.control(method, &segments, &query, body.to_string().as_bytes())
    }

    /// Moves its clock, in milliseconds.
    pub fn advance(&self, by_ms: i64) {
        // There is nothing in it that could be refused.
        let _ = self.control("POST", "clock", &json!({"advance_ms": by_ms}));
    }

    /// The calls that came, the oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.present().0.calls.iter().cloned().collect()
    }

    /// The values of a tag under which more than one job reached `Running` and was not asked to stop.
    pub fn duplicates(&self, tag: &str) -> BTreeMap<String, Vec<String>> {
        self.shared.present().0.world.duplicates(tag)
    }

    /// Looks at its jobs.
    pub fn jobs<T>(&self, look: impl FnOnce(&[job::Job]) -> T) -> T {
        look(self.shared.present().0.world.jobs())
    }
}
