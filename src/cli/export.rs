//! `export`: an experiment's trials for other programs.

use super::args::Common;
use super::{output, store};
use crate::error::{Failure, exit};
use crate::views::{find, present};
use engine::state::Experiment;
use serde_json::{Value, json};
use std::path::Path;

/// Writes the trials of an experiment to a file whose ending says the format.
pub fn export(common: &Common, exp: &str, file: &Path) -> Result<u8, Failure> {
    let state = store::read(common)?;
    let experiment = find::find(&state, exp)?;
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    let text = match ending.as_str() {
        "csv" => table(&rows(experiment))?,
        "json" => {
            let mut value = present::detail(experiment);
            let trials = experiment.trials.iter().map(|trial| present::trial(experiment, trial)).collect();
            if let Some(object) = value.as_object_mut() {
                object.remove("trials");
                object.insert("counts".to_owned(), present::counts(experiment));
                object.insert("trials".to_owned(), Value::Array(trials));
            }
            format!("{value:#}\n")
        }
        other => {
            return Err(Failure::new(
                exit::USAGE,
                format!("the format `{other}` is not known"),
                "give a file that ends in .csv or .json",
            ));
        }
    };
    replace(file, &text)?;
    if common.json {
        output::json(&json!({"ok": true, "file": file, "trials": experiment.trials.len()}))?;
    } else {
        output::line(&format!("{} trials written to {}", experiment.trials.len(), file.display()))?;
    }
    Ok(exit::DONE)
}

/// Writes a file whole or not at all.
pub fn replace(file: &Path, text: &str) -> Result<(), Failure> {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    let part = Path::new(&name);
    let failed = |error: std::io::Error| {
        Failure::new(exit::FAILED, format!("failed to write {}: {error}", file.display()), "")
    };
    std::fs::write(part, text).map_err(failed)?;
    std::fs::rename(part, file).map_err(failed)
}

fn rows(experiment: &Experiment) -> Vec<Vec<String>> {
    let metrics: Vec<String> = match experiment.spec.objective.metrics.as_slice() {
        [_] => Vec::new(),
        several => several.iter().map(|metric| metric.name.clone()).collect(),
    };
    let mut names: Vec<String> = Vec::new();
    for leaf in experiment.spec.space.leaves() {
        if !names.contains(&leaf.name) {
            names.push(leaf.name.clone());
        }
    }
    let mut head: Vec<String> = ["trial", "status", "value"].map(str::to_owned).to_vec();
    head.extend(metrics.iter().map(|name| format!("metric.{name}")));
    head.extend(names.iter().map(|name| format!("param.{name}")));
    head.extend(["attempts", "suggested_ms", "ended_ms", "reason"].map(str::to_owned));
    let several = experiment.spec.objective.outcomes.is_multi();
    let mut rows = vec![head];
    for trial in &experiment.trials {
        let bindings = experiment.spec.space.bindings(&trial.point);
        let mut cells = vec![
            trial.id.to_string(),
            trial.status.to_string(),
            // The first of several objectives is not the trial's value.
            trial.value.filter(|_| !several).map_or(String::new(), |value| value.to_string()),
        ];
        for place in 0..metrics.len() {
            cells.push(trial.metrics.get(place).map_or(String::new(), ToString::to_string));
        }
        for name in &names {
            let value = bindings.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            cells.push(value.unwrap_or_default());
        }
        cells.push(trial.attempts.len().to_string());
        cells.push(trial.suggested.0.to_string());
        cells.push(trial.ended.map_or(String::new(), |time| time.0.to_string()));
        cells.push(trial.reason.clone());
        rows.push(cells);
    }
    rows
}

/// Rows by RFC 4180.
fn table(rows: &[Vec<String>]) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(exit::FAILED, format!("failed to write the table: {error}"), "")
    };
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).map_err(|error| failed(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_with_a_comma_or_a_quote_is_quoted() {
        let cells = ["a", "b,c", "d\"e"].map(str::to_owned);
        assert_eq!(table(&[cells.to_vec()]).unwrap(), "a,\"b,c\",\"d\"\"e\"\r\n");
    }
}
