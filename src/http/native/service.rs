//! The daemon itself: whether it lives, what it counts, what it can do.

use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::server::App;
use crate::metrics::MEDIA;
use axum::body::Body;
use axum::http::StatusCode;
use serde_json::json;
use std::sync::Arc;

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
    let metrics = Arc::clone(&app.metrics);
    app.handle.query(move |state| metrics.see(state)).await?;
    Ok(Reply { status: StatusCode::OK, media: MEDIA, body: Body::from(app.metrics.text()) })
}
