//! Trials: list, look, stop, restart.

use super::config;
use super::request::{Page, answer, body, descending, experiment, invalid, text, word};
use crate::error::Failure;
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::reach::{kept, owned, perform, trial};
use crate::http::server::App;
use crate::requests::Request;
use crate::views::{figures, present};
use engine::command::Command;
use engine::event::v1::Origin;
use engine::id::{ExperimentId, TrialId};
use engine::spec::Objective;
use engine::state::{Experiment, State, Trial, TrialStatus};
use engine::time::Timestamp;
use serde_json::{Map, Value, json};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Most trials of one request.
const MAX_TRIALS: usize = 1_000;

/// The word for a status: the service has none for trials whose jobs vanished.
pub(super) const fn status(status: TrialStatus) -> &'static str {
    match status {
        TrialStatus::Lost => TrialStatus::Failed.as_str(),
        other => other.as_str(),
    }
}

/// `ListHpoTrials`
pub(super) async fn list(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (who, wanted) = (asked.who.clone(), experiment(&asked)?);
    let by_metric = word(&asked, "SortBy", &["CREATE_TIME", "FINAL_METRIC"])? == Some(1);
    let (descending, page) = (descending(&asked, false)?, Page::of(&asked)?);
    let shown = app.handle.query(move |state| {
        let found = kept(state, &who, &wanted)?;
        let objective = &found.spec.objective;
        let mut trials: Vec<&Trial> = found.trials.iter().collect();
        let turned = |order: Ordering| if descending { order.reverse() } else { order };
        trials.sort_by(|a, b| {
            let values = by_metric.then(|| (final_value(objective, a), final_value(objective, b)));
            let order = match values {
                None => Ordering::Equal,
                Some((Some(a), Some(b))) => turned(a.total_cmp(&b)),
                // Those without one come last in either order.
                Some((a, b)) => b.is_some().cmp(&a.is_some()),
            };
            order.then_with(|| turned(a.id.cmp(&b.id)))
        });
        let config = config::of(found);
        let shown = trials.into_iter().skip(page.skip).take(page.size);
        let shown: Vec<Value> = shown.map(|trial| described(found, trial, &config)).collect();
        Ok::<_, Problem>(json!({"Trials": shown, "TotalCount": found.trials.len()}))
    });
    Ok(answer(&asked, shown.await??))
}

/// `GetHpoTrial`
pub(super) async fn show(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (who, wanted) = (asked.who.clone(), experiment(&asked)?);
    let number = asked.part("TrialId").to_owned();
    let shown = app.handle.query(move |state| {
        let found = kept(state, &who, &wanted)?;
        Ok::<_, Problem>(described(found, trial(found, &number)?, &config::of(found)))
    });
    Ok(answer(&asked, shown.await??))
}

/// What a trial has reached in the end; several objectives have no one value.
fn final_value(objective: &Objective, trial: &Trial) -> Option<f64> {
    trial.value.filter(|_| trial.status == TrialStatus::Succeeded && !objective.outcomes.is_multi())
}

fn described(experiment: &Experiment, trial: &Trial, config: &Value) -> Value {
    let objective = &experiment.spec.objective;
    let params = experiment.spec.space.to_json(&trial.point);
    let space = config.get("search_space").unwrap_or(&Value::Null);
    let told = |value: f64, metrics: &[f64], kind: &str| {
        let mut point = metrics_of(objective, value, metrics);
        point.insert("type".to_owned(), json!(kind));
        Value::Object(point)
    };
    let reports = Trial::counted(&trial.reports).into_iter();
    let mut metric: Vec<Value> =
        reports.filter_map(|report| Some(told(report.value?, &report.metrics, "PERIODICAL"))).collect();
    metric.extend(final_value(objective, trial).map(|value| told(value, &trial.metrics, "FINAL")));
    let jobs = trial.attempts.last().into_iter().flat_map(|attempt| &attempt.tasks);
    let jobs: Vec<&str> = jobs.filter_map(|task| Some(task.handle.as_ref()?.0.as_str())).collect();
    let meta = json!({
        "nni_trial_id": trial.id.to_string(),
        "nni_exp_id": experiment.id.to_string(),
        "nni_trial_sequence_id": trial.id.0,
        "attempt": trial.attempts.len(),
        "jobs": jobs,
        "reason": trial.reason,
    });
    json!({
        "ExperimentId": experiment.id.to_string(),
        "FinalMetric": final_value(objective, trial).map(|value| json!(value).to_string()),
        "GmtCreateTime": figures::time(trial.suggested),
        "GmtModifiedTime": figures::time(modified(trial)),
        "Hyperparam": Value::Object(config::as_written(&params, space)).to_string(),
        "JobMeta": meta.to_string(),
        "Metric": Value::Array(metric).to_string(),
        "MetricName": "default",
        "Model": present::model(experiment, trial).unwrap_or_default(),
        "ParameterId": trial.id.0,
        "Status": status(trial.status),
        "TrialId": trial.id.to_string(),
        "UserComment": "",
        "UserScore": 0,
    })
}

