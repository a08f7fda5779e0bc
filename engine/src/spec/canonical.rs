//! The recorded form of a specification: every key is written out, in a fixed order.

use super::duration::duration_text;
use super::known::known_json;
use super::notify::notify_json;
use super::parse::PRIORITY;
use super::schedule::schedule_json;
use super::{Algorithm, Budget, FinalMode, Metric, MetricSource, Objective, Retry, Run, Spec};
use crate::ports::backend::CommandLine;
use crate::time::Span;
use crate::value::Goal;
use serde_json::{Map, Value as Json, json};

impl Spec {
    /// The specification as a document in the native form. Equal specifications give equal texts, and
    /// [`Spec::parse`] of it, with any folder, gives this specification again.
    pub fn canonical(&self) -> Json {
        let mut map = Map::new();
        let mut put = |key: &str, value: Json| {
            map.insert(key.to_owned(), value);
        };
        put("name", json!(self.name));
        if !self.description.is_empty() {
            put("description", json!(self.description));
        }
        put("space", self.space.canonical());
        if self.space.is_constrained() {
            put("constraints", self.space.canonical_constraints());
        }
        put("objective", objective_json(&self.objective));
        if !self.known.is_empty() {
            put("known", known_json(&self.known, &self.space));
        }
        if !self.prior.is_empty() {
            put("prior", self.prior.canonical(&self.space));
        }
        put("metric", metric_json(&self.metric));
        put("sampler", algorithm_json(&self.sampler));
        if let Some(seed) = self.seed {
            put("seed", json!(seed));
        }
        if !self.early_stop.is_empty() {
            put("early_stop", self.early_stop.iter().map(algorithm_json).collect());
        }
        put("budget", budget_json(&self.budget));
        put("retry", retry_json(&self.retry));
        put("first_failures", json!(self.first_failures));
        if self.priority != PRIORITY {
            put("priority", json!(self.priority));
        }
        if let Some(schedule) = &self.schedule {
            put("schedule", schedule_json(schedule));
        }
        if !self.notify.is_empty() {
            put("notify", notify_json(&self.notify));
        }
        if let Some(run) = &self.run {
            put("run", run_json(run));
        }
        if !self.model_path.is_empty() {
            put("model_path", json!(self.model_path));
        }
        if let Some(run) = &self.run {
            put("spec_dir", json!(run.spec_dir));
        }
        Json::Object(map)
    }
}

fn objective_json(objective: &Objective) -> Json {
    let weights: Map<String, Json> =
        objective.metrics.iter().map(|metric| (metric.name.clone(), json!(metric.weight))).collect();
    let word = |goal: Goal| match goal {
        Goal::Maximize => "maximize",
        Goal::Minimize => "minimize",
    };
    let mut map = Map::new();
    let mut put = |key: &str, value: Json| {
        map.insert(key.to_owned(), value);
    };
    let outcomes = &objective.outcomes;
    if outcomes.is_multi() {
        let named = objective.metrics.iter().zip(&outcomes.goals);
        put("goals", named.map(|(metric, goal)| (metric.name.clone(), json!(word(*goal)))).collect());
    } else {
        put("metrics", Json::Object(weights));
        put("goal", json!(word(objective.goal)));
    }
    put("noisy", json!(objective.noisy));
    if objective.replicates > 1 {
        put("replicates", json!(objective.replicates));
    }
    let name = |metric: usize| objective.metrics.get(metric).map_or("", |metric| metric.name.as_str());
    if !outcomes.constraints.is_empty() {
        let texts = outcomes.constraints.iter().map(|constraint| {
            let sign = if constraint.at_most { "<=" } else { ">=" };
            json!(format!("{} {sign} {}", name(constraint.metric), constraint.bound))
        });
        put("constraints", texts.collect());
    }
    if let Some(cost) = outcomes.cost {
        put("cost", json!(name(cost)));
    }
    Json::Object(map)
}

fn metric_json(metric: &Metric) -> Json {
    let mut map = Map::new();
    let mut put = |key: &str, value: Json| {
        map.insert(key.to_owned(), value);
    };
    match &metric.source {
        MetricSource::Report => put("report", json!(true)),
        MetricSource::Stdout { patterns, task, file } => {
            put("stdout", json!(patterns));
            if let Some(task) = task {
                put("task", json!(u32::from(*task) + 1));
            }
            if let Some(file) = file {
                put("file", json!(file));
            }
        }
        MetricSource::Json { file, keys } => {
            put("json", json!(file));
            put("keys", json!(keys));
        }
        MetricSource::Summary { dir, tags } => {
            put("summary", json!(dir));
            put("keys", json!(tags));
        }
        MetricSource::Table { queries, columns } => {
            put("table", json!(queries));
            put("keys", json!(columns));
        }
    }
    let mode = match metric.final_mode {
        FinalMode::Final => "final",
        FinalMode::Best => "best",
        FinalMode::Average => "avg",
    };
    put("final", json!(mode));
    Json::Object(map)
}

fn algorithm_json(algorithm: &Algorithm) -> Json {
    let mut map = Map::new();
    map.insert(algorithm.name.clone(), sorted(&algorithm.args));
    Json::Object(map)
}

fn budget_json(budget: &Budget) -> Json {
    let mut map = Map::new();
    let mut put = |key: &str, value: Option<Json>| {
        if let Some(value) = value {
            map.insert(key.to_owned(), value);
        }
    };
    let span = |span: Option<Span>| span.map(|span| json!(duration_text(span)));
    put("trials", budget.trials.map(|trials| json!(trials)));
    put("concurrency", Some(json!(budget.concurrency)));
    put("duration", span(budget.duration));
    put("target", budget.target.map(|target| json!(target)));
    put("patience", budget.patience.map(|patience| json!(patience)));
    put("cost", budget.cost.map(|cost| json!(cost)));
    put("gain", budget.gain.map(|gain| json!(gain)));
    put("trial_timeout", span(budget.trial_timeout));
    put("grace", span(Some(budget.grace)));
    Json::Object(map)
}

fn retry_json(retry: &Retry) -> Json {
    json!({
        "failed": retry.failed,
        "lost": retry.lost,
        "preempted": retry.preempted,
        "doubtful": retry.doubtful,
        "resume": retry.resume,
        "backoff": duration_text(retry.backoff),
    })
}

fn run_json(run: &Run) -> Json {
    let mut inner = Map::new();
    let commands: Vec<Json> = run
        .commands
        .iter()
        .map(|command| match command {
            CommandLine::Shell(line) => json!(line),
            CommandLine::Args(words) => json!(words),
        })
        .collect();
    inner.insert("tasks".to_owned(), Json::Array(commands));
    if !run.env.is_empty() {
        inner.insert("env".to_owned(), json!(run.env));
    }
    if !run.templates.is_empty() {
        let templates: Vec<Json> = run
            .templates
            .iter()
            .map(|template| json!({"source": template.source, "target": template.target}))
            .collect();
        inner.insert("templates".to_owned(), Json::Array(templates));
    }
    if let Json::Object(config) = sorted(&run.config) {
        inner.extend(config);
    }
    let mut map = Map::new();
    map.insert(run.backend.clone(), Json::Object(inner));
    Json::Object(map)
}

/// The value with the keys of all its maps in order: what the file's author chose as their order means nothing.
fn sorted(value: &Json) -> Json {
    match value {
        Json::Array(items) => items.iter().map(sorted).collect(),
        Json::Object(map) => {
            let mut members: Vec<(&String, &Json)> = map.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            Json::Object(members.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        plain => plain.clone(),
    }
}
