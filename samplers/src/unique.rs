//! The layer around every search: its points are valid, feasible and, for a deterministic objective, new.
//!
//! Where the search itself finds no such point, this layer looks for one: near what the search wanted, then
//! at random, then (in a finite space) by walking over all points from a random start, so that a space is used up
//! to its last point and the experiment ends by itself. Where constraints leave so little of a larger space that none of
//! this meets it, a point is solved for.
//!
//! Where the user expects good values, the first point of all is what is expected to be best.

mod seen;

use crate::axis::{self, Axis};
use crate::feasible;
use crate::prior::Densities;
use crate::random::draw;
use crate::search::{Found, Search};
use crate::stream::{Purpose, Stream};
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem, Proposal, Sampler, TrialResult};
use engine::space::SearchSpace;
use engine::value::Point;
use seen::Seen;

/// Random draws for one proposal after the search itself has given up.
pub const MOST_DRAWS: u32 = 4_096;
/// Points looked at around the one that the search wanted.
pub const MOST_NEIGHBOURS: u32 = 256;
/// Draws from a prior whose likeliest point is forbidden.
const MOST_EXPECTED: u32 = 1_024;
/// Indices of a finite space with constraints that are walked over for one proposal. A space of at most so many
/// points is searched to its end; in a larger one the walk covers this many from a random start.
pub const MOST_PROBES: u64 = 262_144;

/// A sampler made of a search.
#[derive(Debug)]
pub struct Unique<S> {
    search: S,
    problem: Problem,
    seed: u64,
    seen: Seen,
    /// Indices of points found infeasible on walks: a cache that saves looking twice.
    barren: Seen,
    /// How many results the search knew before the first trial.
    before: u32,
    /// The point that is expected to be best, until it is tried.
    expected: Option<Point>,
}

impl<S: Search> Unique<S> {
    /// The sampler of a search.
    pub fn new(search: S, problem: &Problem, seed: u64) -> Self {
        // Where each point gets several trials, that is not done by proposing it again.
        let repeats = problem.noisy && problem.replicates == 1;
        let mut unique = Self {
            search,
            problem: Problem { noisy: repeats, ..problem.clone() },
            seed,
            seen: Seen::new(&problem.space),
            barren: Seen::new(&problem.space),
            before: 0,
            expected: expected(problem, seed),
        };
        for known in problem.known.iter() {
            unique.forget_expected(&known.point);
            if !repeats {
                unique.seen.insert(&known.point);
            }
            if unique.search.learns() {
                let trial = TrialId(unique.before);
                let result = TrialResult::Value(known.value);
                unique.search.observe(Observation::Suggested { trial, point: &known.point, memo: &[] });
                unique.search.observe(Observation::Ended { trial, result, metrics: &[] });
                unique.before += 1;
            }
        }
        unique
    }

    /// The expected point need not be proposed once it is tried.
    fn forget_expected(&mut self, tried: &Point) {
        if self.expected.as_ref() == Some(tried) {
            self.expected = None;
        }
    }

    /// The number by which the search knows a trial: what was known before comes first.
    fn number(&self, trial: TrialId) -> TrialId {
        TrialId(trial.0.saturating_add(self.before))
    }

    /// Whether no further point can be proposed, whatever the search says.
    fn used_up(&self) -> bool {
        !self.problem.noisy
            && self.problem.space.cardinality().is_some_and(|points| self.seen.indices() >= points)
    }

    /// Whether a point may be proposed.
    fn is_fresh(&self, point: &Point) -> bool {
        self.problem.space.feasible(point) && (self.problem.noisy || !self.seen.contains(point))
    }

    /// Whether a walk leaves points of the space out, so that it proves nothing.
    fn is_larger_than_a_walk(&self) -> bool {
        let constrained = self.problem.space.is_constrained();
        constrained && self.problem.space.cardinality().is_none_or(|points| points > MOST_PROBES)
    }

