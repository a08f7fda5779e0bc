//! Reads a whole document, and checks what its parts say about each other.

use super::algorithm::{read_early_stop, read_sampler};
use super::budget::{read_budget, read_retry};
use super::codes;
use super::known::read_known;
use super::metric::{Beside, read_metric};
use super::notify::read_notify;
use super::objective::read_objective;
use super::prior::read_prior;
use super::reader::{Fields, Place, Reader, describe, shorten};
use super::run::{RunPart, read_run};
use super::schedule::read_schedule;
use super::{Algorithm, Budget, MetricSource, Objective, Outcomes, PatternCheck, Spec};
use crate::error::SpecError;
use crate::limits::{MAX_NAME_CHARS, MAX_PRIORITY, MAX_SPEC_BYTES, MAX_TRIALS};
use crate::space::SearchSpace;
use serde_json::Value as Json;
use std::sync::Arc;

/// The name of an experiment whose document gives none.
pub const UNNAMED: &str = "unnamed";
/// Identical first failures that pause an experiment, where the document does not say.
const FIRST_FAILURES: u32 = 3;

/// The priority of an experiment whose document gives none.
pub const PRIORITY: u32 = 5;

/// What a document is read with.
#[derive(Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// The folder of the experiment file, for `${spec_dir}`; a `spec_dir` in the document comes first.
    pub spec_dir: &'a str,
    /// Compiles the patterns of the metrics. Without it only their groups are counted.
    pub pattern: Option<PatternCheck<'a>>,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("spec_dir", &self.spec_dir).finish_non_exhaustive()
    }
}

impl Spec {
    /// Reads an experiment's document in the native form. Gives the warnings beside the result, or every mistake at
    /// once. `spec_dir` is the folder of the file, for `${spec_dir}`.
    pub fn parse(document: &Json, spec_dir: &str) -> Result<(Self, Vec<SpecError>), Vec<SpecError>> {
        Self::parse_with(document, Surroundings { spec_dir, pattern: None })
    }

    /// As [`Self::parse`], with what only the shell can do.
    pub fn parse_with(
        document: &Json,
        around: Surroundings<'_>,
    ) -> Result<(Self, Vec<SpecError>), Vec<SpecError>> {
        let Json::Object(map) = document else {
            let message = format!("an experiment is a map of keys to values, not {}", describe(document));
            let cure = "begin with name:, space: and objective:";
            return Err(vec![SpecError::new(codes::NOT_A_DOCUMENT, "", message, cure)]);
        };
        let mut reader = Reader::default();
        let mut fields = Fields::new(map, "");
        let spec = read(&mut reader, &mut fields, around, &mut Parts::default());
        fields.finish(&mut reader);
        match spec {
            Some(spec) if reader.errors.is_empty() => {
                check(&mut reader, &spec);
                if reader.errors.is_empty() { Ok((spec, reader.warnings)) } else { Err(reader.errors) }
            }
            _ => Err(reader.errors),
        }
    }
}

/// What could be read of a document with mistakes, so that those who know algorithms and backends can find theirs in
/// the same go.
#[derive(Debug, Default)]
pub struct Parts {
    /// The space, if it has no mistakes.
    pub space: Option<Arc<SearchSpace>>,
    /// The objective, if it has no mistakes.
    pub objective: Option<Objective>,
    /// The sampler.
    pub sampler: Option<Algorithm>,
    /// The early stopping rules; empty unless all could be read, since their mistakes are named by their places.
    pub early_stop: Vec<Algorithm>,
    /// The name of the backend and its own settings.
    pub backend: Option<(String, Json)>,
}

impl Parts {
    /// Reads what can be read.
    pub fn of(document: &Json, around: Surroundings<'_>) -> Self {
        let mut parts = Self::default();
        if let Json::Object(map) = document {
            read(&mut Reader::default(), &mut Fields::new(map, ""), around, &mut parts);
        }
        parts
    }
}

