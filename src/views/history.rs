//! Records as text and as JSON: what happened, when, by whom, and why.

use super::{figures, present};
use engine::envelope::Envelope;
use engine::event::{Event, v1};
use engine::space::SearchSpace;
use engine::state::{Experiment, State};
use engine::value::Point;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One record as a line for people.
pub fn line(state: &State, envelope: &Envelope) -> String {
    format!(
        "{:>8}  {}  {:<12} {:<19} {}",
        envelope.seq.0,
        figures::time(envelope.time),
        state.actor_name(envelope.actor),
        envelope.event.info().name,
        about(state.experiment(envelope.experiment), &envelope.event)
    )
    .trim_end()
    .to_owned()
}

/// One record as JSON.
pub fn json(state: &State, envelope: &Envelope) -> Value {
    let space = state.experiment(envelope.experiment).map(|experiment| &*experiment.spec.space);
    json_by(state.actor_name(envelope.actor), space, envelope)
}

/// One record as JSON, with what else that needs: who did it, and the space in which its experiment searches.
pub fn json_by(actor: &str, space: Option<&SearchSpace>, envelope: &Envelope) -> Value {
    json!({
        "seq": envelope.seq.0,
        "experiment": envelope.experiment.to_string(),
        "position": envelope.position,
        "time_ms": envelope.time.0,
        "actor": actor,
        "cause": (envelope.cause.0 > 0).then_some(envelope.cause.0),
        "kind": envelope.event.info().name,
        "event": body(space, &envelope.event),
    })
}

/// An event's own content as JSON, with points by their parameters' names.
pub fn body(space: Option<&SearchSpace>, event: &Event) -> Value {
    struct Json(Option<Value>);
    impl engine::event::PayloadWriter for Json {
        type Error = serde_json::Error;
        fn write<T: serde::Serialize>(&mut self, payload: &T) -> Result<(), Self::Error> {
            self.0 = Some(serde_json::to_value(payload)?);
            Ok(())
        }
    }
    let mut writer = Json(None);
    if event.write(&mut writer).is_err() {
        return Value::Null;
    }
    let mut value = writer.0.unwrap_or_default();
    let point = match event {
        Event::TrialSuggested(suggested) => Some(&suggested.point),
        Event::PointEnqueued(enqueued) => Some(&enqueued.point),
        _ => None,
    };
    if let (Some(point), Some(space), Some(object)) = (point, space, value.as_object_mut()) {
        object.remove("point");
        object.insert("params".to_owned(), Value::Object(space.to_json(point)));
    }
    if let (Event::ExperimentCreated(_) | Event::ExperimentUpdated(_), Some(object)) =
        (event, value.as_object_mut())
    {
        let spec =
            object.get("spec").and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok());
        if let Some(spec) = spec {
            object.insert("spec".to_owned(), spec);
        }
    }
    value
}

fn point_text(experiment: Option<&Experiment>, point: &Point) -> String {
    experiment
        .map_or(String::new(), |experiment| Value::Object(experiment.spec.space.to_json(point)).to_string())
}

/// What has left, and for which archive.
pub fn archive_text(archived: &v1::HistoryArchived) -> String {
    format!(
        "{} left for the archive of {} records with head {}",
        figures::count(u64::from(archived.experiments), "experiment"),
        archived.records,
        engine::state::Digest(archived.head)
    )
}

