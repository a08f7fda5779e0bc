//! The configuration of an experiment, as it comes and as it is shown: `HpoExperimentConfiguration`.

use super::mask::{self, MASK};
use engine::error::SpecError;
use engine::ports::backend::CommandLine;
use engine::spec::credential::SEALED;
use engine::spec::{FinalMode, MetricSource, Spec, codes};
use engine::state::Experiment;
use engine::value::Goal;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The key of the configuration in a request.
pub(super) const CONFIGURATION: &str = "HpoExperimentConfiguration";
/// The label that keeps the configuration as it came, without its secrets.
const KEPT: &str = "retrial.pai";
/// The label that says for which specification it was kept: what is changed in another way is shown as it is.
const KEPT_FOR: &str = "retrial.pai.of";
/// Sections, or parts of them, without effect here.
const WITHOUT_EFFECT: [&str; 2] = ["k8s_config", "output_config.summary_path"];
/// Sections with credentials of services.
const SERVICES: [&str; 5] = ["oss_config", "odps_config", "dlc_config", "ts_config", "paiflow_config"];

/// What the service asks for and the engine does not.
pub(super) fn mistakes(config: &Value) -> Vec<SpecError> {
    let mut found = Vec::new();
    if let Some(metric) = config.get("metric_config").filter(|section| section.is_object()) {
        for key in ["metric_source", "final_mode"] {
            if metric.get(key).is_none_or(Value::is_null) {
                let path = format!("{CONFIGURATION}.metric_config");
                let message = format!("`{path}` has no `{key}`");
                found.push(SpecError::key(codes::MISSING_KEY, path, message, format!("add `{key}`")));
            }
        }
    }
    let tuner = config.pointer("/yml_config/tuner/name").and_then(Value::as_str).unwrap_or_default();
    if tuner.eq_ignore_ascii_case("gp")
        && let Some(space) = config.get("search_space")
    {
        normal(space, &format!("{CONFIGURATION}.search_space"), &mut found);
    }
    let commands = config.pointer("/platform_config/cmd").and_then(Value::as_array);
    for (place, command) in commands.into_iter().flatten().enumerate() {
        if command.as_str().is_some_and(mask::is_masked) {
            let path = format!("{CONFIGURATION}.platform_config.cmd[{place}]");
            let message = format!("the command has `{MASK}`, which is shown in place of a secret");
            found.push(SpecError::new(codes::BAD_COMMAND, path, message, "write the secret itself"));
        }
    }
    found
}

/// The service's tuner GP takes no parameter that is unbounded.
fn normal(space: &Value, path: &str, found: &mut Vec<SpecError>) {
    match space {
        Value::Object(map) => {
            if let Some(kind) = map.get("_type").and_then(Value::as_str)
                && ["normal", "qnormal", "lognormal", "qlognormal"].contains(&kind)
            {
                let message = format!("the tuner GP takes no parameter of the type `{kind}`");
                let cure = "choose another type or tuner, such as TPE";
                found.push(SpecError::new(codes::CONFLICT, format!("{path}._type"), message, cure));
            }
            for (key, inner) in map {
                normal(inner, &format!("{path}.{key}"), found);
            }
        }
        Value::Array(items) => {
            for (place, inner) in items.iter().enumerate() {
                normal(inner, &format!("{path}[{place}]"), found);
            }
        }
        _ => {}
    }
}

/// What was given and is not used, by its place. `used` is the configuration after its secrets were taken out. For the
/// answer's `Detail`; none if all of it is.
pub(super) fn unused(given: &Value, used: &Value) -> Option<Value> {
    let mut found = Map::new();
    for place in WITHOUT_EFFECT {
        if given.pointer(&format!("/{}", place.replace('.', "/"))).is_some() {
            found.insert(place.to_owned(), json!("has no effect here"));
        }
    }
    let address = used.pointer("/monitor_config/url").and_then(Value::as_str);
    if given.get("monitor_config").is_some() && !address.is_some_and(|url| url.starts_with(SEALED)) {
        found.insert("monitor_config".to_owned(), json!("has no effect without `url`"));
    }
    for section in SERVICES {
        let left = used.get(section).filter(|_| given.get(section).is_some());
        if left.is_some_and(|left| mask::without_credentials(&json!({section: left}))[section] != *left) {
            found.insert(section.to_owned(), json!("its credentials are not used"));
        }
    }
    (!found.is_empty()).then(|| json!({"Unused": found}))
}

