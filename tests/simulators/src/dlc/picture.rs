//! How jobs, pods and events look on the wire, with the service's own inconsistencies of type.

use super::job::Job;
use super::pod::Pod;
use crate::clock::text;
use serde_json::{Map, Value, json};

/// A number of a text such as `8Gi` or `4`: gibibytes count as bytes.
fn quantity(text: Option<&Value>) -> f64 {
    let Some(text) = text.and_then(Value::as_str) else { return 0.0 };
    let digits = text.trim_end_matches(|character: char| character.is_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "Gi" => f64::from(1 << 30),
        "Mi" => f64::from(1 << 20),
        _ => 1.0,
    };
    digits.parse::<f64>().unwrap_or(0.0) * unit
}

/// What all pods of a job ask for together.
fn requested(job: &Job, resource: &str) -> f64 {
    job.specs()
        .iter()
        .map(|spec| {
            let count = spec.get("PodCount").and_then(Value::as_f64).unwrap_or(1.0);
            count * quantity(spec.pointer(&format!("/ResourceConfig/{resource}")))
        })
        .sum()
}

/// What `GetJob` and `ListJobs` have in common, as it was at a time.
fn shared(job: &Job, at_ms: i64, now_ms: i64) -> Map<String, Value> {
    let mut map = Map::new();
    // What was asked for comes back under its own names; images' passwords do not.
    for field in [
        "DisplayName",
        "JobType",
        "UserCommand",
        "ResourceId",
        "Envs",
        "DataSources",
        "CodeSource",
        "Settings",
        "SuccessPolicy",
        "ElasticSpec",
        "ThirdpartyLibs",
        "ThirdpartyLibDir",
        "CredentialConfig",
        "Accessibility",
        "Description",
        "JobMaxRunningTimeMinutes",
        "TemplateId",
        "CustomEnvs",
    ] {
        if let Some(value) = job.body.get(field) {
            map.insert(field.to_owned(), value.clone());
        }
    }
    if let Some(vpc) = job.body.get("UserVpc") {
        let mut vpc = vpc.clone();
        // The request spells it ExtendedCIDRs.
        if let Some(map) = vpc.as_object_mut()
            && let Some(ranges) = map.remove("ExtendedCIDRs")
        {
            map.insert("ExtendedCidrs".to_owned(), ranges);
        }
        map.insert("UserVpc".to_owned(), vpc);
    }
    let mut specs = job.specs().to_vec();
    for spec in &mut specs {
        if let Some(spec) = spec.as_object_mut() {
            spec.remove("ImageConfig");
        }
    }
    map.insert("JobSpecs".to_owned(), specs.into());
    if !job.tags.is_empty() {
        let settings = map.entry("Settings").or_insert_with(|| json!({}));
        if let Some(settings) = settings.as_object_mut() {
            settings.insert("Tags".to_owned(), json!(job.tags));
        }
    }
    let step = job.step_at(at_ms);
    let phase = step.map(|step| &step.phase);
    let before = |time: Option<i64>| text(time.filter(|time| *time <= at_ms));
    let ended = job.finished_ms().filter(|end| *end <= at_ms);
    let started = job.since("Running").filter(|start| *start <= at_ms);
    let duration = started.map_or(0, |start| (ended.unwrap_or(now_ms) - start).max(0) / 1000);
    for (field, value) in [
        ("JobId", json!(job.id)),
        ("Status", json!(phase.map_or("", |phase| &phase.status))),
        ("SubStatus", json!(phase.map_or("", |phase| &phase.sub_status))),
        ("ReasonCode", json!(phase.map_or("", |phase| &phase.reason_code))),
        ("ReasonMessage", json!(phase.map_or("", |phase| &phase.reason_message))),
        ("UserId", json!(job.user)),
        ("WorkspaceId", json!(job.workspace)),
        ("WorkspaceName", json!(format!("workspace-{}", job.workspace))),
        ("Priority", json!(job.priority(now_ms))),
        ("ResourceLevel", json!("L0")),
        ("ResourceType", json!("ECS")),
        ("Duration", json!(duration)),
        ("RestartTimes", json!(format!("{}/{}", job.restarts, super::limits::RESTARTS))),
        ("RequestCPU", json!(requested(job, "CPU") as i64)),
        ("GmtCreateTime", json!(text(Some(job.created_ms())))),
        ("GmtSubmittedTime", json!(before(job.since("Queuing")))),
        ("GmtRunningTime", json!(before(started))),
        ("GmtFinishTime", json!(before(ended))),
        ("GmtSuccessedTime", json!(before(job.since("Succeeded")))),
        ("GmtFailedTime", json!(before(job.since("Failed")))),
        ("GmtStoppedTime", json!(before(job.since("Stopped")))),
    ] {
        map.insert(field.to_owned(), value);
    }
    let history: Vec<Value> = job
        .steps
        .iter()
        .filter(|step| step.start_ms <= at_ms)
        .map(|step| {
            json!({
                "Status": step.phase.status,
                "ReasonCode": step.phase.reason_code,
                "ReasonMessage": step.phase.reason_message,
                "StartTime": text(Some(step.start_ms)),
                "EndTime": text(step.end_ms.filter(|end| *end <= at_ms)),
            })
        })
        .collect();
    map.insert("StatusHistory".to_owned(), history.into());
    map
}