    /// A point where the search found none.
    fn look(&mut self, trial: TrialId, wanted: Option<&Point>) -> Proposal {
        let fresh = |point: &Point| self.is_fresh(point);
        let found = wanted
            .and_then(|wanted| neighbour(&self.problem.space, wanted, &fresh))
            .or_else(|| at_random(&self.problem.space, self.seed, trial, &fresh));
        let found = found.or_else(|| self.walk(trial)).or_else(|| {
            let mut stream = Stream::new(self.seed, trial, Purpose::Probe, 2);
            self.is_larger_than_a_walk()
                .then(|| feasible::find(&self.problem.space, &mut stream, &|point| self.is_fresh(point)))?
        });
        match found {
            Some(point) => Proposal::Point { point, memo: Vec::new(), parent: None },
            None => Proposal::Exhausted,
        }
    }

    /// The next acceptable point after a random one, in the order of the space.
    ///
    /// What is found depends on distances in that order alone, not on what the cache of infeasible points knows.
    fn walk(&mut self, trial: TrialId) -> Option<Point> {
        let space = &self.problem.space;
        let points = space.cardinality()?;
        let constrained = space.is_constrained();
        let mut index = Stream::new(self.seed, trial, Purpose::Probe, 0).below(points);
        // Without constraints every unseen point will do, and finding it costs one look-up.
        let reach = if constrained { points.min(MOST_PROBES) } else { points };
        let mut walked = 0u64;
        while walked < reach {
            let free = if self.problem.noisy { index } else { self.seen.next_free(index) };
            let free = if constrained { self.barren.next_free(free) } else { free };
            if free > index {
                walked = walked.saturating_add(free - index);
                index = free;
                if index >= points {
                    walked = walked.saturating_sub(index - points);
                    index = 0;
                }
                continue;
            }
            let point = space.nth_point(index)?;
            if space.feasible(&point) {
                return Some(point);
            }
            self.barren.insert_index(index);
        }
        None
    }
}

/// The point that the user expects to be best; if constraints forbid it, the likeliest of some draws from the prior.
fn expected(problem: &Problem, seed: u64) -> Option<Point> {
    if problem.prior.is_empty() {
        return None;
    }
    let (space, mode) = (&problem.space, problem.prior.mode(&problem.space));
    if space.feasible(&mode) {
        return Some(mode);
    }
    let axes: Vec<Axis> = space.leaves().iter().map(Axis::new).collect();
    let densities = Densities::new(&problem.prior, space);
    let mut stream = Stream::new(seed, TrialId(0), Purpose::Probe, 3);
    let all = densities.pull(std::iter::empty());
    let mut best: Option<(f64, Point)> = None;
    for _ in 0..MOST_EXPECTED {
        let coordinates = densities.draw(&axes, &mut stream);
        let (density, point) = (all.of(&coordinates), axis::point(&axes, &coordinates));
        if space.feasible(&point) && best.as_ref().is_none_or(|(most, _)| density > *most) {
            best = Some((density, point));
        }
    }
    best.map(|(_, point)| point)
}

/// The nearest acceptable point that differs in one parameter which has neighbours: one step away in every such
/// parameter, then two, and so on.
fn neighbour(space: &SearchSpace, wanted: &Point, fresh: &dyn Fn(&Point) -> bool) -> Option<Point> {
    let mut looked = 0;
    for step in 1..u64::from(MOST_NEIGHBOURS) {
        let mut any = false;
        for (leaf, value) in &wanted.0 {
            let domain = &space.leaf(*leaf)?.domain;
            let Some(index) = domain.index_of(*value) else { continue };
            let is_parent = space.leaves().iter().any(|l| l.parent.as_ref().is_some_and(|p| p.leaf == *leaf));
            if is_parent {
                continue;
            }
            for other in [index.checked_sub(step), index.checked_add(step)].into_iter().flatten() {
                let Some(other) = domain.nth(other) else { continue };
                any = true;
                looked += 1;
                let mut point = wanted.clone();
                if let Some(slot) = point.0.iter_mut().find(|(at, _)| at == leaf) {
                    slot.1 = other;
                }
                if fresh(&point) {
                    return Some(point);
                }
            }
        }
        if !any || looked >= MOST_NEIGHBOURS {
            break;
        }
    }
    None
}

fn at_random(
    space: &SearchSpace,
    seed: u64,
    trial: TrialId,
    fresh: &dyn Fn(&Point) -> bool,
) -> Option<Point> {
    // In a small space the walk is cheaper and sure.
    let draws = space.cardinality().map_or(u64::from(MOST_DRAWS), |n| n.min(64)) as u32;
    let mut stream = Stream::new(seed, trial, Purpose::Probe, 1);
    (0..draws).map(|_| draw(space, &mut stream)).find(|point| fresh(point))
}

