//! `ListHpoExperiments`: filters, order, pages.

use super::experiment::{WORKSPACE, described, tags};
use super::request::{Page, answer, descending, given, invalid, time, word};
use crate::http::access::Identity;
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::server::App;
use crate::labels::{ACCESSIBILITIES, ACCESSIBILITY, PUBLIC};
use engine::state::{Experiment, State};
use engine::time::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What experiments can be sorted by.
const KEYS: [&str; 5] = ["create_time", "update_time", "workspace_id", "status", "accessibility"];

/// What the status of an experiment can be.
const STATUSES: [&str; 11] = [
    "CREATED",
    "RUNNING",
    "FINISHED",
    "FAILED",
    "EARLY_STOPPED",
    "USER_CANCELED",
    "SYS_CANCELED",
    "WAITING",
    "NO_MORE_TRIAL",
    "TERMINATING",
    "UNKNOWN",
];

/// Which experiments are listed, and how.
struct Filter {
    who: Identity,
    accessibility: Option<&'static str>,
    creator: Option<String>,
    name: Option<String>,
    status: Option<&'static str>,
    workspace: Option<String>,
    tags: Vec<(String, String)>,
    least: Option<Timestamp>,
    most: Option<Timestamp>,
    by: usize,
    descending: bool,
    page: Page,
    with_config: bool,
}

impl Filter {
    fn of(asked: &Asked) -> Result<Self, Problem> {
        let own = |name: &str| given(asked, name).map(str::to_owned);
        let accessibility = word(asked, "Accessibility", &ACCESSIBILITIES)?;
        Ok(Self {
            who: asked.who.clone(),
            accessibility: accessibility.and_then(|place| ACCESSIBILITIES.get(place)).copied(),
            creator: own("Creator"),
            name: own("Name").map(|name| name.to_lowercase()),
            status: word(asked, "Status", &STATUSES)?.and_then(|place| STATUSES.get(place)).copied(),
            workspace: own("WorkspaceId"),
            tags: wanted_tags(asked)?,
            least: time(asked, "MinCreateTime", false)?,
            most: time(asked, "MaxCreateTime", true)?,
            by: word(asked, "SortBy", &KEYS)?.unwrap_or_default(),
            descending: descending(asked, true)?,
            page: Page::of(asked)?,
            with_config: word(asked, "IncludeConfigData", &["False", "True"])? == Some(1),
        })
    }

    fn fits(&self, state: &State, experiment: &Experiment) -> bool {
        let equal =
            |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        self.who.sees(state, experiment)
            && self.accessibility.is_none_or(|wanted| accessibility(experiment) == wanted)
            && equal(&self.creator, state.actor_name(experiment.creator))
            && self.status.is_none_or(|status| experiment.status.as_str() == status)
            && equal(&self.workspace, workspace(experiment))
            && self.name.as_ref().is_none_or(|name| experiment.spec.name.to_lowercase().contains(name))
            && self.least.is_none_or(|least| experiment.created >= least)
            && self.most.is_none_or(|most| experiment.created <= most)
            && self.tags.iter().all(|(key, value)| {
                tags(experiment).any(|tag| tag.0 == key && (value.is_empty() || tag.1 == value))
            })
    }

    fn list(&self, state: &State) -> Value {
        let mut found: Vec<&Experiment> =
            state.experiments().filter(|experiment| self.fits(state, experiment)).collect();
        let key = |experiment: &Experiment| {
            let text = match self.by {
                2 => workspace(experiment),
                3 => experiment.status.as_str(),
                4 => accessibility(experiment),
                _ => "",
            };
            let time = if self.by == 1 { experiment.updated } else { experiment.created };
            (text.to_owned(), time, experiment.id)
        };
        found.sort_by_cached_key(|experiment| key(experiment));
        if self.descending {
            found.reverse();
        }
        let page = found.iter().skip(self.page.skip).take(self.page.size);
        let shown: Vec<Value> =
            page.map(|experiment| described(state, experiment, self.with_config, false)).collect();
        json!({"Experiments": shown, "TotalCount": found.len()})
    }
}

fn accessibility(experiment: &Experiment) -> &str {
    experiment.labels.get(ACCESSIBILITY).map_or(PUBLIC, String::as_str)
}

fn workspace(experiment: &Experiment) -> &str {
    experiment.labels.get(WORKSPACE).map_or("", String::as_str)
}

/// The tags that are asked for: `Tag.1.Key` with `Tag.1.Value`, or `Tag` as a JSON list. An empty value is any.
fn wanted_tags(asked: &Asked) -> Result<Vec<(String, String)>, Problem> {
    let wrong = || invalid("`Tag` is no list of objects with `Key` and `Value`");
    if let Some(text) = given(asked, "Tag") {
        let tags: Vec<BTreeMap<String, String>> = serde_json::from_str(text).map_err(|_| wrong())?;
        let pair = |tag: &BTreeMap<String, String>| {
            Some((tag.get("Key")?.clone(), tag.get("Value").cloned().unwrap_or_default()))
        };
        return tags.iter().map(|tag| pair(tag).ok_or_else(wrong)).collect();
    }
    let named = asked.query.iter().filter_map(|(name, key)| {
        let number = name.strip_prefix("Tag.")?.strip_suffix(".Key")?;
        Some((key.clone(), asked.text(&format!("Tag.{number}.Value")).unwrap_or_default().to_owned()))
    });
    Ok(named.collect())
}

/// `ListHpoExperiments`
pub(super) async fn list(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let filter = Filter::of(&asked)?;
    let shown = app.handle.query(move |state| filter.list(state)).await?;
    Ok(answer(&asked, shown))
}
