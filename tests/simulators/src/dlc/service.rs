//! The operations of the service: which call is which, and what each answers.

use super::job::is_terminal;
use super::limits;
use super::listing;
use super::picture;
use super::refusal::Refusal;
use super::world::World;
use crate::wire::Wire;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The parameters of a call's query.
#[derive(Debug, Default)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads a query.
    pub fn of(wire: &Wire) -> Self {
        Self(wire.pairs().into_iter().collect())
    }

    /// A parameter that is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A number.
    pub fn number(&self, name: &str) -> Result<Option<usize>, Refusal> {
        let parse = |value: &str| {
            value.parse().map_err(|_| Refusal::parameter(format!("{name} is no number: {value}")))
        };
        self.get(name).map(parse).transpose()
    }

    /// A time, in milliseconds since 1970.
    pub fn time(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.get(name).map(|value| listing::time(name, value)).transpose()
    }

    /// Yes or no; some clients begin them with a capital letter.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| value.eq_ignore_ascii_case("true"))
    }
}

/// Which operation a call is, by its method and path; the segments that are ids are returned as well.
pub fn operation(wire: &Wire) -> Option<(&'static str, Vec<String>)> {
    let segments = wire.segments();
    let rest = segments.strip_prefix(&["api".to_owned(), "v1".to_owned()])?;
    let path: Vec<&str> = rest.iter().map(String::as_str).collect();
    let (name, ids): (&'static str, &[&str]) = match (wire.method.as_str(), path.as_slice()) {
        ("POST", ["jobs"]) => ("CreateJob", &[]),
        ("GET", ["jobs"]) => ("ListJobs", &[]),
        ("GET", ["jobs", id]) => ("GetJob", &[id]),
        ("PUT", ["jobs", id]) => ("UpdateJob", &[id]),
        ("DELETE", ["jobs", id]) => ("DeleteJob", &[id]),
        ("POST", ["jobs", id, "stop"]) => ("StopJob", &[id]),
        ("GET", ["jobs", id, "events"]) => ("GetJobEvents", &[id]),
        ("GET", ["jobs", id, "metrics"]) => ("GetJobMetrics", &[id]),
        ("GET", ["jobs", id, "pods", pod, "logs"]) => ("GetPodLogs", &[id, pod]),
        ("GET", ["jobs", id, "pods", pod, "events"]) => ("GetPodEvents", &[id, pod]),
        ("POST", ["jobs", id, "signals"]) => ("CreateSignal", &[id]),
        ("GET", ["jobs", id, "signals"]) => ("ListSignals", &[id]),
        ("GET", ["jobs", id, "signals", signal]) => ("GetSignal", &[id, signal]),
        ("GET", ["cms", "metrics"]) => ("GetMetrics", &[]),
        ("GET", ["ecsspecs"]) => ("ListEcsSpecs", &[]),
        ("POST", ["tags"]) => ("TagResources", &[]),
        ("DELETE", ["tags"]) => ("UntagResources", &[]),
        _ => return None,
    };
    Some((name, ids.iter().map(|id| (*id).to_owned()).collect()))
}

