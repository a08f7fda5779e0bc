//! Reads the configuration of a PAI `AutoML` experiment: names as on the wire, version 2022-08-28.

use super::codes;
use super::foreign::{Converted, Target};
use super::pai_watch::{monitor, window};
use super::reader::{Fields, Place, Reader, did_you_mean, shorten};
use crate::error::SpecError;
use serde_json::{Map, Value as Json, json};

/// The key of the configuration in a request that creates an experiment.
pub(super) const WRAPPER: &str = "HpoExperimentConfiguration";

/// The parts of the configuration.
const SECTIONS: [&str; 14] = [
    "platform_config",
    "metric_config",
    "search_space",
    "yml_config",
    "params_config",
    "output_config",
    "oss_config",
    "odps_config",
    "dlc_config",
    "ts_config",
    "paiflow_config",
    "schedule_config",
    "monitor_config",
    "k8s_config",
];

/// Keys of credentials. They are never taken over.
const SECRETS: [&str; 8] = [
    "access_id",
    "access_key",
    "accessKeyID",
    "accessKeySecret",
    "access_key_id",
    "access_key_secret",
    "ak",
    "sk",
];

/// Whether the configuration has to say where metrics come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metrics {
    Required,
    /// Trials report by themselves.
    Reported,
}

/// Makes the native document.
pub(super) fn convert(document: &Json, metrics: Metrics) -> Converted {
    let mut reader = Reader::default();
    let mut target = Target::default();
    let root = Place::new(document, "");
    let Some(mut outer) = reader.fields(&root, "a map", "") else { return Converted::new(target, reader) };
    let name = outer.get("Name");
    let description = outer.get("Description");
    let wrapped = outer.get(WRAPPER);
    for key in ["Accessibility", "WorkspaceId", "Tag"] {
        outer.get(key);
    }
    let mut config = match wrapped {
        Some(wrapped) => {
            outer.finish(&mut reader);
            let Some(config) = reader.fields(&wrapped, "a map", "") else {
                return Converted::new(target, reader);
            };
            config
        }
        None => outer,
    };
    target.origin("", &config.path);
    for section in SECTIONS {
        config.know(section);
    }
    if let Some(description) = description {
        target.put(&["description"], description.value.clone(), &description.path);
    }
    let yml = section(&mut reader, &mut config, "yml_config");
    let name = name.or_else(|| yml.as_ref().and_then(|yml| yml.peek("experiment_name")));
    if let Some(name) = name {
        target.put(&["name"], name.value.clone(), &name.path);
    }
    match config.get("search_space") {
        Some(space) => target.put(&["space"], space.value.clone(), &space.path),
        None => missing(&mut reader, &config.path, "search_space"),
    }
    let goal = goal(&config, yml.as_ref());
    metric(&mut reader, &mut target, &mut config, goal, metrics);
    if let Some(yml) = yml {
        schedule(&mut reader, &mut target, yml);
    }
    platform(&mut reader, &mut target, &mut config);
    window(&mut reader, &mut target, &mut config);
    monitor(&mut reader, &mut target, &mut config);
    without_effect(&mut reader, &mut config);
    config.finish(&mut reader);
    Converted::new(target, reader)
}

pub(super) fn section<'a>(
    reader: &mut Reader,
    fields: &mut Fields<'a>,
    key: &'static str,
) -> Option<Fields<'a>> {
    let place = fields.get(key)?;
    if !place.value.is_object() {
        // What it is instead is not repeated: it may be a secret.
        reader.fail(codes::WRONG_TYPE, &place.path, "expected a map", "");
        return None;
    }
    reader.fields(&place, "a map", "")
}

fn missing(reader: &mut Reader, path: &str, key: &str) {
    let place = if path.is_empty() { "the configuration".to_owned() } else { format!("`{path}`") };
    reader.fail_key(codes::MISSING_KEY, path, format!("{place} has no `{key}`"), format!("add `{key}`"));
}

/// Which way is better: said by the tuner, else by the metric, else by the assessor; larger if nowhere.
fn goal<'a>(config: &Fields<'a>, yml: Option<&Fields<'a>>) -> Option<Place<'a>> {
    let mode = |place: Option<Place<'a>>| {
        place.and_then(|place| {
            let value = place.value.get("optimize_mode")?;
            Some(Place::new(value, format!("{}.optimize_mode", place.path)))
        })
    };
    let arguments = |key: &str| {
        let algorithm = yml?.peek(key)?;
        let value = algorithm.value.get("class_args")?;
        Some(Place::new(value, format!("{}.class_args", algorithm.path)))
    };
    mode(arguments("tuner"))
        .or_else(|| mode(config.peek("metric_config")))
        .or_else(|| mode(arguments("assessor")))
}

