//! Which values of a `CreateJob` request make sense together. Begin with [`check_job`].
//!
//! Only what the service documents is refused here; it may refuse more.

use super::fields::Reader;
use super::name::{DEFAULT_NAME, KEY_CHARS, MAX_NAME_CHARS, TAG_PREFIX, is_name};
use crate::codes;
use crate::suggest;
use serde_json::{Map, Value};

/// The types of jobs, as the service spells them.
pub(super) const JOB_TYPES: &[&str] = &[
    "TFJob",
    "PyTorchJob",
    "MPIJob",
    "XGBoostJob",
    "OneFlowJob",
    "ElasticBatchJob",
    "SlurmJob",
    "RayJob",
    "DataJuicerJob",
    "FlinkBatchJob",
];
/// Tags of one job, ours included.
const MAX_TAGS: usize = 20;
/// Our tags among them.
const OWN_TAGS: usize = 2;
/// Characters of a tag's name.
const MAX_TAG_CHARS: usize = 128;
/// The lowest and the highest priority.
const PRIORITIES: (i64, i64) = (1, 9);
/// Minutes that a job may run at most: a year.
const RUNNING_MINUTES: (i64, i64) = (1, 525_600);
/// Nodes of one kind.
const PODS: (i64, i64) = (1, 100_000);

/// The kinds of nodes that a type of job has; empty if they are not known.
fn roles(job_type: &str) -> &'static [&'static str] {
    match job_type {
        "TFJob" => &["Chief", "Master", "PS", "Worker", "Evaluator", "GraphLearn"],
        "PyTorchJob" | "XGBoostJob" | "OneFlowJob" | "ElasticBatchJob" => &["Worker", "Master"],
        "RayJob" => &["Head", "Worker"],
        _ => &[],
    }
}

/// Checks a whole job, from the experiment file and a command line together. `path` is where it stands.
pub(super) fn check_job(reader: &mut Reader, job: &Map<String, Value>, path: &str) {
    let whole = Part { map: job, path: path.to_owned() };
    // What a template of the service holds is known there only.
    let template = job.contains_key("TemplateId");
    for (key, example) in [
        ("WorkspaceId", "`workspace_id: '12345'`, the workspace in which jobs run"),
        ("JobType", "`JobType: PyTorchJob`"),
        ("JobSpecs", "`JobSpecs: [{Type: Worker, PodCount: 1, Image: '...', EcsSpec: ecs.g6.large}]`"),
    ] {
        if key == "WorkspaceId" || !template {
            whole.need(reader, key, example);
        }
    }
    whole.word(reader, "JobType", JOB_TYPES);
    whole.word(reader, "Accessibility", &["PRIVATE", "PUBLIC"]);
    whole.word(reader, "SuccessPolicy", &["ChiefWorker", "AllWorkers", "Partial"]);
    whole.within(reader, "Priority", PRIORITIES);
    whole.within(reader, "JobMaxRunningTimeMinutes", RUNNING_MINUTES);
    check_name(reader, &whole);
    check_specs(reader, &whole, template);
    check_sources(reader, &whole);
    if let Some(vpc) = whole.part("UserVpc") {
        if vpc.has("VpcId") {
            vpc.need(reader, "SwitchId", "`SwitchId: vsw-...`, a switch of the VPC");
            vpc.need(reader, "SecurityGroupId", "`SecurityGroupId: sg-...`, a group of the VPC");
        }
        vpc.word(reader, "DefaultRoute", &["eth0", "eth1"]);
    }
    if let Some(settings) = whole.part("Settings") {
        settings.word(reader, "OversoldType", OVERSOLD);
        check_tags(reader, &settings);
    }
    check_envs(reader, &whole);
}

const OVERSOLD: &[&str] = &["ForbiddenQuotaOverSold", "AcceptQuotaOverSold", "ForceQuotaOverSold"];