/// `None` only if something that has no default has mistakes.
fn read(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    around: Surroundings<'_>,
    parts: &mut Parts,
) -> Option<Spec> {
    let name = fields.get("name").map_or(Some(UNNAMED.to_owned()), |name| read_name(reader, &name));
    let description = fields.get("description").map_or(Some(String::new()), |text| reader.text(&text));
    let space = fields.get("space");
    let constraints = fields.get("constraints");
    let space = read_space(reader, space, constraints).map(Arc::new);
    let objective = read_objective(reader, fields.get("objective"));
    let known = read_known(reader, fields.get("known"), space.as_deref());
    let prior = read_prior(reader, fields.get("prior"), space.as_deref());
    let spec_dir = fields.get("spec_dir").and_then(|dir| reader.text(&dir));
    let spec_dir = spec_dir.as_deref().unwrap_or(around.spec_dir);
    let RunPart { run, backend, tasks, model_paths: inner_paths } =
        read_run(reader, fields.get("run").as_ref(), spec_dir);
    let beside = Beside { objective: objective.as_ref(), tasks, pattern: around.pattern };
    let mut objective_name = None;
    let metric_place = fields.get("metric");
    let reports =
        metric_place.as_ref().is_some_and(|place| place.value.get("report") == Some(&Json::Bool(true)));
    let metric = read_metric(reader, metric_place, &beside, &mut objective_name);
    let seed = fields.get("seed");
    let sampler = read_sampler(reader, fields.get("sampler"), seed);
    let before = reader.errors.len();
    let early_stop = read_early_stop(reader, fields.get("early_stop"));
    *parts = Parts {
        space: space.clone(),
        objective: objective.clone(),
        sampler: sampler.as_ref().map(|(sampler, _)| sampler.clone()),
        early_stop: if reader.errors.len() == before { early_stop.clone() } else { Vec::new() },
        backend,
    };
    if let (Some(metric), false, false) = (&metric, early_stop.is_empty(), reports) {
        warn_of_late_metrics(reader, &metric.source);
    }
    let budget = read_budget(reader, fields.get("budget"));
    if let Some(objective) = &objective {
        let known = known.as_ref().is_some_and(|known| !known.is_empty());
        check_outcomes(reader, &objective.outcomes, &budget, !early_stop.is_empty(), known);
    }
    let retry = read_retry(reader, fields.get("retry"));
    let first_failures = fields
        .get("first_failures")
        .map_or(Some(FIRST_FAILURES), |number| reader.whole_u32(&number, 0, MAX_TRIALS));
    let priority =
        fields.get("priority").map_or(Some(PRIORITY), |number| reader.whole_u32(&number, 1, MAX_PRIORITY));
    let schedule = read_schedule(reader, fields.get("schedule"));
    let notify = read_notify(reader, fields.get("notify"));
    let model_path = read_model_path(reader, fields.get("model_path").as_ref(), &inner_paths);
    let (sampler, seed) = sampler?;
    let mut objective = objective?;
    if let (Some(name), Some(metric)) = (objective_name, objective.metrics.first_mut()) {
        metric.name = name;
    }
    Some(Spec {
        name: name?,
        description: description?,
        space: space?,
        objective,
        known: known?,
        prior: prior?,
        metric: metric?,
        sampler,
        seed,
        early_stop,
        budget,
        retry,
        first_failures: first_failures?,
        priority: priority?,
        schedule,
        notify: notify?,
        run,
        model_path: model_path?,
    })
}

/// Warns of an early stopping rule beside metrics that are read at the end, unless the trial is said to report as well.
fn warn_of_late_metrics(reader: &mut Reader, source: &MetricSource) {
    let read = match source {
        MetricSource::Json { file, .. } => format!("`{}` is read", shorten(file)),
        MetricSource::Table { .. } => "tables are asked".to_owned(),
        _ => return,
    };
    let message =
        format!("`early_stop` sees little here: it judges running trials, and {read} when a trial has ended");
    let cure = "let the trial print its values and use stdout; or let it append {\"step\": 3, \"value\": 0.91} to the file of \
                RETRIAL_REPORT as it goes, and say so with `report: true` beside `json`";
    reader.warn(codes::NO_EFFECT, "early_stop", message, cure);
}

fn read_name(reader: &mut Reader, place: &Place<'_>) -> Option<String> {
    let name = reader.some_text(place)?;
    let chars = name.chars().count();
    if chars > MAX_NAME_CHARS {
        let message = format!("the name has {chars} characters; the limit is {MAX_NAME_CHARS}");
        reader.fail(codes::BAD_TEXT, &place.path, message, "shorten it; there is `description` for more");
        return None;
    }
    if name.chars().any(char::is_control) || name.trim() != name {
        let message = "the name has a line break, another control character, or a space at its end";
        reader.fail(codes::BAD_TEXT, &place.path, message, "write it on one line");
        return None;
    }
    Some(name)
}

fn read_space(
    reader: &mut Reader,
    space: Option<Place<'_>>,
    constraints: Option<Place<'_>>,
) -> Option<SearchSpace> {
    let Some(space) = space else {
        let cure = "add, for example, space: {lr: {loguniform: [0.0001, 0.1]}}";
        reader.fail(codes::MISSING_KEY, "", "the experiment has no `space`", cure);
        return None;
    };
    match SearchSpace::parse(space.value, constraints.map(|place| place.value), &space.path) {
        Ok(space) => Some(space),
        Err(errors) => {
            reader.errors.extend(errors);
            None
        }
    }
}