/// `default` is the weighted sum; the single metrics stand beside it. Where there is only one, none are kept.
fn metrics_of(objective: &Objective, value: f64, metrics: &[f64]) -> Map<String, Value> {
    let mut told = Map::new();
    told.insert("default".to_owned(), json!(value));
    for (place, metric) in objective.metrics.iter().enumerate() {
        let alone = (objective.metrics.len() == 1 && metric.weight != 0.0).then(|| value / metric.weight);
        let single = metrics.get(place).copied().or(alone);
        told.extend(single.map(|single| (metric.name.clone(), json!(single))));
    }
    told
}

fn modified(trial: &Trial) -> Timestamp {
    let attempts = trial.attempts.iter().flat_map(|attempt| {
        attempt.tasks.iter().filter_map(|task| task.seen_running).chain([attempt.planned])
    });
    let reports = trial.reports.last().map(|report| report.time);
    attempts.chain(reports).chain(trial.ended).fold(trial.suggested, Timestamp::max)
}

/// The trials that a request names, as they are written.
fn named(body: &Map<String, Value>) -> Result<Vec<String>, Problem> {
    let wrong = || invalid(format!("`TrialIds` is no list of at most {MAX_TRIALS} texts"));
    match body.get("TrialIds") {
        None => Ok(Vec::new()),
        Some(Value::Array(ids)) if ids.len() <= MAX_TRIALS => ids
            .iter()
            .map(|id| match id {
                Value::String(id) => Ok(id.clone()),
                Value::Number(id) => Ok(id.to_string()),
                _ => Err(wrong()),
            })
            .collect(),
        Some(_) => Err(wrong()),
    }
}

/// `StopHpoTrials`
pub(super) async fn stop(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let ids = named(&body(&asked)?)?;
    let (_, results) =
        each(app, &asked, ids, |experiment, trials| Command::StopTrials { experiment, trials }).await?;
    let told = |(id, result): (String, Result<TrialId, String>)| {
        let text = match result {
            Ok(_) => "successfully stopped trial,".to_owned(),
            Err(why) => format!("failed to stop trial, {why}"),
        };
        (id, json!(text))
    };
    let results: Map<String, Value> = results.into_iter().map(told).collect();
    Ok(answer(&asked, json!({"Results": results})))
}

/// `RestartHpoTrials`
pub(super) async fn restart(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let body = body(&asked)?;
    let ids = named(&body)?;
    let points = points(&body)?;
    let results =
        if ids.is_empty() { enqueue(app, &asked, points).await? } else { retry(app, &asked, ids).await? };
    Ok(answer(&asked, json!({"Results": results})))
}

/// Tries the points of trials again.
async fn retry(app: &App, asked: &Asked, ids: Vec<String>) -> Result<Map<String, Value>, Problem> {
    let command = |experiment, trials| Command::RetryTrials { experiment, trials };
    let (id, results) = each(app, asked, ids, command).await?;
    let shown = app.handle.query(move |state| {
        let trials = state.experiment(id).map(|found| found.trials.as_slice()).unwrap_or_default();
        let told = |(id, result): (String, Result<TrialId, String>)| {
            let text = match result {
                Ok(of) => {
                    let again = trials.iter().rev().find(|trial| trial.retry_of == Some(of));
                    restarted(again.map(|trial| trial.id))
                }
                Err(why) => format!("failed to restart trial, {why}"),
            };
            (id, json!(text))
        };
        results.into_iter().map(told).collect()
    });
    Ok(shown.await?)
}

