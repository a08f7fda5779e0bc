//! Reads the objective: what is better, and what is asked of the metrics beyond that.

use super::codes;
use super::outcomes::{OutcomeConstraint, Outcomes};
use super::reader::{Fields, Place, Reader, shorten};
use super::{Objective, UNNAMED_METRIC, WeightedMetric};
use crate::limits::{MAX_METRICS, MAX_OBJECTIVES, MAX_REPLICATES};
use crate::value::Goal;
use serde_json::Value as Json;

const GOALS: [(&str, Goal); 4] = [
    ("maximize", Goal::Maximize),
    ("minimize", Goal::Minimize),
    ("max", Goal::Maximize),
    ("min", Goal::Minimize),
];

const OBJECTIVE_CURE: &str = "write, for example, objective: {metric: accuracy, goal: maximize}";
const GOALS_CURE: &str = "write, for example, objective: {goals: {accuracy: maximize, latency: minimize}}";
const CONSTRAINT_CURE: &str = "write the metric, <= or >=, and a number: constraints: ['latency <= 20']";

/// Reads the objective; `None` if it has mistakes.
pub(super) fn read_objective(reader: &mut Reader, place: Option<Place<'_>>) -> Option<Objective> {
    let Some(place) = place else {
        reader.fail(codes::MISSING_KEY, "", "the experiment has no `objective`", OBJECTIVE_CURE);
        return None;
    };
    if place.value.is_string() {
        let goal = reader.word(&place, &GOALS)?;
        return Some(single(vec![unnamed()], goal));
    }
    if place.value.is_array() {
        let goals = read_goal_list(reader, &place)?;
        return of_goals(reader, &place, goals);
    }
    let mut fields = reader.fields(&place, "a goal, a list of goals or a map", OBJECTIVE_CURE)?;
    let before = reader.errors.len();
    let objective = if let Some(goals) = fields.get("goals") {
        for key in ["goal", "metric", "metrics"] {
            if let Some(other) = fields.get(key) {
                let message = format!("the objective has both `goals` and `{key}`");
                reader.fail_key(codes::CONFLICT, &other.path, message, "keep one of them");
            }
        }
        let found = match goals.value {
            Json::Array(_) => read_goal_list(reader, &goals),
            _ => read_goal_map(reader, &goals),
        };
        found.and_then(|found| of_goals(reader, &goals, found))
    } else {
        read_single(reader, &place, &mut fields)
    };
    let noisy = fields.get("noisy").and_then(|noisy| reader.flag(&noisy));
    let replicates = fields.get("replicates");
    let constraints = fields.get("constraints");
    let cost = fields.get("cost");
    fields.finish(reader);
    let mut objective = objective.unwrap_or_else(|| single(vec![unnamed()], Goal::Minimize));
    objective.noisy = noisy.unwrap_or_default();
    if let Some(replicates) = replicates {
        read_replicates(reader, &replicates, noisy, &mut objective);
    }
    if let Some(constraints) = constraints {
        for item in constraints.items() {
            read_constraint(reader, &item, &mut objective);
        }
    }
    if let Some(name) = cost.as_ref().and_then(|cost| reader.some_text(cost)) {
        objective.outcomes.cost = Some(objective.metric(&name));
    }
    check_count(reader, &place, &objective);
    (reader.errors.len() == before).then_some(objective)
}

/// Reads how often each point is tried. More than once only makes sense where values vary.
fn read_replicates(reader: &mut Reader, place: &Place<'_>, noisy: Option<bool>, objective: &mut Objective) {
    let Some(replicates) = reader.whole_u32(place, 1, MAX_REPLICATES) else { return };
    objective.replicates = replicates;
    if replicates == 1 {
        return;
    }
    objective.noisy = true;
    if noisy == Some(false) {
        let message = format!("{replicates} trials of a point give the same value where nothing is noisy");
        reader.fail_key(codes::CONFLICT, &place.path, message, "write noisy: true, or leave replicates out");
    }
    if objective.outcomes.is_multi() {
        let message = "replicates of points with several objectives are not supported by this version";
        let cure = "combine the metrics with weights, turn some into constraints, or leave replicates out";
        reader.fail_key(codes::NOT_SUPPORTED, &place.path, message, cure);
    }
}

fn unnamed() -> WeightedMetric {
    WeightedMetric { name: UNNAMED_METRIC.to_owned(), weight: 1.0 }
}