/// A part of the request and its place.
struct Part<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Part<'a> {
    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.map.get(key).and_then(Value::as_str)
    }

    fn part(&self, key: &str) -> Option<Self> {
        let map = self.map.get(key).and_then(Value::as_object)?;
        Some(Self { map, path: self.at(key) })
    }

    fn parts(&self, key: &str) -> Vec<Self> {
        let items = self.map.get(key).and_then(Value::as_array).into_iter().flatten();
        let path = self.at(key);
        items
            .enumerate()
            .filter_map(|(at, item)| Some(Self { map: item.as_object()?, path: format!("{path}[{at}]") }))
            .collect()
    }

    fn need(&self, reader: &mut Reader, key: &str, example: &str) {
        let empty = match self.map.get(key) {
            None => true,
            Some(Value::String(text)) => text.trim().is_empty(),
            Some(Value::Array(items)) => items.is_empty(),
            Some(_) => false,
        };
        if empty {
            reader.fail(codes::MISSING, &self.path, format!("`{key}` is missing"), format!("add {example}"));
        }
    }

    fn word(&self, reader: &mut Reader, key: &str, known: &[&str]) {
        let Some(value) = self.map.get(key).filter(|value| !reader.is_open(value)) else { return };
        let Some(text) = value.as_str().filter(|text| !known.contains(text)) else { return };
        let same = known.iter().find(|word| word.eq_ignore_ascii_case(text));
        let cure = match same {
            Some(word) => format!("write `{word}`: the case matters"),
            None => suggest::cure(text, known),
        };
        reader.fail(codes::NOT_ONE_OF, self.at(key), format!("`{key}` cannot be `{text}`"), cure);
    }

    fn within(&self, reader: &mut Reader, key: &str, (low, high): (i64, i64)) {
        let Some(number) = self.map.get(key).and_then(Value::as_i64) else { return };
        if !(low..=high).contains(&number) {
            let cure = format!("choose a number from {low} to {high}");
            reader.fail(codes::OUT_OF_RANGE, self.at(key), format!("`{key}` is {number}"), cure);
        }
    }

    /// One of two that exclude each other.
    fn not_both(&self, reader: &mut Reader, one: &str, other: &str) {
        if self.has(one) && self.has(other) {
            let message = format!("`{one}` and `{other}` exclude each other");
            reader.fail(codes::CONFLICT, self.at(other), message, "keep one of them");
        }
    }
}

fn check_name(reader: &mut Reader, job: &Part<'_>) {
    let text = job.text("DisplayName").unwrap_or(DEFAULT_NAME);
    let open = reader.is_open(&Value::String(text.to_owned()));
    let long = text.chars().count() > MAX_NAME_CHARS - KEY_CHARS;
    if !open && (long || !is_name(text)) {
        let most = MAX_NAME_CHARS - KEY_CHARS;
        let shown: String = text.chars().take(40).collect();
        let cure = format!(
            "use letters, digits, `_`, `.` and `-`, at most {most}: the submission's key comes after it"
        );
        reader.fail(
            codes::BAD_NAME,
            job.at("DisplayName"),
            format!("`{shown}` cannot be the name of a job"),
            cure,
        );
    }
}

fn check_specs(reader: &mut Reader, job: &Part<'_>, template: bool) {
    let known = roles(job.text("JobType").unwrap_or_default());
    let quota = job.has("ResourceId");
    let mut seen: Vec<&str> = Vec::new();
    for spec in job.parts("JobSpecs") {
        spec.need(reader, "Type", "`Type: Worker`, the kind of node");
        if let Some(kind) = spec.text("Type") {
            // Ray has groups of workers with names of their own.
            if !known.is_empty() && !kind.starts_with("Worker-") {
                spec.word(reader, "Type", known);
            }
            if seen.contains(&kind) && !reader.is_open(&Value::String(kind.to_owned())) {
                let message = format!("a second `JobSpecs` item is for `{kind}` nodes");
                reader.fail(
                    codes::CONFLICT,
                    spec.at("Type"),
                    message,
                    "keep one, with a larger `PodCount` for more nodes",
                );
            }
            seen.push(kind);
        }
        spec.within(reader, "PodCount", PODS);
        spec.word(reader, "RestartPolicy", &["Always", "Never", "OnFailure", "ExitCode"]);
        spec.word(reader, "OversoldType", OVERSOLD);
        spec.not_both(reader, "EcsSpec", "ResourceConfig");
        if !template {
            spec.need(reader, "Image", "`Image: registry/name:tag`");
            if !["EcsSpec", "ResourceConfig", "ElasticSpotSpecs"].iter().any(|key| spec.has(key)) {
                let cure = "add `EcsSpec: ecs.g6.large`, or with a `ResourceId` `ResourceConfig: {CPU: 4, Memory: 8Gi}`";
                reader.fail(codes::MISSING, &spec.path, "it is not said on what the nodes run", cure);
            }
        }
        if spec.has("ResourceConfig") && !quota && !spec.has("QuotaId") && !template {
            let message = "`ResourceConfig` takes its share of a quota, and `ResourceId` names none";
            let cure = "add `ResourceId: quota...` to the job, or use `EcsSpec` for public resources";
            reader.fail(codes::MISSING, spec.at("ResourceConfig"), message, cure);
        }
        if let Some(spot) = spec.part("SpotSpec") {
            spot.not_both(reader, "SpotPriceLimit", "SpotDiscountLimit");
        }
    }
}