/// Lets a call take effect, and answers it (without `RequestId`). The world must have been brought to `now_ms`.
pub fn act(
    world: &mut World,
    operation: &str,
    ids: &[String],
    wire: &Wire,
    user: &str,
    now_ms: i64,
) -> Result<Value, Refusal> {
    let query = Parameters::of(wire);
    let id = ids.first().map_or("", String::as_str);
    let second = ids.get(1).map_or("", String::as_str);
    match operation {
        "CreateJob" => create(world, &body(wire)?, user, now_ms),
        "ListJobs" => listing::list(world, &query, now_ms),
        "GetJob" => {
            let detail = query.flag("NeedDetail").unwrap_or(true);
            Ok(picture::whole(world.job(id)?, detail, now_ms))
        }
        "UpdateJob" => update(world, id, &body(wire)?, now_ms),
        "StopJob" => world.stop(id, now_ms).map(|()| json!({"JobId": id})),
        "DeleteJob" => {
            let job = world.job_mut(id)?;
            if !is_terminal(job.status()) {
                let message = format!("Job can't be deleted, because it is {}", job.status());
                return Err(Refusal::new(400, "400", message));
            }
            job.deleted = true;
            Ok(json!({"JobId": id}))
        }
        "GetPodLogs" => logs(world, id, second, &query, now_ms),
        "GetJobEvents" => {
            let events = within(picture::job_events(world.job(id)?), &query, now_ms)?;
            Ok(json!({"JobId": id, "Events": events}))
        }
        "GetPodEvents" => {
            let pod = incarnation(world, id, second, query.get("PodUid"))?;
            let events = within(picture::pod_events(pod), &query, now_ms)?;
            Ok(json!({"JobId": id, "PodId": second, "PodUid": pod.uid, "Events": events}))
        }
        "GetJobMetrics" => metrics(world, id, &query, now_ms),
        "GetMetrics" => Ok(json!({
            "Code": "200", "Success": true, "Message": "", "DataPoints": "[]", "NextToken": "", "Period": "60"
        })),
        "CreateSignal" => signal(world, id, &body(wire)?),
        "ListSignals" => {
            let signals = &world.job(id)?.signals;
            Ok(json!({"JobId": id, "Signals": signals, "TotalCount": signals.len()}))
        }
        "GetSignal" => {
            let signals = &world.job(id)?.signals;
            let found = signals.iter().find(|signal| signal.get("SignalId").is_some_and(|id| id == second));
            found.cloned().ok_or_else(|| Refusal::not_found("signal"))
        }
        "ListEcsSpecs" => machines(world, &query),
        "TagResources" => tag(world, &body(wire)?),
        "UntagResources" => untag(world, &query),
        other => Err(Refusal::new(404, "InvalidApi.NotFound", format!("{other} is not simulated"))),
    }
}

fn body(wire: &Wire) -> Result<Value, Refusal> {
    let value: Value = serde_json::from_slice(&wire.body)
        .map_err(|error| Refusal::parameter(format!("the body is not JSON: {error}")))?;
    if value.is_object() { Ok(value) } else { Err(Refusal::parameter("the body is not an object")) }
}

fn missing(field: &str) -> Refusal {
    Refusal::new(400, &format!("Missing{field}"), format!("{field} is mandatory for this action."))
}

fn create(world: &mut World, body: &Value, user: &str, now_ms: i64) -> Result<Value, Refusal> {
    let text = |field: &str| {
        let value = body.get(field).and_then(Value::as_str).filter(|value| !value.is_empty());
        value.ok_or_else(|| missing(field))
    };
    let name = text("DisplayName")?;
    let legal = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
    if name.chars().count() > limits::NAME_CHARS || !name.chars().all(legal) {
        return Err(Refusal::parameter(format!("DisplayName {name} is not a name")));
    }
    let kinds = "TFJob PyTorchJob MPIJob XGBoostJob OneFlowJob ElasticBatchJob SlurmJob RayJob DataJuicerJob \
                 FlinkBatchJob";
    let kind = text("JobType")?;
    if !kinds.split(' ').any(|known| known == kind) {
        return Err(Refusal::parameter(format!("JobType {kind} is unknown")));
    }
    text("UserCommand")?;
    let specs = body.get("JobSpecs").and_then(Value::as_array).filter(|specs| !specs.is_empty());
    for spec in specs.ok_or_else(|| missing("JobSpecs"))? {
        let role = spec.get("Type").and_then(Value::as_str).unwrap_or_default();
        if role.is_empty() {
            return Err(missing("JobSpecs.Type"));
        }
        if spec.get("Image").and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(missing("JobSpecs.Image"));
        }
        if !spec.get("PodCount").and_then(Value::as_i64).is_some_and(|count| (1..=1000).contains(&count)) {
            return Err(Refusal::parameter(format!("PodCount of {role} is not a number of pods")));
        }
        let machine = spec.get("EcsSpec").and_then(Value::as_str).filter(|name| !name.is_empty());
        if machine.is_some() && spec.get("ResourceConfig").is_some() {
            return Err(Refusal::parameter("EcsSpec and ResourceConfig exclude each other"));
        }
        if let Some(machine) = machine
            && !world.script.ecs_specs.iter().any(|known| known.instance_type == machine)
        {
            return Err(Refusal::parameter(format!("EcsSpec {machine} is unknown")));
        }
    }
    if let Some(priority) = body.get("Priority")
        && !priority.as_i64().is_some_and(|priority| (1..=9).contains(&priority))
    {
        return Err(Refusal::parameter("Priority is a number from 1 to 9"));
    }
    for source in body.get("DataSources").and_then(Value::as_array).into_iter().flatten() {
        if source.get("DataSourceId").is_some() && source.get("Uri").is_some() {
            return Err(Refusal::parameter("DataSourceId and Uri exclude each other"));
        }
    }
    let vpc = |field: &str| body.pointer(&format!("/UserVpc/{field}"));
    if vpc("SwitchId").is_some() && vpc("ExtendedCIDRs").is_none() {
        return Err(missing("UserVpc.ExtendedCIDRs"));
    }
    let asked = body.get("WorkspaceId").and_then(Value::as_str).filter(|id| !id.is_empty());
    let workspace = asked.unwrap_or(&world.script.default_workspace).to_owned();
    if !world.script.workspaces.is_empty() && !world.script.workspaces.contains(&workspace) {
        return Err(Refusal::new(404, "NotFound", format!("workspace {workspace} not found")));
    }
    let id = world.create(body.clone(), workspace, user, now_ms);
    Ok(json!({"JobId": id}))
}