fn metric(
    reader: &mut Reader,
    target: &mut Target,
    config: &mut Fields<'_>,
    goal: Option<Place<'_>>,
    metrics: Metrics,
) {
    match goal {
        Some(goal) => target.put(&["objective", "goal"], goal.value.clone(), &goal.path),
        None => target.put(&["objective", "goal"], json!("maximize"), &config.path_of("metric_config")),
    }
    let Some(mut fields) = section(reader, config, "metric_config") else {
        if metrics == Metrics::Required && config.peek("metric_config").is_none() {
            missing(reader, &config.path, "metric_config");
        }
        return;
    };
    target.origin("metric", &fields.path);
    target.origin("objective", &fields.path);
    // Read above.
    fields.get("optimize_mode");
    let kind = fields.get("metric_type");
    let source = fields.get("metric_source");
    let weights = fields.get("metric_dict");
    let mode = fields.get("final_mode");
    // Of several sources each gives one value, so that only how they are combined makes a difference.
    let several = source.as_ref().is_some_and(|source| source.items().len() > 1);
    let combined = fields.get("source_list_final_mode").filter(|_| several);
    if let Some(mode) = combined.or(mode) {
        target.put(&["metric", "final"], mode.value.clone(), &mode.path);
    }
    fields.finish(reader);
    for (key, given) in [("metric_type", kind.is_some()), ("metric_dict", weights.is_some())] {
        if !given {
            missing(reader, &fields.path, key);
        }
    }
    let (Some(kind), Some(weights)) = (kind, weights) else { return };
    target.put(&["objective", "metrics"], weights.value.clone(), &weights.path);
    let names: Json = match weights.value {
        Json::Object(map) => map.keys().cloned().collect(),
        _ => json!([]),
    };
    let source = match source.as_ref().map(Place::items).as_deref() {
        None | Some([]) => None,
        Some([one]) => Some(one.clone()),
        Some([_, _, ..]) if kind.value.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("table")) => {
            source.clone()
        }
        Some([_, second, ..]) => {
            let message = "several sources of metrics are not supported by this version";
            reader.fail(codes::NOT_SUPPORTED, &second.path, message, "keep one of them");
            return;
        }
    };
    let kinds = [("stdout", 0), ("json", 1), ("summary", 2), ("table", 3), ("api", 4)];
    let Some(number) = reader.word(&kind, &kinds) else { return };
    if number > 3 {
        let message =
            format!("metrics of type `{}` are not supported by this version", shorten(&text(kind.value)));
        let cure = "let the trial print the metric and use stdout, or write it to a file and use json";
        reader.fail(codes::NOT_SUPPORTED, &kind.path, message, cure);
        return;
    }
    if number == 0 {
        for (index, name) in names.as_array().into_iter().flatten().enumerate() {
            let original = format!("{}.{}", weights.path, text(name));
            target.origin(&format!("metric.stdout[{index}]"), &original);
        }
        target.put(&["metric", "stdout"], names, &weights.path);
        if let Some(source) = source {
            stdout_source(reader, target, &source);
        }
        return;
    }
    let key = match number {
        1 => "json",
        2 => "summary",
        _ => "table",
    };
    match source {
        Some(source) => target.put(&["metric", key], source.value.clone(), &source.path),
        None => return missing(reader, &fields.path, "metric_source"),
    }
    target.put(&["metric", "keys"], names, &weights.path);
}

/// `cmd2` is the output of the second command, `cmd,worker` of the first; anything else is the path of a log.
fn stdout_source(reader: &mut Reader, target: &mut Target, source: &Place<'_>) {
    let Some(text) = reader.some_text(source) else { return };
    let first = text.split(',').next().unwrap_or_default().trim();
    let number = first.strip_prefix("cmd").map(|rest| rest.split('_').next().unwrap_or_default());
    match number {
        Some("") => target.put(&["metric", "task"], json!(1), &source.path),
        Some(number) if number.bytes().all(|b| b.is_ascii_digit()) => {
            let number = number.parse::<u64>().unwrap_or(u64::MAX);
            target.put(&["metric", "task"], json!(number), &source.path);
        }
        _ => target.put(&["metric", "file"], json!(text), &source.path),
    }
}

