//! What every API needs: which experiment is meant and who may see it or act on it, how one is read, begun and acted on, and
//! where what its trials write is found.

use super::access::Identity;
use super::operation::Asked;
use super::problem::Problem;
use super::server::{App, Undone};
use crate::checks;
use crate::error::Failure;
use crate::requests::Request;
use crate::runtime::dispatcher::Dispatcher;
use crate::runtime::shell::now;
use crate::secrets::{self, Vault};
use crate::spec_file;
use crate::views::find;
use axum::http::StatusCode;
use engine::command::Command;
use engine::error::SpecError;
use engine::id::{ExperimentId, TrialId};
use engine::ports::backend::JobHandle;
use engine::spec::Spec;
use engine::state::{Experiment, State, Trial};
use serde_json::Value;
use std::collections::BTreeMap;

/// The experiment that is meant, if whoever asks may see it; else it is as if there were none.
pub fn seen<'a>(state: &'a State, who: &Identity, wanted: &str) -> Result<&'a Experiment, Problem> {
    find::among(state, wanted, |experiment| who.sees(state, experiment))
        .map_err(|failure| Problem { cure: "GET /v1/experiments lists them".to_owned(), ..failure.into() })
}

/// The same, if whoever asks may act on it.
pub fn owned<'a>(state: &'a State, who: &Identity, wanted: &str) -> Result<&'a Experiment, Problem> {
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

/// There is no such experiment, or whoever asks may not see it.
pub fn unknown(wanted: &str) -> Problem {
    Problem::coded(
        StatusCode::NOT_FOUND,
        crate::codes::WHICH_EXPERIMENT,
        format!("no experiment is called `{wanted}`"),
        "GET /v1/experiments lists them",
    )
}

/// A trial by the number in the path.
pub fn trial<'a>(experiment: &'a Experiment, number: &str) -> Result<&'a Trial, Problem> {
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
pub async fn perform(
    app: &App,
    asked: &Asked,
    wanted: &str,
    request: impl FnOnce(String) -> Request + Send + 'static,
) -> Result<ExperimentId, Problem> {
    let (who, wanted) = (asked.who.clone(), wanted.to_owned());
    app.act(&asked.who, move |dispatcher, name| {
        let id = owned(dispatcher.state(), &who, &wanted)?.id;
        let command = request(id.to_string()).command(dispatcher.state())?;
        dispatcher.execute_by(name, &command, now())?;
        Ok(id)
    })
    .await
}

/// An experiment that came over the wire has mistakes.
pub fn bad_spec(details: Vec<SpecError>) -> Problem {
    Problem {
        details,
        ..Problem::coded(
            StatusCode::UNPROCESSABLE_ENTITY,
            crate::codes::BAD_SPEC,
            "the experiment has mistakes",
            "`errors` names each with its place",
        )
    }
}

/// Reads an experiment that came over the wire, in any form that a file may have; all mistakes at once. The secrets of a
/// configuration of PAI are kept sealed, and named in it instead.
pub fn read_spec(app: &App, document: &Value) -> Result<Spec, Problem> {
    let text = match document {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let vault = Vault::of(&app.store);
    let mut lifted = Ok(Vec::new());
    let loaded =
        spec_file::read_edited("spec", &text, "", &mut |document| lifted = secrets::lift(document, &vault))
            .map_err(|error| Problem { message: error.render(false), ..bad_spec(Vec::new()) })?;
    let lifted = lifted.map_err(Failure::from)?;
    let placed = |errors: Vec<SpecError>| errors.into_iter().map(|error| loaded.place(error));
    let (spec, _warnings) = loaded.spec().map_err(|mut errors| {
        errors.extend(placed(checks::parts(&loaded.parts())));
        bad_spec(errors)
    })?;
    let mut errors = checks::whole(&spec);
    if let Some(run) = &spec.run {
        errors.extend(backends::registry::check_surroundings(
            &run.backend,
            &run.config,
            &format!("run.{}", run.backend),
        ));
        if !app.allow_local {
            errors.extend(backends::shared::reads_of_this_machine(run, &spec.metric.source));
        }
        if !app.backends.contains_key(&run.backend) || (run.backend == "local" && !app.allow_local) {
            let message = format!("this daemon does not run tasks on the backend `{}`", run.backend);
            let path = format!("run.{}", run.backend);
            errors.push(SpecError::key(crate::codes::NO_BACKEND, path, message, "ask an admin"));
        }
    }
    if !errors.is_empty() {
        return Err(bad_spec(placed(errors).collect()));
    }
    for secret in lifted {
        secret.keep(&vault).map_err(Failure::from)?;
    }
    Ok(spec)
}

/// Creates an experiment.
pub async fn begin(
    app: &App,
    who: &Identity,
    spec: &Spec,
    labels: BTreeMap<String, String>,
) -> Result<ExperimentId, Problem> {
    let spec = (spec.canonical().to_string(), spec.seed);
    app.act(who, move |dispatcher, name| create(dispatcher, name, spec, labels)).await
}

/// Creates an experiment of a specification, as canonical JSON, with its seed.
pub fn create(
    dispatcher: &mut Dispatcher,
    name: &str,
    (spec, seed): (String, Option<u64>),
    labels: BTreeMap<String, String>,
) -> Result<ExperimentId, Undone> {
    let experiment = crate::requests::new_id(dispatcher.state())?;
    let seed = seed.map_or_else(crate::requests::random_bits, Ok)?;
    dispatcher.execute_by(name, &Command::CreateExperiment { experiment, spec, seed, labels }, now())?;
    Ok(experiment)
}

/// The job whose log is asked for: of the last attempt and its first task, unless others are named.
pub fn job_of(trial: &Trial, attempt: Option<u64>, task: Option<u64>) -> Option<JobHandle> {
    let attempt = match attempt {
        Some(number) => trial.attempts.iter().find(|attempt| u64::from(attempt.number.0) == number),
        None => trial.attempt(),
    }?;
    let task = match task {
        Some(number) => attempt.tasks.iter().find(|task| u64::from(task.task.0) + 1 == number),
        None => attempt.tasks.first(),
    }?;
    task.handle.clone()
}

/// The backend of an experiment's trials.
pub fn backend_of(experiment: &Experiment) -> Option<String> {
    experiment.spec.run.as_ref().map(|run| run.backend.clone())
}
