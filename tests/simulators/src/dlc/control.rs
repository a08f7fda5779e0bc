//! The simulator's own interface, under `/simulator`: what tests look at and change while it runs.
//!
//! | call | does |
//! |---|---|
//! | `GET state` | the time, all jobs with their states, and how many calls came |
//! | `GET calls` | every call, the oldest first |
//! | `GET duplicates?tag=KEY` | the values of a tag under which several jobs ran and were not stopped |
//! | `POST faults` | adds a list of faults; `DELETE faults` removes all |
//! | `POST clock` | `{"advance_ms": N}` moves the clock |
//! | `POST accounts` | replaces the list of accounts |
//! | `POST rules` | adds a list of rules in front of the others |
//! | `POST rate` | replaces the bound of the rate of calls; `null` lifts it |
//! | `POST jobs/ID` | `{"phases": [...], "lines": [...]}` lets a job go on otherwise, and its pods write lines |

use super::gate::Gate;
use super::job::Job;
use super::refusal::Refusal;
use super::script::{Account, Phase, Rate, Rule};
use super::world::World;
use crate::clock::text;
use crate::fault::Fault;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// A call that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The operation.
    pub operation: String,
    /// The job it was about, or that it created.
    pub job: Option<String>,
    /// What was decided: `ok`, or the code of an error.
    pub outcome: String,
    /// Whether it took effect.
    pub acted: bool,
    /// Whether a fault hit it.
    pub fault: bool,
}

/// What the simulator is made of.
#[derive(Debug)]
pub struct Parts {
    /// The jobs.
    pub world: World,
    /// The gateway.
    pub gate: Gate,
    /// The calls, the oldest first; the oldest are forgotten beyond a bound.
    pub calls: VecDeque<Call>,
}

#[derive(Deserialize)]
struct Advance {
    advance_ms: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default)]
    phases: Vec<Phase>,
    #[serde(default)]
    lines: Vec<String>,
}

/// Answers a call; the second value is by how much the clock is to be moved, in milliseconds.
pub fn act(
    parts: &mut Parts,
    method: &str,
    path: &[&str],
    query: &BTreeMap<String, String>,
    body: &[u8],
    now_ms: i64,
) -> Result<(Value, i64), Refusal> {
    let done = || Ok((json!({}), 0));
    match (method, path) {
        ("GET", ["state"]) => Ok((state(parts, now_ms), 0)),
        ("GET", ["calls"]) => Ok((json!(parts.calls), 0)),
        ("GET", ["duplicates"]) => {
            let tag = query.get("tag").ok_or_else(|| Refusal::parameter("tag is missing"))?;
            Ok((json!(parts.world.duplicates(tag)), 0))
        }
        ("POST", ["faults"]) => {
            parts.gate.faults.extend(parsed::<Vec<Fault>>(body)?);
            done()
        }
        ("DELETE", ["faults"]) => {
            parts.gate.faults.clear();
            done()
        }
        ("POST", ["clock"]) => Ok((json!({}), parsed::<Advance>(body)?.advance_ms)),
        ("POST", ["accounts"]) => {
            parts.gate.accounts = parsed::<Vec<Account>>(body)?;
            done()
        }
        ("POST", ["rules"]) => {
            let mut rules = parsed::<Vec<Rule>>(body)?;
            rules.append(&mut parts.world.script.rules);
            parts.world.script.rules = rules;
            done()
        }
        ("POST", ["rate"]) => {
            parts.gate.set_rate(parsed::<Option<Rate>>(body)?);
            done()
        }
        ("POST", ["jobs", id]) => {
            let change: Change = parsed(body)?;
            for pod in &mut parts.world.job_mut(id)?.pods {
                for line in &change.lines {
                    pod.write(now_ms, line.clone());
                }
            }
            if !change.phases.is_empty() {
                parts.world.redirect(id, change.phases, now_ms)?;
            }
            done()
        }
        _ => Err(Refusal::not_found("this call of the simulator")),
    }
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::parameter(error.to_string()))
}

fn state(parts: &Parts, now_ms: i64) -> Value {
    let mut counts: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for call in &parts.calls {
        *counts.entry(&call.operation).or_default().entry(&call.outcome).or_default() += 1;
    }
    json!({
        "now": text(Some(now_ms)),
        "jobs": parts.world.jobs().iter().map(job).collect::<Vec<_>>(),
        "calls": counts,
        "early_calls": parts.gate.early,
        "faults_left": parts.gate.faults,
    })
}

fn job(job: &Job) -> Value {
    let steps: Vec<Value> = job.steps.iter().map(|step| json!([step.phase.status, step.start_ms])).collect();
    json!({
        "JobId": job.id,
        "DisplayName": job.asked("DisplayName"),
        "Status": job.status(),
        "Tags": job.tags,
        "Steps": steps,
        "Restarts": job.restarts,
        "StopAsked": job.stop_asked_ms,
        "Deleted": job.deleted,
    })
}
