//! Experiments and trials as JSON: one form for every command.

use super::measure;
use crate::labels;
use crate::runtime::Trouble;
use engine::event::v1::{Outcome, PauseReason};
use engine::event::v2::EndReason;
use engine::id::{AttemptNo, ExperimentId, SubmissionKey, TaskIndex};
use engine::spec::Spec;
use engine::spec::render::render;
use engine::state::{Attempt, Experiment, State, TaskPhase, Trial, TrialStatus};
use serde_json::{Map, Value, json};

/// The best trial in short: `{"trial","value","params"}`, with its metrics where there are several; null if there is none, or several
/// objectives. Where points are tried several times the value is their mean, and `{"replicates": {"trials","deviation"}}` says of what.
pub fn best(experiment: &Experiment) -> Value {
    measure::best(experiment).map_or(Value::Null, |trial| leader(experiment, &trial))
}

/// What a search ends with, in the form of [`best`]. Where values vary and points are tried once it is the trial of which most is
/// expected, with `{"expected": {"value","deviation"}}`.
pub fn answer(experiment: &Experiment) -> Value {
    let Some(answer) = measure::answer(experiment) else { return Value::Null };
    let mut value = leader(experiment, &answer.trial);
    if let (Some((expected, deviation)), Some(object)) = (answer.expected, value.as_object_mut()) {
        object.insert("expected".to_owned(), json!({"value": expected, "deviation": deviation}));
    }
    value
}

/// With several objectives the trials that no other one dominates, each as the best one is told.
pub fn front(experiment: &Experiment) -> Option<Value> {
    let several = experiment.spec.objective.outcomes.is_multi();
    several.then(|| measure::leaders(experiment).iter().map(|trial| leader(experiment, trial)).collect())
}

fn leader(experiment: &Experiment, trial: &Trial) -> Value {
    let objective = &experiment.spec.objective;
    let mut value = json!({"trial": trial.id.0});
    if let Some(object) = value.as_object_mut() {
        if !objective.outcomes.is_multi() {
            object.insert("value".to_owned(), json!(trial.value));
        }
        if !trial.metrics.is_empty() {
            object.insert("metrics".to_owned(), measure::by_name(objective, &trial.metrics));
        }
        if let Some(found) = experiment.replicates(&trial.point) {
            let replicates = json!({"trials": found.trials, "deviation": found.deviation});
            object.insert("replicates".to_owned(), replicates);
        }
        object.insert("params".to_owned(), Value::Object(experiment.spec.space.to_json(&trial.point)));
    }
    value
}

/// Adds what is said only of experiments with several objectives or a cost.
fn with_outcomes(experiment: &Experiment, mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        if let Some(front) = front(experiment) {
            object.insert("front".to_owned(), front);
        }
        if experiment.spec.objective.outcomes.cost.is_some() {
            object.insert("spent".to_owned(), json!(experiment.spent_so_far()));
        }
    }
    value
}

/// How many trials have each status, by name; statuses without trials are left out.
pub fn counts(experiment: &Experiment) -> Value {
    let counts: Map<String, Value> = TrialStatus::ALL
        .iter()
        .filter(|status| experiment.count(**status) > 0)
        .map(|status| (status.as_str().to_owned(), json!(experiment.count(*status))))
        .collect();
    Value::Object(counts)
}

/// The last line of `run --json`.
pub fn result(experiment: &Experiment) -> Value {
    let result = json!({
        "experiment": experiment.id.to_string(),
        "status": experiment.status.as_str(),
        "best": answer(experiment),
        "trials": counts(experiment),
    });
    with_outcomes(experiment, result)
}

/// An experiment in short.
pub fn summary(experiment: &Experiment) -> Value {
    let objective = &experiment.spec.objective;
    let goals = objective.outcomes.goals.iter().zip(&objective.metrics);
    let goals: Map<String, Value> = goals.map(|(goal, metric)| (metric.name.clone(), json!(goal))).collect();
    let summary = json!({
        "experiment": experiment.id.to_string(),
        "name": experiment.spec.name,
        "status": experiment.status.as_str(),
        "reason": experiment.end.as_ref().map(end_reason),
        "paused": experiment.paused.as_ref().map(pause_reason),
        "goal": if goals.is_empty() { json!(objective.goal) } else { Value::Object(goals) },
        "sampler": experiment.spec.sampler.name,
        "seed": experiment.seed,
        "created_ms": experiment.created.0,
        "started_ms": experiment.started.map(|time| time.0),
        "ended_ms": experiment.ended.map(|time| time.0),
        "updated_ms": experiment.updated.0,
        "best": best(experiment),
        "trials": counts(experiment),
        "budget_trials": experiment.spec.budget.trials,
        "concurrency": experiment.spec.budget.concurrency,
        "queued": experiment.queue.len(),
        "removed": experiment.removed,
    });
    let summary = with_window(experiment, summary);
    with_outcomes(experiment, summary)
}

