//! An experiment's trials for other programs.

use super::present;
use crate::error::{Failure, exit};
use engine::state::Experiment;
use serde_json::Value;

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A table with a row for each trial (RFC 4180).
    Csv,
    /// All that is known.
    Json,
}

impl Format {
    /// By its name, which is also the ending of a file.
    pub fn named(name: &str) -> Result<Self, Failure> {
        match name {
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            other => Err(Failure::new(
                exit::USAGE,
                format!("the format `{other}` is not known"),
                "give a file that ends in .csv or .json",
            )),
        }
    }
}

/// The trials of an experiment.
pub fn text(experiment: &Experiment, format: Format) -> Result<String, Failure> {
    match format {
        Format::Csv => table(&rows(experiment)),
        Format::Json => {
            let mut value = present::detail(experiment);
            let trials = experiment.trials.iter().map(|trial| present::trial(experiment, trial)).collect();
            if let Some(object) = value.as_object_mut() {
                object.remove("trials");
                object.insert("counts".to_owned(), present::counts(experiment));
                object.insert("trials".to_owned(), Value::Array(trials));
            }
            Ok(format!("{value:#}\n"))
        }
    }
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
