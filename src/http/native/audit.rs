//! Proof: whether the history is whole, whether suggestions come out of it again, and whether an experiment is as it has to be.

use super::seen;
use crate::audit;
use crate::checks;
use crate::http::operation::{Asked, Reply};
use crate::http::problem::{Problem, detail};
use crate::http::reach::{Wanted, read_spec};
use crate::http::server::App;
use crate::past;
use serde::Deserialize;
use serde_json::{Value, json};

/// `POST /v1/audit/verify`
pub(super) async fn verify(app: &App, _asked: Asked) -> Result<Reply, Problem> {
    let store = app.store.clone();
    Ok(Reply::json(&app.aside.audit(move || audit::verify(&store)).await?))
}

/// `GET /v1/experiments/{experiment}/resample`
pub(super) async fn resample(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    let id = app.handle.query(move |state| seen(state, &who, &wanted).map(|found| found.id)).await??;
    let store = app.store.clone();
    Ok(Reply::json(
        &app.aside
            .resample(move || audit::resample(id, &|visit| past::records_of(&store, id, visit)))
            .await?,
    ))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    spec: Value,
    #[serde(default)]
    dry_run: bool,
}

/// `POST /v1/check`
pub(super) async fn check(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let Check { spec, dry_run } = asked.json()?;
    let (wanted, who) = (read_spec(app, &spec)?, asked.who.clone());
    let may_name = app.handle.query(move |state| wanted.check(state, &who).map(|()| wanted));
    let Wanted { spec, warnings, .. } = may_name.await??;
    let warnings: Vec<Value> = warnings.iter().map(detail).collect();
    let mut told = json!({"ok": true, "name": spec.name, "spec": spec.canonical(), "warnings": warnings});
    if dry_run {
        let backends = app.backends.clone();
        told["preview"] = json!(app.aside.compute(move || checks::preview(&backends, &spec)).await?);
    }
    Ok(Reply::json(&told))
}
