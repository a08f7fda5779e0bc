//! The body of the `CreateJob` request for one task. Begin with [`Body::new`].
//!
//! It never holds a secret: those stand in it as `env:NAME` until [`Body::to_send`].

use super::config::{Config, at_flags, check_whole};
use super::fields::{Reader, When, secret_variable};
use super::name::{DEFAULT_NAME, Marks};
use super::schema::{CREATE_JOB_REQUEST, Fields, Kind};
use super::setup::{self, Filled};
use super::submit_line::Files;
use crate::cloud::codes as cloud_codes;
use crate::cloud::secret::Secret;
use crate::codes;
use engine::error::SpecError;
use engine::ports::backend::TaskOrder;
use serde_json::{Map, Value, json};

/// Bytes of the largest body. The service takes 65,536 for all parameters, its own ones included, for which the rest is
/// left.
pub const MAX_BODY_BYTES: usize = 64_512;
/// Minutes after which the service ends a job for which neither the experiment file nor a timeout says when: 30 days.
/// Otherwise a job whose watcher is gone for ever would run for ever.
pub const DEFAULT_RUNNING_MINUTES: u64 = 43_200;
/// Minutes that the service waits longer than Retrial itself, which then says why a task has ended.
const BACKSTOP_MINUTES: u64 = 10;

/// A request that can be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    job: Map<String, Value>,
}

