//! The daemon itself: whether it lives, what it counts, what it can do.

use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::server::App;
use axum::body::Body;
use axum::http::StatusCode;
use engine::state::{ExperimentStatus, TrialStatus};
use serde_json::json;
use std::collections::BTreeMap;

/// `GET /healthz`
pub(super) async fn health(_app: &App, _asked: Asked) -> Result<Reply, Problem> {
    Ok(Reply::json(&json!({"ok": true, "version": env!("CARGO_PKG_VERSION")})))
}

/// `GET /readyz`
pub(super) async fn ready(app: &App, _asked: Asked) -> Result<Reply, Problem> {
    if *app.ending.borrow() {
        return Err(crate::runtime::shell::Gone.into());
    }
    // The engine answers, and what it has decided is durable.
    let head = app.handle.query(|state| state.head().0).await?;
    Ok(Reply::json(&json!({"ok": true, "head": head})))
}

/// `GET /v1/me`
pub(super) async fn me(_app: &App, asked: Asked) -> Result<Reply, Problem> {
    Ok(Reply::json(&json!({"name": asked.who.name, "role": asked.who.role.to_string()})))
}

/// `GET /v1/openapi.json`
pub(super) async fn document(_app: &App, _asked: Asked) -> Result<Reply, Problem> {
    Ok(Reply::json(&crate::http::openapi::document()))
}

/// `GET /metrics`
pub(super) async fn metrics(app: &App, _asked: Asked) -> Result<Reply, Problem> {
    let counted = app.handle.query(|state| {
        let mut experiments: BTreeMap<ExperimentStatus, u64> = BTreeMap::new();
        let mut trials: BTreeMap<&'static str, u64> = BTreeMap::new();
        for experiment in state.experiments().filter(|experiment| !experiment.removed) {
            *experiments.entry(experiment.status).or_default() += 1;
            for status in TrialStatus::ALL {
                *trials.entry(status.as_str()).or_default() += u64::from(experiment.count(status));
            }
        }
        (experiments, trials, state.held_count(), state.head().0)
    });
    let (experiments, trials, held, head) = counted.await?;
    let mut text =
        String::from("# HELP retrial_experiments Experiments by status.\n# TYPE retrial_experiments gauge\n");
    for (status, count) in experiments {
        text += &format!("retrial_experiments{{status=\"{status}\"}} {count}\n");
    }
    text += "# HELP retrial_trials Trials by status.\n# TYPE retrial_trials gauge\n";
    for (status, count) in trials {
        text += &format!("retrial_trials{{status=\"{status}\"}} {count}\n");
    }
    text += "# HELP retrial_tasks_held Tasks that backends hold.\n# TYPE retrial_tasks_held gauge\n";
    text += &format!("retrial_tasks_held {held}\n");
    text += "# HELP retrial_journal_head The number of the last durable record.\n# TYPE retrial_journal_head counter\n";
    text += &format!("retrial_journal_head {head}\n");
    text += &app.tally.text();
    Ok(Reply {
        status: StatusCode::OK,
        media: "text/plain; version=0.0.4; charset=utf-8",
        body: Body::from(text),
    })
}
