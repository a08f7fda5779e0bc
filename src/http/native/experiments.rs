//! Experiments: list, look, create, change.

use super::{candid, labels, seen};
use crate::http::access::Identity;
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::reach::{create as create_one, read_spec, replace};
use crate::http::server::App;
use crate::past::{self, Moment, NoMoment};
use crate::views::{find, present};
use axum::http::StatusCode;
use engine::id::ExperimentId;
use engine::state::{Experiment, State};
use engine::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The label that makes a repeated creation the same one.
const REPEAT_LABEL: &str = "retrial.idempotency-key";
/// Experiments on a page, unless the query says so.
const PAGE: u64 = 50;

/// What is listed.
struct Filter {
    who: Identity,
    name: Option<String>,
    status: Option<String>,
    creator: Option<String>,
    text: Option<String>,
    label: Option<(String, String)>,
    after: Option<(Timestamp, ExperimentId)>,
    removed: bool,
    limit: usize,
}

impl Filter {
    fn of(asked: &Asked) -> Result<Self, Problem> {
        let own = |name: &str| asked.text(name).map(str::to_owned);
        let label = asked.text("label").map(|label| {
            let pair = label.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            pair.ok_or_else(|| {
                Problem::bad_request("`label` is not NAME=VALUE", "write for example label=team=vision")
            })
        });
        let after = asked.text("after").map(|cursor| {
            let place = cursor
                .split_once('-')
                .and_then(|(time, id)| Some((Timestamp(time.parse().ok()?), id.parse().ok()?)));
            place
                .ok_or_else(|| Problem::bad_request("`after` is no cursor", "take `next` of the page before"))
        });
        Ok(Self {
            who: asked.who.clone(),
            name: own("name"),
            status: own("status"),
            creator: own("creator"),
            text: own("q").map(|text| text.to_lowercase()),
            label: label.transpose()?,
            after: after.transpose()?,
            removed: asked.text("removed") == Some("true"),
            limit: asked.whole("limit").unwrap_or(PAGE) as usize,
        })
    }

    fn fits(&self, state: &State, experiment: &Experiment) -> bool {
        let spec = &experiment.spec;
        let contains = |text: &String| {
            spec.name.to_lowercase().contains(text) || spec.description.to_lowercase().contains(text)
        };
        (self.removed || !experiment.removed)
            && self.who.may_see(state, experiment)
            && self.after.is_none_or(|after| (experiment.created, experiment.id) < after)
            && self.name.as_ref().is_none_or(|name| spec.name == *name)
            && self.status.as_ref().is_none_or(|status| experiment.status.as_str() == status)
            && self.creator.as_ref().is_none_or(|name| state.actor_name(experiment.creator) == name)
            && self.text.as_ref().is_none_or(contains)
            && self.label.as_ref().is_none_or(|(name, value)| experiment.labels.get(name) == Some(value))
    }

    /// Newest first.
    fn page(&self, state: &State) -> Value {
        let mut found: Vec<&Experiment> =
            state.experiments().filter(|experiment| self.fits(state, experiment)).collect();
        let total = found.len();
        found.sort_unstable_by_key(|experiment| std::cmp::Reverse((experiment.created, experiment.id)));
        let more = total > self.limit;
        found.truncate(self.limit);
        let next = found.last().filter(|_| more).map(|last| format!("{}-{}", last.created.0, last.id));
        let shown: Vec<Value> = found.iter().map(|experiment| present::listed(state, experiment)).collect();
        json!({"experiments": shown, "next": next})
    }
}

/// `GET /v1/experiments`
pub(super) async fn list(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let filter = Filter::of(&asked)?;
    Ok(Reply::json(&app.handle.query(move |state| filter.page(state)).await?))
}

