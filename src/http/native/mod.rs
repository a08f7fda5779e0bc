//! The native API, `/v1`: everything that the command line can do, and what workers need.

mod act;
mod ask;
mod experiments;
mod feed;
mod jobs;
mod schema;
mod service;
mod table;
mod trials;

pub use feed::Feed;
pub use table::operations;

use super::access::Identity;
use super::operation::Asked;
use super::problem::Problem;
use super::server::App;
use crate::requests::Request;
use crate::views::find;
use axum::http::StatusCode;
use engine::id::{ExperimentId, TrialId};
use engine::state::{Experiment, State, Trial};

/// The experiment that is meant, if whoever asks may see it; else it is as if there were none.
pub(super) fn seen<'a>(state: &'a State, who: &Identity, wanted: &str) -> Result<&'a Experiment, Problem> {
    let found = find::find(state, wanted)?;
    if who.sees(state, found) { Ok(found) } else { Err(unknown(wanted)) }
}

/// The same, if whoever asks may act on it.
pub(super) fn owned<'a>(state: &'a State, who: &Identity, wanted: &str) -> Result<&'a Experiment, Problem> {
    let found = seen(state, who, wanted)?;
    if who.may_change(state, found) {
        return Ok(found);
    }
    Err(Problem::coded(
        StatusCode::FORBIDDEN,
        crate::codes::NOT_ALLOWED,
        format!("the experiment {} belongs to {}", found.id, state.actor_name(found.creator)),
        "ask its creator or an admin",
    ))
}

fn unknown(wanted: &str) -> Problem {
    Problem::coded(
        StatusCode::NOT_FOUND,
        crate::codes::WHICH_EXPERIMENT,
        format!("no experiment is called `{wanted}`"),
        "GET /v1/experiments lists them",
    )
}

/// A trial by the number in the path.
pub(super) fn trial<'a>(experiment: &'a Experiment, number: &str) -> Result<&'a Trial, Problem> {
    let found = number.parse().ok().and_then(|number| experiment.trial(TrialId(number)));
    found.ok_or_else(|| {
        Problem::coded(
            StatusCode::NOT_FOUND,
            engine::decide::codes::UNKNOWN_TRIAL,
            format!("the experiment {} has no trial {number}", experiment.id),
            "GET /v1/experiments/{experiment}/trials lists them",
        )
    })
}

/// Has something done to an experiment that whoever asks may act on.
pub(super) async fn perform(
    app: &App,
    asked: &Asked,
    wanted: &str,
    request: impl FnOnce(String) -> Request + Send + 'static,
) -> Result<ExperimentId, Problem> {
    let (who, wanted) = (asked.who.clone(), wanted.to_owned());
    let command = app.handle.query(move |state| {
        let id = owned(state, &who, &wanted)?.id;
        Ok::<_, Problem>((id, request(id.to_string()).command(state)?))
    });
    let (id, command) = command.await??;
    app.handle.execute(command, Some(asked.who.name.clone())).await??;
    Ok(id)
}
