//! The experiment as asked for.
//!
//! [`Spec::parse`] turns a JSON document into a [`Spec`] and names every mistake at once by its path; the shell maps
//! paths to lines and columns of the file. [`Spec::canonical`] is the form that is recorded: parsing it
//! again gives an equal spec.
//!
//! Read [`Spec`] first. Nothing here opens a file or compiles a regular expression: what only the shell can do is handed
//! in with [`Surroundings`].

mod algorithm;
mod budget;
mod canonical;
mod changes;
pub mod codes;
pub mod credential;
pub(crate) mod duration;
mod foreign;
mod known;
mod literal;
mod metric;
mod nni;
pub mod notify;
mod objective;
mod order;
mod outcomes;
mod pai;
mod pai_watch;
mod parse;
pub mod pattern;
mod prior;
mod reader;
pub mod render;
mod run;
mod schedule;

#[cfg(test)]
mod foreign_tests;
#[cfg(test)]
mod generate;
#[cfg(test)]
mod objective_tests;
#[cfg(test)]
mod parse_tests;

pub use changes::Difference;
pub use foreign::{Converted, Form, convert};
pub use known::Known;
pub use nni::TRIAL_INI;
pub use notify::{Notify, Occasion, Target};
pub use outcomes::{OutcomeConstraint, Outcomes};
pub use parse::{PRIORITY, Parts, Surroundings, UNNAMED};
pub use prior::{Expected, Prior};
pub use schedule::{Days, Schedule};

use crate::ports::backend::{CommandLine, TemplateFile};
use crate::space::SearchSpace;
use crate::time::Span;
use crate::value::Goal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A whole experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// Free text for people.
    pub description: String,
    /// Where to search.
    pub space: Arc<SearchSpace>,
    /// What is better.
    pub objective: Objective,
    /// Results of points that were tried elsewhere: the sampler learns from them, and they count as no trial.
    pub known: Vec<Known>,
    /// Where good values are expected: the search begins there.
    pub prior: Prior,
    /// Where a trial's metrics come from, and how its reports become its value.
    pub metric: Metric,
    /// What proposes points.
    pub sampler: Algorithm,
    /// Keys all random streams; drawn by the shell if the file gives none.
    pub seed: Option<u64>,
    /// What judges running trials; the first rule that says stop decides.
    pub early_stop: Vec<Algorithm>,
    /// When it ends.
    pub budget: Budget,
    /// What is tried again.
    pub retry: Retry,
    /// How many equal failures of the first trials pause the experiment; 0 never does.
    pub first_failures: u32,
    /// Whose turn it is where a daemon has no room for all: the higher ones come first. From 1 to 9.
    pub priority: u32,
    /// When its trials may start; at any time if there is none.
    pub schedule: Option<Schedule>,
    /// Whom it tells of what.
    pub notify: Vec<Notify>,
    /// What a trial runs; `None` if clients run the trials and tell their results.
    pub run: Option<Run>,
    /// Where each trial leaves its model, with placeholders; empty if nowhere.
    pub model_path: String,
}

/// What is better.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// Every metric that is read of a trial, at least one: those of the objective, then those that only `outcomes` names,
    /// with a weight of 0. The value is the weighted sum; with several objectives it is the first one's metric.
    pub metrics: Vec<WeightedMetric>,
    /// Which way is better; of several objectives, of the first one.
    pub goal: Goal,
    /// What is asked of the metrics beyond the value.
    pub outcomes: Outcomes,
    /// Whether the same point may give different values; if not, no point is tried twice.
    pub noisy: bool,
    /// How many trials each proposed point gets; a point is judged by their mean. At least 1; more only if `noisy`.
    pub replicates: u32,
}

impl Objective {
    /// Whether single metrics are kept beside the value: a trial's own list is empty otherwise.
    pub fn keeps_metrics(&self) -> bool {
        self.metrics.len() > 1 || !self.outcomes.constraints.is_empty() || self.outcomes.cost.is_some()
    }

    /// The value of one report: the weighted sum of its metrics, in the order of the objective. `None` for a report
    /// without metrics, and where the sum is no finite number.
    pub fn value(&self, metrics: &[f64]) -> Option<f64> {
        let weighted = metrics.iter().zip(&self.metrics).map(|(value, metric)| value * metric.weight);
        let value: f64 = weighted.sum();
        (!metrics.is_empty() && value.is_finite()).then_some(value)
    }
}

