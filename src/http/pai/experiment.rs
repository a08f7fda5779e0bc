//! Experiments: create, look, change, end.

use super::config;
use super::files;
use super::request::{answer, body, configuration, experiment, invalid, text};
use crate::error::Failure;
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::reach::{Wanted, bad_spec, begin, kept, owned, perform, read_lifted, replace_all};
use crate::http::server::App;
use crate::labels::{ACCESSIBILITIES, ACCESSIBILITY, PRIVATE, PUBLIC};
use crate::requests::Request;
use crate::secrets::{self, Vault};
use crate::views::figures;
use engine::error::SpecError;
use engine::spec::{MetricSource, Spec, codes};
use engine::state::{Experiment, State, TrialStatus};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The label that says to which workspace an experiment belongs.
pub(super) const WORKSPACE: &str = "workspace";
/// How the labels begin that are an experiment's tags.
const TAG: &str = "tag.";
/// Most tags of one request.
const MAX_TAGS: usize = 20;

/// The labels that a request gives an experiment.
fn labels(body: &Map<String, Value>) -> Result<BTreeMap<String, String>, Problem> {
    let mut labels = BTreeMap::new();
    if let Some(accessibility) = text(body, "Accessibility")? {
        if !ACCESSIBILITIES.contains(&accessibility.as_str()) {
            return Err(invalid("`Accessibility` is none of PRIVATE, PUBLIC"));
        }
        labels.insert(ACCESSIBILITY.to_owned(), accessibility);
    }
    if let Some(workspace) = text(body, "WorkspaceId")? {
        labels.insert(WORKSPACE.to_owned(), workspace);
    }
    let wrong = || invalid(format!("`Tag` is no list of at most {MAX_TAGS} objects with `Key` and `Value`"));
    match body.get("Tag") {
        None => {}
        Some(Value::Array(tags)) if tags.len() <= MAX_TAGS => {
            for tag in tags {
                let tag = tag.as_object().ok_or_else(wrong)?;
                let key = text(tag, "Key")?.filter(|key| !key.is_empty()).ok_or_else(wrong)?;
                labels.insert(format!("{TAG}{key}"), text(tag, "Value")?.unwrap_or_default());
            }
        }
        Some(_) => return Err(wrong()),
    }
    Ok(labels)
}

/// The tags of an experiment.
pub(super) fn tags(experiment: &Experiment) -> impl Iterator<Item = (&str, &str)> {
    experiment.labels.iter().filter_map(|(name, value)| Some((name.strip_prefix(TAG)?, value.as_str())))
}

/// Reads an experiment; all that is wrong with it at once. Gives what is used of the configuration as well.
fn read(
    app: &App,
    name: Option<&str>,
    description: Option<&str>,
    mut config: Value,
) -> Result<(Wanted, Value), Problem> {
    let mut mistakes = config::mistakes(&config);
    let secrets = secrets::lift(&mut config, &Vault::of(&app.store)).map_err(Failure::from)?;
    let mut document = Map::new();
    for (key, value) in [("Name", name), ("Description", description)] {
        document.extend(value.map(|value| (key.to_owned(), json!(value))));
    }
    document.insert(config::CONFIGURATION.to_owned(), super::mask::without_credentials(&config));
    match read_lifted(app, &document.into(), secrets) {
        Ok(wanted) if mistakes.is_empty() => Ok((wanted, config)),
        Ok(_) => Err(bad_spec(mistakes)),
        Err(mut problem) => {
            problem.details.append(&mut mistakes);
            Err(problem)
        }
    }
}

