//! `export`: an experiment's trials for other programs.

use super::args::Common;
use super::output;
use super::source::Source;
use crate::error::{Failure, exit};
use crate::views::export::{Format, text};
use serde_json::json;
use std::path::Path;

/// Writes the trials of an experiment to a file whose ending says the format.
pub fn export(common: &Common, exp: &str, file: &Path) -> Result<u8, Failure> {
    let source = Source::open(common, exp)?;
    let experiment = source.experiment()?;
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    let text = text(experiment, Format::named(&ending)?)?;
    replace(file, &text)?;
    if common.json {
        output::json(&json!({"ok": true, "file": file, "trials": experiment.trials.len()}))?;
    } else {
        output::line(&format!("{} trials written to {}", experiment.trials.len(), file.display()))?;
    }
    Ok(exit::DONE)
}

/// Writes a file whole or not at all.
fn replace(file: &Path, text: &str) -> Result<(), Failure> {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    let part = Path::new(&name);
    let failed = |error: std::io::Error| {
        Failure::new(exit::FAILED, format!("failed to write {}: {error}", file.display()), "")
    };
    std::fs::write(part, text).map_err(failed)?;
    std::fs::rename(part, file).map_err(failed)
}