/// `GET /v1/experiments/{experiment}`
pub(super) async fn show(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let wanted = asked.part("experiment").to_owned();
    let who = asked.who.clone();
    let detail = |state: &State, experiment: &Experiment| {
        present::with_origin(state, experiment, present::detail(experiment))
    };
    let Some(at) = asked.text("at") else {
        let shown = app.handle.look(move |runtime| {
            let found = seen(runtime.state(), &who, &wanted)?;
            let troubles = candid::told(&who, runtime.state(), found, runtime.troubles(found.id));
            Ok::<_, Problem>(present::with_troubles(detail(runtime.state(), found), &troubles))
        });
        return Ok(Reply::json(&shown.await??));
    };
    let moment: Moment =
        at.parse().map_err(|error: NoMoment| Problem::bad_request(error.to_string(), NoMoment::CURE))?;
    // Whether it may be seen is a matter of today.
    let id = app.handle.query(move |state| seen(state, &who, &wanted).map(|found| found.id)).await??;
    let store = app.store.clone();
    let shown = app.aside.compute(move || {
        let state = past::state_at(&store, moment)?;
        let head = state.head().0;
        let Some(experiment) = state.experiment(id) else { return Ok(None) };
        let mut value = detail(&state, experiment);
        let trials = experiment.trials.iter().map(|trial| present::trial(experiment, trial)).collect();
        if let Some(object) = value.as_object_mut() {
            object.insert("seq".to_owned(), json!(head));
            object.insert("all_trials".to_owned(), Value::Array(trials));
        }
        Ok(Some(value))
    });
    let shown = shown.await?.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, format!("the experiment {id} did not exist then"), "")
    })?;
    Ok(Reply::json(&shown))
}

/// What creates an experiment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Creation {
    /// The experiment as an object, or as the text of a file.
    spec: Value,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// `POST /v1/experiments`
pub(super) async fn create(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let Creation { spec, mut labels } = asked.json()?;
    labels::check(labels.iter().map(|(name, value)| (name, Some(value))))?;
    let wanted = read_spec(app, &spec)?;
    let own = labels.clone();
    let key = asked.headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(str::to_owned);
    labels.extend(key.clone().map(|key| (REPEAT_LABEL.to_owned(), key)));
    let (text, who) = (wanted.spec.canonical().to_string(), asked.who.clone());
    // In one piece, so that two requests with one key do not both create.
    let (id, new) = app
        .act(&asked.who, move |dispatcher, _| {
            let state = dispatcher.state();
            let same = |experiment: &&Experiment| {
                experiment.labels.get(REPEAT_LABEL) == key.as_ref()
                    && state.actor_name(experiment.creator) == who.name
            };
            let Some(known) = state.experiments().find(|experiment| key.is_some() && same(experiment)) else {
                return Ok((create_one(dispatcher, &who, &wanted, labels)?, true));
            };
            if !known.removed && known.spec.text() == text && crate::labels::own(known) == own {
                return Ok((known.id, false));
            }
            let which = if known.removed { "is removed" } else { "is another one, or has other labels" };
            let message = format!("the key was used for the experiment {}, which {which}", known.id);
            let cure = "give a new Idempotency-Key";
            Err(Problem::coded(StatusCode::CONFLICT, crate::codes::BAD_HTTP_REQUEST, message, cure).into())
        })
        .await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Reply::with(status, &json!({"experiment": id.to_string()})))
}

/// What replaces an experiment's specification.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    spec: Value,
}

/// `PUT /v1/experiments/{experiment}`
pub(super) async fn update(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let Update { spec } = asked.json()?;
    let wanted = read_spec(app, &spec)?;
    let id = replace(app, &asked, asked.part("experiment"), wanted).await?;
    done(app, id).await
}

/// How an experiment stands after something was done to it.
pub(super) async fn done(app: &App, id: ExperimentId) -> Result<Reply, Problem> {
    let shown = app.handle.query(move |state| {
        let found = find::find(state, &id.to_string())?;
        Ok::<_, Problem>(json!({
            "experiment": id.to_string(), "status": found.status.as_str(), "trials": present::counts(found),
        }))
    });
    Ok(Reply::json(&shown.await??))
}

/// `GET /v1/experiments/{experiment}/best`
pub(super) async fn best(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    let shown = app.handle.query(move |state| {
        let found = seen(state, &who, &wanted)?;
        Ok::<_, Problem>(json!({"best": present::answer(found), "front": present::front(found)}))
    });
    Ok(Reply::json(&shown.await??))
}
