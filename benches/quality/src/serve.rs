//! Offers one problem to a program in another language: one request and one answer per line.

use crate::problem::Problem;
use crate::progress::Progress;
use crate::race;
use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::io::{BufRead, Write};

/// `{"params": {...}}` asks for the value without noise; with `seed` and `trial` it is the value of that trial. Where trials
/// have several metrics, `{"ended": [...]}` tells those of a trial that has ended, and asks how far the run has come.
#[derive(Deserialize)]
#[serde(untagged)]
enum Request {
    Point { params: Json, seed: Option<u64>, trial: Option<u32> },
    Ended { ended: Vec<f64> },
}

/// Writes the problem, then answers until the input ends.
pub(crate) fn serve(problem: &Problem, input: impl BufRead, mut output: impl Write) -> Result<()> {
    let about = json!({
        "name": problem.name, "class": problem.class, "noisy": problem.noisy,
        "space": problem.form, "objective": {"goal": "minimize"},
        "plain": problem.is_plain(), "objectives": problem.outcomes.goals.len().max(1),
        "bounds": problem.outcomes.constraints.iter().map(|constraint| constraint.bound).collect::<Vec<f64>>()
    });
    writeln!(output, "{about}")?;
    output.flush()?;
    let mut progress = Progress::default();
    for line in input.lines() {
        let answer =
            answer(problem, &mut progress, &line?).unwrap_or_else(|e| json!({"error": format!("{e:#}")}));
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn answer(problem: &Problem, progress: &mut Progress, line: &str) -> Result<Json> {
    let (params, noise) = match serde_json::from_str(line).context("no request")? {
        Request::Ended { ended } => return Ok(json!({"reached": progress.add(problem, &ended)})),
        Request::Point { params, seed, trial } => (params, seed.zip(trial)),
    };
    let point = problem
        .space
        .from_json(&params, "params")
        .map_err(|errors| anyhow!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    let metrics = problem.metrics(&point, noise.map(|(seed, trial)| race::noise(seed, trial)))?;
    let mut answer = json!({"value": metrics.first()});
    if !problem.is_plain() {
        answer["metrics"] = json!(metrics);
    }
    if let Some((seed, trial)) = noise {
        answer["took"] = json!(race::duration(seed, trial));
    }
    Ok(answer)
}