fn update(world: &mut World, id: &str, body: &Value, now_ms: i64) -> Result<Value, Refusal> {
    let lag_ms = world.script.priority_lag_ms;
    let job = world.job_mut(id)?;
    for field in ["Accessibility", "Description", "UserCommand", "JobSpecs"] {
        let started = !matches!(job.status(), "Creating" | "Queuing" | "EnvPreparing");
        let value = body.get(field).filter(|value| !value.as_array().is_some_and(Vec::is_empty));
        if let (Some(value), Some(map)) = (value, job.body.as_object_mut())
            && !(started && matches!(field, "UserCommand" | "JobSpecs"))
        {
            map.insert(field.to_owned(), value.clone());
        }
    }
    // Elsewhere a priority is taken and has no effect, as with the service.
    if let Some(priority) = body.get("Priority").and_then(Value::as_i64)
        && matches!(job.status(), "Creating" | "Queuing" | "EnvPreparing")
        && !job.asked("ResourceId").is_empty()
        && (1..=9).contains(&priority)
    {
        job.priorities.push((now_ms + lag_ms, priority));
    }
    Ok(json!({"JobId": id}))
}

fn incarnation<'a>(
    world: &'a World,
    id: &str,
    pod: &str,
    uid: Option<&str>,
) -> Result<&'a super::pod::Pod, Refusal> {
    let job = world.job(id)?;
    let pods = job.pods.iter().filter(|known| known.id == pod);
    let mut all = pods.flat_map(super::pod::Pod::incarnations);
    all.find(|known| uid.is_none_or(|uid| known.uid == uid))
        .ok_or_else(|| Refusal::not_found(&format!("pod {pod}")))
}

fn logs(world: &World, id: &str, pod: &str, query: &Parameters, now_ms: i64) -> Result<Value, Refusal> {
    let found = incarnation(world, id, pod, query.get("PodUid"))?;
    let (from_ms, to_ms) = listing::window(query, now_ms)?;
    let most = query.number("MaxLines")?.unwrap_or(limits::LINES).min(limits::MOST_LINES);
    let lines = found.read(from_ms, to_ms, most, &world.script.logs, now_ms);
    Ok(json!({"JobId": id, "PodId": pod, "PodUid": found.uid, "Logs": lines}))
}

/// The first events of a call's window.
fn within(events: Vec<(i64, String)>, query: &Parameters, now_ms: i64) -> Result<Vec<String>, Refusal> {
    let (from_ms, to_ms) = listing::window(query, now_ms)?;
    let most = query.number("MaxEventsNum")?.unwrap_or(limits::LINES);
    let inside = events.into_iter().filter(|(time, _)| {
        time.div_euclid(1000) >= from_ms.div_euclid(1000) && time.div_euclid(1000) <= to_ms.div_euclid(1000)
    });
    Ok(inside.take(most).map(|(_, text)| text).collect())
}

fn metrics(world: &World, id: &str, query: &Parameters, now_ms: i64) -> Result<Value, Refusal> {
    query.get("MetricType").ok_or_else(|| missing("MetricType"))?;
    let pods: Vec<Value> = world
        .job(id)?
        .pods
        .iter()
        .filter(|pod| pod.started_ms.is_some())
        .map(|pod| json!({"PodId": pod.id, "Metrics": [{"Time": now_ms, "Value": 12.5}]}))
        .collect();
    Ok(json!({"JobId": id, "PodMetrics": pods}))
}

