//! What a point is worth, given what the models believe of it. Read [`Criterion`].

use super::model::Belief;
use super::volume::Volume;
use crate::math::normal::{log_below, log_improvement};

/// What is hoped for.
#[derive(Debug)]
pub(super) enum Gain {
    /// Nothing: there is no feasible trial yet, so any feasible one will do.
    Feasibility,
    /// A value below this one, by the first model.
    Below(f64),
    /// Points that the front does not dominate, by one model for each objective.
    Volume(Volume),
}

/// The logarithm of what is expected of a point: the gain, times the probability that it is feasible, divided by a power of
/// its cost. J. R. Gardner and others, "Bayesian optimization with inequality constraints", ICML 2014; for the cost E. H. Lee and
/// others, "Cost-aware Bayesian optimization", 2020.
#[derive(Debug)]
pub(super) struct Criterion {
    /// By the first models.
    pub(super) gain: Gain,
    /// By one model each, after those: the value up to which a constraint holds.
    pub(super) bounds: Vec<f64>,
    /// By the last model, if any: what one unit of its mean takes away.
    pub(super) thrift: Option<f64>,
}

/// How one model's belief changes the score.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    /// That of the logarithm of an improvement: see [`log_improvement`].
    Improvement { rise: f64, z: f64, deviation: f64 },
    /// By its mean and by its deviation.
    By { mean: f64, deviation: f64 },
}

impl Change {
    /// Of a step along which mean and deviation change so much.
    pub(super) fn along(self, mean: f64, spread: f64) -> f64 {
        match self {
            Self::Improvement { rise, z, deviation } => {
                let dz = (-mean - z * spread) / deviation;
                rise * dz + spread / deviation
            }
            Self::By { mean: by_mean, deviation } => by_mean * mean + deviation * spread,
        }
    }
}

impl Criterion {
    /// How many of the first models the gain is judged by.
    fn objectives(&self) -> usize {
        match &self.gain {
            Gain::Feasibility => 0,
            Gain::Below(_) => 1,
            Gain::Volume(volume) => volume.objectives(),
        }
    }

    /// The score, and by model how it changes.
    pub(super) fn judge(&self, beliefs: &[Belief], changes: &mut Vec<Change>) -> f64 {
        changes.clear();
        let (objectives, others) = beliefs.split_at_checked(self.objectives()).unwrap_or_default();
        let mut score = match (&self.gain, objectives) {
            (Gain::Below(incumbent), [belief]) => {
                let z = (incumbent - belief.mean) / belief.deviation;
                let (log, rise) = log_improvement(z);
                changes.push(Change::Improvement { rise, z, deviation: belief.deviation });
                log + libm::log(belief.deviation)
            }
            (Gain::Volume(volume), beliefs) => volume.judge(beliefs, changes),
            _ => 0.0,
        };
        for (bound, belief) in self.bounds.iter().zip(others) {
            let z = (bound - belief.mean) / belief.deviation;
            let (log, slope) = log_below(z);
            let mean = -slope / belief.deviation;
            changes.push(Change::By { mean, deviation: mean * z });
            score += log;
        }
        if let (Some(thrift), Some(belief)) = (self.thrift, others.get(self.bounds.len())) {
            changes.push(Change::By { mean: -thrift, deviation: 0.0 });
            score -= thrift * belief.mean;
        }
        score
    }
}
