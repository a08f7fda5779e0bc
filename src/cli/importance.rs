//! `importance`: which parameters of an experiment mattered.

use super::args::{Common, Method, Question};
use super::{output, store};
use crate::error::{Failure, exit};
use crate::views::{figures, find};
use engine::state::{Experiment, TrialStatus};
use engine::value::Goal;
use samplers::importance::fanova::fanova;
use samplers::importance::ped_anova::{Against, ped_anova};
use samplers::importance::{Share, Study, Unclear};
use serde_json::{Value, json};

/// The share of the trials that are the best if none is given.
const TOP: f64 = 0.1;
/// Pairs below this share are left out of the table.
const LEAST_SHOWN: f64 = 0.005;
/// Most pairs in the table.
const MOST_PAIRS: usize = 10;
/// The length of a bar for everything.
const BAR: f64 = 40.0;

/// What is told.
struct Told {
    /// What the shares are of.
    question: String,
    parameters: Vec<Share>,
    pairs: Vec<Share>,
}

/// `importance`
pub fn importance(common: &Common, exp: &str, how: &Question) -> Result<u8, Failure> {
    let state = store::read(common)?;
    let experiment = find::find(&state, exp)?;
    let asked = asked(experiment, how.metric.as_deref())?;
    let study = study(experiment, &asked);
    let told = match how.method {
        Method::PedAnova => by_the_best(&study, how),
        Method::Fanova => {
            if how.top.is_some() || how.within.is_some() || how.space {
                return Err(Failure::new(
                    exit::USAGE,
                    "`--top`, `--within` and `--space` belong to the method ped-anova",
                    "leave them out, or leave `--method fanova` out",
                ));
            }
            by_variance(&study)
        }
    };
    let mut told = told.map_err(|unclear| refused(experiment, unclear))?;
    told.question.insert_str(0, &asked.name);
    if common.json {
        output::json(&as_json(experiment, how, &study, &told))?;
    } else {
        output::text(&as_text(experiment, &study, &told))?;
    }
    Ok(exit::DONE)
}

/// What is explained: the value, or a metric.
struct Asked {
    metric: Option<usize>,
    goal: Goal,
    name: String,
}

fn asked(experiment: &Experiment, metric: Option<&str>) -> Result<Asked, Failure> {
    let objective = &experiment.spec.objective;
    let outcomes = &objective.outcomes;
    // Of several objectives the first one, unless another one is asked for.
    let first = objective.metrics.first().filter(|_| outcomes.is_multi()).map(|metric| metric.name.as_str());
    let Some(name) = metric.or(first) else {
        return Ok(Asked { metric: None, goal: objective.goal, name: String::new() });
    };
    let Some(place) = objective.metrics.iter().position(|metric| metric.name == name) else {
        let names: Vec<&str> = objective.metrics.iter().map(|metric| metric.name.as_str()).collect();
        return Err(Failure::new(
            exit::USAGE,
            format!("the objective has no metric `{name}`"),
            format!("its metrics are {}", names.join(", ")),
        ));
    };
    let bounded = outcomes.constraints.iter().find(|constraint| constraint.metric == place);
    let weight = objective.metrics.get(place).map_or(0.0, |metric| metric.weight);
    // A metric without a weight is better where its bound is, and a cost where it is small.
    let goal = match (outcomes.goals.get(place), bounded) {
        (Some(goal), _) => *goal,
        (None, _) if weight > 0.0 => objective.goal,
        (None, _) if weight < 0.0 && objective.goal == Goal::Minimize => Goal::Maximize,
        (None, Some(bound)) if !bound.at_most => Goal::Maximize,
        _ => Goal::Minimize,
    };
    // A single metric is the value itself.
    let metric = (objective.metrics.len() > 1).then_some(place);
    Ok(Asked { metric, goal, name: format!("{name}: ") })
}

fn study(experiment: &Experiment, asked: &Asked) -> Study {
    let mut study = Study::new(&experiment.spec.space);
    for trial in &experiment.trials {
        let value = match trial.status {
            TrialStatus::Succeeded => match asked.metric {
                Some(place) => trial.metrics.get(place).copied(),
                None => trial.value,
            },
            TrialStatus::EarlyStopped => None,
            _ => continue,
        };
        study.push(&trial.point, value, asked.goal);
    }
    study
}

fn by_the_best(study: &Study, how: &Question) -> Result<Told, Unclear> {
    let top = how.top.unwrap_or(TOP);
    let percent = |share: f64| figures::number(share * 100.0);
    let (against, others) = match (how.space, how.within) {
        (true, _) => (Against::Space, "the search space".to_owned()),
        (false, Some(share)) => (Against::Trials(share), format!("the best {} %", percent(share))),
        (false, None) => (Against::Trials(1.0), "all trials".to_owned()),
    };
    Ok(Told {
        question: format!("what sets the best {} % apart from {others}", percent(top)),
        parameters: ped_anova(study, top, against)?,
        pairs: Vec::new(),
    })
}

fn by_variance(study: &Study) -> Result<Told, Unclear> {
    let anova = fanova(study, true)?;
    Ok(Told {
        question: "share of the variance over the search space".to_owned(),
        parameters: anova.parameters,
        pairs: anova.pairs,
    })
}

fn refused(experiment: &Experiment, unclear: Unclear) -> Failure {
    let cure = match unclear {
        Unclear::TooFew { .. } if experiment.status.is_ended() => {
            "give the experiment more trials with `retrial update EXP FILE`"
        }
        Unclear::TooFew { .. } => "ask again when more trials have ended",
        Unclear::AllEqual => "see with `retrial trials EXP` whether the metric is read rightly",
    };
    Failure::new(exit::FAILED, format!("{}: {unclear}", experiment.spec.name), cure)
}

fn as_json(experiment: &Experiment, how: &Question, study: &Study, told: &Told) -> Value {
    let parameters: Vec<Value> = told
        .parameters
        .iter()
        .map(|share| json!({"name": share.names.first(), "importance": share.share}))
        .collect();
    let pairs: Vec<Value> =
        told.pairs.iter().map(|share| json!({"names": share.names, "importance": share.share})).collect();
    let method = match how.method {
        Method::PedAnova => "ped-anova",
        Method::Fanova => "fanova",
    };
    json!({
        "experiment": experiment.id.to_string(),
        "method": method,
        "trials": study.finished(),
        "early_stopped": study.trials() - study.finished(),
        "parameters": parameters,
        "interactions": pairs,
    })
}

fn as_text(experiment: &Experiment, study: &Study, told: &Told) -> String {
    let stopped = match study.trials() - study.finished() {
        0 => String::new(),
        stopped => format!(" and {stopped} stopped early"),
    };
    let mut rows = vec![["PARAMETER", "IMPORTANCE", ""].map(str::to_owned).to_vec()];
    let shown = told.pairs.iter().filter(|share| share.share >= LEAST_SHOWN).take(MOST_PAIRS);
    for share in told.parameters.iter().chain(shown) {
        let bar = "#".repeat((share.share * BAR).round() as usize);
        rows.push(vec![share.names.join(" with "), format!("{:.3}", share.share), bar]);
    }
    format!(
        "{} ({}): {}\n{} trials that ran to their end{stopped}\n\n{}",
        experiment.spec.name,
        experiment.id,
        told.question,
        study.finished(),
        output::table(&rows)
    )
}
