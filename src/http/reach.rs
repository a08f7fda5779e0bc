//! What every API needs: which experiment is meant and who may see it or act on it, how one is read, begun and acted on, and
//! where what its trials write is found.

use super::access::Identity;
use super::naming;
use super::operation::Asked;
use super::problem::Problem;
use super::server::{App, Undone};
use crate::checks;
use crate::error::Failure;
use crate::requests::Request;
use crate::runtime::dispatcher::{Dispatcher, Refused};
use crate::runtime::shell::now;
use crate::secrets::{self, Lifted, Vault};
use crate::spec_file::{self, Finding};
use crate::views::find;
use axum::http::StatusCode;
use engine::command::Command;
use engine::decide;
use engine::error::SpecError;
use engine::id::{ExperimentId, TrialId};
use engine::ports::backend::JobHandle;
use engine::spec::Spec;
use engine::state::{Experiment, State, Trial};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The experiment that is meant, if whoever asks may see it; else it is as if there were none. A removed one is meant by its whole id
/// only.
pub fn seen<'a>(state: &'a State, who: &Identity, wanted: &str) -> Result<&'a Experiment, Problem> {
    // A name is first of all the name of one's own experiment, whatever others call theirs.
    find::among(state, wanted, |one| who.may_see(state, one), |one| who.owns(state, one))
        .map_err(|failure| Problem { cure: "GET /v1/experiments lists them".to_owned(), ..failure.into() })
}

/// The same, if it is not removed.
pub fn kept<'a>(state: &'a State, who: &Identity, wanted: &str) -> Result<&'a Experiment, Problem> {
    let found = seen(state, who, wanted)?;
    if !found.removed {
        return Ok(found);
    }
    // Only those who may act on it come here.
    let gone = Failure::from(decide::removed(found.id));
    Err(Problem { status: StatusCode::NOT_FOUND, ..gone.into() })
}

/// The same, if whoever asks may act on it.
pub fn owned<'a>(state: &'a State, who: &Identity, wanted: &str) -> Result<&'a Experiment, Problem> {
    allowed(state, who, kept(state, who, wanted)?)
}

