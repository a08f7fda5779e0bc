//! Offers one problem to a program in another language: one request and one answer per line.

use crate::problem::Problem;
use crate::race;
use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::io::{BufRead, Write};

/// `{"params": {...}}` asks for the value without noise; with `seed` and `trial` it is the value of that trial.
#[derive(Deserialize)]
struct Request {
    params: Json,
    seed: Option<u64>,
    trial: Option<u32>,
}

/// Writes the problem, then answers until the input ends.
pub(crate) fn serve(problem: &Problem, input: impl BufRead, mut output: impl Write) -> Result<()> {
    let about = json!({
        "name": problem.name, "class": problem.class, "noisy": problem.noisy,
        "space": problem.form, "objective": {"goal": "minimize"}
    });
    writeln!(output, "{about}")?;
    output.flush()?;
    for line in input.lines() {
        let answer = answer(problem, &line?).unwrap_or_else(|e| json!({"error": format!("{e:#}")}));
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn answer(problem: &Problem, line: &str) -> Result<Json> {
    let request: Request = serde_json::from_str(line).context("no request")?;
    let point = problem
        .space
        .from_json(&request.params, "params")
        .map_err(|errors| anyhow!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    let Some((seed, trial)) = request.seed.zip(request.trial) else {
        return Ok(json!({"value": problem.value(&point, None)?}));
    };
    let value = problem.value(&point, Some(race::noise(seed, trial)))?;
    Ok(json!({"value": value, "took": race::duration(seed, trial)}))
}
