//! The daemon itself: whether it lives, what it counts, what it can do.

use crate::http::access::Role;
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::server::App;
use crate::metrics::MEDIA;
use crate::runtime::limits::Usage;
use axum::body::Body;
use axum::http::StatusCode;
use engine::id::Seq;
use serde_json::{Map, Value, json};
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
    Ok(Reply::json(&json!({"ok": true, "head": head, "place": app.history.id(Seq(head))})))
}

/// `GET /v1/me`
pub(super) async fn me(_app: &App, asked: Asked) -> Result<Reply, Problem> {
    Ok(Reply::json(&json!({"name": asked.who.name, "role": asked.who.role.to_string()})))
}

/// `GET /v1/limits`
pub(super) async fn limits(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let who = asked.who;
    let seen = app.handle.with(move |dispatcher| {
        let state = dispatcher.state();
        let limits = dispatcher.limits();
        let usage = Usage::of(state);
        let of = |running: u32, limit: Option<u32>| json!({"running": running, "limit": limit});
        let names = limits.backends.keys().chain(usage.backends.keys());
        let backends: Map<String, Value> = names
            .map(|name| {
                let running = usage.backends.get(name).copied().unwrap_or(0);
                (name.clone(), of(running, limits.backends.get(name).copied()))
            })
            .collect();
        // What others run is the admins' business.
        let mut users: Map<String, Value> = usage
            .users
            .iter()
            .map(|(actor, running)| (state.actor_name(*actor), *running))
            .filter(|(name, _)| who.role == Role::Admin || *name == who.name)
            .map(|(name, running)| (name.to_owned(), of(running, limits.of_user(name))))
            .collect();
        users.entry(who.name.clone()).or_insert_with(|| of(0, limits.of_user(&who.name)));
        let waiting = dispatcher.waiting().iter().filter_map(|id| state.experiment(*id));
        let waiting: Vec<String> =
            waiting.filter(|known| who.sees(state, known)).map(|known| known.id.to_string()).collect();
        Ok(json!({"backends": backends, "users": users, "waiting": waiting}))
    });
    Ok(Reply::json(&seen.await?))
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
