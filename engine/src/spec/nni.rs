//! Reads NNI's `exp.yml`, of version 2 and 3 or in the older form, alone or with the `trial.ini` of PAI's hpo-tools.
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
    let older = older_trial(&mut reader, &mut fields);
    let command = fields.get("trialCommand").or(older);
    let platform = platform(&mut reader, &mut fields);
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
    for (key, older, name) in [
        ("experimentName", None, "experiment_name"),
        ("trialConcurrency", None, "trial_concurrency"),
        ("maxTrialNumber", Some("maxTrialNum"), "max_trial_number"),
        ("maxExperimentDuration", Some("maxExecDuration"), "max_experiment_duration"),
        ("maxTrialDuration", None, "max_trial_duration"),
    ] {
        if let Some(value) = either(reader, fields, key, older) {
            target.put(&["yml_config", name], value.value.clone(), &value.path);
        }
    }
    let file = either(reader, fields, "searchSpaceFile", Some("searchSpacePath"));
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

/// The value of a key or of its older name.
fn either<'a>(
    reader: &mut Reader,
    fields: &mut Fields<'a>,
    key: &'static str,
    older: Option<&'static str>,
) -> Option<Place<'a>> {
    let (new, old) = (fields.get(key), older.and_then(|older| fields.get(older)));
    if let (Some(new), Some(old)) = (&new, &old) {
        let message = format!("`{}` is the older name of `{}`, which is there as well", old.path, new.path);
        reader.fail_key(codes::CONFLICT, &old.path, message, "keep one of them");
    }
    new.or(old)
}

/// The command in the older form, `trial: {command: ...}`.
fn older_trial<'a>(reader: &mut Reader, fields: &mut Fields<'a>) -> Option<Place<'a>> {
    let trial = fields.get("trial")?;
    let mut keys = reader.fields(&trial, "a map", "write {command: 'python3 train.py'}")?;
    let command = keys.get("command");
    for key in ["codeDir", "gpuNum", "cpuNum", "memoryMB", "image"] {
        if let Some(place) = keys.get(key) {
            no_effect(reader, &place, key);
        }
    }
    keys.finish(reader);
    command
}

/// The name of the platform; what else is said of it has no effect.
fn platform<'a>(reader: &mut Reader, fields: &mut Fields<'a>) -> Option<Place<'a>> {
    let older = fields.get("trainingServicePlatform");
    let service = fields.get("trainingService");
    let Some(service) = service else { return older };
    if service.value.is_array() {
        let message = "several training services are not supported by this version";
        reader.fail(codes::NOT_SUPPORTED, &service.path, message, "keep one of them");
        return None;
    }
    let mut keys = reader.fields(&service, "a map", "write {platform: local}")?;
    let name = keys.get("platform");
    for (key, place) in keys.rest() {
        if key != "platform" {
            no_effect(reader, &place, key);
        }
    }
    name.or(older)
}

fn no_effect(reader: &mut Reader, place: &Place<'_>, key: &str) {
    let cure = match key {
        "codeDir" | "trialCodeDirectory" => {
            "a trial has a working directory of its own; ${spec_dir} is the folder of this file"
        }
        "gpuNum" | "trialGpuNumber" => {
            "in a file of Retrial's own form, run.local has `gpus` and `gpus_per_trial`"
        }
        _ => "",
    };
    let message = format!("`{key}` has no effect here");
    reader.warnings.push(SpecError::key(codes::NO_EFFECT, &place.path, message, cure));
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
    match platform {
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

/// Keys of which a file is none the worse here, those that are missed, and those that cannot be done without.
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
        "versionCheck",
    ] {
        fields.get(key);
    }
    for key in ["trialCodeDirectory", "trialGpuNumber", "tunerGpuIndices", "sharedStorage", "localConfig"] {
        if let Some(place) = fields.get(key) {
            no_effect(reader, &place, key);
        }
    }
    if let Some(place) = fields.get("useAnnotation").filter(|place| place.value != &json!(false)) {
        let message = "search spaces in the trial's code are not supported";
        reader.fail(codes::NOT_SUPPORTED, &place.path, message, "write them into `searchSpace`");
    }
    for key in ["advisor", "experimentType"] {
        if let Some(place) = fields.get(key).filter(|place| place.value != &json!("hpo")) {
            let message = format!("`{key}` is not supported by this version");
            let cure =
                "choose a `tuner` and an `assessor`: BOHB is the tuner TPE with the assessor hyperband";
            reader.fail_key(codes::NOT_SUPPORTED, &place.path, message, cure);
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