fn read_model_path(reader: &mut Reader, outer: Option<&Place<'_>>, inner: &[Place<'_>]) -> Option<String> {
    let mut given = outer.into_iter().chain(inner);
    let Some(first) = given.next() else { return Some(String::new()) };
    for second in given {
        reader.fail_key(codes::CONFLICT, &second.path, "the model path is given twice", "keep one of them");
    }
    reader.text(first)
}

/// Checks what goes together with several objectives, constraints on outcomes and a cost.
fn check_outcomes(reader: &mut Reader, outcomes: &Outcomes, budget: &Budget, judged: bool, known: bool) {
    if budget.cost.is_some() && outcomes.cost.is_none() {
        let message = "nothing says what a trial costs";
        let cure = "name the metric in which each trial reports it: objective: {..., cost: gpu_seconds}";
        reader.fail_key(codes::CONFLICT, "budget.cost", message, cure);
    }
    let mut refuse = |given: bool, path: &str, message: &str, cure: &str| {
        if given {
            reader.fail_key(codes::CONFLICT, path, message, cure);
        }
    };
    if outcomes.is_multi() {
        let bounds =
            "leave it out; a constraint on a metric says what is good enough: constraints: ['latency <= 20']";
        refuse(budget.target.is_some(), "budget.target", "several objectives have no single target", bounds);
        let patience =
            "leave it out, or bound the experiment with budget.patience: trials since the front changed";
        refuse(budget.gain.is_some(), "budget.gain", "several objectives have no single gain", patience);
        let weights = "leave early_stop out, or combine the metrics with weights";
        let one = "an early stopping rule judges one value, and there are several objectives";
        refuse(judged, "early_stop", one, weights);
    }
    let queue = "put their points into the queue instead: `retrial enqueue EXP '{...}'`";
    let several = "known results have one value, and there are several objectives";
    refuse(known && outcomes.is_multi(), "known", several, queue);
    let constrained = known && !outcomes.is_multi() && !outcomes.constraints.is_empty();
    let silent = "known results do not say whether they keep the constraints on outcomes";
    refuse(constrained, "known", silent, queue);
}

/// Checks what can be said only about the whole.
fn check(reader: &mut Reader, spec: &Spec) {
    let budget = &spec.budget;
    let bounded = budget.trials.is_some()
        || budget.duration.is_some()
        || budget.target.is_some()
        || budget.patience.is_some()
        || budget.cost.is_some();
    // A noisy objective tries points again and again, unless it says how often, so that even a finite space is never exhausted. Where clients ask for
    // trials, they decide when to stop.
    let tried_again = spec.objective.noisy && spec.objective.replicates == 1;
    let exhaustible = spec.space.cardinality().is_some() && !tried_again;
    if spec.run.is_some() && !bounded && !exhaustible {
        let message = "this experiment would never end";
        let cure = "bound it, for example with budget: {trials: 40} or budget: {duration: 2h}";
        reader.fail_key(codes::NEVER_ENDS, "budget", message, cure);
    }
    if let (Some(trials), Some(patience)) = (budget.trials, budget.patience)
        && patience >= trials
    {
        let message = format!("a patience of {patience} has no effect: there are only {trials} trials");
        reader.warn(codes::NO_EFFECT, "budget.patience", message, "choose a smaller one, or leave it out");
    }
    let replicates = spec.objective.replicates;
    if let Some(trials) = budget.trials.filter(|trials| *trials < replicates) {
        let message =
            format!("no point would be judged: each needs {replicates} trials, and there are {trials}");
        let cure = format!("allow {replicates} at least, or ask for fewer replicates");
        reader.fail(codes::OUT_OF_BOUNDS, "budget.trials", message, cure);
    }
    if let Some(patience) = budget.patience.filter(|patience| replicates > 1 && *patience < 2 * replicates) {
        let message = format!(
            "a patience of {patience} trials ends the experiment before a second point has its {replicates} trials"
        );
        let cure = format!("allow {} at least: patience counts trials", 2 * replicates);
        reader.fail(codes::OUT_OF_BOUNDS, "budget.patience", message, cure);
    }
    let bytes = spec.canonical().to_string().len();
    if bytes > MAX_SPEC_BYTES {
        let message = format!("the specification has {bytes} bytes; the limit is {MAX_SPEC_BYTES}");
        let cure = "move long texts and lists into files that the trial reads";
        reader.fail(codes::TOO_LARGE, "", message, cure);
    }
    spec.warn_of_placeholders(reader);
}
