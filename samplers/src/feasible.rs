//! Finds points that fulfil linear constraints where random draws miss them.
//!
//! From a random point, one parameter at a time is moved to where a broken constraint holds, mostly the one that leaves
//! least broken, sometimes any: as `WalkSAT` (B. Selman, H. Kautz and B. Cohen, 1994) with the moves of a relaxation
//! method for linear inequalities (S. Agmon, 1954). From a feasible point, parameters are then drawn anew between the
//! bounds that the others leave them (coordinate hit-and-run), so that results do not pile up at the edges.
//! Everything is bounded; what is not found may exist all the same.

use crate::random::draw;
use crate::stream::Stream;
use engine::space::{Comparison, LinearConstraint, SearchSpace};
use engine::value::{Point, Value};

/// Points to begin from.
const STARTS: u32 = 64;
/// Moves from one of them.
const MOVES: u32 = 400;
/// Parameters tried for one move.
const TRIED: u64 = 12;
/// How often a move is not the best one: one time in so many.
const ASTRAY: u64 = 4;
/// Rounds of drawing every parameter anew.
const ROUNDS: u32 = 4;
/// Constraints evaluated, in all: about half a second.
const MOST_EVALUATED: u64 = 4_000_000;

/// An acceptable point that fulfils the constraints.
pub(crate) fn find(
    space: &SearchSpace,
    stream: &mut Stream,
    acceptable: &dyn Fn(&Point) -> bool,
) -> Option<Point> {
    let mut solver = Solver { space, stream, evaluated: 0 };
    for _ in 0..STARTS {
        let mut point = draw(space, solver.stream);
        if !solver.repair(&mut point) {
            if solver.evaluated > MOST_EVALUATED {
                return None;
            }
            continue;
        }
        let mut found = acceptable(&point).then(|| point.clone());
        for _ in 0..ROUNDS {
            solver.stir(&mut point);
            if acceptable(&point) {
                found = Some(point.clone());
            }
        }
        if found.is_some() {
            return found;
        }
    }
    None
}

struct Solver<'a> {
    space: &'a SearchSpace,
    stream: &'a mut Stream,
    evaluated: u64,
}

