//! Experiments and trials as JSON: one form for every command.

use engine::event::v1::{Outcome, PauseReason};
use engine::event::v2::EndReason;
use engine::id::{AttemptNo, SubmissionKey, TaskIndex};
use engine::spec::render::render;
use engine::state::{Attempt, Experiment, TaskPhase, Trial, TrialStatus};
use serde_json::{Map, Value, json};

/// The best trial in short: `{"trial","value","params"}`, or null.
pub fn best(experiment: &Experiment) -> Value {
    experiment.best_trial().map_or(Value::Null, |trial| {
        json!({
            "trial": trial.id.0,
            "value": trial.value,
            "params": experiment.spec.space.to_json(&trial.point),
        })
    })
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
    json!({
        "experiment": experiment.id.to_string(),
        "status": experiment.status.as_str(),
        "best": best(experiment),
        "trials": counts(experiment),
    })
}

/// An experiment in short.
pub fn summary(experiment: &Experiment) -> Value {
    json!({
        "experiment": experiment.id.to_string(),
        "name": experiment.spec.name,
        "status": experiment.status.as_str(),
        "reason": experiment.end.as_ref().map(end_reason),
        "paused": experiment.paused.as_ref().map(pause_reason),
        "goal": experiment.spec.objective.goal,
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
    })
}

/// An experiment with its specification.
pub fn detail(experiment: &Experiment) -> Value {
    let mut value = summary(experiment);
    if let (Some(object), Ok(spec)) =
        (value.as_object_mut(), serde_json::from_str::<Value>(experiment.spec.text()))
    {
        object.insert("spec".to_owned(), spec);
    }
    value
}

/// A trial in full.
pub fn trial(experiment: &Experiment, trial: &Trial) -> Value {
    let names: Vec<&str> =
        experiment.spec.objective.metrics.iter().map(|metric| metric.name.as_str()).collect();
    let named = |metrics: &[f64]| -> Option<Value> {
        (metrics.len() > 1).then(|| {
            Value::Object(
                names.iter().zip(metrics).map(|(name, value)| ((*name).to_owned(), json!(value))).collect(),
            )
        })
    };
    let reports: Vec<Value> = trial
        .reports
        .iter()
        .map(|report| {
            let mut value = json!({"step": report.step, "value": report.value, "attempt": report.attempt.0});
            if let (Some(object), Some(metrics)) = (value.as_object_mut(), named(&report.metrics)) {
                object.insert("metrics".to_owned(), metrics);
            }
            value
        })
        .collect();
    json!({
        "trial": trial.id.0,
        "status": trial.status.as_str(),
        "params": experiment.spec.space.to_json(&trial.point),
        "value": trial.value,
        "metrics": named(&trial.metrics),
        "reason": trial.reason,
        "retry_of": trial.retry_of.map(|id| id.0),
        "parent": trial.parent.map(|id| id.0),
        "suggested_ms": trial.suggested.0,
        "ended_ms": trial.ended.map(|time| time.0),
        "model": model(experiment, trial),
        "reports": reports,
        "attempts": trial.attempts.iter().map(attempt).collect::<Vec<_>>(),
    })
}

/// Where a trial leaves its model, if the specification says so.
fn model(experiment: &Experiment, trial: &Trial) -> Option<String> {
    let key = SubmissionKey {
        experiment: experiment.id,
        trial: trial.id,
        attempt: trial.attempt().map_or(AttemptNo(1), |attempt| attempt.number),
        task: TaskIndex(0),
    };
    let path = &experiment.spec.model_path;
    (!path.is_empty()).then(|| render(path, &experiment.spec.bindings(key, &trial.point)))
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
        "reason": attempt.outcome().and_then(reason),
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
            super::output::number(*expected)
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
