//! Drives one sampler over JSON lines, in memory: what benchmarks need of `retrial ask-tell`, with nothing
//! around it that costs time.
//!
//! `ask_tell ask-tell --spec FILE --seed N`, then one request per line on standard input, such as
//! `{"ask":{"count":1}}` and `{"tell":{"id":0,"value":0.5}}`; of an objective with several metrics `{"tell":{"id":0,"value":0.5,
//! "metrics":[0.5,12.0]}}`, all of them in the order in which the objective names them.

use engine::id::TrialId;
use engine::ports::early_stop::Verdict;
use engine::ports::sampler::{Observation, Problem, Proposal, TrialResult};
use engine::space::SearchSpace;
use engine::spec::{Parts, Surroundings};
use engine::value::Point;
use retrial_samplers::Tried;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::Arc;

type Fault = Box<dyn Error>;

fn main() -> Result<(), Fault> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--version") {
        writeln!(std::io::stdout(), "ask_tell {}", env!("CARGO_PKG_VERSION"))?;
        return Ok(());
    }
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let file = option("--spec").ok_or("--spec FILE is missing")?;
    let spec: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let seed = option("--seed").map_or(Ok(0), |text| text.parse())?;
    serve(&spec, seed)
}

fn wrong(errors: Vec<engine::error::SpecError>) -> String {
    errors.into_iter().map(|error| error.to_string()).collect::<Vec<_>>().join("\n")
}

fn problem(spec: &Value, seed: u64) -> Result<Problem, Fault> {
    let space = SearchSpace::parse(&spec["space"], spec.get("constraints"), "space").map_err(wrong)?;
    let parts = Parts::of(spec, Surroundings::default());
    let objective = parts.objective.ok_or("the objective has mistakes")?;
    let goal = objective.goal;
    let most = spec["budget"]["trials"].as_u64().unwrap_or(u64::from(u32::MAX)) as u32;
    Ok(Problem {
        seed,
        trials: Some(most),
        concurrency: spec["budget"]["concurrency"].as_u64().unwrap_or(1) as u32,
        noisy: objective.noisy,
        outcomes: Arc::new(objective.outcomes),
        cost_budget: spec["budget"]["cost"].as_f64(),
        gain: spec["budget"]["gain"].as_f64(),
        ..Problem::new(Arc::new(space), goal)
    })
}

fn serve(spec: &Value, seed: u64) -> Result<(), Fault> {
    let problem = problem(spec, seed)?;
    let (goal, most) = (problem.goal, problem.trials.unwrap_or(u32::MAX));
    let (name, arguments) = named(&spec["sampler"]).unwrap_or(("auto".to_owned(), Value::Null));
    let mut sampler = retrial_samplers::sampler(&name, &arguments, &problem, "sampler").map_err(wrong)?;
    let mut early_stop = match named(&spec["early_stop"]) {
        Some((name, arguments)) => {
            Some(retrial_samplers::early_stop(&name, &arguments, goal, "early_stop").map_err(wrong)?)
        }
        None => None,
    };
    let mut trials: Vec<Point> = Vec::new();
    let mut best: Option<(u32, f64)> = None;
    let mut ended: Vec<(u32, f64, Vec<f64>)> = Vec::new();
    let mut stopped: BTreeSet<u32> = BTreeSet::new();
    let mut curves: BTreeMap<u32, BTreeMap<u64, f64>> = BTreeMap::new();
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let answer = if let Some(ask) = request.get("ask") {
            let mut given = Vec::new();
            for _ in 0..ask["count"].as_u64().unwrap_or(1) {
                let trial = TrialId(trials.len() as u32);
                if trial.0 >= most {
                    break;
                }
                let Proposal::Point { point, memo, parent } = sampler.suggest(trial) else { break };
                sampler.observe(Observation::Suggested { trial, point: &point, memo: &memo });
                let parent = parent.map(|parent| parent.0);
                given.push(json!({"id": trial.0, "params": problem.space.to_json(&point), "parent": parent}));
                trials.push(point);
            }
            json!({"trials": given})
        } else if let Some(tell) = request.get("tell") {
            let id = tell["id"].as_u64().ok_or("a tell without an id")? as u32;
            let value = tell["value"].as_f64();
            let result = match value {
                _ if stopped.contains(&id) => TrialResult::Stopped(value),
                Some(value) => TrialResult::Value(value),
                None => TrialResult::Failed,
            };
            let metrics = tell["metrics"].as_array().into_iter().flatten().filter_map(Value::as_f64);
            let metrics: Vec<f64> = metrics.collect();
            let curve: Vec<(u64, f64)> = curves.remove(&id).unwrap_or_default().into_iter().collect();
            if !curve.is_empty() {
                sampler.reported(TrialId(id), &curve);
            }
            sampler.observe(Observation::Ended { trial: TrialId(id), result, metrics: &metrics });
            if let TrialResult::Value(value) = result {
                ended.push((id, value, metrics));
                ended.sort_by_key(|(id, ..)| *id);
            }
            if let Some(rule) = &mut early_stop {
                rule.ended(TrialId(id), result);
            }
            if let TrialResult::Value(value) = result
                && best.is_none_or(|(_, best)| goal.better(value, best))
            {
                best = Some((id, value));
            }
            json!({"ok": true})
        } else if let Some(report) = request.get("report") {
            let id = TrialId(report["id"].as_u64().ok_or("a report without an id")? as u32);
            let (step, value) = (report["step"].as_u64().unwrap_or(0), report["value"].as_f64());
            curves.entry(id.0).or_default().extend(value.map(|value| (step, value)));
            let verdict = early_stop.as_mut().map_or(Verdict::Continue, |rule| {
                rule.reported(id, step, value.unwrap_or(f64::NAN));
                rule.judge(id)
            });
            let stop = verdict != Verdict::Continue;
            if stop {
                stopped.insert(id.0);
            }
            json!({"decision": if stop { "stop" } else { "continue" }})
        } else if request.get("recommend").is_some() {
            let tried = ended.iter().filter_map(|(id, value, metrics)| {
                let point = trials.get(*id as usize)?;
                Some(Tried { trial: TrialId(*id), point, value: *value, metrics })
            });
            let found = retrial_samplers::recommend(&problem, &tried.collect::<Vec<_>>());
            json!(found.map(|found| json!({"id": found.trial.0, "expected": found.expected, "sd": found.sd})))
        } else {
            match best.and_then(|(id, value)| Some((id, value, trials.get(id as usize)?))) {
                Some((id, value, point)) => {
                    json!({"id": id, "params": problem.space.to_json(point), "value": value})
                }
                None => json!({"error": {"code": "no_result", "message": "no trial has a value yet"}}),
            }
        };
        writeln!(output, "{answer}")?;
    }
    Ok(())
}

/// `tpe`, or `{tpe: {seed: 7}}`.
fn named(value: &Value) -> Option<(String, Value)> {
    match value {
        Value::String(name) => Some((name.clone(), Value::Null)),
        Value::Object(map) => map.iter().next().map(|(name, arguments)| (name.clone(), arguments.clone())),
        _ => None,
    }
}