impl Solver<'_> {
    /// Moves a point until no constraint is broken.
    fn repair(&mut self, point: &mut Point) -> bool {
        for _ in 0..MOVES {
            let constraints = self.space.constraints();
            self.evaluated += constraints.len() as u64;
            let broken: Vec<&LinearConstraint> =
                constraints.iter().filter(|constraint| !constraint.holds(self.space, point)).collect();
            if broken.is_empty() {
                return true;
            }
            let picked = broken.get(self.stream.below(broken.len() as u64) as usize).copied();
            let moves = picked.map(|constraint| self.moves(constraint, point)).unwrap_or_default();
            if moves.is_empty() || self.evaluated > MOST_EVALUATED {
                return false;
            }
            let chosen = if self.stream.below(ASTRAY) == 0 {
                moves.get(self.stream.below(moves.len() as u64) as usize).copied()
            } else {
                self.best(&moves, point)
            };
            if let Some((leaf, value)) = chosen {
                set(point, leaf, value);
            }
        }
        false
    }

    /// Values of single parameters that bring a constraint nearer to its bound, or beyond it.
    fn moves(&mut self, constraint: &LinearConstraint, point: &Point) -> Vec<(u16, Value)> {
        let Some(sum) = constraint.sum(self.space, point) else { return Vec::new() };
        let gap = sum - constraint.bound;
        let terms = &constraint.terms;
        let first = self.stream.below(terms.len() as u64) as usize;
        let mut moves = Vec::new();
        for (leaf, factor) in terms.iter().cycle().skip(first).take(terms.len().min(TRIED as usize)) {
            let Some(now) = point.get(*leaf).filter(|_| !self.is_parent(*leaf)) else { continue };
            let Some(domain) = self.space.leaf(*leaf).map(|leaf| &leaf.domain) else { continue };
            let Some(x) = domain.number(now) else { continue };
            let wanted = x - gap / factor;
            let mut values = vec![domain.nearest(wanted)];
            if let Some(index) = domain.index_of(domain.nearest(wanted)) {
                // Rounding may have gone to the wrong side.
                let beside = [index.checked_sub(1), index.checked_add(1)].into_iter().flatten();
                values.extend(beside.filter_map(|index| domain.nth(index)));
            }
            if constraint.op != Comparison::Equal {
                // Beyond, on the side on which it holds.
                let end = if gap / factor > 0.0 { 0.0 } else { 1.0 };
                if let (Some(end), u) = (domain.number(domain.from_unit(end)), self.stream.open()) {
                    values.push(domain.nearest(wanted + (end - wanted) * u));
                }
            }
            moves.extend(values.into_iter().filter(|value| *value != now).map(|value| (*leaf, value)));
        }
        moves
    }

    /// The move that leaves the least broken.
    fn best(&mut self, moves: &[(u16, Value)], point: &Point) -> Option<(u16, Value)> {
        let mut best: Option<(f64, (u16, Value))> = None;
        for (leaf, value) in moves {
            let mut there = point.clone();
            set(&mut there, *leaf, *value);
            self.evaluated += self.space.constraints().len() as u64;
            let broken: f64 = self.space.constraints().iter().map(|c| self.violation(c, &there)).sum();
            if best.as_ref().is_none_or(|(least, _)| broken < *least) {
                best = Some((broken, (*leaf, *value)));
            }
        }
        best.map(|(_, chosen)| chosen)
    }

    /// How far a point is from fulfilling a constraint, relative to the size of its terms; 0 where it does.
    fn violation(&self, constraint: &LinearConstraint, point: &Point) -> f64 {
        if constraint.holds(self.space, point) {
            return 0.0;
        }
        let reach = |(leaf, factor): &(u16, f64)| {
            let domain = &self.space.leaf(*leaf)?.domain;
            let width = domain.number(domain.from_unit(1.0))? - domain.number(domain.from_unit(0.0))?;
            Some((factor * width).abs())
        };
        let size: f64 = constraint.terms.iter().filter_map(reach).sum();
        let gap = constraint.sum(self.space, point).unwrap_or(constraint.bound) - constraint.bound;
        // Also a strict constraint whose bound is met is broken.
        gap.abs().max(1e-9 * size) / size.max(f64::MIN_POSITIVE)
    }

    /// Draws every parameter anew within what the constraints leave it, one after the other.
    fn stir(&mut self, point: &mut Point) {
        for place in 0..point.0.len() {
            let Some((leaf, now)) = point.0.get(place).copied() else { continue };
            let Some(domain) = self.space.leaf(leaf).map(|leaf| &leaf.domain) else { continue };
            if self.is_parent(leaf) {
                continue;
            }
            let (low, high) = self.room(leaf, now, point);
            let drawn = domain.from_unit(low + (high - low) * self.stream.uniform());
            set(point, leaf, drawn);
            self.evaluated += self.space.constraints().len() as u64;
            if !self.space.feasible(point) {
                set(point, leaf, now);
            }
        }
    }

    /// The part of a parameter's unit interval in which every constraint can hold, the others being as they are.
    fn room(&self, leaf: u16, now: Value, point: &Point) -> (f64, f64) {
        let mut room = (0.0f64, 1.0f64);
        let Some(domain) = self.space.leaf(leaf).map(|leaf| &leaf.domain) else { return room };
        let Some(x) = domain.number(now).filter(|_| !domain.is_categorical()) else { return room };
        for constraint in self.space.constraints() {
            let factor = constraint.terms.iter().find(|(term, _)| *term == leaf).map(|(_, factor)| *factor);
            let Some((factor, sum)) = factor.zip(constraint.sum(self.space, point)) else { continue };
            let limit = domain.to_unit(domain.nearest(x + (constraint.bound - sum) / factor));
            let Some(limit) = limit else { continue };
            let above = match constraint.op {
                Comparison::Less | Comparison::AtMost => factor > 0.0,
                Comparison::AtLeast | Comparison::Greater => factor < 0.0,
                Comparison::Equal => {
                    room = (limit, limit);
                    continue;
                }
            };
            if above {
                room.1 = room.1.min(limit);
            } else {
                room.0 = room.0.max(limit);
            }
        }
        if room.0 <= room.1 { room } else { (room.1, room.0) }
    }

    /// Whether other parameters depend on it: another value would be another kind of point.
    fn is_parent(&self, leaf: u16) -> bool {
        self.space.leaves().iter().any(|l| l.parent.as_ref().is_some_and(|parent| parent.leaf == leaf))
    }
}

