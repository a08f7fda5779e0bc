//! Bayesian optimization with a Gaussian process.
//!
//! A model of the objective is fitted to the trials so far, and the point is proposed whose improvement over the best is expected to
//! be largest: J. Snoek, H. Larochelle and R. P. Adams, "Practical Bayesian optimization of machine learning
//! algorithms", NIPS 2012; D. R. Jones, M. Schonlau and W. J. Welch, "Efficient global optimization of expensive
//! black-box functions", Journal of Global Optimization 13 (1998). Two things are particular here. Covariances are a product over all
//! parameters plus a sum of one function of each, since few objectives lack either structure: D. K. Duvenaud, H.
//! Nickisch and C. E. Rasmussen, "Additive Gaussian processes", NIPS 2011. And pending trials count as if they had
//! ended with the value that is expected of them: D. Ginsbourger, R. Le Riche and L. Carraro, "Kriging is well-suited to
//! parallelize optimization", 2010.
//!
//! Read [`Gp`], then `model`, `posterior` (which parameters of the model are likely) and `acquire` (where to look).

mod acquire;
mod criterion;
mod fit;
mod history;
mod kernel;
mod memo;
mod model;
mod posterior;
pub(crate) mod regression;
mod settings;
mod volume;
mod warp;

pub(crate) use kernel::{Features, Metric};
pub use settings::Settings;

use crate::axis::{self, Axis};
use crate::design::Design;
use crate::prior::Densities;
use crate::search::{Found, Search};
use crate::stream::{Purpose, Stream};
use acquire::{Acquisition, Room};
use criterion::{Criterion, Gain};
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem};
use engine::space::SearchSpace;
use engine::value::{Goal, Point};
use fit::{Beliefs, Data, Theta, fit};
use history::History;
use kernel::Columns;
use memo::Memo;
use model::Model;
use std::sync::Arc;

/// More features than this are modelled by a product alone.
const MOST_SUMMED: usize = 64;
/// For more features than this the parameters of the model are not fitted: they would not fit into a memo.
const MOST_FITTED: usize = 1_000;
/// The model's parameters are fitted anew when there are this much more observations than at the last time.
const REFIT_GROWTH: f64 = 1.08;
/// They are looked for from scratch when the observations have become this much more.
const RESTART_GROWTH: f64 = 1.35;
/// Evaluations of a fit that goes on from the one before.
const REFIT_EVALUATIONS: u32 = 12;
/// Evaluations from each start of a fit from scratch.
const RESTART_EVALUATIONS: u32 = 25;
/// Observations that a fit looks at, at most.
const MOST_FIT_TO: usize = 200;

/// The sampler.
#[derive(Debug)]
pub struct Gp {
    name: &'static str,
    space: Arc<SearchSpace>,
    goal: Goal,
    seed: u64,
    settings: Settings,
    axes: Vec<Axis>,
    features: Features,
    metrics: Vec<Metric>,
    additive: bool,
    beliefs: Beliefs,
    design: Design,
    prior: Densities,
    history: History,
    /// The last memo, with the trial that carries it.
    memo: Option<(u32, Memo)>,
}

impl Gp {
    /// The sampler for a problem; `name` is the one it was asked for by.
    pub fn new(name: &'static str, problem: &Problem, seed: u64, settings: Settings) -> Self {
        let axes: Vec<Axis> = problem.space.leaves().iter().map(Axis::new).collect();
        let features = Features::new(&axes);
        let metrics: Vec<Metric> = features.leaves.iter().map(|(_, metric)| *metric).collect();
        Self {
            name,
            space: Arc::clone(&problem.space),
            goal: problem.goal,
            seed,
            prior: Densities::new(&problem.prior, &problem.space),
            design: Design::new(problem, seed, settings.startup),
            additive: metrics.len() <= MOST_SUMMED,
            beliefs: Beliefs::new(metrics.len()),
            features,
            metrics,
            axes,
            settings,
            history: History::default(),
            memo: None,
        }
    }

