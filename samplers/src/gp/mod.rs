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
mod curves;
mod fit;
mod history;
mod kernel;
mod memo;
mod model;
mod posterior;
mod recommend;
pub(crate) mod regression;
mod settings;
mod stop;
mod targets;
mod volume;
mod warp;

pub(crate) use kernel::{Features, Metric};
pub use recommend::{Recommendation, Tried, recommend};
pub use settings::Settings;

use crate::axis::{self, Axis};
use crate::design::Design;
use crate::math::pareto;
use crate::prior::Densities;
use crate::search::{Found, Search};
use crate::stream::{Purpose, Stream};
use acquire::{Acquisition, Room};
use criterion::{Criterion, Gain};
use engine::id::TrialId;
use engine::limits::MAX_MEMO_BYTES;
use engine::ports::sampler::{Observation, Problem};
use engine::space::SearchSpace;
use engine::spec::Outcomes;
use engine::value::Point;
use fit::{Beliefs, Data, Theta, fit};
use history::{History, Row};
use kernel::Columns;
use memo::Memo;
use model::Model;
use std::sync::Arc;
use stop::Worth;
use targets::{Target, Targets};
use volume::Volume;

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
/// The improvement that is expected at all is looked for among so many of the best candidates.
const LOOKED_AT: usize = 8;
/// What a memo holds beside parameters, with room for who wraps it.
const MEMO_HEAD: usize = 32;
/// How far behind the worst values that count the reference of the volume lies, as a share of the range.
const BEHIND: f64 = 0.1;

/// The sampler.
#[derive(Debug)]
pub struct Gp {
    name: &'static str,
    space: Arc<SearchSpace>,
    outcomes: Arc<Outcomes>,
    /// What all trials may cost together, and how many there are, if that is known.
    cost_budget: Option<f64>,
    planned: Option<u32>,
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
    /// Whether the search is still worth its trials, if it is asked.
    worth: Option<Worth>,
}

impl Gp {
    /// The sampler for a problem; `name` is the one it was asked for by.
    pub fn new(name: &'static str, problem: &Problem, seed: u64, settings: Settings) -> Self {
        let axes: Vec<Axis> = problem.space.leaves().iter().map(Axis::new).collect();
        let features = Features::new(&axes);
        let metrics: Vec<Metric> = features.leaves.iter().map(|(_, metric)| *metric).collect();
        // The improvement of a front is not in the unit of any value.
        let gain = problem.gain.filter(|_| !problem.outcomes.is_multi());
        let worth = gain.map(|gain| Worth::new(gain, metrics.len()));
        Self {
            name,
            space: Arc::clone(&problem.space),
            outcomes: Arc::clone(&problem.outcomes),
            cost_budget: problem.cost_budget,
            planned: problem.trials,
            seed,
            prior: Densities::new(&problem.prior, &problem.space),
            design: Design::new(problem, seed, settings.startup),
            additive: metrics.len() <= MOST_SUMMED,
            beliefs: Beliefs::new(metrics.len()),
            features,
            metrics,
            axes,
            history: History::new(problem, settings.startup as usize),
            memo: None,
            settings,
            worth,
        }
    }

    /// The parameters of the models of these targets, and the memo that says them if they are new.
    fn thetas(&self, targets: &[Target], columns: &[Columns]) -> (Vec<Theta>, Option<Memo>) {
        let parameters = Theta::count(self.metrics.len(), self.additive);
        if self.metrics.len() > MOST_FITTED || 4 * parameters * targets.len() + MEMO_HEAD > MAX_MEMO_BYTES {
            let plain = Theta::plain(self.metrics.len(), self.additive, &self.beliefs);
            return (vec![plain; targets.len()], None);
        }
        let n = self.history.informed();
        let known = self.memo.as_ref().map(|(_, memo)| memo);
        let grown = |growth: f64| known.is_none_or(|memo| n as f64 >= growth * f64::from(memo.observations));
        if let Some(memo) = known
            && !grown(REFIT_GROWTH)
        {
            return (memo.thetas.clone(), None);
        }
        let before =
            known.filter(|memo| step(n, RESTART_GROWTH) == step(memo.observations as usize, RESTART_GROWTH));
        let evaluations = if before.is_some() { REFIT_EVALUATIONS } else { RESTART_EVALUATIONS };
        let fitted = targets.iter().zip(columns).enumerate().map(|(at, (target, columns))| {
            let (fewer, fewer_y) = thinned(columns, &target.y);
            let data = Data { columns: &fewer, metrics: &self.metrics, y: &fewer_y, beliefs: &self.beliefs };
            fit(&data, self.additive, before.and_then(|memo| memo.thetas.get(at)), evaluations)
        });
        let memo = Memo::new(u32::try_from(n).unwrap_or(u32::MAX), fitted.collect());
        (memo.thetas.clone(), Some(memo))
    }