fn single(metrics: Vec<WeightedMetric>, goal: Goal) -> Objective {
    Objective { metrics, goal, outcomes: Outcomes::default(), noisy: false, replicates: 1 }
}

impl Objective {
    /// The place of a metric, which joins the others without a weight if it is not among them.
    fn metric(&mut self, name: &str) -> usize {
        if let Some(place) = self.metrics.iter().position(|metric| metric.name == name) {
            return place;
        }
        self.metrics.push(WeightedMetric { name: name.to_owned(), weight: 0.0 });
        self.metrics.len() - 1
    }
}

fn read_single(reader: &mut Reader, place: &Place<'_>, fields: &mut Fields<'_>) -> Option<Objective> {
    let goal = if let Some(goal) = fields.get("goal") {
        reader.word(&goal, &GOALS)
    } else {
        let message = "the objective does not say which way is better";
        reader.fail_key(codes::MISSING_KEY, &place.path, message, "add goal: maximize or goal: minimize");
        None
    };
    let single_metric = fields.get("metric");
    let several = fields.get("metrics");
    let metrics = match (single_metric, several) {
        (Some(_), Some(several)) => {
            let message = "the objective has both `metric` and `metrics`";
            reader.fail_key(codes::CONFLICT, &several.path, message, "keep one of them");
            None
        }
        (Some(single), None) => {
            reader.some_text(&single).map(|name| vec![WeightedMetric { name, weight: 1.0 }])
        }
        (None, Some(several)) => read_weights(reader, &several),
        (None, None) => Some(vec![unnamed()]),
    };
    Some(single(metrics?, goal?))
}

/// `{accuracy: maximize, latency: minimize}`.
fn read_goal_map(reader: &mut Reader, place: &Place<'_>) -> Option<Vec<(String, Goal)>> {
    let fields = reader.fields(place, "a map of metrics to goals", GOALS_CURE)?;
    let mut goals = Vec::new();
    let mut all = true;
    for (name, goal) in fields.rest() {
        if name.trim().is_empty() {
            reader.fail_key(codes::EMPTY, &goal.path, "the metric has no name", "name it");
            all = false;
        }
        match reader.word(&goal, &GOALS) {
            Some(goal) => goals.push((name.clone(), goal)),
            None => all = false,
        }
    }
    all.then_some(goals)
}

/// `[{metric: accuracy, goal: maximize}, {metric: latency, goal: minimize}]`.
fn read_goal_list(reader: &mut Reader, place: &Place<'_>) -> Option<Vec<(String, Goal)>> {
    let before = reader.errors.len();
    let mut goals: Vec<(String, Goal)> = Vec::new();
    for item in place.items() {
        let Some(mut fields) = reader.fields(&item, "a metric and its goal", GOALS_CURE) else { continue };
        let (name, goal) = (fields.get("metric"), fields.get("goal"));
        fields.finish(reader);
        for (key, given) in [("metric", name.is_some()), ("goal", goal.is_some())] {
            if !given {
                let message = format!("the objective has no `{key}`");
                reader.fail_key(codes::MISSING_KEY, &item.path, message, GOALS_CURE);
            }
        }
        let name = name.as_ref().and_then(|name| reader.some_text(name));
        let goal = goal.as_ref().and_then(|goal| reader.word(goal, &GOALS));
        let Some((name, goal)) = name.zip(goal) else { continue };
        if goals.iter().any(|(other, _)| *other == name) {
            let message = format!("there are two objectives for the metric `{}`", shorten(&name));
            reader.fail(codes::CONFLICT, &item.path, message, "keep one of them");
        }
        goals.push((name, goal));
    }
    (reader.errors.len() == before).then_some(goals)
}

/// The objective of so many goals; of a single one, a plain objective.
fn of_goals(reader: &mut Reader, place: &Place<'_>, goals: Vec<(String, Goal)>) -> Option<Objective> {
    let Some((_, first)) = goals.first() else {
        reader.fail(codes::EMPTY, &place.path, "there is no goal", GOALS_CURE);
        return None;
    };
    if goals.len() > MAX_OBJECTIVES {
        let message = format!("there are {} objectives; the limit is {MAX_OBJECTIVES}", goals.len());
        let cure = "combine some with weights, or turn some into constraints: 'latency <= 20'";
        reader.fail(codes::TOO_MANY, &place.path, message, cure);
        return None;
    }
    let (goal, mut outcomes) = (*first, Outcomes::default());
    if goals.len() > 1 {
        outcomes.goals = goals.iter().map(|(_, goal)| *goal).collect();
    }
    // The first one stands for the value wherever one is needed.
    let weights = std::iter::once(1.0).chain(std::iter::repeat(0.0));
    let metrics =
        goals.into_iter().zip(weights).map(|((name, _), weight)| WeightedMetric { name, weight }).collect();
    Some(Objective { metrics, goal, outcomes, noisy: false, replicates: 1 })
}

