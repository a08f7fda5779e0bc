//! Reads what a trial runs.

use super::Run;
use super::codes;
use super::credential;
use super::reader::{Fields, Place, Reader, did_you_mean, join, shorten};
use crate::limits::MAX_TASKS;
use crate::ports::backend::{CommandLine, TemplateFile};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// The backends that a file may name. Whether one is built in and configured is known to the shell only.
pub(super) const BACKENDS: [&str; 7] = ["local", "dlc", "maxcompute", "ray", "slurm", "kubernetes", "fake"];

const RUN_CURE: &str = "write, for example, run: {local: {command: 'python3 train.py --lr ${lr}'}}";

/// What `run` says: the tasks, where a model path was given, and whether it could be read.
pub(super) struct RunPart<'a> {
    pub(super) run: Option<Run>,
    /// The backend with its own settings, also where other parts have mistakes.
    pub(super) backend: Option<(String, Json)>,
    pub(super) tasks: Option<usize>,
    pub(super) model_paths: Vec<Place<'a>>,
}

/// Reads `run`.
pub(super) fn read_run<'a>(reader: &mut Reader, place: Option<&Place<'a>>, spec_dir: &str) -> RunPart<'a> {
    let mut part = RunPart { run: None, backend: None, tasks: None, model_paths: Vec::new() };
    let Some(mut fields) = place.and_then(|place| reader.fields(place, "a map", RUN_CURE)) else {
        return part;
    };
    if let Some(place) = place {
        credential::look_for(reader, place);
    }
    part.model_paths.extend(fields.get("model_path"));
    let mut named = fields.rest();
    let Some((backend, inner)) = named.next() else {
        reader.fail_key(codes::ONE_BACKEND, &fields.path, "`run` names no backend", RUN_CURE);
        return part;
    };
    let others: Vec<Place<'_>> = named.map(|(_, other)| other).collect();
    for other in &others {
        let message = "`run` names a second backend; an experiment runs on one";
        let cure = "keep one of them; what belongs to a backend goes inside of it";
        reader.fail_key(codes::ONE_BACKEND, &other.path, message, cure);
    }
    let name = backend.to_lowercase();
    if !BACKENDS.contains(&name.as_str()) && others.is_empty() {
        let message = format!("there is no backend `{}`", shorten(backend));
        let known = BACKENDS.iter().copied().filter(|name| *name != "fake");
        let cure = did_you_mean(&name, known.clone())
            .unwrap_or_else(|| format!("the backends are {}", known.collect::<Vec<_>>().join(", ")));
        reader.fail_key(codes::UNKNOWN_BACKEND, &inner.path, message, cure);
    }
    read_backend(reader, name, &inner, spec_dir, &mut part);
    part
}

fn read_backend<'a>(
    reader: &mut Reader,
    backend: String,
    inner: &Place<'a>,
    spec_dir: &str,
    part: &mut RunPart<'a>,
) {
    let before = reader.errors.len();
    let mut run = Run {
        backend,
        commands: Vec::new(),
        env: BTreeMap::new(),
        templates: Vec::new(),
        config: Json::Object(Map::new()),
        spec_dir: spec_dir.to_owned(),
    };
    match inner.value {
        Json::String(_) | Json::Array(_) => run.commands.extend(read_command(reader, inner)),
        _ => {
            let Some(mut fields) = reader.fields(inner, "a command or a map", RUN_CURE) else { return };
            run.commands = read_commands(reader, &mut fields);
            run.env = fields.get("env").map(|env| read_env(reader, &env)).unwrap_or_default();
            run.templates = fields
                .get("templates")
                .map(|list| {
                    list.items().iter().filter_map(|item| read_template(reader, item, spec_dir)).collect()
                })
                .unwrap_or_default();
            part.model_paths.extend(fields.get("model_path"));
            run.config =
                Json::Object(fields.rest().map(|(key, value)| (key.clone(), value.value.clone())).collect());
        }
    }
    part.backend = Some((run.backend.clone(), run.config.clone()));
    if reader.errors.len() == before {
        part.tasks = Some(run.commands.len());
        part.run = Some(run);
    }
}