impl<S: Search> Sampler for Unique<S> {
    fn name(&self) -> &'static str {
        self.search.name()
    }

    fn version(&self) -> u16 {
        self.search.version()
    }

    fn reported(&mut self, trial: TrialId, reports: &[(u64, f64)]) {
        self.search.reported(self.number(trial), reports);
    }

    fn observe(&mut self, observation: Observation<'_>) {
        if let Observation::Suggested { point, .. } = observation {
            self.forget_expected(point);
            if !self.problem.noisy {
                self.seen.insert(point);
            }
        }
        let trial = |trial| self.number(trial);
        self.search.observe(match observation {
            Observation::Suggested { trial: id, point, memo } => {
                Observation::Suggested { trial: trial(id), point, memo }
            }
            Observation::Ended { trial: id, result, metrics } => {
                Observation::Ended { trial: trial(id), result, metrics }
            }
        });
    }

    fn suggest(&mut self, trial: TrialId) -> Proposal {
        if self.used_up() {
            return Proposal::Exhausted;
        }
        if let Some(point) = &self.expected {
            return Proposal::Point { point: point.clone(), memo: Vec::new(), parent: None };
        }
        let number = self.number(trial);
        let (space, seen, noisy) = (&self.problem.space, &self.seen, self.problem.noisy);
        let mut wanted = None;
        let mut accept = |point: &Point| {
            if !space.feasible(point) {
                return false;
            }
            if !noisy && seen.contains(point) {
                if wanted.is_none() {
                    wanted = Some(point.clone());
                }
                return false;
            }
            true
        };
        match self.search.find(number, &mut accept) {
            Found::Point(point, memo) => Proposal::Point { point, memo, parent: None },
            Found::Exhausted => Proposal::Exhausted,
            Found::Enough(expected) => Proposal::Enough { expected },
            Found::Nothing => self.look(trial, wanted.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use engine::spec::Spec;
    use serde_json::{Value as Json, json};

    fn sampler(constraints: &Json, prior: &Json, noisy: bool) -> Unique<Random> {
        let document = json!({
            "space": {"x": {"uniform": [0, 1]}, "y": {"uniform": [0, 1]}},
            "objective": "minimize", "budget": {"trials": 9}, "constraints": constraints, "prior": prior,
        });
        let (spec, _) = Spec::parse(&document, "").unwrap();
        let prior = spec.prior.into();
        let problem = Problem { noisy, prior, ..Problem::new(spec.space, engine::value::Goal::Minimize) };
        Unique::new(Random::new("random", &problem, 5), &problem, 5)
    }

    fn next(sampler: &mut Unique<Random>, trial: u32) -> Vec<f64> {
        let Proposal::Point { point, .. } = sampler.suggest(TrialId(trial)) else { unreachable!() };
        sampler.observe(Observation::Suggested { trial: TrialId(trial), point: &point, memo: &[] });
        sampler.problem.space.point_to_unit(&point).into_iter().flatten().collect()
    }

    #[test]
    fn the_expected_point_is_proposed_until_it_is_tried() {
        for noisy in [false, true] {
            let mut sampler = sampler(&json!([]), &json!({"x": [0.2, 0.4]}), noisy);
            let by_hand = sampler.problem.space.point_from_unit(&[0.9, 0.9]);
            sampler.observe(Observation::Suggested { trial: TrialId(0), point: &by_hand, memo: &[] });
            let first = next(&mut sampler, 1);
            assert!((first[0] - 0.3).abs() < 1e-12 && first[1] == 0.5, "{first:?}");
            assert_ne!(next(&mut sampler, 2), first);
        }
    }

    #[test]
    fn where_the_expected_point_is_forbidden_one_near_it_is_proposed() {
        let mut sampler = sampler(&json!(["x + y <= 1"]), &json!({"x": 0.8}), false);
        let first = next(&mut sampler, 0);
        assert!((0.7..0.9).contains(&first[0]) && first[0] + first[1] <= 1.0, "{first:?}");
        let first = next(&mut sampler, 1);
        assert!(first[0] + first[1] <= 1.0, "{first:?}");
    }
}
