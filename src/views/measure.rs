//! What an experiment measures, in words: values, metrics, what is better, what is broken.

use super::figures;
use crate::runtime::search::problem;
use engine::spec::{Objective, OutcomeConstraint};
use engine::state::{Experiment, Trial, TrialStatus};
use engine::value::Goal;
use samplers::Tried;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Longest metric name that is shown beside a value.
const NAME_COLUMNS: usize = 24;

/// The word for a goal.
pub const fn goal(goal: Goal) -> &'static str {
    match goal {
        Goal::Maximize => "maximize",
        Goal::Minimize => "minimize",
    }
}

/// What is better, for people.
pub fn objective(objective: &Objective) -> String {
    let outcomes = &objective.outcomes;
    let mut text = if outcomes.is_multi() {
        let each = outcomes.goals.iter().zip(&objective.metrics);
        each.map(|(each, metric)| format!("{} {}", goal(*each), metric.name)).collect::<Vec<_>>().join(", ")
    } else {
        let weighted = objective.metrics.iter().filter(|metric| metric.weight != 0.0);
        let sum: Vec<String> = weighted
            .map(|metric| {
                if metric.weight == 1.0 {
                    metric.name.clone()
                } else {
                    format!("{} * {}", metric.weight, metric.name)
                }
            })
            .collect();
        format!("{} {}", goal(objective.goal), sum.join(" + "))
    };
    for constraint in &outcomes.constraints {
        text.push_str(&format!(", {}", bound(objective, constraint)));
    }
    text
}

/// A constraint as it is written.
pub fn bound(objective: &Objective, constraint: &OutcomeConstraint) -> String {
    let sign = if constraint.at_most { "<=" } else { ">=" };
    format!("{} {sign} {}", name(objective, constraint.metric), constraint.bound)
}

fn name(objective: &Objective, metric: usize) -> &str {
    objective.metrics.get(metric).map_or("", |metric| metric.name.as_str())
}

/// The metrics that have a column of their own: all of them where they say more than the value.
pub fn columns(objective: &Objective) -> &[engine::spec::WeightedMetric] {
    let outcomes = &objective.outcomes;
    let plain = !outcomes.is_multi() && outcomes.constraints.is_empty() && outcomes.cost.is_none();
    if plain { &[] } else { &objective.metrics }
}

/// The name of the value where it stands in a line.
pub fn value_name(objective: &Objective) -> &str {
    let mut weighted = objective.metrics.iter().filter(|metric| metric.weight != 0.0);
    match (weighted.next(), weighted.next()) {
        (Some(only), None) if only.name.len() <= NAME_COLUMNS => &only.name,
        _ => "value",
    }
}

/// What a trial reached, for a line: `accuracy=0.91`, or every metric where there are several to look at. Empty if it reached nothing.
pub fn reached(objective: &Objective, value: Option<f64>, metrics: &[f64]) -> String {
    let columns = columns(objective);
    if metrics.is_empty() || columns.is_empty() {
        let name = value_name(objective);
        return value.map_or(String::new(), |value| format!("{name}={}", figures::number(value)));
    }
    let shown = columns
        .iter()
        .zip(metrics)
        .map(|(metric, value)| format!("{}={}", metric.name, figures::number(*value)));
    shown.collect::<Vec<_>>().join(" ")
}

/// The constraints that a successful trial breaks, each with what it reached: `latency 31 > 20`.
pub fn broken(objective: &Objective, trial: &Trial) -> Vec<String> {
    if trial.status != TrialStatus::Succeeded {
        return Vec::new();
    }
    let broken = objective.outcomes.constraints.iter().filter(|one| one.excess(&trial.metrics) > 0.0);
    broken
        .map(|constraint| {
            let sign = if constraint.at_most { ">" } else { "<" };
            let reached = trial.metrics.get(constraint.metric).copied().unwrap_or(f64::NAN);
            let name = name(objective, constraint.metric);
            format!("{name} {} {sign} {}", figures::number(reached), constraint.bound)
        })
        .collect()
}

/// The best trial. Where points are tried several times it is the first one of the best point, with the means of all its
/// successful trials for its value and metrics.
pub fn best(experiment: &Experiment) -> Option<Cow<'_, Trial>> {
    let trial = experiment.best_trial()?;
    Some(experiment.averaged(trial).map_or(Cow::Borrowed(trial), Cow::Owned))
}