/// Compiles a regular expression: the number of its groups that may hold the number (see [`pattern::value_groups`]), or
/// what is wrong with it.
pub type PatternCheck<'a> = &'a dyn Fn(&str) -> Result<usize, String>;

/// The name of a metric to which the file gives none; also the key of a report's value.
pub const UNNAMED_METRIC: &str = "value";

/// One metric of the objective.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedMetric {
    /// Its name, or its regular expression where it is read from text.
    pub name: String,
    /// Its weight; may be negative.
    pub weight: f64,
}

/// How the reports of a trial become its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FinalMode {
    /// The last one.
    Final,
    /// The best one in the direction of the goal.
    #[default]
    Best,
    /// Their mean.
    Average,
}

/// Where metrics come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// The place.
    pub source: MetricSource,
    /// How reports become a value.
    pub final_mode: FinalMode,
}

/// The place from which metrics are read. Lines that a trial appends to the file named by `RETRIAL_REPORT` are read in every case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricSource {
    /// Only the file named by `RETRIAL_REPORT`.
    Report,
    /// Text: one regular expression with one group for each metric, in the order of the objective.
    Stdout {
        /// The expressions.
        patterns: Vec<String>,
        /// The task whose output is read, from 0; `None` means the last one.
        task: Option<u16>,
        /// A file to read instead of standard output, with placeholders.
        file: Option<String>,
    },
    /// A JSON file, read when the trial's last task has ended.
    Json {
        /// The file, with placeholders.
        file: String,
        /// The key of each metric, dotted for nested objects, in the order of the objective.
        keys: Vec<String>,
    },
    /// `TensorBoard` event files in a directory.
    Summary {
        /// The directory, with placeholders.
        dir: String,
        /// The tag of each metric, in the order of the objective.
        tags: Vec<String>,
    },
    /// Tables, asked when the trial's last task has ended: each question gives one row, which is one report.
    Table {
        /// The questions in SQL, with placeholders, in order; at least one.
        queries: Vec<String>,
        /// The column of each metric, in the order of the objective.
        columns: Vec<String>,
    },
}

/// An algorithm by name, with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Algorithm {
    /// The name as configured, lower case.
    pub name: String,
    /// Its arguments: a JSON object.
    pub args: serde_json::Value,
}

/// When an experiment ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// Trials; `None` means no bound.
    pub trials: Option<u32>,
    /// Trials that run at once; at least 1.
    pub concurrency: u32,
    /// Wall time since the first trial started to the end of the experiment.
    pub duration: Option<Span>,
    /// A value that is good enough.
    pub target: Option<f64>,
    /// Trials without improvement after which to end.
    pub patience: Option<u32>,
    /// What all trials may cost, in the unit of the metric that says what one has cost.
    pub cost: Option<f64>,
    /// An expected improvement of the value that is too small to go on for.
    pub gain: Option<f64>,
    /// Wall time of one attempt.
    pub trial_timeout: Option<Span>,
    /// How long a task may take to end after it was asked to.
    pub grace: Span,
}

/// How often a trial is tried in all, by what its last attempt ended of. Each at least 1; 1 means no retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The task failed by itself.
    pub failed: u32,
    /// The job vanished.
    pub lost: u32,
    /// The backend took the machine away.
    pub preempted: u32,
    /// It is not known whether the job was started: 1 leaves the doubt to a person.
    pub doubtful: u32,
    /// Whether a retry goes on from the first task that did not succeed.
    pub resume: bool,
    /// Wait before the first retry; doubles with each further one.
    pub backoff: Span,
}

/// What a trial runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The backend's name.
    pub backend: String,
    /// The tasks' commands, run in order, with placeholders; at least one.
    pub commands: Vec<CommandLine>,
    /// Environment variables, with placeholders.
    pub env: BTreeMap<String, String>,
    /// Template files, with placeholders in both paths.
    pub templates: Vec<TemplateFile>,
    /// The backend's own settings: a JSON object, with placeholders in its texts.
    pub config: serde_json::Value,
    /// The folder of the experiment file, for `${spec_dir}`.
    pub spec_dir: String,
}