pub(super) fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A number that may be written as a text.
fn number_of(value: &Json) -> Json {
    value.as_str().and_then(|text| text.trim().parse::<u64>().ok()).map_or_else(|| value.clone(), Json::from)
}

fn schedule(reader: &mut Reader, target: &mut Target, mut yml: Fields<'_>) {
    target.origin("budget", &yml.path);
    for (key, native) in [
        ("trial_concurrency", "concurrency"),
        ("max_trial_number", "trials"),
        ("max_experiment_duration", "duration"),
        ("max_trial_duration", "trial_timeout"),
    ] {
        if let Some(value) = yml.get(key) {
            target.put(&["budget", native], number_of(value.value), &value.path);
        }
    }
    for key in ["experiment_name", "debug", "log_level"] {
        yml.get(key);
    }
    for (key, native) in [("tuner", "sampler"), ("assessor", "early_stop")] {
        target.origin(native, &yml.path_of(key));
    }
    if let Some((name, arguments)) = yml.get("tuner").and_then(|place| algorithm(reader, &place)) {
        target.put(&["sampler", &name], arguments.0, &arguments.1);
    }
    if let Some((name, arguments)) = yml.get("assessor").and_then(|place| algorithm(reader, &place)) {
        let off = matches!(arguments.0.get("earlystop"), Some(Json::Bool(false)));
        if !off {
            target.put(&["early_stop", &name], arguments.0, &arguments.1);
        }
    }
    yml.finish(reader);
}

/// A tuner or an assessor: its name in lower case, its arguments and where they are.
fn algorithm(reader: &mut Reader, place: &Place<'_>) -> Option<(String, (Json, String))> {
    let mut fields = reader.fields(place, "a map", "write {name: TPE, class_args: {...}}")?;
    let name = fields.get("name");
    let arguments = fields.get("class_args");
    fields.finish(reader);
    let Some(name) = name else {
        missing(reader, &place.path, "name");
        return None;
    };
    let name = reader.some_text(&name)?.to_lowercase();
    match arguments {
        None => Some((name, (Json::Object(Map::new()), place.path.clone()))),
        Some(arguments) if arguments.value.is_object() => {
            Some((name, (arguments.value.clone(), arguments.path)))
        }
        Some(arguments) => {
            reader.wrong_type(&arguments, "a map of arguments", "");
            None
        }
    }
}

fn platform(reader: &mut Reader, target: &mut Target, config: &mut Fields<'_>) {
    let Some(mut fields) = section(reader, config, "platform_config") else {
        if config.peek("platform_config").is_none() {
            missing(reader, &config.path, "platform_config");
        }
        return;
    };
    let name = fields.get("name");
    let commands = fields.get("cmd");
    let resume = fields.get("resume");
    fields.finish(reader);
    for (key, given) in [("name", name.is_some()), ("cmd", commands.is_some())] {
        if !given {
            missing(reader, &fields.path, key);
        }
    }
    if let Some(resume) = resume {
        let on = matches!(text(resume.value).as_str(), "1" | "true" | "True");
        target.put(&["retry", "resume"], json!(on), &resume.path);
    }
    let (Some(name), Some(commands)) = (name, commands) else { return };
    let Some(platform) = reader.some_text(&name) else { return };
    let backend = match platform.to_lowercase().as_str() {
        "mc" | "odps" => "maxcompute".to_owned(),
        other => other.to_owned(),
    };
    target.origin("run", &name.path);
    target.origin(&format!("run.{backend}"), &name.path);
    let tasks: Json = commands.items().iter().map(|command| command.value.clone()).collect();
    let single = !commands.value.is_array();
    target.put(&["run", &backend, "tasks"], tasks, &commands.path);
    if single {
        target.origin(&format!("run.{backend}.tasks[0]"), &commands.path);
    } else if commands.items().len() == 1 {
        // Where a warning of the only command is looked for.
        target.origin(&format!("run.{backend}.command"), &format!("{}[0]", commands.path));
    }
    if let Some(mut params) = section(reader, config, "params_config") {
        if let Some(list) = params.get("params_src_dst_filepath") {
            target.put(&["run", &backend, "templates"], list.value.clone(), &list.path);
        }
        params.finish(reader);
    }
    if let Some(mut output) = section(reader, config, "output_config") {
        if let Some(path) = output.get("model_path") {
            target.put(&["model_path"], path.value.clone(), &path.path);
        }
        if let Some(path) = output.get("summary_path") {
            no_effect(reader, &path.path, "`summary_path` has no effect here");
        }
        output.finish(reader);
    }
    services(reader, target, config, &backend);
}

