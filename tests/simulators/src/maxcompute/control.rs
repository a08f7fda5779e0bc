//! The simulator's own interface, under `/simulator`: what tests look at and change while it runs.
//!
//! | call | does |
//! |---|---|
//! | `GET state` | the time, all instances with their states, and how many calls came |
//! | `GET calls` | every call, the oldest first |
//! | `GET duplicates` | each `Guid` under which several instances began their work |
//! | `POST faults` | adds a list of faults; `DELETE faults` removes all |
//! | `POST clock` | `{"advance_ms": N}` moves the clock |
//! | `POST accounts` | replaces the list of accounts |
//! | `POST rules` | adds a list of rules in front of the others |
//! | `POST instances/ID` | `{"running_ms": N}` lets an instance run for another time |

use super::gate::Gate;
use super::instance::Instance;
use super::refusal::Refusal;
use super::script::{Account, Rule};
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
    /// The instance, table or model it was about, or the instance that it created or found.
    pub object: Option<String>,
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
    /// The instances and warehouses.
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
struct Change {
    running_ms: i64,
}

/// Answers a call; the second value is by how much the clock is to be moved, in milliseconds.
pub fn act(
    parts: &mut Parts,
    method: &str,
    path: &[&str],
    body: &[u8],
    now_ms: i64,
) -> Result<(Value, i64), Refusal> {
    match (method, path) {
        ("GET", ["state"]) => return Ok((state(parts, now_ms), 0)),
        ("GET", ["calls"]) => return Ok((json!(parts.calls), 0)),
        ("GET", ["duplicates"]) => return Ok((json!(parts.world.duplicates()), 0)),
        ("POST", ["faults"]) => parts.gate.faults.extend(parsed::<Vec<Fault>>(body)?),
        ("DELETE", ["faults"]) => parts.gate.faults.clear(),
        ("POST", ["clock"]) => return Ok((json!({}), parsed::<Advance>(body)?.advance_ms)),
        ("POST", ["accounts"]) => parts.gate.accounts = parsed::<Vec<Account>>(body)?,
        ("POST", ["rules"]) => {
            let mut rules = parsed::<Vec<Rule>>(body)?;
            rules.append(&mut parts.world.script.rules);
            parts.world.script.rules = rules;
        }
        ("POST", ["instances", id]) => {
            let Change { running_ms } = parsed(body)?;
            if !parts.world.run_for(id, running_ms, now_ms) {
                return Err(Refusal::not_found("Instance", id));
            }
        }
        _ => return Err(Refusal::not_found("Call of the simulator", &path.join("/"))),
    }
    Ok((json!({}), 0))
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::parameter(&error.to_string()))
}

fn state(parts: &Parts, now_ms: i64) -> Value {
    let mut counts: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for call in &parts.calls {
        *counts.entry(&call.operation).or_default().entry(&call.outcome).or_default() += 1;
    }
    json!({
        "now": text(Some(now_ms)),
        "instances": parts.world.instances().iter().map(instance).collect::<Vec<_>>(),
        "calls": counts,
        "early_calls": parts.gate.early,
        "faults_left": parts.gate.faults,
    })
}

fn instance(instance: &Instance) -> Value {
    json!({
        "id": instance.id,
        "project": instance.project,
        "guid": instance.submission.guid,
        "job_name": instance.submission.job_name,
        "kind": instance.submission.kind(),
        "status": instance.status.task(),
        "created_ms": instance.created_ms,
        "begun_ms": instance.begun_ms,
        "ended_ms": instance.ended_ms,
        "starts": instance.starts,
        "terminated": instance.stops_ms.is_some(),
    })
}
