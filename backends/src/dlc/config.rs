//! The part of the experiment file below `run.dlc`.
//!
//! Keys in lower case are settings of Retrial; keys in the service's own spelling are fields of its `CreateJob` request.
//! Begin with [`check_config`].

use super::endpoint::{Endpoint, Network};
use super::fields::{Reader, When};
use super::rules;
use super::schema::CREATE_JOB_REQUEST;
use super::submit_line::{self, Files, SubmitLine};
use crate::cloud::credentials::Choice;
use crate::codes;
use crate::files::{Address, OssSettings, is_address};
use engine::error::SpecError;
use engine::ports::backend::CommandLine;
use engine::spec::MetricSource;
use engine::time::Span;
use serde_json::{Map, Value};

/// The settings of Retrial.
const SETTINGS: &[&str] = &[
    "workspace_id",
    "region",
    "network",
    "endpoint",
    "credential",
    "strict",
    "reconcile",
    "checkpoints",
    "oss_endpoint",
    "dlc",
];
/// The longest wait before a submission in doubt is sent again, in seconds.
const MAX_WAIT_SECONDS: f64 = 86_400.0;
/// The largest number of searches that must find nothing.
const MAX_SEARCHES: f64 = 1_000.0;

/// When a submission whose answer was lost counts as never arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconcile {
    /// Not before this time after it was sent.
    pub wait: Span,
    /// So many searches in a row find nothing.
    pub searches: u32,
    /// The time between two of them.
    pub pause: Span,
}

impl Default for Reconcile {
    /// The client's read timeout of 10 s and a minute; three searches that are 10 s apart.
    fn default() -> Self {
        Self { wait: Span::from_secs(70), searches: 3, pause: Span::from_secs(10) }
    }
}

/// The settings, understood.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// The region.
    pub region: Option<String>,
    /// From where the service is called.
    pub network: Network,
    /// Where it answers; wins over region and network.
    pub endpoint: Option<String>,
    /// Who submits.
    pub who: Choice,
    /// Whether a submission in doubt waits for a person instead of being sent again.
    pub strict: bool,
    /// When such a submission is sent again otherwise.
    pub reconcile: Reconcile,
    /// The directory, as jobs see it, below which each attempt gets one for its checkpoints.
    pub checkpoints: Option<String>,
    /// Where the buckets are that jobs write to; otherwise in the region.
    pub oss_endpoint: Option<String>,
    /// The fields of the request that the experiment file has.
    pub(super) job: Map<String, Value>,
}

/// Checks the part of an experiment file below `run.dlc` with the commands of its tasks. `path` is where it stands, such
/// as `run.dlc`; `files` reads the job files that command lines name. Every mistake is given at once; an empty list
/// means that it can be used.
pub fn check_config(
    config: &Value,
    commands: &[CommandLine],
    path: &str,
    files: Files<'_>,
) -> Vec<SpecError> {
    let mut reader = Reader::new(When::Checked);
    let config = Config::read(&mut reader, config, path);
    let mut errors = reader.errors;
    for (at, command) in commands.iter().enumerate() {
        let place =
            if commands.len() == 1 { format!("{path}.command") } else { format!("{path}.tasks[{at}]") };
        let mut reader = Reader::new(When::Checked);
        let (config, job, line) = config.clone().with_command(&mut reader, command, path, &place, files);
        check_whole(&mut reader, &config, &job, path);
        errors
            .extend(line.map_or(reader.errors.clone(), |line| at_flags(reader.errors, &line, path, &place)));
    }
    // Each task has the same settings, and so the same mistakes.
    let mut all: Vec<SpecError> = Vec::new();
    for error in errors {
        if !all.contains(&error) {
            all.push(error);
        }
    }
    all
}

