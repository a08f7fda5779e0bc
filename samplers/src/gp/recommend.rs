//! Which trial to trust where values are noisy: not the one whose value was lucky, but the one of which a model fitted to all values
//! expects the best. Read [`recommend`].

use super::fit::{Beliefs, Data, fit};
use super::kernel::{Columns, Features, Metric};
use super::model::Model;
use super::warp::warp;
use super::{MOST_FITTED, MOST_SUMMED, Theta, thinned};
use crate::axis::{self, Axis};
use engine::id::TrialId;
use engine::ports::sampler::Problem;
use engine::value::Point;

/// Results that the model is fitted to, at most: half of them the best, half the newest.
const MOST_RESULTS: usize = 500;
/// Evaluations from each start of the fit.
const EVALUATIONS: u32 = 50;

/// A trial that ran to its end.
#[derive(Debug, Clone, Copy)]
pub struct Tried<'a> {
    /// The trial.
    pub trial: TrialId,
    /// Its point.
    pub point: &'a Point,
    /// Its finite value, in the user's direction.
    pub value: f64,
    /// What it reached in every metric of the objective, in order; empty if there is only one.
    pub metrics: &'a [f64],
}

/// The trial of which the most is expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recommendation {
    /// The trial.
    pub trial: TrialId,
    /// What is expected of its point, without noise, in the unit of the value.
    pub expected: f64,
    /// The standard deviation of that.
    pub sd: f64,
}

/// The feasible trial whose point is expected to have the best value, by a Gaussian process over the trials. `None` if there
/// is no feasible one, or if there are several objectives, of which no single trial is the best. Trials in the order of their ids. A
/// pure function.
pub fn recommend(problem: &Problem, trials: &[Tried<'_>]) -> Option<Recommendation> {
    let outcomes = &problem.outcomes;
    if outcomes.is_multi() {
        return None;
    }
    let feasible =
        |tried: &&Tried<'_>| outcomes.constraints.is_empty() || outcomes.is_feasible(tried.metrics);
    let mut kept: Vec<&Tried<'_>> = trials.iter().filter(feasible).collect();
    let loss = |tried: &Tried<'_>| problem.goal.loss(tried.value);
    if kept.len() > MOST_RESULTS {
        kept.sort_by(|a, b| loss(a).total_cmp(&loss(b)).then(a.trial.0.cmp(&b.trial.0)));
        let mut others = kept.split_off(MOST_RESULTS / 2);
        others.sort_by_key(|tried| std::cmp::Reverse(tried.trial.0));
        kept.extend(others.into_iter().take(MOST_RESULTS / 2));
        kept.sort_by_key(|tried| tried.trial.0);
    }
    let axes: Vec<Axis> = problem.space.leaves().iter().map(Axis::new).collect();
    let features = Features::new(&axes);
    let metrics: Vec<Metric> = features.leaves.iter().map(|(_, metric)| *metric).collect();
    let mut columns = Columns::new(features.count());
    let mut point = Vec::new();
    for tried in &kept {
        features.of(&axis::coordinates(&axes, tried.point), &mut point);
        columns.push(&point);
    }
    let (y, warp) = warp(&kept.iter().map(|tried| loss(tried)).collect::<Vec<_>>());
    let beliefs = Beliefs::noisy(metrics.len());
    let additive = metrics.len() <= MOST_SUMMED;
    let theta = if metrics.len() > MOST_FITTED {
        Theta::plain(metrics.len(), additive, &beliefs)
    } else {
        let (fewer, fewer_y) = thinned(&columns, &y);
        let data = Data { columns: &fewer, metrics: &metrics, y: &fewer_y, beliefs: &beliefs };
        fit(&data, additive, None, EVALUATIONS)
    };
    let mut model = Model::new(&theta, &metrics, &columns, &y);
    let mut best: Option<(f64, usize)> = None;
    for row in 0..columns.rows {
        columns.row(row, &mut point);
        let mean = model.mean(&point);
        if best.is_none_or(|(least, _)| mean < least) {
            best = Some((mean, row));
        }
    }
    let (_, row) = best?;
    columns.row(row, &mut point);
    let (expected, sd) = warp.moments(model.at(&point));
    Some(Recommendation { trial: kept.get(row)?.trial, expected: problem.goal.loss(expected), sd })
}
