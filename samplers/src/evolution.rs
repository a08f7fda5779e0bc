//! Regularized evolution: the best of a few living trials has a child, and the oldest trial dies.
//!
//! E. Real, A. Aggarwal, Y. Huang and Q. V. Le, "Regularized evolution for image classifier architecture search", AAAI 2019.
//! As every trial dies of age, a lucky value does not rule for ever. Two things are added for parameters that are
//! numbers: each trial passes on the width of its changes, itself a little changed (H.-P. Schwefel, "Numerical
//! optimization of computer models", 1981), so that a lineage that comes closer takes smaller steps; and some
//! children have two parents.

use crate::arguments::Arguments;
use crate::axis::{self, Axis, Kind};
use crate::design::Design;
use crate::outcome::{Judge, Outcome};
use crate::search::{Found, Search};
use crate::stream::{Purpose, Stream};
use crate::unique::Unique;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem, Sampler};
use engine::space::SearchSpace;
use engine::value::Point;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Children that are tried for one proposal.
const CHILDREN: u32 = 64;
/// The layout of a memo: this byte and the width as a 32-bit number, little-endian.
const VERSION: u8 = 1;
/// The width of a trial without parents, as a part of a parameter's range.
const FIRST_WIDTH: f64 = 0.2;
/// The bounds of a width.
const WIDTHS: (f64, f64) = (1e-5, 0.5);
/// How much a width changes from parent to child: the deviation of its logarithm.
const WIDTH_CHANGE: f64 = 0.5;

/// The settings of evolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How many trials live.
    pub population: u32,
    /// How many of them compete to be a parent; if none, half of them.
    pub tournament: Option<u32>,
    /// Trials with a value before there are children.
    pub startup: u32,
    /// The share of children with two parents.
    pub crossover: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { population: 32, tournament: None, startup: 10, crossover: 0.5 }
    }
}

/// A trial that may become a parent.
#[derive(Debug)]
struct Member {
    coordinates: Vec<f64>,
    width: f64,
    outcome: Outcome,
}

/// Evolution.
#[derive(Debug)]
pub struct Evolution {
    space: Arc<SearchSpace>,
    judge: Judge,
    seed: u64,
    settings: Settings,
    axes: Vec<Axis>,
    design: Design,
    pending: BTreeMap<u32, Member>,
    /// The newest trials with a value, in the order of their ends.
    living: VecDeque<Member>,
}

/// The sampler for these arguments; `population_size` as in NNI.
pub(crate) fn read(
    mut arguments: Arguments<'_>,
    problem: &Problem,
) -> Result<Box<dyn Sampler>, Vec<SpecError>> {
    let mut settings = Settings::default();
    arguments.optimize_mode(problem.goal);
    if let Some(n) = arguments.whole(&["population", "population_size"], 2..=99_999) {
        settings.population = n as u32;
    }
    if let Some(n) = arguments.whole(&["tournament", "sample_size"], 1..=99_999) {
        settings.tournament = Some(n as u32);
    }
    if let Some(n) = arguments.whole(&["startup"], 1..=99_999) {
        settings.startup = n as u32;
    }
    if let Some(x) = arguments.number(&["crossover"], 0.0..=1.0) {
        settings.crossover = x;
    }
    let seed = arguments.seed().unwrap_or(problem.seed);
    arguments.finish()?;
    Ok(Box::new(Unique::new(Evolution::new(problem, seed, settings), problem, seed)))
}

impl Evolution {
    /// Evolution for a problem.
    pub fn new(problem: &Problem, seed: u64, settings: Settings) -> Self {
        Self {
            space: Arc::clone(&problem.space),
            judge: Judge::new(problem),
            seed,
            axes: problem.space.leaves().iter().map(Axis::new).collect(),
            design: Design::new(problem, seed, settings.startup),
            settings,
            pending: BTreeMap::new(),
            living: VecDeque::new(),
        }
    }

    /// The best of a few living trials.
    fn parent(&self, stream: &mut Stream) -> Option<&Member> {
        let rivals = self.settings.tournament.unwrap_or(self.settings.population / 2).max(1);
        let rivals =
            (0..rivals).filter_map(|_| self.living.get(stream.below(self.living.len() as u64) as usize));
        rivals.min_by_key(|member| member.outcome)
    }

