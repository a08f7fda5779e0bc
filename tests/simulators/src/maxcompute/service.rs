//! What each call does.
//!
//! [`operation`] says which operation a request is; [`act`] carries it out on the [`World`]. Requests come with `/api`
//! before their path, and through the tunnel without it.

use super::catalogue;
use super::gate::Gate;
use super::limits;
use super::listing;
use super::picture;
use super::refusal::Refusal;
use super::reply::Reply;
use super::submission::{self, Work};
use super::warehouse::Circumstances;
use super::world::World;
use super::xml;
use crate::wire::Wire;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// Which operation a request is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operation {
    /// Its name; names in permissions and faults are these.
    pub name: &'static str,
    /// The project.
    pub project: String,
    /// The instance, table or model.
    pub object: String,
    /// The query, decoded.
    pub query: BTreeMap<String, String>,
}

/// What can be asked of an instance, by the flag in the query; the first that is there counts.
const LOOKS: [(&str, &str); 13] = [
    ("instancestatus", "GetInstanceStatus"),
    ("taskstatus", "GetTaskStatus"),
    ("result", "GetResult"),
    ("xsource", "GetXflowSource"),
    ("source", "GetSource"),
    ("xresult", "GetXflowResult"),
    ("instanceprogress", "GetProgress"),
    ("instancesummary", "GetSummary"),
    ("instancedetail", "GetDetail"),
    ("detail", "GetDetail"),
    ("info", "GetInfo"),
    ("cached", "GetCached"),
    ("instancequota", "GetQuota"),
];

/// Which operation a request is; none if the service has no such one.
pub fn operation(wire: &Wire) -> Option<Operation> {
    let query: BTreeMap<String, String> = wire.pairs().into_iter().collect();
    let segments = wire.segments();
    let mut path: Vec<&str> = segments.iter().map(String::as_str).collect();
    if path.first() == Some(&"api") {
        path.remove(0);
    }
    let has = |flag: &str| query.contains_key(flag);
    let (name, project, object) = match (wire.method.as_str(), path.as_slice()) {
        ("GET", ["logview", "host"]) => ("GetLogviewHost", "", ""),
        ("GET", ["webconsole", "host"]) => ("GetWebconsoleHost", "", ""),
        ("GET", ["tenants"]) => ("GetTenant", "", ""),
        ("GET", ["projects", project]) => ("GetProject", *project, ""),
        ("PUT", ["projects", project, "logs"]) => ("PutLogs", *project, ""),
        ("GET", ["projects", project, "tunnel"]) if has("service") => ("GetTunnel", *project, ""),
        ("POST", ["projects", project, "authorization"]) if has("sign_bearer_token") => {
            ("SignBearerToken", *project, "")
        }
        ("POST", ["projects", project, "instances"]) => ("CreateInstance", *project, ""),
        ("GET", ["projects", project, "instances"]) => ("ListInstances", *project, ""),
        ("POST", ["projects", project, "instances", id]) if has("downloads") => {
            ("CreateDownload", *project, *id)
        }
        ("GET", ["projects", project, "instances", id]) if has("downloadid") => {
            (downloaded(&query), *project, *id)
        }
        ("GET", ["projects", project, "instances", id]) => {
            let look = LOOKS.iter().find(|(flag, _)| has(flag));
            (look.map_or("GetInstance", |(_, name)| name), *project, *id)
        }
        ("PUT", ["projects", project, "instances", id]) if has("info") => ("PutInfo", *project, *id),
        ("PUT", ["projects", project, "instances", id]) => ("TerminateInstance", *project, *id),
        ("GET", ["projects", project, "tables"]) => ("ListTables", *project, ""),
        ("POST", ["projects", project, "tables", table]) if has("downloads") => {
            ("CreateTableDownload", *project, *table)
        }
        ("GET", ["projects", project, "tables", table]) if has("downloadid") => {
            (downloaded(&query), *project, *table)
        }
        ("GET", ["projects", project, "tables", table]) if has("partitions") => {
            ("ListPartitions", *project, *table)
        }
        ("GET", ["projects", project, "tables", table]) if has("partition") => {
            ("GetPartition", *project, *table)
        }
        ("GET", ["projects", project, "tables", table]) => ("GetTable", *project, *table),
        ("GET", ["projects", project, "offlinemodels"]) => ("ListOfflineModels", *project, ""),
        ("GET", ["projects", project, "offlinemodels", model]) => ("GetOfflineModel", *project, *model),
        ("DELETE", ["projects", project, "offlinemodels", model]) => ("DeleteOfflineModel", *project, *model),
        _ => return None,
    };
    Some(Operation { name, project: project.to_owned(), object: object.to_owned(), query })
}

