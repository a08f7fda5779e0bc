//! What came of an experiment: which parameters mattered, and its trials for other programs.

use super::aside::on_a_thread;
use super::seen;
use crate::error::Failure;
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::server::App;
use crate::views::export::{self, Format};
use crate::views::importance::{Method, Question};
use axum::body::Body;
use axum::http::StatusCode;

/// The type of a table.
pub(super) const CSV: &str = "text/csv; charset=utf-8";

/// `GET /v1/experiments/{experiment}/importance`
pub(super) async fn importance(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let share = |name: &str| asked.text(name).and_then(|text| text.parse().ok());
    let question = Question {
        method: if asked.text("method") == Some("fanova") { Method::Fanova } else { Method::PedAnova },
        top: share("top"),
        within: share("within"),
        space: asked.text("space") == Some("true"),
        metric: asked.text("metric").map(str::to_owned),
    };
    if question.space && question.within.is_some() {
        let cure = "leave one of them out";
        return Err(Problem::bad_request("`space` and `within` say two things with which to compare", cure));
    }
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    // Only what the question needs is taken out of the state.
    let put = app.handle.query(move |state| {
        let found = seen(state, &who, &wanted)?;
        question.of(found).map_err(Problem::from)
    });
    let put = put.await??;
    let told = app.aside.compute(move || Ok(put.answer())).await?;
    Ok(Reply::json(&told.map_err(too_early)?.json()))
}

/// The trials do not tell yet what is asked.
fn too_early(failure: Failure) -> Problem {
    Problem { status: StatusCode::CONFLICT, ..failure.into() }
}

/// `GET /v1/experiments/{experiment}/export`
pub(super) async fn export(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (format, media) = match asked.text("format") {
        Some("json") => (Format::Json, "application/json"),
        _ => (Format::Csv, CSV),
    };
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    // No more copies than are worked on.
    let permit = app.aside.computing().await?;
    let found = app.handle.query(move |state| Ok::<_, Problem>(seen(state, &who, &wanted)?.clone()));
    let experiment = found.await??;
    let text = on_a_thread(permit, move || export::text(&experiment, format)).await?;
    Ok(Reply { status: StatusCode::OK, media, body: Body::from(text) })
}