    /// A child and the width of its changes.
    fn child(&self, stream: &mut Stream) -> Option<(Vec<f64>, f64)> {
        let parent = self.parent(stream)?;
        let mut coordinates = parent.coordinates.clone();
        if stream.uniform() < self.settings.crossover {
            let other = self.parent(stream)?;
            for (slot, x) in coordinates.iter_mut().zip(&other.coordinates) {
                if stream.uniform() < 0.5 {
                    *slot = *x;
                }
            }
        }
        let width = parent.width * libm::exp(WIDTH_CHANGE * stream.normal());
        let width = f64::from(width.clamp(WIDTHS.0, WIDTHS.1) as f32);
        self.mutate(&mut coordinates, width, stream);
        Some((coordinates, width))
    }

    /// Changes at least one parameter, on average one or two, and gives those a value that exist now and did not before.
    fn mutate(&self, coordinates: &mut [f64], width: f64, stream: &mut Stream) {
        let free = |(x, axis): (&f64, &Axis)| !x.is_nan() && axis.kind != Kind::Fixed;
        let live = coordinates.iter().zip(&self.axes).filter(|(x, axis)| free((x, axis))).count() as u64;
        let chosen = stream.below(live);
        let mut seen = 0;
        for (slot, axis) in coordinates.iter_mut().zip(&self.axes) {
            if !free((slot, axis)) {
                continue;
            }
            let also = stream.below(live.max(2)) == 0;
            if also || seen == chosen {
                *slot = changed(axis, *slot, width, stream);
            }
            seen += 1;
        }
        axis::fill(&self.axes, coordinates, stream);
    }
}

/// Another coordinate of a parameter: a normal step, reflected at the bounds; at least to the next value of a lattice; and
/// any other option.
fn changed(axis: &Axis, x: f64, width: f64, stream: &mut Stream) -> f64 {
    if let Kind::Options(options) = axis.kind {
        let other = stream.below(u64::from(options.saturating_sub(1))) as f64;
        return if other >= x { other + 1.0 } else { other };
    }
    let step = width * stream.normal();
    let beyond = x + step;
    let inside = if beyond < 0.0 { -beyond } else { 1.0 - (1.0 - beyond).abs() };
    let place = axis.snap(inside.clamp(0.0, 1.0));
    if place == x { axis.beside(x, step > 0.0) } else { place }
}