/// An experiment in short, with who made it and its labels.
pub fn listed(state: &State, experiment: &Experiment) -> Value {
    with_origin(state, experiment, summary(experiment))
}

/// Adds who made an experiment, and its labels but those that the daemon keeps.
pub fn with_origin(state: &State, experiment: &Experiment, mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.insert("creator".to_owned(), json!(state.actor_name(experiment.creator)));
        object.insert("labels".to_owned(), json!(labels::own(experiment)));
    }
    value
}

/// Adds how the window of a schedule stands, if there is one.
fn with_window(experiment: &Experiment, mut value: Value) -> Value {
    if let (Some(_), Some(object)) = (&experiment.spec.schedule, value.as_object_mut()) {
        let until = experiment.window.and_then(|window| window.until);
        let window = json!({"open": experiment.is_open(), "until_ms": until.map(|until| until.0)});
        object.insert("window".to_owned(), window);
    }
    value
}

/// An experiment with its specification.
pub fn detail(experiment: &Experiment) -> Value {
    let mut value = summary(experiment);
    if let (Some(object), Ok(spec)) =
        (value.as_object_mut(), serde_json::from_str::<Value>(experiment.spec.text()))
    {
        object.insert("spec".to_owned(), spec);
        object.insert("best".to_owned(), answer(experiment));
    }
    value
}

/// Adds what keeps the experiment from going on now.
pub fn with_troubles(mut value: Value, troubles: &[Trouble]) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.insert("troubles".to_owned(), json!(troubles));
    }
    value
}

/// A trial in full.
pub fn trial(experiment: &Experiment, trial: &Trial) -> Value {
    trial_of(experiment.id, &experiment.spec, experiment.front.contains(&trial.id), trial)
}

/// As [`trial()`], of an experiment with this specification; whether it is on the front of several objectives.
pub fn trial_of(experiment: ExperimentId, spec: &Spec, on_front: bool, trial: &Trial) -> Value {
    let objective = &spec.objective;
    let several = objective.outcomes.is_multi();
    let named = |metrics: &[f64]| (!metrics.is_empty()).then(|| measure::by_name(objective, metrics));
    // The first of several objectives is not the trial's value.
    let value = |value: Option<f64>| value.filter(|_| !several);
    let reports: Vec<Value> = trial
        .reports
        .iter()
        .map(|report| {
            let mut point =
                json!({"step": report.step, "value": value(report.value), "attempt": report.attempt.0});
            if let (Some(object), Some(metrics)) = (point.as_object_mut(), named(&report.metrics)) {
                object.insert("metrics".to_owned(), metrics);
            }
            point
        })
        .collect();
    let mut told = json!({
        "trial": trial.id.0,
        "status": trial.status.as_str(),
        "params": spec.space.to_json(&trial.point),
        "value": value(trial.value),
        "metrics": named(&trial.metrics),
        "reason": trial.reason,
        "retry_of": trial.retry_of.map(|id| id.0),
        "parent": trial.parent.map(|id| id.0),
        "suggested_ms": trial.suggested.0,
        "ended_ms": trial.ended.map(|time| time.0),
        "model": model_of(experiment, spec, trial),
        "reports": reports,
        "attempts": trial.attempts.iter().map(attempt).collect::<Vec<_>>(),
    });
    if let Some(object) = told.as_object_mut() {
        if !objective.outcomes.constraints.is_empty() {
            let feasible =
                (!trial.metrics.is_empty()).then(|| objective.outcomes.is_feasible(&trial.metrics));
            object.insert("feasible".to_owned(), json!(feasible));
        }
        if several {
            object.insert("front".to_owned(), json!(on_front));
        }
    }
    told
}

