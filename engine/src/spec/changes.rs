//! What differs between two specifications, and what may change in a running experiment.

use super::codes;
use super::reader::join;
use super::{Run, Spec};
use crate::error::SpecError;
use crate::ports::backend::CommandLine;
use serde_json::Value as Json;
use std::fmt;

/// One place in which two specifications differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The place in the canonical form, such as `budget.trials`.
    pub path: String,
    /// What the first one has there, if anything.
    pub old: Option<Json>,
    /// What the second one has there, if anything.
    pub new: Option<Json>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{old} -> {new}"),
            (Some(old), None) => write!(f, "{old} -> nothing"),
            (None, Some(new)) => write!(f, "nothing -> {new}"),
            (None, None) => Ok(()),
        }
    }
}

impl Spec {
    /// Where the other specification differs from this one; empty if both ask for the same. The folder of the file
    /// counts only if something refers to it.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        compare("", Some(&self.canonical()), Some(&other.canonical()), &mut found);
        let used = self.texts().chain(other.texts()).any(|text| text.contains("${spec_dir}"));
        found.retain(|difference| used || difference.path != "spec_dir");
        found
    }

    /// Whether a running experiment may go on as `new`: its space, objective, metric, backend and number of tasks are
    /// fixed, everything else may change. The errors' paths are those of the native form.
    pub fn update_allowed(&self, new: &Self) -> Result<(), Vec<SpecError>> {
        let mut errors = Vec::new();
        let mut refuse = |path: &str, message: String| {
            let cure = "start another experiment, for example with clone";
            errors.push(SpecError::key(codes::FIXED, path, message, cure));
        };
        let fixed = |what: &str| format!("the {what} cannot change once the experiment exists");
        if self.space != new.space {
            let only_constraints = self.space.canonical() == new.space.canonical();
            let path = if only_constraints { "constraints" } else { "space" };
            refuse(path, fixed("search space"));
        }
        if self.objective != new.objective {
            refuse("objective", fixed("objective"));
        }
        if self.known != new.known {
            refuse("known", "the known results cannot change once the experiment exists".to_owned());
        }
        if self.prior != new.prior {
            refuse("prior", "the expected values cannot change once the experiment exists".to_owned());
        }
        if self.metric != new.metric {
            refuse("metric", fixed("metric"));
        }
        match (&self.run, &new.run) {
            (Some(old), Some(new)) => {
                if old.backend != new.backend {
                    refuse(
                        "run",
                        format!("the backend cannot change from {} to {}", old.backend, new.backend),
                    );
                } else if old.commands.len() != new.commands.len() {
                    let (old, new) = (old.commands.len(), new.commands.len());
                    refuse("run", format!("the number of tasks cannot change from {old} to {new}"));
                }
            }
            (None, None) => {}
            _ => refuse("run", "whether trials run here or at clients cannot change".to_owned()),
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Every text in which placeholders are replaced.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let metric = match &self.metric.source {
            super::MetricSource::Stdout { file, .. } => file.as_slice(),
            super::MetricSource::Json { file, .. } => std::slice::from_ref(file),
            super::MetricSource::Summary { dir, .. } => std::slice::from_ref(dir),
            super::MetricSource::Table { queries, .. } => queries.as_slice(),
            super::MetricSource::Report => &[],
        };
        let metric = metric.iter().map(String::as_str);
        let run = self.run.iter().flat_map(Run::texts);
        metric.chain([self.model_path.as_str()]).chain(run)
    }
}

impl Run {
    fn texts(&self) -> impl Iterator<Item = &str> {
        let commands = self.commands.iter().flat_map(|command| match command {
            CommandLine::Shell(line) => std::slice::from_ref(line),
            CommandLine::Args(words) => words.as_slice(),
        });
        let templates = self.templates.iter().flat_map(|template| [&template.source, &template.target]);
        let mut config = Vec::new();
        collect_texts(&self.config, &mut config);
        commands.chain(self.env.values()).chain(templates).map(String::as_str).chain(config)
    }
}

fn collect_texts<'a>(value: &'a Json, found: &mut Vec<&'a str>) {
    match value {
        Json::String(text) => found.push(text),
        Json::Array(items) => items.iter().for_each(|item| collect_texts(item, found)),
        Json::Object(map) => map.values().for_each(|item| collect_texts(item, found)),
        _ => {}
    }
}

fn compare(path: &str, old: Option<&Json>, new: Option<&Json>, found: &mut Vec<Difference>) {
    if let (Some(Json::Object(old)), Some(Json::Object(new))) = (old, new) {
        let added = new.keys().filter(|key| !old.contains_key(*key));
        for key in old.keys().chain(added) {
            compare(&join(path, key), old.get(key), new.get(key), found);
        }
        // The order of parameters and metrics has a meaning: it numbers them.
        let same_members =
            old.len() == new.len() && old.iter().all(|(key, value)| new.get(key) == Some(value));
        if same_members && !old.keys().eq(new.keys()) {
            let keys = |map: &serde_json::Map<String, Json>| map.keys().cloned().collect::<Vec<_>>().into();
            found.push(Difference {
                path: format!("{path} (order)"),
                old: Some(keys(old)),
                new: Some(keys(new)),
            });
        }
    } else if old != new {
        found.push(Difference { path: path.to_owned(), old: old.cloned(), new: new.cloned() });
    }
}