/// Checks where metrics are: what a job writes can be read from here only if it goes to its output or to a shared store.
pub fn check_metric(metric: &MetricSource) -> Vec<SpecError> {
    let (path, place) = match metric {
        MetricSource::Report | MetricSource::Stdout { file: None, .. } | MetricSource::Table { .. } => {
            return Vec::new();
        }
        MetricSource::Stdout { file: Some(file), .. } => ("metric.stdout", file),
        MetricSource::Json { file, .. } => ("metric.json", file),
        MetricSource::Summary { dir, .. } => ("metric.summary", dir),
    };
    if place.starts_with("${") {
        return Vec::new();
    }
    if is_address(place) {
        // What a placeholder becomes is not known yet.
        let known = if place.contains("${") { Ok(()) } else { Address::parse(place).map(|_| ()) };
        let error = known.err().map(|error| SpecError::new(error.code, path, error.message, error.cure));
        return error.into_iter().collect();
    }
    vec![SpecError::new(
        codes::BAD_PATH,
        path,
        format!("`{place}` is on a disk that only the job sees"),
        "give the address of what the job has mounted there, such as `oss://bucket/path/${trial_id}`",
    )]
}

/// Checks what can only be judged together.
pub(super) fn check_whole(reader: &mut Reader, config: &Config, job: &Map<String, Value>, path: &str) {
    let open = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains("${"));
    if !open(&config.region) && !open(&config.endpoint) {
        reader.errors.extend(config.endpoint(path).err());
    }
    rules::check_job(reader, job, path);
}

