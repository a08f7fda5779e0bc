//! Trials for workers anywhere: ask, tell, report, renew.
//!
//! A worker holds a trial by a lease. When the lease has run out another worker may take the trial over, and from then on
//! nothing counts that the first one says of it; until then its late results count.

use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::reach::{owned, trial};
use crate::http::server::{App, Undone};
use crate::runtime::dispatcher::Holder;
use crate::runtime::shell::now;
use axum::http::StatusCode;
use engine::command::Command;
use engine::event::v1::ReportPoint;
use engine::id::{AttemptNo, ExperimentId};
use engine::limits::MAX_NAME_CHARS;
use engine::spec::Objective;
use engine::state::{Experiment, Trial};
use engine::time::{Span, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most trials that are given at once.
pub(super) const MAX_COUNT: u32 = 1_000;
/// The longest lease, in seconds: a week.
pub(super) const MAX_LEASE_SECONDS: u64 = 7 * 86_400;
/// Most characters of a request's name; a number is added to it.
pub(super) const MAX_REQUEST_CHARS: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asking {
    #[serde(default = "one")]
    count: u32,
    worker: Option<String>,
    #[serde(default)]
    request_id: String,
    #[serde(default = "minute")]
    lease_seconds: u64,
}

const fn one() -> u32 {
    1
}

const fn minute() -> u64 {
    60
}

/// When a lease of so many seconds ends.
fn until(seconds: u64) -> Result<Timestamp, Problem> {
    if (1..=MAX_LEASE_SECONDS).contains(&seconds) {
        return Ok(now().after(Span::from_secs(seconds)));
    }
    let message = format!("`lease_seconds` is no whole number from 1 to {MAX_LEASE_SECONDS}");
    Err(Problem::bad_request(message, "renew the lease while the trial runs"))
}

/// The experiment, if it is one whose trials workers run.
fn for_workers(experiment: &Experiment) -> Result<ExperimentId, Problem> {
    if experiment.spec.run.is_none() {
        return Ok(experiment.id);
    }
    Err(Problem::coded(
        StatusCode::CONFLICT,
        engine::decide::codes::NOT_BY_CLIENT,
        format!("the daemon runs the trials of {} itself", experiment.id),
        "leave `run` out of an experiment whose trials workers ask for",
    ))
}

/// `POST /v1/experiments/{experiment}/ask`
pub(super) async fn ask(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let Asking { count, worker, request_id, lease_seconds } = asked.json()?;
    let too_long = |text: &str, most: usize| text.chars().count() > most;
    if !(1..=MAX_COUNT).contains(&count)
        || too_long(&request_id, MAX_REQUEST_CHARS)
        || worker.as_deref().is_some_and(|worker| too_long(worker, MAX_NAME_CHARS))
    {
        let message = format!(
            "`count` is from 1 to {MAX_COUNT}, `request_id` has at most {MAX_REQUEST_CHARS} characters and `worker` {MAX_NAME_CHARS}"
        );
        return Err(Problem::bad_request(message, "ask for less at once"));
    }
    let until = until(lease_seconds)?;
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    let worker = worker.unwrap_or_else(|| who.name.clone());
    let given = app.act(&asked.who, move |dispatcher, _| {
        let id = for_workers(owned(dispatcher.state(), &who, &wanted)?)?;
        let mut trials = Vec::new();
        for number in 0..count {
            // A repeated request is given the trials that it was given before.
            let request =
                if request_id.is_empty() { String::new() } else { format!("{request_id}#{number}") };
            let Some(trial) =
                dispatcher.take(id, Holder { worker: worker.clone(), request, until }, now())?
            else {
                break;
            };
            let experiment = dispatcher.state().experiment(id);
            trials.extend(experiment.and_then(|known| Some(given(known, known.trial(trial)?))));
        }
        let status = dispatcher.state().experiment(id).map(|experiment| experiment.status.as_str());
        Ok(json!({"trials": trials, "status": status}))
    });
    Ok(Reply::json(&given.await?))
}

fn given(experiment: &Experiment, trial: &Trial) -> Value {
    json!({
        "trial": trial.id.0,
        "params": experiment.spec.space.to_json(&trial.point),
        "attempt": trial.lease.as_ref().map_or(0, |lease| lease.number),
        "lease_until_ms": trial.lease.as_ref().map_or(0, |lease| lease.until.0),
    })
}

/// The metrics of an objective in their order, from a single value or by name.
fn values(
    objective: &Objective,
    value: Option<f64>,
    named: Option<&BTreeMap<String, f64>>,
) -> Result<Vec<f64>, Problem> {
    let names: Vec<&str> = objective.metrics.iter().map(|metric| metric.name.as_str()).collect();
    let wrong = |message: String| {
        let code = engine::decide::codes::NOT_FINITE;
        Problem::coded(
            StatusCode::UNPROCESSABLE_ENTITY,
            code,
            message,
            format!("its metrics are {}", names.join(", ")),
        )
    };
    match (value, named) {
        (Some(value), None) if names.len() == 1 => Ok(vec![value]),
        (Some(_), None) => {
            Err(wrong(format!("the objective has {} metrics, and one value is given", names.len())))
        }
        (None, Some(named)) => {
            if let Some(strange) = named.keys().find(|name| !names.contains(&name.as_str())) {
                return Err(wrong(format!("the objective has no metric `{strange}`")));
            }
            let value =
                |name: &&str| named.get(*name).copied().ok_or_else(|| wrong(format!("`{name}` is missing")));
            names.iter().map(value).collect()
        }
        (None, None) => Err(wrong("no value is given".to_owned())),
        (Some(_), Some(_)) => Err(wrong("`value` and `values` are both given".to_owned())),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Telling {
    attempt: u32,
    value: Option<f64>,
    values: Option<BTreeMap<String, f64>>,
    #[serde(default)]
    failed: bool,
}

/// `POST /v1/experiments/{experiment}/trials/{trial}/tell`
pub(super) async fn tell(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let Telling { attempt, value, values: named, failed } = asked.json()?;
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    let number = asked.part("trial").to_owned();
    let told = app.act(&asked.who, move |dispatcher, name| {
        let experiment = owned(dispatcher.state(), &who, &wanted)?;
        let id = for_workers(experiment)?;
        let trial = trial(experiment, &number)?.id;
        let values = match (failed, value.is_none() && named.is_none()) {
            (true, true) => None,
            (true, false) => {
                let cure = "leave one of them out";
                return Err(Problem::bad_request("a trial that has failed has no value", cure).into());
            }
            (false, _) => Some(values(&experiment.spec.objective, value, named.as_ref())?),
        };
        let command = Command::TellTrial { experiment: id, trial, lease: Some(attempt), values };
        dispatcher.execute_by(name, &command, now())?;
        Ok(())
    });
    told.await?;
    Ok(Reply::json(&json!({"ok": true})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reporting {
    attempt: u32,
    step: u64,
    value: Option<f64>,
    values: Option<BTreeMap<String, f64>>,
}

/// `POST /v1/experiments/{experiment}/trials/{trial}/report`
pub(super) async fn report(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let Reporting { attempt, step, value, values: named } = asked.json()?;
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    let number = asked.part("trial").to_owned();
    let attempt = AttemptNo(attempt);
    let answer = app.act(&asked.who, move |dispatcher, name| {
        let experiment = owned(dispatcher.state(), &who, &wanted)?;
        let id = for_workers(experiment)?;
        let trial = trial(experiment, &number)?;
        let (number, current) = (trial.id, trial.reporter());
        if attempt != current {
            return Err(fenced(trial, attempt, current).into());
        }
        let values = values(&experiment.spec.objective, value, named.as_ref())?;
        let before = trial.reported(attempt);
        // A step that was reported before is one whose answer was lost.
        let known = trial.reports.iter().rev().any(|report| report.attempt == attempt && report.step == step);
        if !known {
            let points = vec![ReportPoint { step, values, last: false }];
            let first = u32::try_from(before).unwrap_or(u32::MAX);
            let command = Command::ReportMetrics { experiment: id, trial: number, attempt, first, points };
            dispatcher.execute_by(name, &command, now())?;
            dispatcher.judge(now()).map_err(Undone::Fatal)?;
        }
        let after = dispatcher.state().experiment(id).and_then(|experiment| experiment.trial(number));
        // A trial keeps so many reports and no more; what it is worth going on for is judged by those.
        let kept = known || after.is_some_and(|trial| trial.reported(attempt) > before);
        let stops = after.is_none_or(|trial| trial.stopping.is_some() || trial.status.is_ended());
        Ok(json!({"decision": if stops { "stop" } else { "continue" }, "kept": kept}))
    });
    Ok(Reply::json(&answer.await?))
}

fn fenced(trial: &Trial, attempt: AttemptNo, current: AttemptNo) -> Problem {
    Problem::coded(
        StatusCode::CONFLICT,
        engine::decide::codes::FENCED,
        format!("trial {} is run under the lease {current}, and this is from {attempt}", trial.id),
        "another worker has taken the trial over: give it up, and ask for another one",
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Renewing {
    attempt: u32,
    #[serde(default = "minute")]
    lease_seconds: u64,
}

/// `POST /v1/experiments/{experiment}/trials/{trial}/renew`
pub(super) async fn renew(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let Renewing { attempt, lease_seconds } = asked.json()?;
    let until = until(lease_seconds)?;
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    let number = asked.part("trial").to_owned();
    let renewed = app.act(&asked.who, move |dispatcher, name| {
        let experiment = owned(dispatcher.state(), &who, &wanted)?;
        let id = for_workers(experiment)?;
        let trial = trial(experiment, &number)?;
        let number = trial.id;
        let worker = trial.lease.as_ref().map(|lease| lease.worker.clone()).unwrap_or_default();
        let command = Command::LeaseTrial {
            experiment: id,
            trial: number,
            lease: attempt,
            worker,
            request: String::new(),
            until,
        };
        dispatcher.execute_by(name, &command, now())?;
        let trial = dispatcher.state().experiment(id).and_then(|experiment| experiment.trial(number));
        Ok(trial.and_then(|trial| trial.lease.as_ref()).map_or(until, |lease| lease.until))
    });
    Ok(Reply::json(&json!({"ok": true, "lease_until_ms": renewed.await?.0})))
}
