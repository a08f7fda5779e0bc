//! A simulator that runs, and what its owner can ask of it.

use super::control::Call;
use super::instance::Instance;
use super::limits;
use super::refusal::Refusal;
use super::script::Script;
use super::server::{self, Shared};
use super::warehouse::Warehouse;
use crate::clock;
use crate::serving::{self, Serving, StartError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError};

/// Why a simulator does not start, or does not take a table.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The script's clock.
    #[error("standing_clock is not a time such as 2026-01-01T00:00:00Z: {0}")]
    Clock(String),
    /// Its address.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The embedded database.
    #[error("failed to make a warehouse: {0}")]
    Warehouse(String),
    /// There is no such project.
    #[error("there is no project {0}: the script's `projects` list it")]
    NoProject(String),
    /// A file cannot be made a table.
    #[error("failed to read {0} as a table: {1}")]
    Table(String, String),
}

/// A simulator that runs until it is dropped.
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
        let shared = Shared::new(script, standing.transpose()?);
        let shared = Arc::new(shared.map_err(|failure| Error::Warehouse(failure.0))?);
        let own = Arc::clone(&shared);
        let serving =
            Serving::start(listen, limits::WORKERS, |listener| server::serve(own, listener), || {})?;
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

    /// Where clients reach it.
    pub fn endpoint(&self) -> String {
        format!("http://{}/api", self.address())
    }

    /// Calls the simulator's own interface, such as `control("POST", "faults", &json!([...]))`: see
    /// [`control`](super::control).
    pub fn control(&self, method: &str, path: &str, body: &Value) -> Result<Value, Refusal> {
        let segments: Vec<&str> = path.split('/').collect();
        self.shared.control(method, &segments, body.to_string().as_bytes())
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

    /// What makes instances unique, where more than one instance began its work under it.
    pub fn duplicates(&self) -> BTreeMap<String, Vec<String>> {
        self.shared.present().0.world.duplicates()
    }

    /// Looks at its instances.
    pub fn instances<T>(&self, look: impl FnOnce(&[Instance]) -> T) -> T {
        look(self.shared.present().0.world.instances())
    }

    /// Looks at a project's tables and models, or changes them.
    pub fn warehouse<T>(&self, project: &str, look: impl FnOnce(&mut Warehouse) -> T) -> Result<T, Error> {
        let found = self.shared.present().0.world.warehouse(project).cloned();
        let warehouse = found.ok_or_else(|| Error::NoProject(project.to_owned()))?;
        let mut open = warehouse.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(look(&mut open))
    }

    /// Makes a table of a CSV file: see [`Warehouse::load`].
    pub fn load(&self, project: &str, table: &str, file: &Path) -> Result<(), Error> {
        let now_ms = self.shared.present().1;
        self.warehouse(project, |warehouse| warehouse.load(table, file, now_ms))?
            .map_err(|error| Error::Table(file.display().to_string(), error))
    }
}