/// The trial that a search for one value ends with.
pub struct Answer<'a> {
    /// The trial.
    pub trial: Cow<'a, Trial>,
    /// What a model of all trials expects of its point, and the standard deviation of that, where values vary and each point is tried
    /// once.
    pub expected: Option<(f64, f64)>,
    /// Why it is this one, to be put behind its value: ` (mean of 3 trials, deviation 0.01)`; empty for the best value.
    pub why: String,
}

/// The answer: the best trial, as [`best`] says, but the trial of which most is expected where values vary and points are tried
/// once. Costs the fit of a model then, so it is not for pictures.
pub fn answer(experiment: &Experiment) -> Option<Answer<'_>> {
    let trial = best(experiment)?;
    let objective = &experiment.spec.objective;
    if let Some(found) = experiment.replicates(&trial.point) {
        let (trials, deviation) =
            (figures::count(u64::from(found.trials), "trial"), figures::number(found.deviation));
        return Some(Answer {
            trial,
            expected: None,
            why: format!(" (mean of {trials}, deviation {deviation})"),
        });
    }
    if !objective.noisy {
        return Some(Answer { trial, expected: None, why: String::new() });
    }
    let succeeded = experiment.trials.iter().filter(|trial| trial.status == TrialStatus::Succeeded);
    let tried: Vec<Tried<'_>> = succeeded
        .filter_map(|trial| {
            Some(Tried { trial: trial.id, point: &trial.point, value: trial.value?, metrics: &trial.metrics })
        })
        .collect();
    let found = samplers::recommend(&problem(&experiment.spec, experiment.seed), &tried);
    let Some((found, trusted)) = found.and_then(|found| Some((found, experiment.trial(found.trial)?))) else {
        return Some(Answer { trial, expected: None, why: String::new() });
    };
    let mut why = format!(
        " (a model of all trials expects {}, deviation {}",
        figures::number(found.expected),
        figures::number(found.sd)
    );
    if trusted.id != trial.id {
        let value = trial.value.map_or_else(String::new, figures::number);
        why.push_str(&format!("; trial {} had {value}", trial.id));
    }
    why.push(')');
    Some(Answer { trial: Cow::Borrowed(trusted), expected: Some((found.expected, found.sd)), why })
}

/// The best trial, or those of the front: the best in the first objective first.
pub fn leaders(experiment: &Experiment) -> Vec<Cow<'_, Trial>> {
    if experiment.spec.objective.outcomes.is_multi() {
        let mut front: Vec<&Trial> = experiment.front.iter().filter_map(|id| experiment.trial(*id)).collect();
        // The best in the first objective first.
        let loss = |trial: &Trial| {
            trial.value.map_or(f64::INFINITY, |value| experiment.spec.objective.goal.loss(value))
        };
        front.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
        front.into_iter().map(Cow::Borrowed).collect()
    } else {
        best(experiment).into_iter().collect()
    }
}

/// Metrics by their names.
pub fn by_name(objective: &Objective, metrics: &[f64]) -> Value {
    let named = objective.metrics.iter().zip(metrics);
    Value::Object(named.map(|(metric, value)| (metric.name.clone(), json!(value))).collect::<Map<_, _>>())
}

/// Why there is no best trial although some have succeeded, with the one that is nearest to being of use.
pub fn why_no_best(experiment: &Experiment) -> Option<String> {
    let objective = &experiment.spec.objective;
    if experiment.has_best() {
        return None;
    }
    if objective.replicates > 1 {
        let all = objective.replicates;
        let kept = if objective.outcomes.constraints.is_empty() {
            ""
        } else {
            " and keeps the constraints by its means"
        };
        let some = experiment.count(TrialStatus::Succeeded) > 0;
        return some.then(|| format!("no point has all of its {all} successful trials{kept} yet"));
    }
    if objective.outcomes.constraints.is_empty() {
        return None;
    }
    let succeeded = experiment.trials.iter().filter(|trial| trial.status == TrialStatus::Succeeded);
    let violation = |trial: &Trial| objective.outcomes.violation(&trial.metrics);
    let nearest = succeeded.min_by(|a, b| violation(a).total_cmp(&violation(b)))?;
    let broken = broken(objective, nearest).join(", ");
    Some(format!(
        "no successful trial keeps every constraint on its outcomes; trial {} is the nearest: {broken}",
        nearest.id
    ))
}
