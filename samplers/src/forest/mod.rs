//! A random forest as the model of the objective, and expected improvement as the reason to look.
//!
//! F. Hutter, H. H. Hoos and K. Leyton-Brown, "Sequential model-based optimization for general algorithm configuration", LION 2011,
//! in the form that M. Lindauer and others, "SMAC3: a versatile Bayesian optimization package for hyperparameter
//! optimization", JMLR 23 (2022), have for hyperparameters: costs in the logarithm, a local search from the best trials and
//! from random points, and on demand now and then a random trial. Pending trials count as if they had ended with a middling cost.
//!
//! Read [`Forest`], then `tree` and `acquire`.

mod acquire;
mod history;
mod tree;

use crate::arguments::Arguments;
use crate::axis::{self, Axis, Kind};
use crate::design::Design;
use crate::outcome::{Judge, Outcome};
use crate::search::{Found, Search};
use crate::stream::{Purpose, Stream};
use crate::unique::Unique;
use acquire::{Acquisition, Model};
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem, Sampler};
use engine::space::SearchSpace;
use engine::value::Point;
use history::{History, costs};
use std::sync::Arc;
use tree::{Data, Feature, MOST_OPTIONS, Tree};

/// Where the streams of trees begin among the rounds of a trial.
const TREES: u32 = 1 << 16;

/// The settings of the forest.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Trials with a value before the model is used.
    pub startup: u32,
    /// How many trees.
    pub trees: u32,
    /// The fewest trials of a leaf.
    pub least_leaf: u32,
    /// The share of trials that are drawn from the space.
    pub random: f64,
    /// Points drawn from the space for one suggestion.
    pub anywhere: u32,
    /// Local searches from the best trials, and as many from the best of the drawn points.
    pub starts: u32,
    /// Observations that the model uses at most.
    pub observations: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            startup: 10,
            trees: 10,
            least_leaf: 1,
            random: 0.0,
            anywhere: 500,
            starts: 8,
            observations: 400,
        }
    }
}

/// The sampler.
#[derive(Debug)]
pub struct Forest {
    space: Arc<SearchSpace>,
    judge: Judge,
    seed: u64,
    settings: Settings,
    axes: Vec<Axis>,
    features: Vec<Feature>,
    design: Design,
    history: History,
}

/// The sampler for these arguments; those of NNI's `SMAC` are understood.
pub(crate) fn read(
    mut arguments: Arguments<'_>,
    problem: &Problem,
) -> Result<Box<dyn Sampler>, Vec<SpecError>> {
    let mut settings = Settings::default();
    arguments.optimize_mode(problem.goal);
    if let Some(n) = arguments.whole(&["startup"], 1..=99_999) {
        settings.startup = n as u32;
    }
    if let Some(n) = arguments.whole(&["trees", "n_trees"], 2..=1_000) {
        settings.trees = n as u32;
    }
    if let Some(n) = arguments.whole(&["least_leaf", "min_samples_leaf"], 1..=1_000) {
        settings.least_leaf = n as u32;
    }
    if let Some(x) = arguments.number(&["random", "random_probability"], 0.0..=1.0) {
        settings.random = x;
    }
    // No point is proposed twice in any case.
    arguments.boolean(&["config_dedup"]);
    let seed = arguments.seed().unwrap_or(problem.seed);
    arguments.finish()?;
    Ok(Box::new(Unique::new(Forest::new(problem, seed, settings), problem, seed)))
}

impl Forest {
    /// A forest for a problem.
    pub fn new(problem: &Problem, seed: u64, settings: Settings) -> Self {
        let axes: Vec<Axis> = problem.space.leaves().iter().map(Axis::new).collect();
        // One option more for where the parameter does not exist.
        let feature = |axis: &Axis| match axis.kind {
            Kind::Options(n) if n < MOST_OPTIONS => Feature::Options(n + 1),
            _ => Feature::Line,
        };
        Self {
            space: Arc::clone(&problem.space),
            judge: Judge::new(problem),
            seed,
            design: Design::new(problem, seed, settings.startup),
            settings,
            features: axes.iter().map(feature).collect(),
            axes,
            history: History::default(),
        }
    }

    /// The model of all trials, pending ones included, and the cost of the best.
    fn model(&self, trial: TrialId) -> (Model, f64) {
        let observations = self.history.observations(self.settings.observations as usize);
        let outcomes: Vec<Outcome> = observations.iter().map(|(_, outcome)| *outcome).collect();
        let mut y = costs(&outcomes);
        let best = y.iter().copied().fold(f64::INFINITY, f64::min);
        let middling = y.iter().sum::<f64>() / y.len().max(1) as f64;
        let coordinates = observations.iter().map(|(x, _)| x).chain(self.history.pending.values());
        let rows: Vec<Vec<f64>> = coordinates.map(|x| acquire::features(&self.features, x)).collect();
        y.resize(rows.len(), middling);
        let data = Data::new(self.features.clone(), rows, y);
        let tree = |number| {
            let mut stream = Stream::new(self.seed, trial, Purpose::Candidates, TREES + number);
            Tree::grow(&data, self.settings.least_leaf, &mut stream)
        };
        (Model::new((0..self.settings.trees).map(tree).collect()), best)
    }
}

impl Search for Forest {
    fn name(&self) -> &'static str {
        "forest"
    }

    fn version(&self) -> u16 {
        1
    }

    fn observe(&mut self, observation: Observation<'_>) {
        match observation {
            Observation::Suggested { trial, point, .. } => {
                self.history.pending.insert(trial.0, axis::coordinates(&self.axes, point));
            }
            Observation::Ended { trial, result, metrics } => {
                self.history.ended(trial.0, self.judge.outcome(result, metrics));
            }
        }
    }

    fn find(&mut self, trial: TrialId, accept: &mut dyn FnMut(&Point) -> bool) -> Found {
        let mut stream = Stream::new(self.seed, trial, Purpose::Candidates, 0);
        let random = stream.uniform() < self.settings.random;
        if random || self.history.informed() < self.settings.startup.max(2) as usize {
            return self.design.find(&self.space, trial, accept);
        }
        let (model, best) = self.model(trial);
        let acquisition = Acquisition { axes: &self.axes, features: &self.features, model: &model, best };
        let starts: Vec<&[f64]> = self.history.best(self.settings.starts as usize).collect();
        let candidates = acquisition.search(&self.settings, &starts, &mut stream);
        let points = candidates.iter().map(|(_, x)| axis::point(&self.axes, x));
        let found = points.into_iter().find(|point| accept(point));
        found.map_or(Found::Nothing, |point| Found::Point(point, Vec::new()))
    }
}
