//! CMA-ES with margin: a normal distribution over numbers and a distribution over options follow the best trials.
//!
//! R. Hamano, S. Saito, M. Nomura, K. Uchida and S. Shirakawa, "`CatCMA` with margin: stochastic optimization for
//! continuous, integer, and categorical variables", GECCO 2025. Trials are drawn from the current distributions; whenever
//! a generation has ended, in whatever order, the distributions move towards its better half. So any number of trials may
//! run at once, and the distributions are a function of the trials in the order of their ends.
//!
//! Read [`CmaEs`], then `run`, `gaussian`, `margin` and `options`.

mod gaussian;
mod layout;
mod margin;
mod options;
mod run;
mod settings;

pub use settings::{Restart, Settings};

use crate::arguments::Arguments;
use crate::axis::Axis;
use crate::outcome::Judge;
use crate::search::{Found, Search};
use crate::stream::{Purpose, Stream};
use crate::unique::Unique;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem, Sampler};
use engine::value::Point;
use layout::{Draw, Layout};
use run::Runs;
use std::collections::BTreeMap;

/// Draws for one proposal.
const DRAWS: u32 = 64;
/// So many draws are taken anew if a continuous parameter lies outside of its range; then it is moved to the bound.
const INSIDE_DRAWS: u32 = 8;

/// CMA-ES.
#[derive(Debug)]
pub struct CmaEs {
    judge: Judge,
    seed: u64,
    layout: Layout,
    pending: BTreeMap<u32, Draw>,
    runs: Runs,
}

/// The sampler for these arguments.
pub(crate) fn read(
    mut arguments: Arguments<'_>,
    problem: &Problem,
) -> Result<Box<dyn Sampler>, Vec<SpecError>> {
    arguments.optimize_mode(problem.goal);
    let settings = Settings::read(&mut arguments);
    let seed = arguments.seed().unwrap_or(problem.seed);
    arguments.finish()?;
    Ok(Box::new(Unique::new(CmaEs::new(problem, seed, &settings), problem, seed)))
}

impl CmaEs {
    /// CMA-ES for a problem.
    pub fn new(problem: &Problem, seed: u64, settings: &Settings) -> Self {
        let layout = Layout::new(problem.space.leaves().iter().map(Axis::new).collect());
        let runs = Runs::new(&layout, settings, problem.concurrency, seed);
        Self { judge: Judge::new(problem), seed, layout, pending: BTreeMap::new(), runs }
    }
}

impl Search for CmaEs {
    fn name(&self) -> &'static str {
        "cma_es"
    }

    fn version(&self) -> u16 {
        1
    }

    fn observe(&mut self, observation: Observation<'_>) {
        match observation {
            Observation::Suggested { trial, point, memo } => {
                self.pending.insert(trial.0, self.layout.draw(point, memo));
            }
            Observation::Ended { trial, result, metrics } => {
                if let Some(draw) = self.pending.remove(&trial.0) {
                    self.runs.ended(&self.layout, draw, self.judge.outcome(result, metrics));
                }
            }
        }
    }

    fn find(&mut self, trial: TrialId, accept: &mut dyn FnMut(&Point) -> bool) -> Found {
        for round in 0..DRAWS {
            let mut stream = Stream::new(self.seed, trial, Purpose::Candidates, round);
            let mut draw = self.runs.draw(&mut stream);
            let lines = || self.layout.lines.iter();
            let inside = |(line, x): (&layout::Line, &f64)| line.edges.is_some() || (0.0..=1.0).contains(x);
            if round < INSIDE_DRAWS && !lines().zip(&draw.places).all(inside) {
                continue;
            }
            for (line, place) in lines().zip(&mut draw.places) {
                *place = Layout::settled(line, *place);
            }
            let (point, memo) = self.layout.point(&draw);
            if accept(&point) {
                return Found::Point(point, memo);
            }
        }
        Found::Nothing
    }
}
