//! The first trials, before there is anything to learn from: a Latin hypercube.
//!
//! M. D. `McKay`, R. J. Beckman and W. J. Conover, "A comparison of three methods for selecting values of input
//! variables in the analysis of output from a computer code", Technometrics 21 (1979). Of the `n` trials of the
//! design each falls into another `n`-th of every parameter, so that ten trials see every option of a choice of
//! four at least twice, which independent draws miss quite often.
//!
//! With a prior, every second trial falls into strata that the prior makes equally likely.

use crate::prior::Densities;
use crate::random::draw;
use crate::search::Found;
use crate::stream::{Purpose, Stream};
use engine::id::TrialId;
use engine::ports::sampler::Problem;
use engine::space::SearchSpace;
use engine::value::Point;

/// Random draws for a trial whose point of the design will not do, or that comes after it.
const DRAWS: u32 = 64;

/// A Latin hypercube over a space.
#[derive(Debug)]
pub(crate) struct Design {
    seed: u64,
    trials: u32,
    /// By leaf: the stratum of every trial.
    strata: Vec<Vec<u32>>,
    prior: Densities,
}

impl Design {
    /// The design of the first `trials` trials.
    pub(crate) fn new(problem: &Problem, seed: u64, trials: u32) -> Self {
        let strata = (0u32..)
            .zip(problem.space.leaves())
            .map(|(leaf, _)| Stream::new(seed, TrialId(0), Purpose::Design, leaf).permutation(trials))
            .collect();
        Self { seed, trials, strata, prior: Densities::new(&problem.prior, &problem.space) }
    }

    /// An acceptable point before there is a model: that of the design, else a random one.
    pub(crate) fn find(
        &self,
        space: &SearchSpace,
        trial: TrialId,
        accept: &mut dyn FnMut(&Point) -> bool,
    ) -> Found {
        let mut stream = Stream::new(self.seed, trial, Purpose::Prior, 0);
        let draws = (0..DRAWS).map(|_| draw(space, &mut stream));
        let point = self.point(space, trial).into_iter().chain(draws).find(|point| accept(point));
        point.map_or(Found::Nothing, |point| Found::Point(point, Vec::new()))
    }

    /// The point of a trial of the design, constraints ignored; none beyond the design.
    fn point(&self, space: &SearchSpace, trial: TrialId) -> Option<Point> {
        if trial.0 >= self.trials {
            return None;
        }
        let mut stream = Stream::new(self.seed, trial, Purpose::Design, u32::MAX);
        let cube: Vec<f64> = self
            .strata
            .iter()
            .enumerate()
            .map(|(leaf, strata)| {
                let stratum = strata.get(trial.0 as usize).copied().unwrap_or_default();
                let u = (f64::from(stratum) + stream.uniform()) / f64::from(self.trials);
                if trial.0.is_multiple_of(2) { self.prior.place(leaf, u) } else { u }
            })
            .collect();
        Some(space.point_from_unit(&cube))
    }
}