/// Mistakes in what a command line says, moved to that line.
pub(super) fn at_flags(errors: Vec<SpecError>, line: &SubmitLine, path: &str, place: &str) -> Vec<SpecError> {
    let moved = |error: SpecError| {
        let below = error.path.strip_prefix(path).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
        let is_within = |inner: &str, outer: &str| {
            !outer.is_empty() && inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        // The flag that has set just this; else one that has set a part of it; else what it is a part of.
        let all = || line.origins.iter();
        let origin = all()
            .find(|(origin, _)| *origin == below)
            .or_else(|| all().find(|(origin, _)| is_within(origin, below)))
            .or_else(|| {
                all().filter(|(origin, _)| is_within(below, origin)).max_by_key(|(origin, _)| origin.len())
            });
        match origin {
            Some((_, flag)) => SpecError::new(
                error.code,
                place,
                format!("`{flag}` (`{below}`): {}", error.message),
                error.cure,
            ),
            None => error,
        }
    };
    errors.into_iter().map(moved).collect()
}

impl Config {
    /// Reads the settings and the fields, one by one.
    pub(super) fn read(reader: &mut Reader, value: &Value, path: &str) -> Self {
        let mut config = Self::default();
        let empty = Map::new();
        let map = match value {
            Value::Null => &empty,
            Value::Object(map) => map,
            _ => {
                reader.fail(
                    codes::WRONG_TYPE,
                    path,
                    "the settings of the DLC backend must be a mapping",
                    "write for example `dlc: {command: '...', region: cn-hangzhou, JobType: PyTorchJob, JobSpecs: [...]}`",
                );
                return config;
            }
        };
        let mut fields = Map::new();
        for (key, value) in map {
            let inner = format!("{path}.{key}");
            match key.as_str() {
                "workspace_id" if map.contains_key("WorkspaceId") => {
                    let message = "`workspace_id` and `WorkspaceId` are the same";
                    reader.fail(codes::CONFLICT, inner, message, "keep one of them");
                }
                "workspace_id" => {
                    if let Some(text) = reader.text(value, &inner) {
                        config.job.insert("WorkspaceId".to_owned(), Value::String(text));
                    }
                }
                "region" => config.region = reader.text(value, &inner),
                "endpoint" => config.endpoint = reader.text(value, &inner),
                "network" => config.network = network(reader, value, &inner),
                "credential" => config.who = who(reader, value, &inner),
                "strict" => match value {
                    Value::Bool(strict) => config.strict = *strict,
                    _ => reader.fail(
                        codes::WRONG_TYPE,
                        inner,
                        "`strict` must be true or false",
                        "write `strict: true`",
                    ),
                },
                "oss_endpoint" => config.oss_endpoint = reader.text(value, &inner),
                "checkpoints" => config.checkpoints = reader.text(value, &inner).filter(|dir| {
                    let fits = dir.starts_with('/') || reader.is_open(value);
                    if !fits {
                        let cure = "name a directory of a data source that jobs mount, such as `/mnt/data/checkpoints`";
                        reader.fail(codes::OUT_OF_RANGE, &inner, "`checkpoints` is no absolute path", cure);
                    }
                    fits
                }),
                "reconcile" => config.reconcile = reconcile(reader, value, &inner),
                "dlc" => config.service(reader, value, &inner),
                "UserCommand" => reader.fail(
                    codes::CONFLICT,
                    inner,
                    "`UserCommand` is the task's own command",
                    "write it as `command`; a command for one kind of node goes into its item of `JobSpecs`",
                ),
                field if CREATE_JOB_REQUEST.iter().any(|(name, _)| *name == field) => {
                    fields.insert(key.clone(), value.clone());
                }
                unknown => {
                    let known =
                        SETTINGS.iter().copied().chain(CREATE_JOB_REQUEST.iter().map(|(name, _)| *name));
                    reader.unknown(
                        unknown,
                        &inner,
                        known.filter(|name| !["dlc", "UserCommand"].contains(name)),
                    );
                }
            }
        }
        if let Some(Value::Object(read)) = reader.part(&Value::Object(fields), CREATE_JOB_REQUEST, path) {
            config.job.extend(read);
        }
        config
    }

    /// The settings and the whole request with a command: of a shell, or of `dlc submit`. `place` is where the command
    /// stands. What is in doubt between the two is a mistake.
    pub(super) fn with_command(
        mut self,
        reader: &mut Reader,
        command: &CommandLine,
        path: &str,
        place: &str,
        files: Files<'_>,
    ) -> (Self, Map<String, Value>, Option<SubmitLine>) {
        let mut job = std::mem::take(&mut self.job);
        if !submit_line::is_submit_line(command) {
            let text = match command {
                CommandLine::Shell(line) => line.clone(),
                CommandLine::Args(words) => super::words::join(words),
            };
            job.insert("UserCommand".to_owned(), Value::String(text));
            return (self, job, None);
        }
        let line = submit_line::read(command, place, files, &mut reader.errors);
        let mut inner = Reader::new(reader.when);
        let read = inner.part(&Value::Object(line.job.clone()), CREATE_JOB_REQUEST, path);
        reader.errors.extend(at_flags(inner.errors, &line, path, place));
        if let Some(Value::Object(read)) = read {
            merge(&mut job, &read, "", place, &mut reader.errors);
        }
        if !line.job.contains_key("UserCommand") {
            let message = "`dlc submit` says nothing that is run";
            reader.fail(codes::MISSING, place, message, "add `--command='python3 train.py'`");
        }
        for (name, mine, theirs) in
            [("region", &mut self.region, &line.region), ("endpoint", &mut self.endpoint, &line.endpoint)]
        {
            match (&*mine, theirs) {
                (Some(one), Some(other)) if one != other => {
                    let message = format!("`--{name}` is `{other}`, and `{path}.{name}` is `{one}`");
                    reader.fail(codes::CONFLICT, place, message, "keep one of them");
                }
                (None, Some(other)) => *mine = Some(other.clone()),
                _ => {}
            }
        }
        (self, job, Some(line))
    }

    /// Where the buckets are that jobs write to.
    pub fn oss(&self) -> OssSettings {
        OssSettings {
            region: self.region.clone(),
            endpoint: self.oss_endpoint.clone(),
            ..OssSettings::default()
        }
    }

    /// Where the service answers.
    pub fn endpoint(&self, path: &str) -> Result<Endpoint, SpecError> {
        Endpoint::find(self.endpoint.as_deref(), self.region.as_deref(), self.network, path)
    }

    /// `dlc`, as an experiment of PAI has it: region, endpoint and protocol.
    fn service(&mut self, reader: &mut Reader, value: &Value, path: &str) {
        let Value::Object(map) = value else {
            reader.fail(
                codes::WRONG_TYPE,
                path,
                "`dlc` must be a mapping",
                "write `dlc: {region: ..., endpoint: ...}`",
            );
            return;
        };
        let protocol = map.get("protocol").and_then(Value::as_str);
        for (key, value) in map {
            let inner = format!("{path}.{key}");
            match key.as_str() {
                "region" if self.region.is_none() => self.region = reader.text(value, &inner),
                "endpoint" | "end_point" if self.endpoint.is_none() => {
                    let text = reader.text(value, &inner);
                    let plain = protocol == Some("http");
                    self.endpoint = text.map(|host| {
                        if plain && !host.contains("://") { format!("http://{host}") } else { host }
                    });
                }
                "region" | "endpoint" | "end_point" => {
                    let message = format!("`{key}` is given a second time");
                    reader.fail(codes::CONFLICT, inner, message, "keep one of them");
                }
                "protocol" if matches!(protocol, Some("http" | "https")) => {}
                "protocol" => {
                    let cure = "write `https`, or `http` for a simulator";
                    reader.fail(codes::NOT_ONE_OF, inner, "`protocol` must be `https` or `http`", cure);
                }
                unknown => {
                    reader.unknown(unknown, &inner, ["region", "endpoint", "protocol"].into_iter());
                }
            }
        }
    }
}

/// Adds the fields of a command line to those of the file. Maps are joined; anything else must not differ.
fn merge(
    job: &mut Map<String, Value>,
    line: &Map<String, Value>,
    above: &str,
    place: &str,
    errors: &mut Vec<SpecError>,
) {
    for (key, value) in line {
        let below = format!("{above}{key}");
        match (job.get_mut(key), value) {
            (None, _) => {
                job.insert(key.clone(), value.clone());
            }
            (Some(Value::Object(mine)), Value::Object(theirs)) => {
                merge(mine, theirs, &format!("{below}."), place, errors);
            }
            (Some(mine), theirs) if mine == theirs => {}
            _ => errors.push(SpecError::new(
                codes::CONFLICT,
                place,
                format!("both the command line and the settings beside it say what `{below}` is"),
                "keep one of them",
            )),
        }
    }
}

fn network(reader: &mut Reader, value: &Value, path: &str) -> Network {
    let read = value.as_str().and_then(Network::from_name);
    if read.is_none() && !reader.is_open(value) {
        let cure = "write `public`, `vpc` (from inside of a VPC in the same region) or `internal`";
        reader.fail(codes::NOT_ONE_OF, path, "`network` is none of the known ones", cure);
    }
    read.unwrap_or_default()
}

fn who(reader: &mut Reader, value: &Value, path: &str) -> Choice {
    if reader.is_open(value) {
        return Choice::Chain;
    }
    Choice::read(value, path).unwrap_or_else(|errors| {
        reader.errors.extend(errors);
        Choice::Chain
    })
}

fn reconcile(reader: &mut Reader, value: &Value, path: &str) -> Reconcile {
    let mut read = Reconcile::default();
    let Value::Object(map) = value else {
        let cure = "write for example `reconcile: {wait_seconds: 70, searches: 3, pause_seconds: 10}`";
        reader.fail(codes::WRONG_TYPE, path, "`reconcile` must be a mapping", cure);
        return read;
    };
    for (key, value) in map {
        let inner = format!("{path}.{key}");
        let most = if key == "searches" { MAX_SEARCHES } else { MAX_WAIT_SECONDS };
        let least = if key == "searches" { 1.0 } else { 0.0 };
        if !["wait_seconds", "searches", "pause_seconds"].contains(&key.as_str()) {
            reader.unknown(key, &inner, ["wait_seconds", "searches", "pause_seconds"].into_iter());
            continue;
        }
        let Some(number) = value.as_f64().filter(|number| (least..=most).contains(number)) else {
            let message = format!("`{key}` is no number from {least} to {most}");
            reader.fail(codes::OUT_OF_RANGE, inner, message, "choose a number within these bounds");
            continue;
        };
        let span = Span((number * 1_000.0) as u64);
        match key.as_str() {
            "wait_seconds" => read.wait = span,
            "pause_seconds" => read.pause = span,
            _ => read.searches = number as u32,
        }
    }
    read
}
