//! Retrial: hyperparameter tuning that never loses a trial.
//!
//! This crate wires the pure [`engine`] to its journal, samplers and backends. Start with [`runtime`]; [`cli`] is
//! what people type, [`spec_file`] reads their experiment files.

mod audit;
mod checks;
mod cleaning;
pub mod cli;
pub mod codes;
mod columns;
pub mod error;
pub mod http;
mod labels;
pub mod metrics;
pub mod notify;
mod past;
mod requests;
pub mod runtime;
pub mod secrets;
pub mod spec_file;
pub mod telemetry;
pub mod traces;
pub mod views;

use backends::registry::{self, AVAILABLE, Surroundings};
use engine::ports::backend::Backend;
use error::Failure;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Backends by their names.
pub type Backends = BTreeMap<String, Arc<dyn Backend>>;

/// The backends that this program can use with a store.
pub fn backends_of(store: &Path) -> Result<Backends, Failure> {
    let store = std::path::absolute(store)?;
    let surroundings = Surroundings { runs: store.join("runs"), sealed: secrets::sealed(&store) };
    let mut backends = BTreeMap::new();
    for name in AVAILABLE {
        let backend = registry::build(name, &surroundings).map_err(|error| Failure {
            code: Some(error.code.to_string()),
            ..Failure::new(error::exit::FAILED, error.message, error.cure)
        })?;
        backends.insert((*name).to_owned(), backend);
    }
    Ok(backends)
}