/// The labels that keep a configuration beside the specification that was made of it.
pub(super) fn kept(config: &Value, spec: &str) -> [(String, String); 2] {
    [(KEPT.to_owned(), mask::masked(config).to_string()), kept_for(spec)]
}

/// The label that says that what is kept holds for this specification.
pub(super) fn kept_for(spec: &str) -> (String, String) {
    (KEPT_FOR.to_owned(), blake3::hash(spec.as_bytes()).to_hex().to_string())
}

/// The configuration as it came, if the experiment is still what was made of it.
pub(super) fn as_it_came(experiment: &Experiment) -> Option<Value> {
    let (name, digest) = kept_for(experiment.spec.text());
    let kept = experiment.labels.get(KEPT).filter(|_| experiment.labels.get(&name) == Some(&digest))?;
    serde_json::from_str(kept).ok()
}

/// The configuration of any experiment: as it came, or what the specification says of it.
pub(super) fn of(experiment: &Experiment) -> Value {
    as_it_came(experiment).unwrap_or_else(|| mask::masked(&said(&experiment.spec)))
}

/// What a specification says in the form of PAI. What that form does not know is left out.
pub(super) fn said(spec: &Spec) -> Value {
    let mut tuner = spec.sampler.args.clone();
    if let (Some(tuner), Some(seed)) = (tuner.as_object_mut(), spec.seed) {
        tuner.insert("seed".to_owned(), json!(seed));
    }
    let mut yml = json!({
        "trial_concurrency": spec.budget.concurrency,
        "tuner": {"name": spec.sampler.name, "class_args": tuner},
    });
    if let (Some(yml), Some(trials)) = (yml.as_object_mut(), spec.budget.trials) {
        yml.insert("max_trial_number".to_owned(), json!(trials));
    }
    if let (Some(yml), [rule]) = (yml.as_object_mut(), spec.early_stop.as_slice()) {
        yml.insert("assessor".to_owned(), json!({"name": rule.name, "class_args": rule.args}));
    }
    let mut config = Map::new();
    config.insert("platform_config".to_owned(), platform(spec));
    config.insert("metric_config".to_owned(), metric(spec));
    config.insert("search_space".to_owned(), with_placeholders(&spec.space.canonical()));
    config.insert("yml_config".to_owned(), yml);
    if !spec.model_path.is_empty() {
        config.insert("output_config".to_owned(), json!({"model_path": spec.model_path}));
    }
    let templates = spec.run.as_ref().map(|run| run.templates.as_slice()).unwrap_or_default();
    if !templates.is_empty() {
        let pairs: Vec<String> =
            templates.iter().map(|template| format!("{},{}", template.source, template.target)).collect();
        config.insert("params_config".to_owned(), json!({"params_src_dst_filepath": pairs}));
    }
    config.into()
}

/// The platform of trials that clients run is none that the service knows.
fn platform(spec: &Spec) -> Value {
    let Some(run) = &spec.run else { return json!({"name": "Client", "cmd": []}) };
    let name = match run.backend.as_str() {
        "dlc" => "DLC",
        "maxcompute" => "MaxCompute",
        "local" => "Local",
        other => other,
    };
    let commands: Vec<String> = run
        .commands
        .iter()
        .map(|command| match command {
            CommandLine::Shell(line) => line.clone(),
            CommandLine::Args(words) => words.join(" "),
        })
        .collect();
    json!({"name": name, "cmd": commands, "resume": if spec.retry.resume { "1" } else { "0" }})
}