fn signal(world: &mut World, id: &str, body: &Value) -> Result<Value, Refusal> {
    let signal = body.get("Signal").cloned().ok_or_else(|| missing("Signal"))?;
    let name = world.dice.uuid();
    let job = world.job_mut(id)?;
    let mut kept = Map::new();
    kept.insert("SignalId".to_owned(), json!(name));
    kept.insert("JobId".to_owned(), json!(id));
    kept.insert("Signal".to_owned(), signal);
    kept.insert("Status".to_owned(), json!("Succeeded"));
    let kept = Value::from(kept);
    job.signals.push(kept.clone());
    Ok(kept)
}

fn machines(world: &World, query: &Parameters) -> Result<Value, Refusal> {
    let wanted = query.get("InstanceTypes").map(|names| names.split(',').collect::<Vec<_>>());
    let all: Vec<Value> = world
        .script
        .ecs_specs
        .iter()
        .filter(|spec| query.get("AcceleratorType").is_none_or(|kind| kind == spec.accelerator_type))
        .filter(|spec| wanted.as_ref().is_none_or(|names| names.contains(&spec.instance_type.as_str())))
        .map(|spec| {
            json!({
                "InstanceType": spec.instance_type, "AcceleratorType": spec.accelerator_type, "Cpu": spec.cpu,
                "Memory": spec.memory, "Gpu": spec.gpu, "GpuType": spec.gpu_type, "IsAvailable": true
            })
        })
        .collect();
    let total = all.len();
    let size = query.number("PageSize")?.unwrap_or(limits::MOST_PAGE).max(1);
    let first = (query.number("PageNumber")?.unwrap_or(1).max(1) - 1).saturating_mul(size);
    let page: Vec<Value> = all.into_iter().skip(first).take(size).collect();
    Ok(json!({"EcsSpecs": page, "TotalCount": total}))
}

fn tag(world: &mut World, body: &Value) -> Result<Value, Refusal> {
    let list = |field: &str| body.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let (ids, tags) = (list("ResourceId"), list("Tag"));
    if ids.is_empty() || ids.len() > limits::TAGGED {
        return Err(Refusal::parameter(format!("ResourceId has 1 to {} ids", limits::TAGGED)));
    }
    if tags.is_empty() || tags.len() > limits::TAGS {
        return Err(Refusal::parameter(format!("Tag has 1 to {} tags", limits::TAGS)));
    }
    if body.get("ResourceType").and_then(Value::as_str).is_some_and(|kind| !kind.eq_ignore_ascii_case("job"))
    {
        return Err(Refusal::parameter("ResourceType is Job"));
    }
    let text =
        |tag: &Value, field: &str| tag.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    for key in tags.iter().map(|tag| text(tag, "Key")) {
        let url = key.contains("http://") || key.contains("https://");
        let reserved = key.starts_with("aliyun") || key.starts_with("acs:");
        if key.is_empty() || key.chars().count() > 128 || reserved || url {
            return Err(Refusal::parameter(format!("`{key}` cannot be the key of a tag")));
        }
    }
    for id in ids.iter().filter_map(Value::as_str) {
        world.job(id)?;
    }
    for id in ids.iter().filter_map(Value::as_str) {
        let job = world.job_mut(id)?;
        job.tags.extend(tags.iter().map(|tag| (text(tag, "Key"), text(tag, "Value"))));
    }
    Ok(json!({}))
}

fn untag(world: &mut World, query: &Parameters) -> Result<Value, Refusal> {
    let list = |name: &str| -> Result<Vec<String>, Refusal> {
        let text = query.get(name).unwrap_or("[]");
        serde_json::from_str(text)
            .map_err(|_| Refusal::parameter(format!("{name} is not a JSON list: {text}")))
    };
    let (ids, keys) = (list("ResourceId")?, list("TagKey")?);
    let all = query.flag("All").unwrap_or(false);
    for id in &ids {
        let job = world.job_mut(id)?;
        job.tags.retain(|key, _| !(keys.contains(key) || (all && keys.is_empty())));
    }
    Ok(json!({}))
}