fn check_sources(reader: &mut Reader, job: &Part<'_>) {
    let mut mounts: Vec<&str> = Vec::new();
    for source in job.parts("DataSources") {
        source.not_both(reader, "DataSourceId", "Uri");
        if !source.has("DataSourceId") && !source.has("Uri") {
            let cure =
                "add `DataSourceId: d-...` or `Uri: oss://bucket.oss-<region>-internal.aliyuncs.com/path/`";
            reader.fail(codes::MISSING, &source.path, "it is not said which data is mounted", cure);
        }
        source.word(reader, "MountAccess", &["RO", "RW"]);
        let Some(mount) = source.text("MountPath") else { continue };
        if !mount.starts_with('/') && !reader.is_open(&Value::String(mount.to_owned())) {
            let message = format!("`{mount}` is a relative path");
            reader.fail(
                codes::BAD_PATH,
                source.at("MountPath"),
                message,
                "write where the nodes have it, such as `/mnt/data`",
            );
        }
        if mounts.contains(&mount) {
            let message = format!("another data source is mounted at `{mount}` as well");
            reader.fail(codes::CONFLICT, source.at("MountPath"), message, "choose another path");
        }
        mounts.push(mount);
    }
}

fn check_tags(reader: &mut Reader, settings: &Part<'_>) {
    let Some(tags) = settings.part("Tags") else { return };
    if tags.map.len() + OWN_TAGS > MAX_TAGS {
        let message = format!(
            "there are {} tags, and Retrial adds {OWN_TAGS}; the service takes {MAX_TAGS}",
            tags.map.len()
        );
        reader.fail(codes::OUT_OF_RANGE, &tags.path, message, "remove some");
    }
    for key in tags.map.keys() {
        let forbidden = ["aliyun", "acs:", TAG_PREFIX].iter().find(|begin| key.starts_with(**begin));
        let address = key.contains("http://") || key.contains("https://");
        let length = key.chars().count();
        if forbidden.is_some() || address || length == 0 || length > MAX_TAG_CHARS {
            let shown: String = key.chars().take(40).collect();
            let cure = format!(
                "use at most {MAX_TAG_CHARS} characters, and do not begin with `aliyun`, `acs:` or `{TAG_PREFIX}`"
            );
            reader.fail(
                codes::BAD_NAME,
                tags.at(key),
                format!("`{shown}` cannot be the name of a tag"),
                cure,
            );
        }
    }
}

fn check_envs(reader: &mut Reader, job: &Part<'_>) {
    let names = job.part("Envs").map(|envs| (envs.map.keys().collect::<Vec<_>>(), envs.path));
    for name in names.iter().flat_map(|(names, _)| names) {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        let path = job.at("Envs");
        if name.starts_with("RETRIAL_") {
            reader.fail(
                codes::BAD_NAME,
                format!("{path}.{name}"),
                format!("`{name}` is set by Retrial itself"),
                "choose another name",
            );
        } else if !plain || name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            let shown: String = name.chars().take(40).collect();
            let cure = "use letters, digits and `_`, and begin with no digit";
            reader.fail(
                codes::BAD_NAME,
                format!("{path}.{name}"),
                format!("`{shown}` cannot be the name of a variable"),
                cure,
            );
        }
    }
}