/// What is said of the cloud's services, less the credentials.
fn services(reader: &mut Reader, target: &mut Target, config: &mut Fields<'_>, backend: &str) {
    for (key, native) in [
        ("oss_config", "oss"),
        ("odps_config", "odps"),
        ("dlc_config", "dlc"),
        ("ts_config", "ts"),
        ("paiflow_config", "paiflow"),
    ] {
        let Some(service) = section(reader, config, key) else { continue };
        let mut kept = Map::new();
        for (name, value) in service.rest() {
            if SECRETS.contains(&name.as_str()) {
                let cure = "give credentials by environment variables, or keep the key with `retrial secret set NAME` and \
                            write `credential: secret:NAME`; take it out of the file";
                let message = format!("`{name}` is a credential: it is not taken from the file");
                reader.warnings.push(SpecError::key(codes::CREDENTIAL, &value.path, message, cure));
            } else if backend == "maxcompute" {
                let key: &[&str] = match service.peek("role_arn") {
                    Some(_) => &["credential", "key"],
                    None => &["credential"],
                };
                warehouse(reader, target, (native, name), &value, key);
            } else if name == "credential" {
                // Those of other services are of no use: the platform's is used for all.
                if native == backend {
                    target.put(&["run", backend, name], value.value.clone(), &value.path);
                }
            } else if backend == "dlc" && native != "dlc" {
                beside_dlc(reader, target, (native, name), &value);
            } else {
                kept.insert(name.clone(), value.value.clone());
            }
        }
        // A local command needs no service, and the local backend would refuse the setting.
        if backend != "local" && !kept.is_empty() {
            target.put(&["run", backend, native], Json::Object(kept), &service.path);
        }
    }
}

/// A setting of a service that DLC's jobs do not run on: of storage, it says where the buckets are.
fn beside_dlc(reader: &mut Reader, target: &mut Target, (service, name): (&str, &str), value: &Place<'_>) {
    if (service, name) == ("oss", "endpoint") {
        target.put(&["run", "dlc", "oss_endpoint"], value.value.clone(), &value.path);
    } else {
        no_effect(reader, &value.path, &format!("`{}` has no effect on DLC", shorten(name)));
    }
}

/// One setting of `MaxCompute`, which has a name of its own here. Its tasks use no other service.
/// `key` is where the key is named that takes on the role, or that is used itself.
fn warehouse(
    reader: &mut Reader,
    target: &mut Target,
    (service, name): (&str, &str),
    value: &Place<'_>,
    key: &[&str],
) {
    let native: &[&str] = match (service, name) {
        ("odps", "credential") => key,
        ("odps", "project_name") => &["project"],
        ("odps", "end_point") => &["endpoint"],
        ("odps", "role_arn") => &["credential", "role_arn"],
        ("odps", "log_view_host") => {
            let message =
                "`log_view_host` has no effect here: set ODPS_LOGVIEW_HOST, or let the service be asked";
            return no_effect(reader, &value.path, message);
        }
        ("odps", "region") => &["region"],
        // Whatever else: a key of ours that happens to have this name must not be set by it.
        ("odps", _) => {
            let message = format!("`odps_config` has no setting `{}`", shorten(name));
            let known = ["project_name", "end_point", "region", "role_arn", "log_view_host", "credential"];
            let cure =
                did_you_mean(name, known).unwrap_or_else(|| format!("the settings are {}", known.join(", ")));
            return reader.fail_key(codes::UNKNOWN_KEY, &value.path, message, cure);
        }
        _ => return no_effect(reader, &value.path, &format!("`{name}` has no effect on MaxCompute")),
    };
    let path: Vec<&str> = ["run", "maxcompute"].iter().chain(native).copied().collect();
    target.put(&path, value.value.clone(), &value.path);
}

fn without_effect(reader: &mut Reader, config: &mut Fields<'_>) {
    if let Some(place) = config.get("k8s_config") {
        no_effect(reader, &place.path, "`k8s_config` has no effect here");
    }
}

pub(super) fn no_effect(reader: &mut Reader, path: &str, message: &str) {
    reader.warnings.push(SpecError::key(codes::NO_EFFECT, path, message, ""));
}