    /// The parameters of the model for these observations, and the memo that says them if they are new.
    fn theta(&self, columns: &Columns, y: &[f64]) -> (Theta, Option<Memo>) {
        if self.metrics.len() > MOST_FITTED {
            return (Theta::plain(self.metrics.len(), self.additive, &self.beliefs), None);
        }
        let n = self.history.informed();
        let known = self.memo.as_ref().map(|(_, memo)| memo);
        let grown = |growth: f64| known.is_none_or(|memo| n as f64 >= growth * f64::from(memo.observations));
        if let Some(memo) = known
            && !grown(REFIT_GROWTH)
        {
            return (memo.theta.clone(), None);
        }
        let before =
            known.filter(|memo| step(n, RESTART_GROWTH) == step(memo.observations as usize, RESTART_GROWTH));
        let evaluations = if before.is_some() { REFIT_EVALUATIONS } else { RESTART_EVALUATIONS };
        let (fewer, fewer_y) = thinned(columns, y);
        let data = Data { columns: &fewer, metrics: &self.metrics, y: &fewer_y, beliefs: &self.beliefs };
        let theta = fit(&data, self.additive, before.map(|memo| &memo.theta), evaluations);
        let memo = Memo::new(u32::try_from(n).unwrap_or(u32::MAX), theta);
        (memo.theta.clone(), Some(memo))
    }

    fn columns(&self, trials: impl Iterator<Item = u32>) -> Columns {
        let mut columns = Columns::new(self.features.count());
        let mut point = Vec::new();
        for trial in trials {
            self.features.of(self.history.coordinates(trial), &mut point);
            columns.push(&point);
        }
        columns
    }
}

/// How often a number has grown by a factor since 1.
fn step(n: usize, growth: f64) -> i64 {
    (libm::log(n.max(1) as f64) / libm::log(growth)).floor() as i64
}

/// Evenly chosen observations, if there are too many for a fit.
fn thinned(columns: &Columns, y: &[f64]) -> (Columns, Vec<f64>) {
    let n = y.len();
    let kept = n.min(MOST_FIT_TO);
    let mut fewer = Columns::new(columns.columns.len());
    let mut fewer_y = Vec::with_capacity(kept);
    let mut point = Vec::new();
    for i in 0..kept {
        let row = i * n / kept;
        columns.row(row, &mut point);
        fewer.push(&point);
        fewer_y.extend(y.get(row));
    }
    (fewer, fewer_y)
}

impl Search for Gp {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> u16 {
        1
    }

    fn observe(&mut self, observation: Observation<'_>) {
        match observation {
            Observation::Suggested { trial, point, memo } => {
                self.history.suggested(trial, point, &self.axes);
                let parameters = Theta::count(self.metrics.len(), self.additive);
                if let Some(memo) = Memo::decode(memo, parameters) {
                    self.memo = Some((trial.0, memo));
                }
            }
            Observation::Ended { trial, result, .. } => self.history.ended(trial, result, self.goal),
        }
    }

    fn find(&mut self, trial: TrialId, accept: &mut dyn FnMut(&Point) -> bool) -> Found {
        if self.history.informed() < self.settings.startup.max(2) as usize {
            return self.design.find(&self.space, trial, accept);
        }
        let observations = self.history.observations(self.settings.observations.max(20) as usize);
        let losses: Vec<f64> = observations.iter().map(|(_, loss)| *loss).collect();
        let y = warp::warp(&losses);
        let columns = self.columns(observations.iter().map(|(trial, _)| *trial));
        let (theta, memo) = self.theta(&columns, &y);
        let mut model = Model::new(&theta, &self.metrics, &columns, &y);
        // The best by the model's own mean: noise does not make a hero.
        let mut point = Vec::new();
        let mut incumbent = f64::INFINITY;
        for row in 0..y.len() {
            columns.row(row, &mut point);
            incumbent = incumbent.min(model.mean(&point));
        }
        let mut order: Vec<(f64, u32)> =
            y.iter().zip(&observations).map(|(y, (trial, _))| (*y, *trial)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let centres: Vec<&[f64]> = order
            .iter()
            .take(self.settings.centres as usize)
            .map(|(_, trial)| self.history.coordinates(*trial))
            .collect();
        let pending = self.columns(self.history.pending.iter().copied());
        for row in 0..pending.rows {
            pending.row(row, &mut point);
            model.believe(&point);
        }
        model.settle();
        let mut stream = Stream::new(self.seed, trial, Purpose::Candidates, 0);
        let prior = self.prior.pull(order.iter().map(|(_, trial)| self.history.coordinates(*trial)));
        let criterion = Criterion { gain: Gain::Below(incumbent), bounds: Vec::new(), thrift: None };
        let mut acquisition = Acquisition {
            axes: &self.axes,
            features: &self.features,
            models: &mut [model],
            criterion: &criterion,
            prior,
            room: Room::default(),
        };
        let candidates = acquisition.best(&self.settings, &centres, &mut stream);
        let memo = memo.map(|memo| memo.encode()).unwrap_or_default();
        candidates
            .into_iter()
            .map(|candidate| axis::point(&self.axes, &candidate.coordinates))
            .find(|point| accept(point))
            .map_or(Found::Nothing, |point| Found::Point(point, memo))
    }
}
