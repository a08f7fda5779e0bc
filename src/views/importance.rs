//! Which parameters of an experiment mattered: the question, and the answer as JSON. In words it is told by the command line.

use super::figures;
use crate::error::{Failure, exit};
use engine::state::{Experiment, TrialStatus};
use engine::value::Goal;
use samplers::importance::fanova::fanova;
use samplers::importance::ped_anova::{Against, ped_anova};
use samplers::importance::{Share, Study, Unclear};
use serde_json::{Value, json};

/// The share of the trials that are the best if none is given.
const TOP: f64 = 0.1;

/// What importance means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Method {
    /// What set the best trials apart from the others.
    #[default]
    PedAnova,
    /// How much of the variance over the space is due to each parameter and each pair.
    Fanova,
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// By which method.
    pub method: Method,
    /// The share of the trials that are the best.
    pub top: Option<f64>,
    /// The best share of the trials with which they are compared.
    pub within: Option<f64>,
    /// Whether they are compared with the whole search space.
    pub space: bool,
    /// A metric of the objective in place of its value.
    pub metric: Option<String>,
}

/// A question with all that is needed to answer it, taken out of an experiment.
#[derive(Debug)]
pub struct Asked {
    question: Question,
    experiment: String,
    name: String,
    /// The metric that is explained, before the words of the question.
    of: String,
    ended: bool,
    study: Study,
}

/// An answer.
#[derive(Debug)]
pub struct Told {
    method: Method,
    /// The experiment's id.
    pub experiment: String,
    /// The experiment's name.
    pub name: String,
    /// What the shares are of.
    pub question: String,
    /// Trials that ran to their end.
    pub finished: usize,
    /// Trials that were stopped early.
    pub stopped: usize,
    /// Parameters, the most important one first.
    pub parameters: Vec<Share>,
    /// Pairs of parameters.
    pub pairs: Vec<Share>,
}

impl Question {
    /// Puts it to an experiment.
    pub fn of(self, experiment: &Experiment) -> Result<Asked, Failure> {
        if self.method == Method::Fanova && (self.top.is_some() || self.within.is_some() || self.space) {
            return Err(Failure::new(
                exit::USAGE,
                "`top`, `within` and `space` belong to the method ped-anova",
                "leave them out, or leave the method fanova out",
            ));
        }
        let explained = explained(experiment, self.metric.as_deref())?;
        Ok(Asked {
            question: self,
            experiment: experiment.id.to_string(),
            name: experiment.spec.name.clone(),
            study: study(experiment, &explained),
            of: explained.name,
            ended: experiment.status.is_ended(),
        })
    }
}

impl Asked {
    /// The answer. Takes a while where there are many trials.
    pub fn answer(self) -> Result<Told, Failure> {
        let (question, parameters, pairs) = match self.question.method {
            Method::PedAnova => by_the_best(&self.study, &self.question),
            Method::Fanova => by_variance(&self.study),
        }
        .map_err(|unclear| self.refused(unclear))?;
        Ok(Told {
            method: self.question.method,
            question: format!("{}{question}", self.of),
            finished: self.study.finished(),
            stopped: self.study.trials() - self.study.finished(),
            experiment: self.experiment,
            name: self.name,
            parameters,
            pairs,
        })
    }

    fn refused(&self, unclear: Unclear) -> Failure {
        let cure = match unclear {
            Unclear::TooFew { .. } if self.ended => {
                "give the experiment more trials with `retrial update EXP FILE`"
            }
            Unclear::TooFew { .. } => "ask again when more trials have ended",
            Unclear::AllEqual => "see with `retrial trials EXP` whether the metric is read rightly",
        };
        Failure::new(exit::FAILED, format!("{}: {unclear}", self.name), cure)
    }
}

/// What is explained: the value, or a metric.
struct Explained {
    metric: Option<usize>,
    goal: Goal,
    name: String,
}

fn explained(experiment: &Experiment, metric: Option<&str>) -> Result<Explained, Failure> {
    let objective = &experiment.spec.objective;
    let outcomes = &objective.outcomes;
    // Of several objectives the first one, unless another one is asked for.
    let first = objective.metrics.first().filter(|_| outcomes.is_multi()).map(|metric| metric.name.as_str());
    let Some(name) = metric.or(first) else {
        return Ok(Explained { metric: None, goal: objective.goal, name: String::new() });
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
    Ok(Explained { metric, goal, name: format!("{name}: ") })
}

fn study(experiment: &Experiment, explained: &Explained) -> Study {
    let mut study = Study::new(&experiment.spec.space);
    for trial in &experiment.trials {
        let value = match trial.status {
            TrialStatus::Succeeded => match explained.metric {
                Some(place) => trial.metrics.get(place).copied(),
                None => trial.value,
            },
            TrialStatus::EarlyStopped => None,
            _ => continue,
        };
        study.push(&trial.point, value, explained.goal);
    }
    study
}

/// The question in words, the shares of parameters, and those of pairs.
type Shares = (String, Vec<Share>, Vec<Share>);

fn by_the_best(study: &Study, how: &Question) -> Result<Shares, Unclear> {
    let top = how.top.unwrap_or(TOP);
    let percent = |share: f64| figures::number(share * 100.0);
    let (against, others) = match (how.space, how.within) {
        (true, _) => (Against::Space, "the search space".to_owned()),
        (false, Some(share)) => (Against::Trials(share), format!("the best {} %", percent(share))),
        (false, None) => (Against::Trials(1.0), "all trials".to_owned()),
    };
    let question = format!("what sets the best {} % apart from {others}", percent(top));
    Ok((question, ped_anova(study, top, against)?, Vec::new()))
}

fn by_variance(study: &Study) -> Result<Shares, Unclear> {
    let anova = fanova(study, true)?;
    Ok(("share of the variance over the search space".to_owned(), anova.parameters, anova.pairs))
}

impl Told {
    /// The answer for programs.
    pub fn json(&self) -> Value {
        let parameters: Vec<Value> = self
            .parameters
            .iter()
            .map(|share| json!({"name": share.names.first(), "importance": share.share}))
            .collect();
        let pairs: Vec<Value> =
            self.pairs.iter().map(|share| json!({"names": share.names, "importance": share.share})).collect();
        let method = match self.method {
            Method::PedAnova => "ped-anova",
            Method::Fanova => "fanova",
        };
        json!({
            "experiment": self.experiment,
            "method": method,
            "trials": self.finished,
            "early_stopped": self.stopped,
            "parameters": parameters,
            "interactions": pairs,
        })
    }
}
