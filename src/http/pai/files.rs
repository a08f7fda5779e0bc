//! The three files of PAI's hpo-tools that say the same as a configuration: `exp.yml`, `trial.ini` and the search space.
//!
//! Saved beside each other as `exp.yml`, `trial.ini` and `search_space.json` they are an experiment that `retrial run` reads.

use serde_json::{Map, Value};

/// What is a list in the configuration and a line for each item in `trial.ini`: section and key.
const LISTS: [(&str, &str); 3] = [
    ("platform_config", "cmd"),
    ("metric_config", "metric_source"),
    ("params_config", "params_src_dst_filepath"),
];

/// `exp.yml`: what is for the tuner. Values are JSON, which YAML contains.
pub(super) fn exp_yml(config: &Value, name: &str) -> String {
    let yml = |key: &str| config.get("yml_config").and_then(|yml| yml.get(key));
    let mut text = format!("experimentName: {}\n", Value::from(name));
    for (key, native) in [
        ("trial_concurrency", "trialConcurrency"),
        ("max_trial_number", "maxTrialNumber"),
        ("debug", "debug"),
        ("log_level", "logLevel"),
    ] {
        if let Some(value) = yml(key) {
            text += &format!("{native}: {value}\n");
        }
    }
    text += "searchSpaceFile: search_space.json\n\
             trialCommand: python3 -m hpo_tools.core.utils.run --config=./trial.ini\n\
             trainingService:\n  platform: local\n";
    for key in ["tuner", "assessor"] {
        let Some(algorithm) = yml(key) else { continue };
        text += &format!("{key}:\n");
        for (key, native) in [("name", "name"), ("class_args", "classArgs")] {
            if let Some(value) = algorithm.get(key) {
                text += &format!("  {native}: {value}\n");
            }
        }
    }
    text
}

/// `trial.ini`: what is for the trials.
pub(super) fn trial_ini(config: &Value) -> String {
    let sections = config.as_object().into_iter().flatten();
    let wanted =
        sections.filter(|(key, _)| !["search_space", "yml_config", "k8s_config"].contains(&key.as_str()));
    let written =
        wanted.filter_map(|(name, section)| Some(format!("[{name}]\n{}", keys(name, section.as_object()?))));
    written.collect::<Vec<_>>().join("\n")
}

fn keys(section: &str, keys: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (key, value) in keys {
        match value {
            Value::Null => {}
            Value::Array(items) if LISTS.contains(&(section, key.as_str())) => {
                for (place, item) in items.iter().enumerate() {
                    let number = match (key.as_str(), place) {
                        ("cmd", place) => format!("{}", place + 1),
                        (_, 0) => String::new(),
                        (_, place) => format!("_{place}"),
                    };
                    text += &format!("{key}{number}={}\n", line(item));
                }
            }
            value => text += &format!("{key}={}\n", line(value)),
        }
    }
    text
}

/// A value behind `=`; further lines are indented, so that they belong to it.
fn line(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.trim().replace('\n', "\n    ")
}