fn set(point: &mut Point, leaf: u16, value: Value) {
    if let Some(slot) = point.0.iter_mut().find(|(at, _)| *at == leaf) {
        slot.1 = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Purpose;
    use engine::id::TrialId;
    use serde_json::{Value as Json, json};
    use std::collections::BTreeSet;

    fn space(space: &Json, constraints: &Json) -> SearchSpace {
        SearchSpace::parse(space, Some(constraints), "").unwrap()
    }

    /// Points of several streams; none may be missing.
    fn points(space: &SearchSpace, count: u32) -> Vec<Point> {
        let one = |trial| {
            let mut stream = Stream::new(1, TrialId(trial), Purpose::Other, 0);
            let point = find(space, &mut stream, &|point| space.feasible(point));
            point.unwrap_or_else(|| panic!("no point for {trial}"))
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn points_are_found_where_draws_would_never_fall() {
        let reals = |count: usize| -> Json {
            (0..count)
                .map(|n| (format!("x{n}"), json!({"_type": "uniform", "_value": [0, 1]})))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let whole = json!({
            "a": {"_type": "randint", "_value": [0, 1_000_000]},
            "b": {"_type": "quniform", "_value": [0, 1000, 0.5]},
            "c": {"_type": "choice", "_value": [1, 2, 4, 8, 16]},
        });
        let cases = [
            (reals(2), json!(["x0 + x1 == 1"])),
            (reals(2), json!(["x0 - x1 > 0", "x0 - x1 < 0.000001"])),
            (reals(8), json!(["x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7 <= 0.001"])),
            (reals(4), json!(["x0 + x1 + x2 + x3 == 1", "x0 - x1 >= 0.3", "x2 >= 0.2", "x3 <= 0.1"])),
            (whole.clone(), json!(["a == 777_777".replace('_', "")])),
            (whole.clone(), json!(["a - 1000*b == 0", "a >= 1", "c >= 16"])),
            (whole, json!(["a + c == 17", "b - c == 1.5"])),
        ];
        for (params, constraints) in cases {
            let space = space(&params, &constraints);
            for point in points(&space, 5) {
                assert!(space.check(&point).is_ok(), "{constraints}: {point:?}");
            }
        }
    }

    #[test]
    fn points_found_differ_and_are_not_all_at_the_edges() {
        let params = json!({
            "x": {"_type": "uniform", "_value": [0, 1]}, "y": {"_type": "loguniform", "_value": [0.001, 1]},
        });
        let space = space(&params, &json!(["x + y <= 0.02"]));
        let found = points(&space, 40);
        let keys: BTreeSet<String> = found.iter().map(|point| format!("{point:?}")).collect();
        assert_eq!(keys.len(), found.len());
        let inner = found.iter().filter(|point| {
            let number = |leaf| space.leaf(leaf).unwrap().domain.number(point.get(leaf).unwrap()).unwrap();
            number(0) > 0.0005 && number(1) > 0.0012 && number(0) + number(1) < 0.019
        });
        assert!(inner.count() >= 15, "{found:?}");
    }

    #[test]
    fn what_does_not_exist_is_not_found_within_a_bounded_effort() {
        let params =
            json!({"x": {"_type": "uniform", "_value": [0, 1]}, "n": {"_type": "randint", "_value": [0, 9]}});
        let space = space(&params, &json!(["x + n >= 10"]));
        let mut stream = Stream::new(1, TrialId(0), Purpose::Other, 0);
        assert_eq!(find(&space, &mut stream, &|point| space.feasible(point)), None);
    }
}