fn downloaded(query: &BTreeMap<String, String>) -> &'static str {
    if query.contains_key("data") { "ReadDownload" } else { "GetDownload" }
}

/// Carries an operation out.
pub fn act(
    world: &mut World,
    gate: &mut Gate,
    operation: &Operation,
    wire: &Wire,
    owner: &str,
    now_ms: i64,
) -> Result<Reply, Refusal> {
    let host = wire.header("host").unwrap_or("127.0.0.1");
    match operation.name {
        "GetLogviewHost" => return Ok(Reply::text(&format!("http://{host}"))),
        "GetWebconsoleHost" if world.script.webconsole => return Ok(Reply::text(&format!("http://{host}"))),
        "GetWebconsoleHost" => return Err(Refusal::not_found("Console", "webconsole")),
        "GetTenant" => return Ok(tenant()),
        _ => {}
    }
    if world.warehouse(&operation.project).is_none() {
        let message = format!("ODPS-0420111: Project not found - {}", operation.project);
        return Err(Refusal::new(404, "NoSuchProject", message));
    }
    match operation.name {
        "GetProject" => Ok(project(world, operation, owner, now_ms)),
        "PutLogs" => Ok(Reply::empty(200)),
        "GetTunnel" => Ok(Reply::text(host)),
        "SignBearerToken" => sign(gate, wire, owner, now_ms),
        "CreateInstance" => create(world, operation, wire, owner, now_ms),
        "ListInstances" => listing::list(world, operation, owner, now_ms),
        "TerminateInstance" => {
            let body = String::from_utf8_lossy(&wire.body);
            let root = xml::parse(&body).map_err(|error| Refusal::body(&error))?;
            if root.value("Status") != Some("Terminated") {
                return Err(Refusal::parameter("Status can only become Terminated"));
            }
            instance(world, operation)?;
            world.terminate(&operation.project, &operation.object, now_ms);
            Ok(Reply::empty(200))
        }
        "CreateDownload"
        | "CreateTableDownload"
        | "GetDownload"
        | "ReadDownload"
        | "ListTables"
        | "GetTable"
        | "ListPartitions"
        | "GetPartition"
        | "ListOfflineModels"
        | "GetOfflineModel"
        | "DeleteOfflineModel" => catalogue::act(world, operation, owner),
        _ => look(world, operation, now_ms),
    }
}

/// The instance that an operation is about.
pub fn instance<'a>(
    world: &'a World,
    operation: &Operation,
) -> Result<&'a super::instance::Instance, Refusal> {
    world.instance(&operation.project, &operation.object).ok_or_else(|| {
        Refusal::new(404, "NoSuchObject", format!("Instance not found - {}", operation.object))
    })
}

fn tenant() -> Reply {
    Reply::json(&json!({"Tenant": {
        "Name": "simulated", "OwnerId": "1", "TenantId": "100000000000001", "TenantState": "NORMAL",
        "CreateTime": 1_700_000_000, "UpdateTime": 1_700_000_000, "TenantMeta": "{}",
        "Parameters": {"odps.namespace.schema": "false"},
    }}))
}

fn project(world: &World, operation: &Operation, owner: &str, now_ms: i64) -> Reply {
    let region = world.script.region.as_deref().unwrap_or("cn-hangzhou");
    let time = crate::clock::http_date(now_ms);
    Reply::xml(&format!(
        "<Project><Name>{}</Name><Type>managed</Type><Comment/><State>AVAILABLE</State><Region>{region}</Region>\
         <Properties/></Project>",
        xml::escape(&operation.project)
    ))
    .with("x-odps-owner", owner)
    .with("x-odps-creation-time", &*time)
    .with("last-modified", time)
}