fn read_commands(reader: &mut Reader, fields: &mut Fields<'_>) -> Vec<CommandLine> {
    let given: Vec<(&str, Place<'_>)> = ["command", "commands", "tasks"]
        .into_iter()
        .filter_map(|key| fields.get(key).map(|value| (key, value)))
        .collect();
    if let Some((key, second)) = given.get(1) {
        let message = format!("`{key}` says a second time what is run");
        reader.fail_key(codes::CONFLICT, &second.path, message, "keep one of `command` and `tasks`");
        return Vec::new();
    }
    let Some((key, place)) = given.first() else {
        let cure = "add command: '...', or tasks: [...] for several";
        reader.fail_key(codes::MISSING_KEY, &fields.path, "it is not said what a trial runs", cure);
        return Vec::new();
    };
    if *key == "command" {
        return read_command(reader, place).into_iter().collect();
    }
    let Json::Array(items) = place.value else {
        reader.wrong_type(place, "a list of commands", "for a single one, write command: '...'");
        return Vec::new();
    };
    if items.is_empty() {
        reader.fail(codes::EMPTY, &place.path, "there is no command", "add at least one");
    }
    if items.len() > MAX_TASKS {
        let message = format!("a trial has {} tasks; the limit is {MAX_TASKS}", items.len());
        reader.fail(codes::TOO_MANY, &place.path, message, "join some of them into one command");
    }
    place.items().iter().filter_map(|item| read_command(reader, item)).collect()
}

/// A line for the shell, or a list of words that runs without one.
fn read_command(reader: &mut Reader, place: &Place<'_>) -> Option<CommandLine> {
    let Json::Array(words) = place.value else {
        if !place.value.is_string() {
            let cure = "write the command as a text, or as a list of words";
            reader.wrong_type(place, "a command", cure);
            return None;
        }
        return reader.some_text(place).map(CommandLine::Shell);
    };
    let before = reader.errors.len();
    if words.is_empty() {
        reader.fail(codes::EMPTY, &place.path, "the command has no words", "begin with the program");
    }
    let words: Vec<String> = place.items().iter().filter_map(|word| read_word(reader, word)).collect();
    if words.first().is_some_and(|program| program.trim().is_empty()) {
        let path = format!("{}[0]", place.path);
        reader.fail(codes::BAD_COMMAND, &path, "the program has no name", "begin with the program");
    }
    if reader.errors.len() > before { None } else { Some(CommandLine::Args(words)) }
}

/// A word of a command, or the value of a variable: a number or a truth value is taken as it is written in JSON.
fn read_word(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    match place.value {
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        _ => reader.text(place),
    }
}

fn read_env(reader: &mut Reader, place: &Place<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let Some(fields) = reader.fields(place, "a map of names to texts", "write env: {NAME: 'text'}") else {
        return env;
    };
    for (name, value) in fields.rest() {
        let mut letters = name.chars();
        let starts = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !starts || !letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let message = format!("`{}` cannot be the name of an environment variable", shorten(name));
            let cure = "use letters, digits and `_`, and begin with no digit";
            reader.fail_key(codes::BAD_ENVIRONMENT, &value.path, message, cure);
        } else if name.starts_with("RETRIAL_") {
            let message = format!("`{name}` is set by Retrial itself");
            reader.fail_key(codes::BAD_ENVIRONMENT, &value.path, message, "choose another name");
        }
        if let Some(text) = read_word(reader, &value) {
            env.insert(name.clone(), text);
        }
    }
    env
}

/// The source counts from the experiment file's folder, wherever the program is started.
fn read_template(reader: &mut Reader, place: &Place<'_>, spec_dir: &str) -> Option<TemplateFile> {
    let cure = "write {source: config.template, target: config.json} or 'config.template,config.json'";
    let (source, target) = if let Json::String(text) = place.value {
        let Some((source, target)) = text.split_once(',') else {
            let message = format!("`{}` does not name a source and a target", shorten(text));
            reader.fail(codes::BAD_TEMPLATE, &place.path, message, cure);
            return None;
        };
        (source.trim().to_owned(), target.trim().to_owned())
    } else {
        let mut fields = reader.fields(place, "a template", cure)?;
        let mut part = |key: &'static str| {
            let part = fields.get(key);
            if part.is_none() {
                let message = format!("the template has no {key}");
                reader.fail(codes::BAD_TEMPLATE, &place.path, message, cure);
            }
            reader.text(&part?)
        };
        let (source, target) = (part("source"), part("target"));
        fields.finish(reader);
        (source?, target?)
    };
    for (what, path) in [("source", &source), ("target", &target)] {
        if path.trim().is_empty() || path.contains('\0') {
            let message = format!("the template's {what} is empty or has a NUL character");
            reader.fail(codes::BAD_TEMPLATE, &place.path, message, cure);
        }
    }
    let relative = !source.starts_with(['/', '$']) && !source.contains("://");
    let source = if relative && !spec_dir.is_empty() { format!("{spec_dir}/{source}") } else { source };
    Some(TemplateFile { source, target })
}

/// The path of a backend's part of the document.
pub(super) fn backend_path(backend: &str) -> String {
    join("run", backend)
}