impl Body {
    /// The request for a task. `path` is where the settings stand in the experiment file, such as `run.dlc`; `files`
    /// reads the job files of `dlc submit` lines, and `templates` are the files that the job writes before it begins.
    /// Every mistake is given at once.
    pub fn new(
        order: &TaskOrder,
        path: &str,
        files: Files<'_>,
        templates: &[Filled],
    ) -> Result<(Config, Self), Vec<SpecError>> {
        let place = format!("{path}.command");
        let mut reader = Reader::new(When::Started);
        let config = Config::read(&mut reader, &order.config, path);
        let (config, mut job, line) = config.with_command(&mut reader, &order.command, path, &place, files);
        let mut whole = Reader::new(When::Started);
        add_envs(&mut whole, &mut job, order, path);
        check_whole(&mut whole, &config, &job, path);
        let mut errors = reader.errors;
        errors.extend(match &line {
            Some(line) => at_flags(whole.errors, line, path, &place),
            None => whole.errors,
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        add_defaults(&mut job, order);
        add_setup(&mut job, &setup::script(order, config.checkpoints.as_deref(), templates));
        add_marks(&mut job, &Marks::new(&order.key));
        add_variables(&mut job, order);
        let body = Self { job: in_order(job) };
        let bytes = body.shown().to_string().len();
        if bytes > MAX_BODY_BYTES { Err(vec![too_large(bytes, path)]) } else { Ok((config, body)) }
    }

    /// The request as it is shown to people: what is sent, with `env:NAME` for secrets.
    pub fn shown(&self) -> Value {
        Value::Object(self.job.clone())
    }

    /// Whether the experiment file asks that machines are kept for some time after the end.
    pub fn reserves(&self) -> bool {
        let settings = self.job.get("Settings");
        ["JobReservedMinutes", "JobReservedPolicy"]
            .iter()
            .any(|name| settings.is_some_and(|map| map.get(name).is_some()))
    }

    /// The workspace; empty if the experiment file names none.
    pub fn workspace(&self) -> &str {
        self.job.get("WorkspaceId").and_then(Value::as_str).unwrap_or_default()
    }

    /// The bytes to send. `variable` gives the variables that hold secrets; `path` is as for [`Body::new`].
    pub fn to_send(
        &self,
        path: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Secret<Vec<u8>>, SpecError> {
        let mut job = self.job.clone();
        reveal(&mut job, CREATE_JOB_REQUEST, path, variable)?;
        let bytes = Value::Object(job).to_string().into_bytes();
        if bytes.len() > MAX_BODY_BYTES { Err(too_large(bytes.len(), path)) } else { Ok(Secret::new(bytes)) }
    }
}

fn too_large(bytes: usize, path: &str) -> SpecError {
    SpecError::new(
        cloud_codes::REQUEST_TOO_LARGE,
        path,
        format!("the request for a job has {bytes} bytes; the service takes {MAX_BODY_BYTES}"),
        "ship code in the image, a mounted data source or a code source, and not in the command or in variables",
    )
}

/// The variables that go with every task of the experiment.
fn add_envs(reader: &mut Reader, job: &mut Map<String, Value>, order: &TaskOrder, path: &str) {
    if order.env.is_empty() {
        return;
    }
    let Value::Object(envs) = job.entry("Envs").or_insert_with(|| json!({})) else { return };
    for (name, text) in &order.env {
        match envs.get(name) {
            Some(other) if other != text => reader.fail(
                codes::CONFLICT,
                format!("{path}.env.{name}"),
                format!("both `env` and `Envs` say what `{name}` is"),
                "keep one of them",
            ),
            _ => {
                envs.insert(name.clone(), json!(text));
            }
        }
    }
}

fn add_defaults(job: &mut Map<String, Value>, order: &TaskOrder) {
    for spec in job.get_mut("JobSpecs").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Object(spec) = spec {
            spec.entry("PodCount").or_insert_with(|| json!(1));
            // One submission is one execution: whether a task is tried again is the engine's business.
            spec.entry("RestartPolicy").or_insert_with(|| json!("Never"));
        }
    }
    let minutes = order.timeout.map_or(DEFAULT_RUNNING_MINUTES, |timeout| {
        timeout.0.saturating_add(order.grace.0).div_ceil(60_000).saturating_add(BACKSTOP_MINUTES)
    });
    job.entry("JobMaxRunningTimeMinutes").or_insert_with(|| json!(minutes));
}

/// Lets every command begin with the setup.
fn add_setup(job: &mut Map<String, Value>, script: &str) {
    let begin = |command: &mut Value| {
        if let Value::String(text) = command {
            text.insert_str(0, script);
        }
    };
    job.get_mut("UserCommand").into_iter().for_each(begin);
    let specs = job.get_mut("JobSpecs").and_then(Value::as_array_mut);
    specs.into_iter().flatten().filter_map(|spec| spec.get_mut("UserCommand")).for_each(begin);
}

/// The variables that a trial finds wherever it runs.
fn add_variables(job: &mut Map<String, Value>, order: &TaskOrder) {
    let Value::Object(envs) = job.entry("Envs").or_insert_with(|| json!({})) else { return };
    // Otherwise a trainer's lines are seen only when its buffer is full.
    envs.entry("PYTHONUNBUFFERED").or_insert_with(|| json!("1"));
    envs.insert("RETRIAL_PARAMS".to_owned(), json!(setup::params_file(&order.key)));
    // There is no file that could be read from here; lines of reports are found among the others.
    envs.insert("RETRIAL_REPORT".to_owned(), json!("/dev/stdout"));
    envs.insert("RETRIAL_SLOT".to_owned(), json!(order.slot.to_string()));
}

fn add_marks(job: &mut Map<String, Value>, marks: &Marks) {
    let text = |job: &Map<String, Value>, key: &str| {
        job.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let name = text(job, "DisplayName");
    let name = if name.is_empty() { DEFAULT_NAME } else { &name };
    let description = marks.description(&text(job, "Description"));
    job.insert("DisplayName".to_owned(), json!(marks.display_name(name)));
    job.insert("Description".to_owned(), json!(description));
    if let Value::Object(envs) = job.entry("Envs").or_insert_with(|| json!({})) {
        envs.extend(marks.variables().map(|(name, text)| (name.to_owned(), json!(text))));
    }
    if let Value::Object(settings) = job.entry("Settings").or_insert_with(|| json!({}))
        && let Value::Object(tags) = settings.entry("Tags").or_insert_with(|| json!({}))
    {
        tags.extend(marks.tags().map(|(name, text)| (name.to_owned(), json!(text))));
    }
}

/// The same request always has the same bytes.
fn in_order(mut job: Map<String, Value>) -> Map<String, Value> {
    let fields = CREATE_JOB_REQUEST.iter();
    fields.filter_map(|(name, _)| job.remove(*name).map(|value| ((*name).to_owned(), value))).collect()
}

/// Puts secrets in their places.
fn reveal(
    part: &mut Map<String, Value>,
    fields: &Fields,
    path: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(), SpecError> {
    for (name, kind) in fields {
        let Some(value) = part.get_mut(*name) else { continue };
        let path = format!("{path}.{name}");
        match (kind, value) {
            (Kind::Secret, Value::String(text)) => {
                let wanted = secret_variable(text).unwrap_or_default().to_owned();
                *text = variable(&wanted).filter(|secret| !secret.is_empty()).ok_or_else(|| {
                    SpecError::new(
                        codes::NO_SECRET,
                        path,
                        format!("the variable `{wanted}` that holds a secret is not set"),
                        "set it in the environment in which Retrial is started",
                    )
                })?;
            }
            (Kind::Model(inner), Value::Object(map)) => reveal(map, inner, &path, variable)?,
            (Kind::Models(inner), Value::Array(items)) => {
                for (at, item) in items.iter_mut().enumerate() {
                    if let Value::Object(map) = item {
                        reveal(map, inner, &format!("{path}[{at}]"), variable)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}