fn about(experiment: Option<&Experiment>, event: &Event) -> String {
    match event {
        Event::ActorNamed(named) => named.name.clone(),
        Event::CheckpointTaken(taken) => engine::state::Digest(taken.digest).to_string(),
        Event::HistoryArchived(archived) => archive_text(archived),
        Event::ExperimentCreated(created) => format!("{} seed {}", created.name, created.seed),
        Event::ExperimentUpdated(_)
        | Event::ExperimentResumed(_)
        | Event::ExperimentReopened(_)
        | Event::ExperimentRemoved(_)
        | Event::SpaceExhausted(_) => String::new(),
        Event::WindowOpened(v1::WindowOpened { until }) | Event::WindowClosed(v1::WindowClosed { until }) => {
            until.map_or(String::new(), |until| format!("until {}", figures::time(until)))
        }
        Event::ExperimentPaused(paused) => present::pause_reason(&paused.reason),
        Event::ExperimentStopping(stopping) => present::end_reason(&stopping.reason),
        Event::ExperimentEnded(ended) => {
            let status: engine::state::ExperimentStatus = (&ended.status).into();
            format!("{status}: {}", present::end_reason(&ended.reason))
        }
        Event::PointEnqueued(enqueued) => point_text(experiment, &enqueued.point),
        Event::ExperimentLabelled(labelled) => labels_text(&labelled.labels),
        Event::TrialSuggested(suggested) => {
            let from = match &suggested.origin {
                v1::Origin::Sampled { sampler, version, ended, .. } => {
                    format!("by {sampler} v{version} after {ended} ended")
                }
                v1::Origin::Queued { entry } => format!("from the queue ({entry})"),
            };
            let on = suggested.parent.map(|parent| format!(" on from trial {parent}")).unwrap_or_default();
            format!("trial {} {from}{on} {}", suggested.trial, point_text(experiment, &suggested.point))
        }
        Event::TrialStopping(stopping) => {
            let why = match &stopping.reason {
                v1::TrialStop::Asked => "on request".to_owned(),
                v1::TrialStop::Early { rule, step, why } => format!("{rule} at step {step}: {why}"),
                v1::TrialStop::Experiment => "the experiment ends".to_owned(),
                v1::TrialStop::Timeout => "its time is over".to_owned(),
            };
            format!("trial {}: {why}", stopping.trial)
        }
        Event::TrialEnded(ended) => {
            let status: engine::state::TrialStatus = (&ended.status).into();
            let value = ended.value.map_or(String::new(), |value| format!(" value {value}"));
            let reason = ended.reason.lines().next().unwrap_or_default();
            format!("trial {} {status}{value} {reason}", ended.trial)
        }
        Event::TrialLeased(leased) => {
            let until = figures::time(leased.until);
            format!("trial {} lease {} of {} until {until}", leased.trial, leased.lease, leased.worker)
        }
        Event::AttemptPlanned(planned) => {
            format!(
                "trial {} attempt {} task {} slot {}",
                planned.trial,
                planned.attempt,
                planned.task.0 + 1,
                planned.slot
            )
        }
        Event::TaskPlanned(v1::TaskPlanned { trial, attempt, task })
        | Event::TaskCleared(v1::TaskCleared { trial, attempt, task })
        | Event::TaskStarted(v1::TaskStarted { trial, attempt, task, .. }) => {
            task_text(trial.0, attempt.0, task.0)
        }
        Event::TaskAccepted(accepted) => {
            format!(
                "{} as {}",
                task_text(accepted.trial.0, accepted.attempt.0, accepted.task.0),
                accepted.handle
            )
        }
        Event::TaskDoubtful(doubtful) => {
            format!(
                "{}: {}",
                task_text(doubtful.trial.0, doubtful.attempt.0, doubtful.task.0),
                doubtful.reason
            )
        }
        Event::TaskEnded(v1::TaskEnded { trial, attempt, task, outcome, .. })
        | Event::LateResult(v1::LateResult { trial, attempt, task, outcome }) => {
            format!("{} {}", task_text(trial.0, attempt.0, task.0), present::outcome(outcome))
        }
        Event::MetricReported(reported) => {
            let points: Vec<String> = reported
                .points
                .iter()
                .map(|point| {
                    let values: Vec<String> =
                        point.values.iter().map(|value| figures::number(*value)).collect();
                    format!(
                        "{}: {}",
                        point.step,
                        if values.is_empty() { "not a number".to_owned() } else { values.join(" ") }
                    )
                })
                .collect();
            format!("trial {} attempt {} {}", reported.trial, reported.attempt, points.join(", "))
        }
    }
}

fn labels_text(labels: &BTreeMap<String, Option<String>>) -> String {
    let label = |(name, value): (&String, &Option<String>)| match value {
        Some(value) => format!("{name}={value:?}"),
        None => format!("{name} taken away"),
    };
    labels.iter().map(label).collect::<Vec<_>>().join(", ")
}

fn task_text(trial: u32, attempt: u32, task: u16) -> String {
    format!("trial {trial} attempt {attempt} task {}", task + 1)
}