/// A job as `GetJob` gives it; without details it has no pods and no history.
pub fn whole(job: &Job, detail: bool, now_ms: i64) -> Value {
    let mut map = shared(job, now_ms, now_ms);
    map.insert("RequestGPU".to_owned(), json!(requested(job, "GPU")));
    map.insert("RequestMemory".to_owned(), json!(requested(job, "Memory")));
    map.insert("TenantId".to_owned(), json!("simulated"));
    if detail {
        map.insert("Pods".to_owned(), job.pods.iter().map(|picture| pod(picture, true)).collect());
    } else {
        map.remove("StatusHistory");
    }
    map.into()
}

/// A job as `ListJobs` gives it, as it was at a time: some numbers are texts here.
pub fn item(job: &Job, at_ms: i64, now_ms: i64) -> Value {
    let mut map = shared(job, at_ms, now_ms);
    let modified = job.step_at(at_ms).map(|step| step.start_ms);
    for (field, value) in [
        ("RequestGPU", json!(requested(job, "GPU").to_string())),
        ("RequestMemory", json!(requested(job, "Memory").to_string())),
        ("Username", json!(job.user)),
        ("NodeCount", json!(job.pods.len().to_string())),
        ("GmtModifiedTime", json!(text(modified))),
        ("IsDeleted", json!(job.deleted)),
    ] {
        map.insert(field.to_owned(), value);
    }
    // Pods are thin here: without those that were replaced.
    map.insert("Pods".to_owned(), job.pods.iter().map(|picture| pod(picture, false)).collect());
    map.into()
}

fn pod(pod: &Pod, history: bool) -> Value {
    let duration = pod.started_ms.zip(pod.finished_ms).map_or(0, |(start, end)| (end - start).max(0) / 1000);
    let mut map = json!({
        "PodId": pod.id,
        "PodUid": pod.uid,
        "Type": pod.role,
        "Status": pod.status,
        "SubStatus": pod.sub_status,
        "Ip": "10.0.0.9",
        "PodIps": [],
        "NodeName": "simulated-node",
        "GmtCreateTime": text(Some(pod.created_ms)),
        "GmtStartTime": text(pod.started_ms),
        "GmtFinishTime": text(pod.finished_ms),
        "Duration": duration,
        "supportedProfilingTypes": "",
    });
    if history {
        map["HistoryPods"] = pod.history.iter().map(|old| self::pod(old, false)).collect();
    }
    map
}

/// The events of a job, by time.
pub fn job_events(job: &Job) -> Vec<(i64, String)> {
    job.steps
        .iter()
        .map(|step| {
            let phase = &step.phase;
            let why = [phase.sub_status.as_str(), &phase.reason_code, &phase.reason_message];
            let why: Vec<&str> = why.into_iter().filter(|part| !part.is_empty()).collect();
            let time = text(Some(step.start_ms));
            (step.start_ms, format!("{time} job is {} {}", phase.status, why.join(" ")).trim_end().to_owned())
        })
        .collect()
}

/// The events of a pod, by time.
pub fn pod_events(pod: &Pod) -> Vec<(i64, String)> {
    let mut events = vec![(pod.created_ms, "Scheduled".to_owned())];
    events.extend(pod.started_ms.map(|time| (time, "Started container".to_owned())));
    events.extend(pod.finished_ms.map(|time| (time, format!("{} ({})", pod.status, pod.sub_status))));
    events.into_iter().map(|(time, what)| (time, format!("{} {what}", text(Some(time))))).collect()
}