/// `CreateHpoExperiment`
pub(super) async fn create(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let body = body(&asked)?;
    let mut labels = labels(&body)?;
    labels.entry(ACCESSIBILITY.to_owned()).or_insert_with(|| PRIVATE.to_owned());
    let Some(given) = configuration(&body)? else {
        let message = format!("the request has no `{}`", config::CONFIGURATION);
        return Err(bad_spec(vec![SpecError::key(
            codes::MISSING_KEY,
            config::CONFIGURATION,
            message,
            "add it",
        )]));
    };
    let (name, description) = (text(&body, "Name")?, text(&body, "Description")?);
    let (wanted, used) = read(app, name.as_deref(), description.as_deref(), given.clone())?;
    labels.extend(config::kept(given, &wanted.spec.canonical().to_string()));
    let id = begin(app, &asked.who, wanted, labels).await?;
    let mut told = json!({"ExperimentId": id.to_string()});
    if let (Some(told), Some(detail)) = (told.as_object_mut(), config::unused(given, &used)) {
        told.insert("Detail".to_owned(), detail);
    }
    Ok(answer(&asked, told))
}

/// `UpdateHpoExperiment`: what the request does not speak of stays as it is.
pub(super) async fn update(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let body = body(&asked)?;
    let wanted = experiment(&asked)?;
    let (name, description) = (text(&body, "Name")?, text(&body, "Description")?);
    let given = configuration(&body)?;
    let who = asked.who.clone();
    let known = app.handle.query(move |state| {
        let found = owned(state, &who, &wanted)?;
        let tags: Vec<String> = tags(found).map(|(key, _)| format!("{TAG}{key}")).collect();
        Ok::<_, Problem>((found.id, found.spec.shared(), config::as_it_came(found), tags))
    });
    let (id, before, mut shown, tags) = known.await??;
    let mut changes: BTreeMap<String, Option<String>> =
        labels(&body)?.into_iter().map(|(label, value)| (label, Some(value))).collect();
    if body.contains_key("Tag") {
        for tag in tags {
            changes.entry(tag).or_insert(None);
        }
    }
    let name = name.unwrap_or_else(|| before.name.clone());
    let description = description.unwrap_or_else(|| before.description.clone());
    let mut detail = None;
    let wanted = match given {
        None => Wanted::of(app, Spec { name, description, ..Spec::clone(&before) }),
        Some(given) => {
            let (whole, restored) = whole(app, &before, shown.as_ref(), given)?;
            let (mut wanted, used) = read(app, Some(&name), Some(&description), restored)?;
            wanted.spec = as_before(wanted.spec, &before);
            detail = config::unused(given, &used);
            shown = Some(whole);
            wanted
        }
    };
    if let Some(shown) = shown {
        let kept = config::kept(&shown, &wanted.spec.canonical().to_string());
        changes.extend(kept.map(|(label, value)| (label, Some(value))));
    }
    replace_all(app, &asked, (id, before), wanted, changes).await?;
    Ok(answer(&asked, detail.map_or_else(|| json!({}), |detail| json!({"Detail": detail}))))
}

/// The whole configuration after an update that gives some sections of it anew: as it is shown, and with the secrets that
/// are shown as masks.
fn whole(app: &App, before: &Spec, shown: Option<&Value>, given: &Value) -> Result<(Value, Value), Problem> {
    let said = config::said(before);
    let known = match shown {
        Some(shown) => shown,
        // It must not lose what this API does not know.
        None if read(app, Some(&before.name), Some(&before.description), said.clone())
            .is_ok_and(|(again, _)| before.differences(&as_before(again.spec, before)).is_empty()) =>
        {
            &said
        }
        None => {
            return Err(invalid(
                "the experiment has settings that this API does not know: update it by /v1/experiments or the command line",
            ));
        }
    };
    let merged = config::merged(known, given);
    let mut whole = merged.clone();
    let commands = before.run.as_ref().map(|run| run.commands.as_slice()).unwrap_or_default();
    super::mask::restore(&mut whole, commands);
    secrets::restore(&mut whole, known, before);
    Ok((merged, whole))
}