/// Where a trial leaves its model, if the specification says so.
pub fn model(experiment: &Experiment, trial: &Trial) -> Option<String> {
    model_of(experiment.id, &experiment.spec, trial)
}

fn model_of(experiment: ExperimentId, spec: &Spec, trial: &Trial) -> Option<String> {
    let key = SubmissionKey {
        experiment,
        trial: trial.id,
        attempt: trial.attempt().map_or(AttemptNo(1), |attempt| attempt.number),
        task: TaskIndex(0),
    };
    let path = &spec.model_path;
    (!path.is_empty()).then(|| render(path, &spec.bindings(key, &trial.point)))
}

fn attempt(attempt: &Attempt) -> Value {
    let task = attempt.task();
    let tasks: Vec<Value> = attempt
        .tasks
        .iter()
        .map(|task| {
            json!({
                "task": task.task.0 + 1,
                "job": task.handle.as_ref().map(|handle| &handle.0),
                "phase": phase(&task.phase),
                "started_ms": task.started.map(|time| time.0),
                "ended_ms": task.ended.map(|time| time.0),
            })
        })
        .collect();
    json!({
        "attempt": attempt.number.0,
        "job": task.and_then(|task| task.handle.as_ref()).map(|handle| &handle.0),
        "started_ms": attempt.started().map(|time| time.0),
        "ended_ms": attempt.outcome().and(attempt.ended()).map(|time| time.0),
        "outcome": attempt.outcome().map(outcome),
        "reason": attempt.outcome().and_then(reason).or(attempt.doubt()),
        "tasks": tasks,
    })
}

/// Where a task stands, in a word.
pub const fn phase(phase: &TaskPhase) -> &'static str {
    match phase {
        TaskPhase::Planned => "planned",
        TaskPhase::Accepted => "accepted",
        TaskPhase::Running => "running",
        TaskPhase::Doubtful(_) => "doubtful",
        TaskPhase::Ended(end) => outcome(end),
    }
}

/// How a task ended, in a word.
pub const fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed { .. } => "failed",
        Outcome::TimedOut => "timed_out",
        Outcome::Lost { .. } => "lost",
        Outcome::Preempted { .. } => "preempted",
        Outcome::Stopped => "stopped",
        Outcome::Refused { .. } => "refused",
    }
}

fn reason(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Failed { reason, .. }
        | Outcome::Lost { reason }
        | Outcome::Preempted { reason }
        | Outcome::Refused { reason } => Some(reason),
        Outcome::Succeeded | Outcome::TimedOut | Outcome::Stopped => None,
    }
}

/// Why an experiment ends, in words.
pub fn end_reason(reason: &EndReason) -> String {
    match reason {
        EndReason::Trials => "all trials of the budget have ended".to_owned(),
        EndReason::Target => "the target was reached".to_owned(),
        EndReason::Patience => "no further improvement within the budget's patience".to_owned(),
        EndReason::Duration => "the time of the budget is over".to_owned(),
        EndReason::Exhausted => "every point of the space was tried".to_owned(),
        EndReason::Asked => "stopped on request".to_owned(),
        EndReason::Engine { reason } => reason.clone(),
        EndReason::Cost => "its trials have cost what the budget allows".to_owned(),
        EndReason::Gain { expected } => format!(
            "no worthwhile improvement is to be expected: the model expects {}",
            super::figures::number(*expected)
        ),
    }
}

/// Why an experiment is paused, in words.
pub fn pause_reason(reason: &PauseReason) -> String {
    match reason {
        PauseReason::Asked => "paused on request".to_owned(),
        PauseReason::Brake { failure } => format!("the first trials all failed alike ({failure})"),
    }
}

/// Why an experiment that has not ended starts nothing, in words.
pub fn waits_for(experiment: &Experiment) -> Option<String> {
    if let Some(reason) = &experiment.paused {
        return Some(pause_reason(reason));
    }
    if experiment.is_open() || experiment.end.is_some() {
        return None;
    }
    Some(match experiment.window.map(|window| window.until) {
        Some(Some(until)) => {
            format!("outside of its schedule; it goes on at {}", super::figures::time(until))
        }
        Some(None) => "its schedule is in a time zone that is not known here".to_owned(),
        None => "no process has looked at its schedule yet".to_owned(),
    })
}
