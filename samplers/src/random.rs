//! Random search: independent draws from the space's own distributions.

use crate::search::{Found, Search};
use crate::stream::{Purpose, Stream};
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem};
use engine::space::SearchSpace;
use engine::value::Point;
use std::sync::Arc;

/// Draws before the search gives up and leaves the point to the layer above.
const DRAWS: u32 = 64;

/// Random search. J. Bergstra and Y. Bengio, "Random search for hyper-parameter optimization", JMLR 13 (2012).
#[derive(Debug)]
pub struct Random {
    name: &'static str,
    space: Arc<SearchSpace>,
    seed: u64,
}

impl Random {
    /// A random search; `name` is the one it was asked for by.
    pub fn new(name: &'static str, problem: &Problem, seed: u64) -> Self {
        Self { name, space: Arc::clone(&problem.space), seed }
    }
}

/// One draw from the space, constraints ignored.
pub(crate) fn draw(space: &SearchSpace, stream: &mut Stream) -> Point {
    space.build(|_, leaf| leaf.domain.from_unit(stream.uniform()))
}

impl Search for Random {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> u16 {
        1
    }

    fn learns(&self) -> bool {
        false
    }

    fn observe(&mut self, _: Observation<'_>) {}

    fn find(&mut self, trial: TrialId, accept: &mut dyn FnMut(&Point) -> bool) -> Found {
        for round in 0..DRAWS {
            let point = draw(&self.space, &mut Stream::new(self.seed, trial, Purpose::Prior, round));
            if accept(&point) {
                return Found::Point(point, Vec::new());
            }
        }
        Found::Nothing
    }
}
