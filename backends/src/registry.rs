//! Backends by their names in the experiment file: which there are, and whether their settings can be used.

use crate::codes;
use crate::local::{self, LocalBackend, check_config, supervisor_command};
use crate::suggest;
use engine::error::SpecError;
use engine::ports::backend::Backend;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// The names that this version can run.
pub const AVAILABLE: &[&str] = &["local"];
/// The names that an experiment file may hold and that this version cannot run.
pub const PLANNED: &[&str] = &["dlc", "maxcompute", "ray", "slurm", "kubernetes"];

/// What backends need of the program that they run in.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The directory below which local tasks have their files.
    pub runs: PathBuf,
}

/// Checks the part of an experiment file for one backend. `path` is where it stands, such as `run.local`; all
/// mistakes are given at once.
pub fn check(name: &str, config: &Value, path: &str) -> Vec<SpecError> {
    match name {
        "local" => check_config(config, path),
        other => vec![unknown(other, path)],
    }
}

/// Checks what depends on where this program runs, for settings that [`check`] has found right.
pub fn check_surroundings(name: &str, config: &Value, path: &str) -> Vec<SpecError> {
    if name == "local" { local::check_surroundings(config, path) } else { Vec::new() }
}

/// Makes a backend.
pub fn build(name: &str, surroundings: &Surroundings) -> Result<Arc<dyn Backend>, SpecError> {
    match name {
        "local" => Ok(Arc::new(LocalBackend::new(&surroundings.runs, supervisor_command()))),
        other => Err(unknown(other, "run")),
    }
}

fn unknown(name: &str, path: &str) -> SpecError {
    if PLANNED.contains(&name) {
        return SpecError::key(
            codes::UNAVAILABLE_BACKEND,
            path,
            format!("the backend `{name}` is not available in this version"),
            format!("available: {}", AVAILABLE.join(", ")),
        );
    }
    let all = [AVAILABLE, PLANNED].concat();
    SpecError::key(
        codes::UNKNOWN_BACKEND,
        path,
        format!("there is no backend `{name}`"),
        suggest::cure(name, &all),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_available_planned_or_unknown_with_a_suggestion() {
        assert!(check("local", &Value::Null, "run.local").is_empty());
        assert_eq!(check("dlc", &Value::Null, "run.dlc")[0].code, codes::UNAVAILABLE_BACKEND);
        let strange = &check("locla", &Value::Null, "run.locla")[0];
        assert_eq!((strange.code, strange.cure.as_str()), (codes::UNKNOWN_BACKEND, "did you mean `local`?"));
        let surroundings = Surroundings { runs: PathBuf::from("runs") };
        assert_eq!(build("local", &surroundings).unwrap().name(), "local");
        assert!(build("slurm", &surroundings).is_err());
    }
}
