//! Sobol' sequences: points that fill the space more evenly than independent draws, whenever the search ends.
//!
//! I. M. Sobol', "On the distribution of points in a cube and the approximate evaluation of integrals", USSR
//! Computational Mathematics and Mathematical Physics 7 (1967). The points are scrambled as in A. B. Owen, "Randomly
//! permuted (t, m, s)-nets and (t, s)-sequences", 1995: every digit is flipped or not, by a coin that the digits before
//! it choose. So each seed has its own sequence, and each sequence is as even as the plain one.

mod table;

use crate::arguments::Arguments;
use crate::search::{Found, Search};
use crate::stream::{Purpose, philox};
use crate::unique::Unique;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem, Sampler};
use engine::space::SearchSpace;
use engine::value::Point;
use std::sync::Arc;
use table::ROWS;

/// Digits of a coordinate, and of a place in the sequence.
const BITS: usize = 32;
/// Dimensions of the table. Further ones are its dimensions again, with the places shuffled.
const DIMENSIONS: usize = ROWS.len() + 1;
/// Places looked at for one proposal, when constraints or earlier trials rule many out.
const MOST_PROBES: u32 = 1_024;

/// A Sobol' sequence.
#[derive(Debug)]
pub struct Sobol {
    space: Arc<SearchSpace>,
    seed: u64,
    /// By dimension: the direction numbers.
    directions: Vec<[u32; BITS]>,
    /// The next place in the sequence.
    next: u32,
}

/// The sampler for these arguments: the seed alone.
pub(crate) fn read(
    mut arguments: Arguments<'_>,
    problem: &Problem,
) -> Result<Box<dyn Sampler>, Vec<SpecError>> {
    arguments.optimize_mode(problem.goal);
    let seed = arguments.seed().unwrap_or(problem.seed);
    arguments.finish()?;
    Ok(Box::new(Unique::new(Sobol::new(problem, seed), problem, seed)))
}

impl Sobol {
    /// The sequence of a problem's space: one dimension for each parameter, nested ones included.
    pub fn new(problem: &Problem, seed: u64) -> Self {
        let dimensions = problem.space.leaves().len().min(DIMENSIONS);
        let directions = (0..dimensions).map(directions).collect();
        Self { space: Arc::clone(&problem.space), seed, directions, next: 0 }
    }

    /// The coordinates at a place, all inside (0, 1).
    fn cube(&self, place: u32) -> Vec<f64> {
        (0u32..).zip(self.space.leaves()).map(|(dimension, _)| self.coordinate(place, dimension)).collect()
    }

    fn coordinate(&self, place: u32, dimension: u32) -> f64 {
        let known = self.directions.len().max(1);
        let round = (dimension as usize / known) as u32;
        // Shuffled as digits are scrambled, the first 2^k places become some aligned block of 2^k places, which
        // is as even. B. Burley, "Practical hash-based Owen scrambling", JCGT 9 (2020), pads in this way.
        let place = if round == 0 { place } else { self.scrambled(place, SHUFFLES | round) };
        let directions = self.directions.get(dimension as usize % known).unwrap_or(&[0; BITS]);
        let plain = plain(place, directions);
        (f64::from(self.scrambled(plain, dimension)) + 0.5) / 4_294_967_296.0
    }

    /// Flips each digit, the highest first, by a coin that belongs to the digits before it.
    fn scrambled(&self, x: u32, tree: u32) -> u32 {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        (0..BITS as u32).fold(x, |y, depth| {
            let before = x.checked_shr(BITS as u32 - depth).unwrap_or(0);
            let [coin, ..] = philox([before, Purpose::Scramble as u32, tree, depth], key);
            y ^ ((coin & 1) << (BITS as u32 - 1 - depth))
        })
    }
}

/// Marks the coins that shuffle places.
const SHUFFLES: u32 = 1 << 31;

/// A coordinate of the plain sequence, as a fraction of 2^32.
fn plain(place: u32, directions: &[u32; BITS]) -> u32 {
    let digit = |(at, direction): (usize, &u32)| if place >> at & 1 == 1 { *direction } else { 0 };
    directions.iter().enumerate().map(digit).fold(0, |sum, direction| sum ^ direction)
}

/// The direction numbers of a dimension: those of the table, then by the recurrence of its polynomial.
fn directions(dimension: usize) -> [u32; BITS] {
    let mut found = [0u32; BITS];
    let row = dimension.checked_sub(1).and_then(|row| ROWS.get(row));
    let (coefficients, first) = row.map_or((0, None), |(coefficients, first)| (*coefficients, Some(*first)));
    for at in 0..BITS {
        let back = |by: usize| at.checked_sub(by).and_then(|at| found.get(at)).copied().unwrap_or(0);
        let top = BITS - 1 - at;
        let direction = match first {
            // The first dimension: the digits of the place, mirrored.
            None => 1 << top,
            Some(first) => first.get(at).map_or_else(
                || {
                    let degree = first.len();
                    let tail = back(degree) ^ (back(degree) >> degree);
                    let taken = (1..degree).filter(|by| coefficients >> (degree - 1 - by) & 1 == 1);
                    taken.fold(tail, |sum, by| sum ^ back(by))
                },
                |number| number << top,
            ),
        };
        if let Some(slot) = found.get_mut(at) {
            *slot = direction;
        }
    }
    found
}