fn restarted(trial: Option<TrialId>) -> String {
    match trial {
        Some(trial) => format!("successfully restarted trial, as trial {trial}"),
        None => "successfully restarted trial, it waits for its turn".to_owned(),
    }
}

/// The points in `TrialHyperParameters`: one object as a text, or a list of some.
fn points(body: &Map<String, Value>) -> Result<Vec<Value>, Problem> {
    let Some(text) = text(body, "TrialHyperParameters")?.filter(|text| !text.trim().is_empty()) else {
        return Ok(Vec::new());
    };
    let points = match serde_json::from_str(&text) {
        Ok(Value::Array(points)) => points,
        Ok(point) => vec![point],
        Err(_) => Vec::new(),
    };
    if (1..=MAX_TRIALS).contains(&points.len()) && points.iter().all(Value::is_object) {
        return Ok(points);
    }
    Err(invalid("`TrialHyperParameters` is no JSON object such as {\"${lr}\": \"0.01\"}"))
}

/// Tries these points next.
async fn enqueue(app: &App, asked: &Asked, points: Vec<Value>) -> Result<Map<String, Value>, Problem> {
    let wanted = experiment(asked)?;
    let mut results = Map::new();
    for params in points {
        let again = params.clone();
        let id = perform(app, asked, &wanted, |experiment| Request::Enqueue { experiment, params }).await?;
        let shown = app.handle.query(move |state| {
            let found = state.experiment(id)?;
            let point = found.spec.space.from_json(&again, "").ok()?;
            let is_it =
                |trial: &&Trial| matches!(trial.origin, Origin::Queued { .. }) && trial.point == point;
            match found.queue.iter().rev().find(|(_, queued)| queued.point == point) {
                Some((entry, _)) => Some((format!("queued-{entry}"), None)),
                None => {
                    found.trials.iter().rev().find(is_it).map(|trial| (trial.id.to_string(), Some(trial.id)))
                }
            }
        });
        if let Some((name, trial)) = shown.await? {
            results.insert(name, json!(restarted(trial)));
        }
    }
    Ok(results)
}

/// Has something done to each of the trials that it can be done to; gives what became of each.
async fn each(
    app: &App,
    asked: &Asked,
    ids: Vec<String>,
    command: fn(ExperimentId, Vec<TrialId>) -> Command,
) -> Result<(ExperimentId, BTreeMap<String, Result<TrialId, String>>), Problem> {
    let (who, wanted) = (asked.who.clone(), experiment(asked)?);
    let checked = app.handle.query(move |state| {
        let id = owned(state, &who, &wanted)?.id;
        let check = |text: String| {
            let checked = check(state, &text, |trial| command(id, vec![trial]));
            (text, checked)
        };
        Ok::<_, Problem>((id, ids.into_iter().map(check).collect::<BTreeMap<_, _>>()))
    });
    let (id, mut results) = checked.await??;
    let actor = Some(asked.who.name.clone());
    let trials: Vec<TrialId> = results.values().filter_map(|result| result.as_ref().ok()).copied().collect();
    if trials.is_empty() || app.handle.execute(command(id, trials), actor.clone()).await?.is_ok() {
        return Ok((id, results));
    }
    // One of them has changed meanwhile: each by itself, then.
    for result in results.values_mut() {
        if let Ok(trial) = *result
            && let Err(refused) = app.handle.execute(command(id, vec![trial]), actor.clone()).await?
        {
            *result = Err(Failure::from(refused).message);
        }
    }
    Ok((id, results))
}

fn check(state: &State, text: &str, command: impl Fn(TrialId) -> Command) -> Result<TrialId, String> {
    let trial = text.parse().map(TrialId).map_err(|_| format!("there is no trial {text}"))?;
    state.decide(&command(trial), state.time()).map(|_| trial).map_err(|rejection| rejection.message)
}