/// What this API cannot say, or says in one way only, as it was.
fn as_before(mut spec: Spec, before: &Spec) -> Spec {
    if let (Some(run), Some(before)) = (&mut spec.run, &before.run) {
        run.spec_dir.clone_from(&before.spec_dir);
    }
    let last = spec.run.as_ref().and_then(|run| u16::try_from(run.commands.len()).ok()?.checked_sub(1));
    // The output of the last command may be meant by its number or without one.
    if let (MetricSource::Stdout { task, .. }, MetricSource::Stdout { task: None, .. }) =
        (&mut spec.metric.source, &before.metric.source)
        && *task == last
    {
        *task = None;
    }
    // A metric may have a name beside what it is read by.
    if spec.metric.source == before.metric.source {
        for (metric, before) in spec.objective.metrics.iter_mut().zip(&before.objective.metrics) {
            metric.name.clone_from(&before.name);
        }
    }
    spec
}

/// `GetHpoExperiment`
pub(super) async fn show(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (who, wanted) = (asked.who.clone(), experiment(&asked)?);
    let shown = app.handle.query(move |state| {
        let found = kept(state, &who, &wanted)?;
        Ok::<_, Problem>(described(state, found, true, true))
    });
    Ok(answer(&asked, shown.await??))
}

/// An experiment, perhaps with the texts of its configuration, perhaps with the configuration itself.
pub(super) fn described(state: &State, experiment: &Experiment, texts: bool, whole: bool) -> Value {
    let mut counts: BTreeMap<&'static str, u32> = BTreeMap::new();
    for status in TrialStatus::ALL {
        let count = experiment.count(status);
        if count > 0 {
            *counts.entry(super::trial::status(status)).or_default() += count;
        }
    }
    let counts: Map<String, Value> =
        counts.into_iter().map(|(status, count)| (status.to_owned(), json!(count.to_string()))).collect();
    let label = |name: &str, default: &str| {
        experiment.labels.get(name).map_or_else(|| default.to_owned(), String::clone)
    };
    let tags: Vec<Value> = tags(experiment).map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    let mut told = json!({
        "Accessibility": label(ACCESSIBILITY, PUBLIC),
        "Creator": state.actor_name(experiment.creator),
        "Deleted": experiment.removed,
        "Description": experiment.spec.description,
        "ExperimentId": experiment.id.to_string(),
        "GmtCreateTime": figures::time(experiment.created),
        "GmtModifiedTime": figures::time(experiment.updated),
        "JobType": "1",
        "Name": experiment.spec.name,
        "Status": experiment.status.as_str(),
        "Tag": tags,
        "TrialCount": experiment.suggested(),
        "TrialStatus": counts,
        "WorkspaceId": label(WORKSPACE, ""),
    });
    if let (Some(told), true) = (told.as_object_mut(), texts || whole) {
        let config = config::of(experiment);
        let space = config.get("search_space").map_or_else(|| "{}".to_owned(), Value::to_string);
        told.insert("ConfigIni".to_owned(), json!(files::trial_ini(&config)));
        told.insert("ConfigYml".to_owned(), json!(files::exp_yml(&config, &experiment.spec.name)));
        told.insert("SearchSpace".to_owned(), json!(space));
        if whole {
            told.insert(config::CONFIGURATION.to_owned(), config);
        }
    }
    told
}

/// `StopHpoExperiment`. What has ended stays what it is.
pub(super) async fn stop(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let wanted = experiment(&asked)?;
    let over = engine::decide::codes::EXPERIMENT_ENDED.to_string();
    match perform(app, &asked, &wanted, |experiment| Request::Stop { experiment }).await {
        Err(problem) if problem.code.as_ref() != Some(&over) => return Err(problem),
        _ => {}
    }
    let who = asked.who.clone();
    let shown = app.handle.query(move |state| {
        let found = kept(state, &who, &wanted)?;
        Ok::<_, Problem>(json!({"ExpId": found.id.to_string(), "Status": found.status.as_str()}))
    });
    Ok(answer(&asked, shown.await??))
}

/// `DeleteHpoExperiment`
pub(super) async fn delete(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let wanted = experiment(&asked)?;
    perform(app, &asked, &wanted, |experiment| Request::Remove { experiment }).await?;
    Ok(answer(&asked, json!({})))
}