impl Search for Evolution {
    fn name(&self) -> &'static str {
        "evolution"
    }

    fn version(&self) -> u16 {
        1
    }

    fn observe(&mut self, observation: Observation<'_>) {
        match observation {
            Observation::Suggested { trial, point, memo } => {
                let width = match memo.split_first() {
                    Some((&VERSION, rest)) => <[u8; 4]>::try_from(rest).ok(),
                    _ => None,
                };
                let width = width.map(|bytes| f64::from(f32::from_le_bytes(bytes)));
                let width = width.filter(|w| (WIDTHS.0 / 2.0..=WIDTHS.1).contains(w)).unwrap_or(FIRST_WIDTH);
                let coordinates = axis::coordinates(&self.axes, point);
                self.pending.insert(trial.0, Member { coordinates, width, outcome: Outcome::Failed });
            }
            Observation::Ended { trial, result, metrics } => {
                let outcome = self.judge.outcome(result, metrics);
                let Some(mut member) = self.pending.remove(&trial.0) else { return };
                if outcome.informs() {
                    member.outcome = outcome;
                    self.living.push_back(member);
                    if self.living.len() > self.settings.population as usize {
                        self.living.pop_front();
                    }
                }
            }
        }
    }

    fn find(&mut self, trial: TrialId, accept: &mut dyn FnMut(&Point) -> bool) -> Found {
        if self.living.len() < (self.settings.startup.min(self.settings.population)) as usize {
            return self.design.find(&self.space, trial, accept);
        }
        for round in 0..CHILDREN {
            let mut stream = Stream::new(self.seed, trial, Purpose::Candidates, round);
            let Some((coordinates, width)) = self.child(&mut stream) else { break };
            let point = axis::point(&self.axes, &coordinates);
            if accept(&point) {
                let mut memo = vec![VERSION];
                memo.extend_from_slice(&(width as f32).to_le_bytes());
                return Found::Point(point, memo);
            }
        }
        Found::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::ports::sampler::TrialResult;
    use engine::value::{Goal, Value};
    use serde_json::json;

    fn axes(space: &serde_json::Value) -> (SearchSpace, Vec<Axis>) {
        let space = SearchSpace::parse(space, None, "").unwrap();
        let axes = space.leaves().iter().map(Axis::new).collect();
        (space, axes)
    }

    fn stream(trial: u32) -> Stream {
        Stream::new(9, TrialId(trial), Purpose::Other, 0)
    }

    #[test]
    fn a_changed_coordinate_is_another_one_on_the_lattice() {
        let space = json!({"x": {"uniform": [0, 1]}, "n": {"randint": [0, 5]}, "b": {"randint": [0, 2]},
            "k": {"choice": ["u", "v", "w"]}});
        let (_, axes) = axes(&space);
        for (axis, x) in [(0, 0.0), (0, 0.4), (0, 1.0), (1, 0.1), (1, 0.5), (1, 0.9), (2, 0.25), (2, 0.75)] {
            for (trial, width) in (0..200).zip([1e-5, 0.01, 0.5].into_iter().cycle()) {
                let new = changed(&axes[axis], x, width, &mut stream(trial));
                assert!(
                    (0.0..=1.0).contains(&new) && new != x && axes[axis].snap(new) == new,
                    "{axis} {x} {new}"
                );
            }
        }
        let others: Vec<f64> = (0..60).map(|trial| changed(&axes[3], 1.0, 0.1, &mut stream(trial))).collect();
        assert!(others.contains(&0.0) && others.contains(&2.0) && !others.contains(&1.0));
    }

    fn evolution(space: &serde_json::Value, settings: Settings) -> Evolution {
        let problem = Problem { seed: 4, ..Problem::new(Arc::new(axes(space).0), Goal::Minimize) };
        Evolution::new(&problem, 4, settings)
    }

    #[test]
    fn the_oldest_die_failures_never_live_and_a_width_is_passed_on() {
        let space = json!({"x": {"uniform": [0, 1]}});
        let mut search = evolution(&space, Settings { population: 3, startup: 2, ..Settings::default() });
        let memo = |width: f32| [&[VERSION][..], &width.to_le_bytes()].concat();
        for (trial, x) in (0u32..).zip([0.1, 0.2, 0.3, 0.4, 0.5]) {
            let point = Point(vec![(0, Value::Float(x))]);
            let trial = TrialId(trial);
            search.observe(Observation::Suggested { trial, point: &point, memo: &memo(0.001) });
            let result = if trial.0 == 4 { TrialResult::Failed } else { TrialResult::Value(x) };
            search.observe(Observation::Ended { trial, result, metrics: &[] });
        }
        let living: Vec<f64> = search.living.iter().map(|member| member.coordinates[0]).collect();
        assert_eq!(living, [0.2, 0.3, 0.4]);
        for trial in 5..40 {
            let Found::Point(point, memo) = search.find(TrialId(trial), &mut |_| true) else { panic!() };
            let width = f32::from_le_bytes(memo[1..].try_into().unwrap());
            assert!((1e-4..1e-2).contains(&width), "{width}");
            let Some(Value::Float(x)) = point.get(0) else { panic!() };
            assert!((0.15..0.45).contains(&x), "{x}");
        }
    }

    #[test]
    fn parameters_of_another_branch_are_drawn_when_it_is_taken() {
        let space = json!({"m": {"choice": [{"_name": "p", "x": {"uniform": [0, 1]}},
            {"_name": "q", "y": {"uniform": [0, 1]}, "z": {"randint": [0, 9]}}]}});
        let search = evolution(&space, Settings::default());
        let mut taken = [0; 2];
        for trial in 0..50 {
            let mut coordinates = vec![0.0, 0.3, f64::NAN, f64::NAN];
            search.mutate(&mut coordinates, 0.1, &mut stream(trial));
            let point = axis::point(&search.axes, &coordinates);
            assert_eq!(search.space.check(&point), Ok(()));
            taken[coordinates[0] as usize] += 1;
        }
        assert!(taken[0] > 5 && taken[1] > 5, "{taken:?}");
    }
}