impl Search for Sobol {
    fn name(&self) -> &'static str {
        "sobol"
    }

    fn version(&self) -> u16 {
        1
    }

    fn learns(&self) -> bool {
        false
    }

    fn observe(&mut self, observation: Observation<'_>) {
        // The memo is the place: trials put in by a person do not move the sequence on.
        if let Observation::Suggested { memo, .. } = observation
            && let Ok(place) = <[u8; 4]>::try_from(memo)
        {
            self.next = self.next.max(u32::from_le_bytes(place).saturating_add(1));
        }
    }

    fn find(&mut self, _: TrialId, accept: &mut dyn FnMut(&Point) -> bool) -> Found {
        for place in self.next..self.next.saturating_add(MOST_PROBES) {
            let point = self.space.point_from_unit(&self.cube(place));
            if accept(&point) {
                return Found::Point(point, place.to_le_bytes().to_vec());
            }
        }
        Found::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Stream;
    use engine::value::Goal;
    use serde_json::{Map, json};

    fn sobol(dimensions: usize, seed: u64) -> Sobol {
        let space: Map<String, serde_json::Value> =
            (0..dimensions).map(|i| (format!("x{i}"), json!({"uniform": [0, 1]}))).collect();
        let space = SearchSpace::parse(&serde_json::Value::Object(space), None, "").unwrap();
        let problem = Problem { seed, ..Problem::new(Arc::new(space), Goal::Minimize) };
        Sobol::new(&problem, seed)
    }

    #[test]
    fn the_plain_sequence_has_the_published_points() {
        // The point number 1,000,003 as SciPy 1.17 has it; it goes through the places in the order of Gray's code.
        let known: [(usize, u32); 7] = [
            (0, 1_187_450_880),
            (1, 2_413_424_640),
            (2, 334_991_360),
            (5, 2_341_023_744),
            (30, 2_802_405_376),
            (63, 1_323_372_544),
            (127, 1_969_033_216),
        ];
        let place = 0x000f_4243 ^ (0x000f_4243 >> 1);
        for (dimension, expected) in known {
            assert_eq!(plain(place, &directions(dimension)), expected, "{dimension}");
        }
    }

    /// Of the first 2^k points, one falls into each 2^k-th of every coordinate.
    #[test]
    fn every_coordinate_of_a_scrambled_sequence_is_stratified_also_beyond_the_table() {
        let sobol = sobol(300, 7);
        for dimension in [0, 1, 2, 64, 127, 128, 129, 255, 256, 299] {
            let mut met = vec![false; 256];
            for place in 0..256 {
                let x = sobol.coordinate(place, dimension);
                assert!(0.0 < x && x < 1.0);
                met[(x * 256.0) as usize] = true;
            }
            assert!(met.iter().all(|met| *met), "{dimension}");
        }
    }

    #[test]
    fn the_first_two_coordinates_are_even_in_every_elementary_interval() {
        for seed in 0..4 {
            let sobol = sobol(2, seed);
            let points: Vec<Vec<f64>> = (0..64).map(|place| sobol.cube(place)).collect();
            for columns in [1, 2, 4, 8, 16, 32, 64] {
                let rows = 64 / columns;
                let mut met = [false; 64];
                for point in &points {
                    let column = (point[0] * f64::from(columns)) as usize;
                    met[column * rows as usize + (point[1] * f64::from(rows)) as usize] = true;
                }
                assert!(met.iter().all(|met| *met), "seed {seed}, {columns} columns");
            }
        }
    }

    /// The squared centred L2 discrepancy of F. J. Hickernell, Mathematics of Computation 67 (1998).
    fn discrepancy(points: &[Vec<f64>]) -> f64 {
        let n = points.len() as f64;
        let d = points[0].len() as i32;
        let off = |x: f64| (x - 0.5).abs();
        let single = |p: &Vec<f64>| -> f64 {
            p.iter().map(|x| 1.0 + 0.5 * off(*x) - 0.5 * off(*x) * off(*x)).product()
        };
        let pair = |p: &Vec<f64>, q: &Vec<f64>| -> f64 {
            let factor = |(x, y): (&f64, &f64)| 1.0 + 0.5 * off(*x) + 0.5 * off(*y) - 0.5 * (x - y).abs();
            p.iter().zip(q).map(factor).product()
        };
        let one: f64 = points.iter().map(single).sum();
        let two: f64 = points.iter().flat_map(|p| points.iter().map(move |q| pair(p, q))).sum();
        (13.0f64 / 12.0).powi(d) - 2.0 / n * one + two / (n * n)
    }

    #[test]
    fn its_points_are_more_even_than_independent_draws_at_any_length() {
        for (seed, dimensions, count) in [(1, 5, 256), (2, 5, 100), (3, 10, 200), (4, 10, 37)] {
            let sobol = sobol(dimensions, seed);
            let even: Vec<Vec<f64>> = (0..count).map(|place| sobol.cube(place)).collect();
            let mut stream = Stream::new(seed, TrialId(0), Purpose::Other, 0);
            let drawn: Vec<Vec<f64>> =
                (0..count).map(|_| (0..dimensions).map(|_| stream.uniform()).collect()).collect();
            let (even, drawn) = (discrepancy(&even), discrepancy(&drawn));
            assert!(even < 0.6 * drawn, "{dimensions} dimensions, {count} points: {even} against {drawn}");
        }
    }

    #[test]
    fn another_seed_gives_other_points() {
        assert_ne!(sobol(3, 1).cube(0), sobol(3, 2).cube(0));
        assert_eq!(sobol(3, 1).cube(5), sobol(3, 1).cube(5));
    }
}
