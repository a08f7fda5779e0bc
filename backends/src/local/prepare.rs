//! Making an attempt's directory ready for its first task.

use super::layout::{CHECKPOINT, PARAMS, WORK};
use crate::template::{self, MAX_TEMPLATE_BYTES};
use engine::ports::backend::{TaskOrder, TemplateFile};
use std::fs;
use std::io;
use std::path::Path;

/// Why an attempt's directory could not be made ready.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrepareError {
    /// A mistake in the order: the same order never works.
    #[error("{0}")]
    Order(String),
    /// The machine is in no state for it now (a full disk, for example).
    #[error("failed to write {what}: {source}")]
    Machine {
        /// What.
        what: String,
        /// Why.
        source: io::Error,
    },
}

/// Makes the directories, the parameters file and what comes of templates. It may be repeated.
pub(super) fn prepare(attempt: &Path, workdir: &Path, order: &TaskOrder) -> Result<(), PrepareError> {
    let machine = |what: &Path| {
        let what = what.display().to_string();
        move |source| PrepareError::Machine { what, source }
    };
    for dir in [WORK, CHECKPOINT] {
        let dir = attempt.join(dir);
        fs::create_dir_all(&dir).map_err(machine(&dir))?;
    }
    for template in &order.templates {
        make(template, workdir, &order.bindings)?;
    }
    let params = attempt.join(PARAMS);
    let text = serde_json::to_vec(&order.params).map_err(|error| PrepareError::Order(error.to_string()))?;
    write(&params, &text).map_err(machine(&params))
}

/// Writes a file so that it is seen either whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".tmp");
    fs::write(&draft, bytes)?;
    fs::rename(&draft, path)
}

fn make(file: &TemplateFile, workdir: &Path, bindings: &[(String, String)]) -> Result<(), PrepareError> {
    let source = Path::new(&file.source);
    let read = |error: io::Error| {
        PrepareError::Order(format!(
            "failed to read the template {}: {error}; `${{spec_dir}}` names the experiment file's folder",
            source.display()
        ))
    };
    if fs::metadata(source).map_err(read)?.len() > MAX_TEMPLATE_BYTES {
        let message = format!("the template {} is larger than {MAX_TEMPLATE_BYTES} bytes", source.display());
        return Err(PrepareError::Order(message));
    }
    let text = fs::read_to_string(source).map_err(read)?;
    let target = workdir.join(&file.target);
    let machine = |source| PrepareError::Machine { what: target.display().to_string(), source };
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(machine)?;
    }
    write(&target, template::fill(&text, bindings).as_bytes()).map_err(machine)
}