fn read_weights(reader: &mut Reader, place: &Place<'_>) -> Option<Vec<WeightedMetric>> {
    let cure = "write a map of names to weights: {auc: 0.5, recall: 0.5}";
    let fields = reader.fields(place, "a map of metrics to weights", cure)?;
    let mut metrics = Vec::new();
    let mut all = true;
    for (name, weight) in fields.rest() {
        if name.trim().is_empty() {
            reader.fail_key(codes::EMPTY, &weight.path, "the metric has no name", "name it");
            all = false;
        }
        match reader.number(&weight) {
            Some(weight) => metrics.push(WeightedMetric { name: name.clone(), weight }),
            None => all = false,
        }
    }
    if all && metrics.iter().all(|metric| metric.weight == 0.0) {
        let message = "no metric has a weight other than 0";
        reader.fail(codes::EMPTY, &place.path, message, cure);
        all = false;
    }
    all.then_some(metrics)
}

/// Reads `latency <= 20`.
fn read_constraint(reader: &mut Reader, place: &Place<'_>, objective: &mut Objective) {
    let Some(text) = reader.some_text(place) else { return };
    let sides = [("<=", true), (">=", false)]
        .into_iter()
        .filter_map(|(sign, at_most)| text.rsplit_once(sign).map(|(name, bound)| (name, bound, at_most)))
        .min_by_key(|(_, bound, _)| bound.len());
    let Some((name, bound, at_most)) = sides else {
        let message = format!("`{}` has neither <= nor >=", shorten(&text));
        reader.fail(codes::OUTCOME_CONSTRAINT, &place.path, message, CONSTRAINT_CURE);
        return;
    };
    let (name, bound) = (name.trim(), bound.trim());
    let number = bound.parse::<f64>().ok().filter(|bound| bound.is_finite());
    if name.is_empty() {
        let message = format!("`{}` names no metric", shorten(&text));
        reader.fail(codes::OUTCOME_CONSTRAINT, &place.path, message, CONSTRAINT_CURE);
    }
    let Some(bound) = number else {
        let message = format!("`{}` is no number, in `{}`", shorten(bound), shorten(&text));
        let cure = if name.parse::<f64>().is_ok() {
            "write the metric first, then the bound"
        } else {
            "metrics are bounded by numbers; combine them with weights, or report what is to be bounded as a metric of its own"
        };
        reader.fail(codes::OUTCOME_CONSTRAINT, &place.path, message, cure);
        return;
    };
    let is_known = objective.metrics.iter().any(|metric| metric.name == name);
    if !is_known && (name.contains("<=") || name.contains(">=")) {
        let message = format!("`{}` has two bounds", shorten(&text));
        reader.fail(codes::OUTCOME_CONSTRAINT, &place.path, message, "write one constraint for each");
        return;
    }
    let metric = objective.metric(name);
    let contradicts = |other: &&OutcomeConstraint| {
        let (least, most) = if at_most { (other.bound, bound) } else { (bound, other.bound) };
        other.metric == metric && other.at_most != at_most && least > most
    };
    if let Some(other) = objective.outcomes.constraints.iter().find(contradicts) {
        let sign = if other.at_most { "<=" } else { ">=" };
        let message = format!("nothing keeps both `{}` and `{name} {sign} {}`", shorten(&text), other.bound);
        reader.fail(codes::CONFLICT, &place.path, message, "keep one of them");
    }
    objective.outcomes.constraints.push(OutcomeConstraint { metric, bound, at_most });
}

fn check_count(reader: &mut Reader, place: &Place<'_>, objective: &Objective) {
    let (metrics, constraints) = (objective.metrics.len(), objective.outcomes.constraints.len());
    for (what, count) in [("metrics", metrics), ("constraints", constraints)] {
        if count > MAX_METRICS {
            let message = format!("the objective has {count} {what}; the limit is {MAX_METRICS}");
            reader.fail(codes::TOO_MANY, &place.path, message, "leave some out");
        }
    }
}
