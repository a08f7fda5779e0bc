//! `ListJobs`: filters, the window of seven days, the lag of the index, order and pages.

use super::job::Job;
use super::limits;
use super::picture;
use super::refusal::Refusal;
use super::service::Parameters;
use super::world::World;
use crate::clock;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Answers `ListJobs`.
pub fn list(world: &World, query: &Parameters, now_ms: i64) -> Result<Value, Refusal> {
    // The index is behind: it knows jobs as they were then.
    let at_ms = now_ms - world.script.list_lag_ms;
    let filter = Filter::new(query, now_ms)?;
    let mut found: Vec<&Job> = match &filter.ids {
        Some(ids) => world.of_ids(ids),
        None => world.jobs().iter().collect(),
    };
    found.retain(|job| !job.deleted && filter.fits(job, at_ms));
    match query.get("SortBy").unwrap_or("GmtCreateTime") {
        "DisplayName" => found.sort_by_key(|job| job.asked("DisplayName").to_owned()),
        "JobType" => found.sort_by_key(|job| job.asked("JobType").to_owned()),
        "Status" => found.sort_by_key(|job| status(job, at_ms).to_owned()),
        "GmtFinishTime" => found.sort_by_key(|job| job.finished_ms()),
        "GmtCreateTime" => found.sort_by_key(|job| job.created_ms()),
        other => return Err(Refusal::parameter(format!("SortBy {other} is unknown"))),
    }
    match query.get("Order").unwrap_or("desc") {
        "desc" => found.reverse(),
        "asc" => {}
        other => return Err(Refusal::parameter(format!("Order {other} is unknown"))),
    }
    let page = query.number("PageNumber")?.unwrap_or(1).max(1);
    let size = query.number("PageSize")?.unwrap_or(limits::PAGE).clamp(1, limits::MOST_PAGE);
    let jobs: Vec<Value> = found
        .iter()
        .skip((page - 1).saturating_mul(size))
        .take(size)
        .map(|job| picture::item(job, at_ms, now_ms))
        .collect();
    Ok(json!({"Jobs": jobs, "TotalCount": found.len()}))
}

fn status(job: &Job, at_ms: i64) -> &str {
    job.step_at(at_ms).map_or("", |step| &step.phase.status)
}

struct Filter<'a> {
    query: &'a Parameters,
    ids: Option<Vec<&'a str>>,
    tags: BTreeMap<String, String>,
    from_ms: i64,
    to_ms: i64,
}

impl<'a> Filter<'a> {
    fn new(query: &'a Parameters, now_ms: i64) -> Result<Self, Refusal> {
        let ids = query.get("JobId").map(|id| vec![id]);
        let ids = ids.or_else(|| query.get("JobIds").map(|ids| ids.split(',').map(str::trim).collect()));
        let tags = query.get("Tags").map(serde_json::from_str).transpose();
        let tags = tags.map_err(|error| Refusal::parameter(format!("Tags is not JSON: {error}")))?;
        Ok(Self {
            ids,
            tags: tags.unwrap_or_default(),
            from_ms: query.time("StartTime")?.unwrap_or(now_ms - limits::WINDOW_MS),
            to_ms: query.time("EndTime")?.unwrap_or(i64::MAX),
            query,
        })
    }

    fn fits(&self, job: &Job, at_ms: i64) -> bool {
        if job.created_ms() > at_ms {
            return false;
        }
        let time = match self.query.get("TimeRangeField").unwrap_or("GmtCreateTime") {
            "GmtFinishTime" => job.finished_ms(),
            "GmtRunningTime" => job.since("Running"),
            _ => Some(job.created_ms()),
        };
        // Times are compared as they are written: in whole seconds.
        let second = |ms: i64| ms.div_euclid(1000);
        let within = time
            .is_some_and(|time| second(time) >= second(self.from_ms) && second(time) <= second(self.to_ms));
        within
            && self.tags.iter().all(|(key, value)| job.tags.get(key) == Some(value))
            && self.texts(job, at_ms)
    }

    fn texts(&self, job: &Job, at_ms: i64) -> bool {
        let equal = |field: &str, value: &str| self.query.get(field).is_none_or(|wanted| wanted == value);
        let contained = |field: &str, value: &str| {
            self.query.get(field).is_none_or(|wanted| value.to_lowercase().contains(&wanted.to_lowercase()))
        };
        let setting = |field: &str| {
            job.body.pointer(&format!("/Settings/{field}")).and_then(Value::as_str).unwrap_or_default()
        };
        let images = || {
            let image = |spec: &Value| spec.get("Image").and_then(Value::as_str).map(str::to_owned);
            job.specs().iter().filter_map(image).collect::<Vec<_>>().join(" ")
        };
        let reason = job.step_at(at_ms).map(|step| &step.phase);
        equal("Status", status(job, at_ms))
            && equal("JobType", job.asked("JobType"))
            && equal("WorkspaceId", &job.workspace)
            && equal("ResourceId", job.asked("ResourceId"))
            && equal("BusinessUserId", setting("BusinessUserId"))
            && equal("Caller", setting("Caller"))
            && equal("PipelineId", setting("PipelineId"))
            && equal("TemplateId", job.asked("TemplateId"))
            && equal("UserIdForFilter", &job.user)
            && contained("DisplayName", job.asked("DisplayName"))
            && contained("Description", job.asked("Description"))
            && contained("Username", &job.user)
            && contained("UserCommandSearch", job.asked("UserCommand"))
            && contained("ImageSearch", &images())
            && contained("ReasonSearch", reason.map_or("", |phase| &phase.reason_message))
    }
}

/// A window that a call asks for: from seven days ago until now if it does not say.
pub fn window(query: &Parameters, now_ms: i64) -> Result<(i64, i64), Refusal> {
    let from_ms = query.time("StartTime")?.unwrap_or(now_ms - limits::WINDOW_MS);
    Ok((from_ms, query.time("EndTime")?.unwrap_or(now_ms)))
}

/// A time of a parameter, in milliseconds since 1970.
pub fn time(name: &str, value: &str) -> Result<i64, Refusal> {
    clock::parse(value).ok_or_else(|| Refusal::parameter(format!("{name} is no time: {value}")))
}