/// A token with which the instance that a policy names can be read.
fn sign(gate: &mut Gate, wire: &Wire, owner: &str, now_ms: i64) -> Result<Reply, Refusal> {
    let body: Value =
        serde_json::from_slice(&wire.body).map_err(|error| Refusal::parameter(&error.to_string()))?;
    let resource = body.pointer("/policy/Statement/0/Resource").and_then(Value::as_str);
    let resource = resource.and_then(|text| text.rsplit(':').next());
    let resource = resource.ok_or_else(|| Refusal::parameter("the policy names no resource"))?;
    let hours = body.get("expires_in_hours").and_then(Value::as_i64).unwrap_or(limits::TOKEN_HOURS);
    let token =
        gate.grant(resource.to_owned(), owner, now_ms.saturating_add(hours.saturating_mul(3_600_000)));
    Ok(Reply::xml(&format!("<Authorization><Result>{token}</Result></Authorization>")))
}

fn create(
    world: &mut World,
    operation: &Operation,
    wire: &Wire,
    owner: &str,
    now_ms: i64,
) -> Result<Reply, Refusal> {
    let submission = submission::read(&wire.body)?;
    let host = wire.header("host").unwrap_or("127.0.0.1");
    let created = |id: &str| {
        let location = format!("http://{host}/api/projects/{}/instances/{id}", operation.project);
        let reply = Reply::empty(201).with("location", location);
        Reply { instance: Some(id.to_owned()), ..reply }
    };
    if let Some(known) = world.known(&operation.project, &submission) {
        if known.created_ms + world.script.conflict_ms > now_ms {
            let mut refusal =
                Refusal::new(409, "InstanceConflict", "instance with the same unique id is being created");
            refusal.retry_after_s = Some(1);
            return Err(refusal);
        }
        return Ok(created(&known.id));
    }
    if let (true, Work::Sql { query, settings }) = (world.script.errors.early, &submission.work)
        && let Some(warehouse) = world.warehouse(&operation.project)
    {
        let circumstances = Circumstances { settings: settings.clone(), ..Circumstances::default() };
        let checked = warehouse.lock().unwrap_or_else(PoisonError::into_inner).check(query, &circumstances);
        if let Err(failure) = checked {
            return Err(Refusal::new(400, "ParseError", failure.0));
        }
    }
    let number = world.create(&operation.project, owner, submission, now_ms);
    // What is due at once happens at once.
    world.advance(now_ms);
    let Some(instance) = world.numbered(number) else { return Err(Refusal::parameter("no instance")) };
    let mut reply = created(&instance.id);
    if instance.life.instant {
        reply.instant = Some(number);
    }
    Ok(reply)
}

/// Looks at an instance.
fn look(world: &World, operation: &Operation, now_ms: i64) -> Result<Reply, Refusal> {
    let instance = instance(world, operation)?;
    let is_xflow = matches!(instance.submission.work, Work::Xflow { .. });
    let document = |text: &str| Reply { body: text.as_bytes().to_vec(), ..Reply::xml("") };
    Ok(match operation.name {
        "GetTaskStatus" => picture::task_status(instance),
        "GetResult" => picture::result(instance, &world.script),
        "GetSource" if is_xflow => document("<?xml version=\"1.0\"?>\n<Job><Tasks/></Job>"),
        "GetSource" => document(&instance.submission.source),
        "GetXflowSource" if is_xflow => document(&instance.submission.source),
        "GetXflowResult" if is_xflow => picture::xflow_result(instance),
        "GetXflowSource" | "GetXflowResult" => return Err(Refusal::parameter("the instance is no xflow")),
        "GetProgress" => picture::progress(instance, now_ms),
        "GetSummary" => picture::summary(instance, now_ms),
        "GetDetail" => Reply::json(&json!({"Instance": {"Stages": []}})),
        "GetInfo" => Reply::json(&json!({})),
        "PutInfo" => Reply::json(&json!({"result": "", "status": "ok"})),
        "GetCached" => {
            Reply::json(&json!([{"instanceId": instance.id, "status": instance.status.instance()}]))
        }
        "GetQuota" => Reply::json(&json!({"quota": "default"})),
        _ => picture::status(instance),
    })
}
