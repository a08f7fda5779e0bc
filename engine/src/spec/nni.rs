//! Reads NNI's `exp.yml`, alone or with the `trial.ini` of PAI's hpo-tools.
//!
//! The result is a configuration of PAI's form, which [`pai`] converts further. Paths lead back
//! through both steps.

use super::codes;
use super::foreign::{Converted, Target};
use super::reader::{Fields, Place, Reader, shorten};
use super::{literal, pai};
use crate::error::SpecError;
use serde_json::{Map, Value as Json, json};

/// The key under which the sections of `trial.ini` are put into the document.
pub const TRIAL_INI: &str = "trial_ini";

/// Makes the native document.
pub(super) fn convert(document: &Json) -> Converted {
    let mut reader = Reader::default();
    let mut target = Target::default();
    let root = Place::new(document, "");
    let Some(mut fields) = reader.fields(&root, "a map", "") else { return Converted::new(target, reader) };
    target.origin("", "");
    experiment(&mut reader, &mut target, &mut fields);
    let command = fields.get("trialCommand");
    let platform = fields.get("trainingService");
    let ini = fields.get(TRIAL_INI);
    let metrics = match &ini {
        Some(ini) => {
            sections(&mut reader, &mut target, ini);
            pai::Metrics::Required
        }
        None => {
            plain(&mut reader, &mut target, command.as_ref(), platform.as_ref());
            pai::Metrics::Reported
        }
    };
    ignored(&mut reader, &mut fields);
    fields.finish(&mut reader);
    let mut converted = pai::convert(&Json::Object(target.map), metrics).behind(target.origins);
    // What is missing because it was wrong is said already.
    let about_absence = |error: &SpecError| error.code == codes::MISSING_KEY && !reader.errors.is_empty();
    converted.errors.retain(|error| !about_absence(error));
    converted.errors.splice(0..0, reader.errors.iter().cloned());
    converted.warnings.splice(0..0, reader.warnings);
    converted
}

fn experiment(reader: &mut Reader, target: &mut Target, fields: &mut Fields<'_>) {
    for (key, section, name) in [
        ("experimentName", "yml_config", "experiment_name"),
        ("trialConcurrency", "yml_config", "trial_concurrency"),
        ("maxTrialNumber", "yml_config", "max_trial_number"),
        ("maxExperimentDuration", "yml_config", "max_experiment_duration"),
        ("maxTrialDuration", "yml_config", "max_trial_duration"),
    ] {
        if let Some(value) = fields.get(key) {
            target.put(&[section, name], value.value.clone(), &value.path);
        }
    }
    let file = fields.get("searchSpaceFile");
    match (fields.get("searchSpace"), file) {
        (Some(space), _) => target.put(&["search_space"], space.value.clone(), &space.path),
        (None, Some(file)) => {
            let message = "the search space's file was not read";
            reader.fail(codes::MISSING_FILE, &file.path, message, "put it beside this file");
        }
        (None, None) => {
            let message = "the experiment has neither `searchSpace` nor `searchSpaceFile`";
            reader.fail(codes::MISSING_KEY, "", message, "add one of them");
        }
    }
    for key in ["tuner", "assessor"] {
        let Some(place) = fields.get(key) else { continue };
        let Some(mut algorithm) = reader.fields(&place, "a map", "write {name: TPE, classArgs: {...}}")
        else {
            continue;
        };
        target.origin(&format!("yml_config.{key}"), &place.path);
        // The old form of NNI's files.
        let old = algorithm.get(if key == "tuner" { "builtinTunerName" } else { "builtinAssessorName" });
        if let Some(name) = algorithm.get("name").or(old) {
            target.put(&["yml_config", key, "name"], name.value.clone(), &name.path);
        }
        for name in ["codeDirectory", "className"] {
            if let Some(place) = algorithm.get(name) {
                let message = format!("a {key} of your own is not supported by this version");
                reader.fail_key(codes::NOT_SUPPORTED, &place.path, message, "choose one by name");
            }
        }
        if let Some(arguments) = algorithm.get("classArgs") {
            target.put(&["yml_config", key, "class_args"], arguments.value.clone(), &arguments.path);
        }
        algorithm.finish(reader);
    }
}