    /// What is to be gained, after pending trials have become what is expected of them.
    fn gain(&self, rows: &[Row<'_>], models: &mut [Model], bounds: &[f64]) -> Gain {
        let constrained = !self.outcomes.constraints.is_empty();
        let objectives = self.outcomes.goals.len().max(1);
        // The best by the models' own means: noise does not make a hero.
        let counts = |row: &&Row<'_>| {
            (!constrained || (row.finished && row.violation <= 0.0)) && (objectives == 1 || row.finished)
        };
        let mut good: Vec<u32> = rows.iter().filter(counts).map(|row| row.trial).collect();
        if good.is_empty() && constrained {
            return Gain::Feasibility;
        }
        if good.is_empty() {
            good.extend(rows.iter().map(|row| row.trial));
        }
        let columns = self.columns(good.into_iter());
        let mut point = Vec::new();
        let mut means = |row: usize, columns: &Columns, models: &mut [Model]| -> Vec<f64> {
            columns.row(row, &mut point);
            models.iter_mut().map(|model| model.mean(&point)).collect()
        };
        let (first, others) = models.split_at_mut_checked(objectives).unwrap_or_default();
        if objectives == 1 {
            let values = (0..columns.rows).flat_map(|row| means(row, &columns, first));
            return Gain::Below(values.fold(f64::INFINITY, f64::min));
        }
        let mut points: Vec<Vec<f64>> = (0..columns.rows).map(|row| means(row, &columns, first)).collect();
        let pending = self.columns(self.history.pending.iter().copied());
        for row in 0..pending.rows {
            if means(row, &pending, others).iter().zip(bounds).all(|(mean, bound)| mean <= bound) {
                points.push(means(row, &pending, first));
            }
        }
        let front: Vec<Vec<f64>> =
            pareto::front(&points).into_iter().filter_map(|place| points.get(place).cloned()).collect();
        let reference: Vec<f64> = (0..objectives).map(|k| reference(&front, &points, k)).collect();
        Gain::Volume(Volume::new(&front, &reference))
    }

    /// The power of the cost by which the gain is divided: less and less, as the end comes near, since then only the best
    /// value counts: the share that is left of what is to be spent after the first trials, else of the trials, else all.
    fn thrift(&self, trial: TrialId) -> f64 {
        match (self.cost_budget, self.planned) {
            (Some(budget), _) => {
                let all = budget - self.history.spent_first;
                if all > 0.0 { ((budget - self.history.spent) / all).clamp(0.0, 1.0) } else { 0.0 }
            }
            (_, Some(planned)) => (1.0 - f64::from(trial.0) / f64::from(planned.max(1))).clamp(0.0, 1.0),
            _ => 1.0,
        }
    }

