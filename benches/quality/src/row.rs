//! One run as a line of JSON, and files of them.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;

/// How many trials each entry of [`Row::cpu_us`] covers.
pub(crate) const BLOCK: u32 = 10;

/// What one run of one solver found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) solver: String,
    pub(crate) problem: String,
    pub(crate) class: String,
    pub(crate) seed: u64,
    /// How many trials were asked for.
    pub(crate) trials: u32,
    /// How many ran at once.
    pub(crate) concurrency: u32,
    /// Whenever the best trial changed: how many had ended by then, and its value without noise.
    pub(crate) curve: Vec<(u32, f64)>,
    /// CPU time of the solver per trial, in microseconds: the mean of each [`BLOCK`] of trials.
    pub(crate) cpu_us: Vec<f64>,
    /// Points that had been proposed before.
    pub(crate) duplicates: u32,
}

impl Row {
    /// The value of the best trial after so many had ended.
    pub(crate) fn best(&self, trials: u32) -> Option<f64> {
        self.curve.iter().take_while(|(ended, _)| *ended <= trials).last().map(|(_, value)| *value)
    }

    /// What tells runs apart.
    pub(crate) fn key(&self) -> (String, String, u64, u32, u32) {
        (self.solver.clone(), self.problem.clone(), self.seed, self.trials, self.concurrency)
    }
}

/// The rows of files. `NAME=FILE` puts `NAME:` before the solvers of a file, so that two versions can be compared.
pub(crate) fn read(files: &[String]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for file in files {
        let (prefix, path) = match file.split_once('=') {
            Some((name, path)) => (format!("{name}:"), path),
            None => (String::new(), file.as_str()),
        };
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        for (number, line) in (1..).zip(text.lines()) {
            let mut row: Row =
                serde_json::from_str(line).with_context(|| format!("{path}, line {number} is no row"))?;
            row.solver.insert_str(0, &prefix);
            rows.push(row);
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_value_is_that_of_the_last_change_so_far() {
        let text = r#"{"solver":"tpe","problem":"p","class":"c","seed":1,"trials":9,"concurrency":1,
            "curve":[[2,5.0],[4,3.0]],"cpu_us":[1.5],"duplicates":0}"#;
        let row: Row = serde_json::from_str(text).unwrap();
        assert_eq!(
            [1, 2, 3, 4, 9].map(|at| row.best(at)),
            [None, Some(5.0), Some(5.0), Some(3.0), Some(3.0)]
        );
    }
}
