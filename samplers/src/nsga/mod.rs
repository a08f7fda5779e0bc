//! NSGA-II and NSGA-III: genetic algorithms for several objectives.
//!
//! K. Deb, A. Pratap, S. Agarwal and T. Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE Transactions
//! on Evolutionary Computation 6 (2002); NSGA-III: see `directions`. Whenever a trial ends it joins the population, and the
//! worst one leaves, so that any number of trials may run at once and each child has the best parents so far (J. J. Durillo, A. J. Nebro, F. Luna and
//! E. Alba, "On the effect of the steady-state selection scheme in multi-objective genetic algorithms", EMO 2009).
//!
//! Who is better: feasible trials come first, by fronts and then by who has more room around it (NSGA-II) or serves a
//! direction that few others serve (NSGA-III); then come all others, as [`Outcome`] orders them.

mod directions;
mod settings;
mod variation;

pub use settings::Settings;

use crate::arguments::Arguments;
use crate::axis::{self, Axis};
use crate::design::Design;
use crate::math::pareto;
use crate::outcome::{Judge, Outcome};
use crate::search::{Found, Search};
use crate::stream::{Purpose, Stream};
use crate::unique::Unique;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem, Sampler};
use engine::space::SearchSpace;
use engine::value::Point;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Children that are tried for one proposal.
const CHILDREN: u32 = 64;

/// How trials of the same front are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// By crowding distance (NSGA-II).
    Crowding,
    /// By directions (NSGA-III).
    Directions,
}

/// A trial that may become a parent.
#[derive(Debug)]
struct Member {
    coordinates: Vec<f64>,
    outcome: Outcome,
    /// What is minimized, if it is feasible.
    losses: Vec<f64>,
}

/// NSGA-II or NSGA-III.
#[derive(Debug)]
pub struct Nsga {
    variant: Variant,
    space: Arc<SearchSpace>,
    judge: Judge,
    seed: u64,
    settings: Settings,
    axes: Vec<Axis>,
    design: Design,
    directions: Vec<Vec<f64>>,
    pending: BTreeMap<u32, Vec<f64>>,
    /// The living, the best first.
    living: Vec<Member>,
}

/// The sampler for these arguments.
pub(crate) fn read(
    variant: Variant,
    mut arguments: Arguments<'_>,
    problem: &Problem,
) -> Result<Box<dyn Sampler>, Vec<SpecError>> {
    arguments.optimize_mode(problem.goal);
    let settings = Settings::read(&mut arguments);
    let seed = arguments.seed().unwrap_or(problem.seed);
    arguments.finish()?;
    Ok(Box::new(Unique::new(Nsga::new(variant, problem, seed, settings), problem, seed)))
}

impl Nsga {
    /// The algorithm for a problem.
    pub fn new(variant: Variant, problem: &Problem, seed: u64, settings: Settings) -> Self {
        let judge = Judge::new(problem);
        let directions = match variant {
            Variant::Crowding => Vec::new(),
            Variant::Directions => directions::spread(judge.objectives(), settings.population as usize),
        };
        Self {
            variant,
            space: Arc::clone(&problem.space),
            judge,
            seed,
            axes: problem.space.leaves().iter().map(Axis::new).collect(),
            design: Design::new(problem, seed, settings.startup.min(settings.population)),
            directions,
            settings,
            pending: BTreeMap::new(),
            living: Vec::new(),
        }
    }

    /// Takes a trial in, puts the living in order, and lets the worst go.
    fn join(&mut self, member: Member) {
        self.living.push(member);
        let (feasible, mut others): (Vec<Member>, Vec<Member>) =
            std::mem::take(&mut self.living).into_iter().partition(|member| !member.losses.is_empty());
        let losses: Vec<&[f64]> = feasible.iter().map(|member| member.losses.as_slice()).collect();
        let ranks = pareto::ranks(&losses);
        let order = match self.variant {
            Variant::Crowding => crowded(&losses, &ranks),
            Variant::Directions => directions::order(&losses, &ranks, &self.directions),
        };
        let mut feasible: Vec<Option<Member>> = feasible.into_iter().map(Some).collect();
        self.living = order.into_iter().filter_map(|place| feasible.get_mut(place)?.take()).collect();
        // Stable: of equals the older one comes first.
        others.sort_by_key(|member| member.outcome);
        self.living.append(&mut others);
        self.living.truncate(self.settings.population as usize);
    }

    /// The better one of two of the living.
    fn parent(&self, stream: &mut Stream) -> Option<&Member> {
        let rivals = (0..2).map(|_| stream.below(self.living.len() as u64) as usize);
        self.living.get(rivals.min()?)
    }
}

/// The places of points, front after front, and in each front by crowding distance.
fn crowded(points: &[&[f64]], ranks: &[u32]) -> Vec<usize> {
    let mut fronts: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (place, rank) in ranks.iter().enumerate() {
        fronts.entry(*rank).or_default().push(place);
    }
    let mut order = Vec::with_capacity(points.len());
    for front in fronts.into_values() {
        let members: Vec<&[f64]> = front.iter().filter_map(|place| points.get(*place).copied()).collect();
        let mut crowded: Vec<(f64, usize)> = pareto::crowding(&members).into_iter().zip(front).collect();
        crowded.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        order.extend(crowded.into_iter().map(|(_, place)| place));
    }
    order
}

impl Search for Nsga {
    fn name(&self) -> &'static str {
        match self.variant {
            Variant::Crowding => "nsga2",
            Variant::Directions => "nsga3",
        }
    }

    fn version(&self) -> u16 {
        1
    }

    fn observe(&mut self, observation: Observation<'_>) {
        match observation {
            Observation::Suggested { trial, point, .. } => {
                self.pending.insert(trial.0, axis::coordinates(&self.axes, point));
            }
            Observation::Ended { trial, result, metrics } => {
                let Some(coordinates) = self.pending.remove(&trial.0) else { return };
                let outcome = self.judge.outcome(result, metrics);
                if outcome.informs() {
                    let losses = self.judge.losses(outcome, metrics);
                    self.join(Member { coordinates, outcome, losses });
                }
            }
        }
    }

    fn find(&mut self, trial: TrialId, accept: &mut dyn FnMut(&Point) -> bool) -> Found {
        if self.living.len() < self.settings.startup.min(self.settings.population) as usize {
            return self.design.find(&self.space, trial, accept);
        }
        for round in 0..CHILDREN {
            let mut stream = Stream::new(self.seed, trial, Purpose::Candidates, round);
            let (Some(first), Some(second)) = (self.parent(&mut stream), self.parent(&mut stream)) else {
                break;
            };
            let parents = (first.coordinates.as_slice(), second.coordinates.as_slice());
            let child = variation::child(&self.axes, &self.settings, parents, &mut stream);
            let point = axis::point(&self.axes, &child);
            if accept(&point) {
                return Found::Point(point, Vec::new());
            }
        }
        Found::Nothing
    }
}
