//! What is done to experiments and their trials.

use super::aside::{broken, on_a_thread};
use super::experiments::done;
use super::{perform, seen};
use crate::cleaning::Cleaning;
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::reach::{allowed, begin, read_spec};
use crate::http::server::App;
use crate::labels;
use crate::requests::Request;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most experiments of one bulk operation.
pub(super) const MAX_BULK: usize = 1_000;

/// `POST /v1/experiments/{experiment}/stop`
pub(super) async fn stop(app: &App, asked: Asked) -> Result<Reply, Problem> {
    simple(app, &asked, |experiment| Request::Stop { experiment }).await
}

/// `POST /v1/experiments/{experiment}/pause`
pub(super) async fn pause(app: &App, asked: Asked) -> Result<Reply, Problem> {
    simple(app, &asked, |experiment| Request::Pause { experiment }).await
}

/// `POST /v1/experiments/{experiment}/resume`
pub(super) async fn resume(app: &App, asked: Asked) -> Result<Reply, Problem> {
    simple(app, &asked, |experiment| Request::Resume { experiment }).await
}

/// `DELETE /v1/experiments/{experiment}`
pub(super) async fn remove(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let wanted = asked.part("experiment").to_owned();
    let id = perform(app, &asked, &wanted, |experiment| Request::Remove { experiment }).await?;
    Ok(Reply::json(&json!({"experiment": id.to_string(), "removed": true})))
}

async fn simple(
    app: &App,
    asked: &Asked,
    request: impl FnOnce(String) -> Request + Send + 'static,
) -> Result<Reply, Problem> {
    let wanted = asked.part("experiment").to_owned();
    let id = perform(app, asked, &wanted, request).await?;
    done(app, id).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: Option<String>,
}

/// `POST /v1/experiments/{experiment}/clone`
pub(super) async fn clone(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let Named { name } = asked.json()?;
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    let source = app.handle.query(move |state| {
        let found = seen(state, &who, &wanted)?;
        Ok::<_, Problem>((found.spec.text().to_owned(), labels::own(found)))
    });
    let (text, labels) = source.await??;
    let mut document: Value = serde_json::from_str(&text).unwrap_or_default();
    if let (Some(name), Some(object)) = (name, document.as_object_mut()) {
        object.insert("name".to_owned(), json!(name));
    }
    let id = begin(app, &asked.who, read_spec(app, &document)?, labels).await?;
    Ok(Reply::with(StatusCode::CREATED, &json!({"experiment": id.to_string()})))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Queued {
    params: Value,
}

/// `POST /v1/experiments/{experiment}/queue`
pub(super) async fn enqueue(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let Queued { params } = asked.json()?;
    simple(app, &asked, move |experiment| Request::Enqueue { experiment, params }).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trials {
    trials: Vec<u32>,
}

/// `POST /v1/experiments/{experiment}/trials/stop`
pub(super) async fn stop_trials(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let Trials { trials } = asked.json()?;
    simple(app, &asked, move |experiment| Request::StopTrials { experiment, trials }).await
}

/// `POST /v1/experiments/{experiment}/trials/retry`
pub(super) async fn retry_trials(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let Trials { trials } = asked.json()?;
    simple(app, &asked, move |experiment| Request::Retry { experiment, trials }).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clean {
    #[serde(default)]
    all: bool,
    #[serde(default)]
    dry_run: bool,
}

/// `POST /v1/experiments/{experiment}/clean`
pub(super) async fn clean(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let Clean { all, dry_run } = asked.json()?;
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    let permit = app.aside.computing().await?;
    let found = app
        .handle
        .query(move |state| Ok::<_, Problem>(allowed(state, &who, seen(state, &who, &wanted)?)?.clone()));
    let (experiment, backends) = (found.await??, app.backends.clone());
    let cleaning = on_a_thread(permit, move || Cleaning::of(&backends, &experiment, all)).await?;
    let commands = cleaning.commands();
    let mut failures = Vec::new();
    if !dry_run {
        let permit = app.aside.cleaning().await?;
        // It goes on if whoever has asked is gone.
        let running = tokio::spawn(async move {
            let failures = cleaning.run().await;
            drop(permit);
            failures
        });
        failures = running.await.map_err(|error| broken(&error))?;
    }
    Ok(Reply::json(&json!({"ok": failures.is_empty(), "commands": commands, "failures": failures})))
}

/// What is done to many at once.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Deed {
    Stop,
    Pause,
    Resume,
    Remove,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bulk {
    r#do: Deed,
    experiments: Vec<String>,
}

/// `POST /v1/bulk`
pub(super) async fn bulk(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let Bulk { r#do: deed, experiments } = asked.json()?;
    if experiments.len() > MAX_BULK {
        let message = format!("there are {} experiments, more than {MAX_BULK}", experiments.len());
        return Err(Problem::bad_request(message, "send several requests"));
    }
    let mut results = Vec::new();
    for wanted in experiments {
        let request = move |experiment| match deed {
            Deed::Stop => Request::Stop { experiment },
            Deed::Pause => Request::Pause { experiment },
            Deed::Resume => Request::Resume { experiment },
            Deed::Remove => Request::Remove { experiment },
        };
        results.push(match perform(app, &asked, &wanted, request).await {
            Ok(id) => json!({"experiment": id.to_string(), "ok": true}),
            Err(problem) => json!({"experiment": wanted, "ok": false, "problem": problem.json()}),
        });
    }
    Ok(Reply::json(&json!({"results": results})))
}