fn metric(spec: &Spec) -> Value {
    let (kind, sources) = match &spec.metric.source {
        MetricSource::Report => ("api", vec!["cmd1".to_owned()]),
        MetricSource::Stdout { file: Some(file), .. } => ("stdout", vec![file.clone()]),
        MetricSource::Stdout { task, .. } => {
            let last = spec.run.as_ref().map_or(1, |run| run.commands.len());
            ("stdout", vec![format!("cmd{}", task.map_or(last, |task| usize::from(task) + 1))])
        }
        MetricSource::Json { file, .. } => ("json", vec![file.clone()]),
        MetricSource::Summary { dir, .. } => ("summary", vec![dir.clone()]),
        MetricSource::Table { queries, .. } => ("table", queries.clone()),
    };
    let mode = match spec.metric.final_mode {
        FinalMode::Final => "final",
        FinalMode::Best => "best",
        FinalMode::Average => "avg",
    };
    let goal = match spec.objective.goal {
        Goal::Maximize => "maximize",
        Goal::Minimize => "minimize",
    };
    // What each metric is read by; it may have a name beside it.
    let keys = match &spec.metric.source {
        MetricSource::Report => &Vec::new(),
        MetricSource::Stdout { patterns: keys, .. }
        | MetricSource::Json { keys, .. }
        | MetricSource::Summary { tags: keys, .. }
        | MetricSource::Table { columns: keys, .. } => keys,
    };
    let metrics = spec.objective.metrics.iter().enumerate();
    let weights: Map<String, Value> = metrics
        .map(|(place, metric)| (keys.get(place).unwrap_or(&metric.name).clone(), json!(metric.weight)))
        .collect();
    json!({
        "metric_type": kind, "metric_source": sources, "final_mode": mode, "metric_dict": weights,
        "optimize_mode": goal,
    })
}

/// A space whose names, also nested ones, are written as placeholders.
fn with_placeholders(space: &Value) -> Value {
    let Some(map) = space.as_object() else { return space.clone() };
    let parameter = |(name, domain): (&String, &Value)| {
        let mut domain = domain.clone();
        if let Some(Value::Array(options)) = domain.get_mut("_value") {
            for option in options.iter_mut().filter(|option| option.is_object()) {
                *option = with_placeholders(option);
            }
        }
        let key = if name == "_name" { name.clone() } else { format!("${{{name}}}") };
        (key, domain)
    };
    Value::Object(map.iter().map(parameter).collect())
}

/// Parameters with their names as they are written in a search space.
pub(super) fn as_written(params: &Map<String, Value>, space: &Value) -> Map<String, Value> {
    let bare =
        |key: &str| key.strip_prefix("${").and_then(|key| key.strip_suffix('}')).unwrap_or(key).to_owned();
    let written: BTreeMap<String, (&String, &Value)> =
        space.as_object().into_iter().flatten().map(|(key, domain)| (bare(key), (key, domain))).collect();
    let named = |(name, value): (&String, &Value)| {
        let Some((key, domain)) = written.get(name) else { return (name.clone(), value.clone()) };
        let inner = value.as_object().and_then(|inner| {
            let options = domain.get("_value")?.as_array()?;
            let option = options.iter().find(|option| option.get("_name") == inner.get("_name"))?;
            Some(Value::Object(as_written(inner, option)))
        });
        ((*key).clone(), inner.unwrap_or_else(|| value.clone()))
    };
    params.iter().map(named).collect()
}

/// What an update says, with what it does not speak of as it was: sections, and settings of a section. A null takes away.
pub(super) fn merged(known: &Value, given: &Value) -> Value {
    let (Value::Object(known), Value::Object(given)) = (known, given) else { return given.clone() };
    let mut sections = known.clone();
    for (section, value) in given {
        // A space is one thing: parameters of two are none.
        let whole = section == "search_space";
        match (sections.get_mut(section), value) {
            (Some(Value::Object(known)), Value::Object(settings)) if !whole => patch(known, settings),
            _ => patch(&mut sections, &Map::from_iter([(section.clone(), value.clone())])),
        }
    }
    sections.into()
}

fn patch(known: &mut Map<String, Value>, given: &Map<String, Value>) {
    for (key, value) in given {
        if value.is_null() {
            known.shift_remove(key);
        } else {
            known.insert(key.clone(), value.clone());
        }
    }
}