/// An experiment that may be seen, if whoever asks may also act on it.
pub fn allowed<'a>(state: &State, who: &Identity, found: &'a Experiment) -> Result<&'a Experiment, Problem> {
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
    let (who, wanted, store) = (asked.who.clone(), wanted.to_owned(), app.store.clone());
    app.act(&asked.who, move |dispatcher, name| {
        let id = owned(dispatcher.state(), &who, &wanted)?.id;
        let request = request(id.to_string());
        let (command, vault) = (request.command(dispatcher.state())?, Vault::of(&store));
        let at_stake = secrets::at_stake(&vault, dispatcher.state(), &command);
        dispatcher.execute_by(name, &command, now())?;
        secrets::forget_after(at_stake, dispatcher, &vault, now()).map_err(Refused::Fatal)?;
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

/// An experiment that somebody wants, and the secrets that came with it.
#[derive(Debug)]
pub struct Wanted {
    /// What is wanted.
    pub spec: Spec,
    /// What is to be warned of.
    pub warnings: Vec<SpecError>,
    secrets: Vec<Lifted>,
    vault: Vault,
}

impl Wanted {
    /// One without secrets of its own.
    pub fn of(app: &App, spec: Spec) -> Self {
        Self { spec, warnings: Vec::new(), secrets: Vec::new(), vault: Vault::of(&app.store) }
    }

    /// An error unless whoever asks may name what it names.
    pub fn check(&self, state: &State, who: &Identity) -> Result<(), Problem> {
        naming::check(state, who, &self.spec, &self.secrets)
    }

    /// An error if it is to begin with a key that came with a configuration and was forgotten, such as that of a removed experiment.
    fn check_keys(&self, state: &State, who: &Identity, spec: &str) -> Result<(), Problem> {
        // Whether it is there is nobody's business who may not name it.
        self.check(state, who)?;
        let forgotten = secrets::forgotten(&self.vault, spec).map_err(Failure::from)?;
        let Some(name) = forgotten.filter(|name| self.secrets.iter().all(|one| one.name() != name)) else {
            return Ok(());
        };
        Err(Problem::coded(
            StatusCode::CONFLICT,
            crate::codes::NO_SECRET,
            format!("the key `{name}` of the experiment is not kept any more"),
            "send the configuration with its key, or have an admin keep it under this name with `retrial secret set`",
        ))
    }

    /// Has a command executed that begins the experiment or changes one to it, if whoever asks may name what it names. Its
    /// secrets are kept first, so that it is never without them, and not at all if the command is refused; what it named before and
    /// nobody needs goes afterwards.
    fn execute(&self, dispatcher: &mut Dispatcher, who: &Identity, command: &Command) -> Result<(), Undone> {
        self.check(dispatcher.state(), who)?;
        if !self.secrets.is_empty() {
            dispatcher.state().decide(command, now()).map_err(Refused::Rejected)?;
            for secret in &self.secrets {
                secret.keep(&self.vault).map_err(Failure::from)?;
            }
        }
        let at_stake = secrets::at_stake(&self.vault, dispatcher.state(), command);
        dispatcher.execute_by(&who.name, command, now())?;
        secrets::forget_after(at_stake, dispatcher, &self.vault, now()).map_err(Refused::Fatal)?;
        Ok(())
    }
}

/// Reads an experiment that came over the wire, in any form that a file may have; all mistakes at once. In place of the
/// secrets of a configuration of PAI it has their names.
pub fn read_spec(app: &App, document: &Value) -> Result<Wanted, Problem> {
    let text = match document {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let vault = Vault::of(&app.store);
    let mut lifted = Ok(Vec::new());
    let loaded =
        spec_file::read_edited("spec", &text, "", &mut |document| lifted = secrets::lift(document, &vault))
            .map_err(|error| bad_spec(error.0.iter().map(unquoted).collect()))?;
    let secrets = lifted.map_err(Failure::from)?;
    let placed = |errors: Vec<SpecError>| errors.into_iter().map(|error| loaded.place(error));
    let (spec, warnings) = loaded.spec().map_err(|mut errors| {
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
    let warnings = placed(warnings).collect();
    Ok(Wanted { spec, warnings, secrets, vault })
}

/// A mistake in a text, without the line in which it stands: secrets may stand there as well.
fn unquoted(finding: &Finding) -> SpecError {
    let place = finding.line().zip(finding.column());
    let place = place.map_or_else(String::new, |(line, column)| format!(" (line {line}, column {column})"));
    SpecError::new(finding.code, &finding.path, format!("{}{place}", finding.message), &finding.help)
}

/// As [`read_spec`], of a configuration of PAI whose secrets were taken out already.
pub fn read_lifted(app: &App, document: &Value, secrets: Vec<Lifted>) -> Result<Wanted, Problem> {
    let mut wanted = read_spec(app, document)?;
    wanted.secrets.extend(secrets);
    Ok(wanted)
}

/// Creates an experiment.
pub async fn begin(
    app: &App,
    who: &Identity,
    wanted: Wanted,
    labels: BTreeMap<String, String>,
) -> Result<ExperimentId, Problem> {
    let creator = who.clone();
    app.act(who, move |dispatcher, _| create(dispatcher, &creator, &wanted, labels)).await
}

/// The same, in the one piece that whoever asks makes of it.
pub fn create(
    dispatcher: &mut Dispatcher,
    who: &Identity,
    wanted: &Wanted,
    labels: BTreeMap<String, String>,
) -> Result<ExperimentId, Undone> {
    let experiment = crate::requests::new_id(dispatcher.state())?;
    let seed = wanted.spec.seed.map_or_else(crate::requests::random_bits, Ok)?;
    let spec = wanted.spec.canonical().to_string();
    wanted.check_keys(dispatcher.state(), who, &spec)?;
    wanted.execute(dispatcher, who, &Command::CreateExperiment { experiment, spec, seed, labels })?;
    Ok(experiment)
}

/// Replaces the specification of an experiment that whoever asks may act on.
pub async fn replace(app: &App, asked: &Asked, which: &str, wanted: Wanted) -> Result<ExperimentId, Problem> {
    let (who, which) = (asked.who.clone(), which.to_owned());
    app.act(&asked.who, move |dispatcher, _| {
        let experiment = owned(dispatcher.state(), &who, &which)?.id;
        let spec = wanted.spec.canonical().to_string();
        wanted.execute(dispatcher, &who, &Command::UpdateExperiment { experiment, spec })?;
        Ok(experiment)
    })
    .await
}

/// Replaces the specification of an experiment and labels it anew, if it still is as it was `before`, of which both were made.
pub async fn replace_all(
    app: &App,
    asked: &Asked,
    (experiment, before): (ExperimentId, Arc<Spec>),
    wanted: Wanted,
    labels: BTreeMap<String, Option<String>>,
) -> Result<(), Problem> {
    let who = asked.who.clone();
    app.act(&asked.who, move |dispatcher, _| {
        let known = owned(dispatcher.state(), &who, &experiment.to_string())?;
        if *known.spec.shared() != *before {
            let cure = "read it again, and send the change anew";
            let message = "the experiment was changed at the same time";
            return Err(
                Problem::coded(StatusCode::CONFLICT, crate::codes::BAD_HTTP_REQUEST, message, cure).into()
            );
        }
        let label = Command::LabelExperiment { experiment, labels };
        dispatcher.state().decide(&label, now()).map_err(Refused::Rejected)?;
        let spec = wanted.spec.canonical().to_string();
        wanted.execute(dispatcher, &who, &Command::UpdateExperiment { experiment, spec })?;
        dispatcher.execute_by(&who.name, &label, now())?;
        Ok(())
    })
    .await
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