    /// Trials, the best first: those that break constraints come last, and several objectives count by their sum.
    fn ranked(&self, rows: &[Row<'_>], targets: &[Target]) -> Vec<u32> {
        let objectives = targets.get(..self.outcomes.goals.len().max(1)).unwrap_or_default();
        let value = |row: usize| objectives.iter().filter_map(|target| target.y.get(row)).sum::<f64>();
        let mut order: Vec<(f64, f64, u32)> =
            rows.iter().enumerate().map(|(at, row)| (row.violation, value(at), row.trial)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        order.into_iter().map(|(_, _, trial)| trial).collect()
    }

    /// Good trials, around which candidates are drawn: the best, or some of the front, others for every trial.
    fn centres(&self, rows: &[Row<'_>], ranked: &[u32], trial: TrialId) -> Vec<&[f64]> {
        let most = self.settings.centres as usize;
        let mut chosen: Vec<u32> = Vec::new();
        if self.outcomes.is_multi() {
            let feasible: Vec<&Row<'_>> = rows.iter().filter(|row| row.violation <= 0.0).collect();
            let losses: Vec<&[f64]> = feasible.iter().map(|row| row.losses.as_slice()).collect();
            let front = pareto::front(&losses);
            let place = |k: usize| (k * front.len() / most.max(1) + trial.0 as usize) % front.len().max(1);
            let member = |k: usize| Some(feasible.get(*front.get(place(k))?)?.trial);
            chosen.extend((0..most.min(front.len())).filter_map(member));
        }
        let others: Vec<u32> = ranked.iter().copied().filter(|trial| !chosen.contains(trial)).collect();
        chosen.into_iter().chain(others).take(most).map(|trial| self.history.coordinates(trial)).collect()
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

/// The worst value of an objective that still counts: a little behind the worst of the front, and behind most points, since a front of
/// few points says little of how far it reaches. Two objectives are traded against each other over their whole range; among
/// more, most points are at the bad end of one, and the ends would get more than their share.
fn reference(front: &[Vec<f64>], points: &[Vec<f64>], objective: usize) -> f64 {
    let sorted = |points: &[Vec<f64>]| {
        let mut values: Vec<f64> = points.iter().filter_map(|point| point.get(objective).copied()).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (front, all) = (sorted(front), sorted(points));
    let objectives = points.first().map_or(0, Vec::len);
    let most = if objectives > 2 { 3 * all.len().saturating_sub(1) / 4 } else { all.len().saturating_sub(1) };
    let best = front.first().copied().unwrap_or_default();
    let worst = front.last().copied().unwrap_or_default().max(all.get(most).copied().unwrap_or_default());
    worst + (BEHIND * (worst - best)).max(1e-6)
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
        2
    }

    fn reported(&mut self, trial: TrialId, reports: &[(u64, f64)]) {
        self.history.reported(trial, reports);
    }

    fn observe(&mut self, observation: Observation<'_>) {
        match observation {
            Observation::Suggested { trial, point, memo } => {
                self.history.suggested(trial, point, &self.axes);
                let memo = self.worth.as_mut().map_or(memo, |worth| worth.suggested(memo));
                let parameters = Theta::count(self.metrics.len(), self.additive);
                if let Some(memo) = Memo::decode(memo, Targets::count(&self.outcomes), parameters) {
                    self.memo = Some((trial.0, memo));
                }
            }
            Observation::Ended { trial, result, metrics } => {
                let before = self.history.informed();
                self.history.ended(trial, result, metrics);
                if let Some(worth) = self.worth.as_mut().filter(|_| self.history.informed() > before) {
                    worth.ended(self.history.best);
                }
            }
        }
    }

    fn find(&mut self, trial: TrialId, accept: &mut dyn FnMut(&Point) -> bool) -> Found {
        if self.history.informed() < self.settings.startup.max(2) as usize {
            return self.design.find(&self.space, trial, accept);
        }
        let rows = self.history.rows(self.settings.observations.max(20) as usize);
        let Targets { all: targets, warps, bounds, cost } = Targets::new(&self.outcomes, &rows);
        let columns: Vec<Columns> =
            targets.iter().map(|target| self.columns(target.trials.iter().copied())).collect();
        let (thetas, memo) = self.thetas(&targets, &columns);
        let parts = thetas.iter().zip(&columns).zip(&targets);
        let mut models: Vec<Model> = parts
            .map(|((theta, columns), target)| Model::new(theta, &self.metrics, columns, &target.y))
            .collect();
        let gain = self.gain(&rows, &mut models, &bounds);
        if matches!(gain, Gain::Feasibility) {
            // What is no model's business need not be known.
            models.drain(..self.outcomes.goals.len().max(1));
        }
        let pending = self.columns(self.history.pending.iter().copied());
        let mut point = Vec::new();
        for model in &mut models {
            for row in 0..pending.rows {
                pending.row(row, &mut point);
                model.believe(&point);
            }
            model.settle();
        }
        let ranked = self.ranked(&rows, &targets);
        let centres = self.centres(&rows, &ranked, trial);
        let criterion = Criterion { gain, bounds, thrift: cost.map(|unit| unit * self.thrift(trial)) };
        let mut stream = Stream::new(self.seed, trial, Purpose::Candidates, 0);
        let prior = self.prior.pull(ranked.iter().map(|trial| self.history.coordinates(*trial)));
        let mut acquisition = Acquisition {
            axes: &self.axes,
            features: &self.features,
            models: &mut models,
            criterion: &criterion,
            prior,
            room: Room::default(),
        };
        let candidates = acquisition.best(&self.settings, &centres, &mut stream);
        let mut memo = memo.map(|memo| memo.encode()).unwrap_or_default();
        if let (Some(worth), Some(warp)) = (&self.worth, warps.first()) {
            let few = candidates.iter().take(LOOKED_AT);
            let gains = few.map(|candidate| acquisition.improvement(&candidate.coordinates, *warp));
            let expected = gains.fold(0.0, f64::max);
            if worth.is_over(expected) {
                return Found::Enough(expected);
            }
            memo = Worth::memo(expected, self.history.informed(), &memo);
        }
        candidates
            .into_iter()
            .map(|candidate| axis::point(&self.axes, &candidate.coordinates))
            .find(|point| accept(point))
            .map_or(Found::Nothing, |point| Found::Point(point, memo))
    }
}