/// An experiment without `trial.ini` runs its trial command.
fn plain(
    reader: &mut Reader,
    target: &mut Target,
    command: Option<&Place<'_>>,
    platform: Option<&Place<'_>>,
) {
    let Some(command) = command else {
        reader.fail(codes::MISSING_KEY, "", "the experiment has no `trialCommand`", "say what a trial runs");
        return;
    };
    let name = platform
        .and_then(|place| Some(Place::new(place.value.get("platform")?, format!("{}.platform", place.path))));
    match name {
        Some(name) => target.put(&["platform_config", "name"], name.value.clone(), &name.path),
        None => target.put(&["platform_config", "name"], json!("local"), &command.path),
    }
    target.put(&["platform_config", "cmd"], json!([command.value]), &command.path);
    target.origin("platform_config.cmd[0]", &command.path);
    let message = "NNI's functions for reporting do not reach Retrial";
    let cure = "let the trial append {\"step\": 3, \"value\": 0.91} to the file named by RETRIAL_REPORT, and read its \
                parameters from RETRIAL_PARAMS or ${name} in the command";
    reader.warn(codes::NO_EFFECT, &command.path, message, cure);
}

fn ignored(reader: &mut Reader, fields: &mut Fields<'_>) {
    for key in [
        "authorName",
        "debug",
        "experimentWorkingDirectory",
        "logCollection",
        "logDir",
        "logLevel",
        "multiPhase",
        "multiThread",
        "nniManagerIp",
        "reuse",
        "trialCodeDirectory",
        "trialGpuNumber",
        "tunerGpuIndices",
        "useAnnotation",
    ] {
        let Some(place) = fields.get(key) else { continue };
        if matches!(key, "trialCodeDirectory" | "trialGpuNumber") {
            let message = format!("`{key}` has no effect here");
            let cure = "a trial has a working directory of its own; ${spec_dir} is the folder of this file";
            reader.warnings.push(SpecError::key(codes::NO_EFFECT, &place.path, message, cure));
        }
    }
}

/// Takes over the sections of `trial.ini`.
fn sections(reader: &mut Reader, target: &mut Target, ini: &Place<'_>) {
    let Some(sections) = reader.fields(ini, "sections", "") else { return };
    target.origin("metric_config", &ini.path);
    target.origin("platform_config", &ini.path);
    for (section, place) in sections.rest() {
        let Some(keys) = reader.fields(&place, "a section", "") else { continue };
        target.origin(section, &place.path);
        let mut lists: Vec<(&str, Vec<Json>)> = Vec::new();
        let mut weights = Map::new();
        for (key, value) in keys.rest() {
            let list = match section.as_str() {
                "platform_config" if key.starts_with("cmd") => Some("cmd"),
                "metric_config" if key.starts_with("metric_source") => Some("metric_source"),
                "params_config" if key.starts_with("params_src_dst_filepath") => {
                    Some("params_src_dst_filepath")
                }
                _ => None,
            };
            let read = ini_value(reader, section, key, &value);
            if let Some(list) = list {
                let index = match lists.iter_mut().find(|(name, _)| *name == list) {
                    Some((_, items)) => {
                        items.push(read);
                        items.len() - 1
                    }
                    None => {
                        lists.push((list, vec![read]));
                        0
                    }
                };
                target.origin(&format!("{section}.{list}[{index}]"), &value.path);
            } else if section == "metric_config" && !is_metric_key(key) {
                // The older form: a line for each metric.
                target.origin(&format!("metric_config.metric_dict.{key}"), &value.path);
                weights.insert(key.clone(), read);
            } else {
                target.put(&[section, key], read, &value.path);
            }
        }
        for (list, items) in lists {
            target.put(&[section, list], Json::Array(items), &place.path);
        }
        if !weights.is_empty() && keys.peek("metric_dict").is_none() {
            target.put(&["metric_config", "metric_dict"], Json::Object(weights), &place.path);
        }
    }
}

fn is_metric_key(key: &str) -> bool {
    matches!(key, "metric_type" | "metric_dict" | "final_mode" | "optimize_mode" | "source_list_final_mode")
}

/// The value of a line: a number if it is one, a Python literal for `metric_dict`, else its text.
fn ini_value(reader: &mut Reader, section: &str, key: &str, place: &Place<'_>) -> Json {
    let Json::String(text) = place.value else { return place.value.clone() };
    if text.contains("{%") || text.contains("{{") {
        let message = "templates of Jinja are not supported by this version";
        reader.fail(codes::NOT_SUPPORTED, &place.path, message, "write the lines out");
    }
    if (section, key) == ("metric_config", "metric_dict") {
        let read = literal::parse_dict(text);
        if read.is_none() {
            let message = format!("`{}` is not a dictionary of numbers", shorten(text));
            reader.fail(codes::INI_SYNTAX, &place.path, message, "write, for example, {'auc': 1}");
        }
        return Json::Object(read.unwrap_or_default());
    }
    // Commands, sources and paths stay as they are.
    if section != "metric_config" || is_metric_key(key) || key.starts_with("metric_source") {
        return Json::String(text.clone());
    }
    let whole = text.parse::<i64>().ok().map(Json::from);
    let real = || text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Json::Number);
    whole.or_else(real).unwrap_or_else(|| Json::String(text.clone()))
}
