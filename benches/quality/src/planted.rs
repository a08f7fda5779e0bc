//! Functions made for a given space, so that their optimum is known: trees of parameters, and options that interact.

use engine::id::TrialId;
use engine::space::{Domain, SearchSpace};
use engine::value::{Point, Value};
use samplers::stream::{Purpose, Stream};
use std::f64::consts::PI;

/// A bowl with ripples over the parameters that exist, with a price for every option but the planted one. The optimum
/// is 0, at a point of the space.
#[derive(Debug)]
pub(crate) struct Tree {
    targets: Vec<f64>,
    weights: Vec<f64>,
    /// By leaf and option; empty for numbers.
    prices: Vec<Vec<f64>>,
}

impl Tree {
    /// The function of a space and a seed.
    pub(crate) fn new(space: &SearchSpace, seed: u64) -> Self {
        let mut draws = Stream::new(seed, TrialId(0), Purpose::Other, 1);
        let mut tree = Self { targets: Vec::new(), weights: Vec::new(), prices: Vec::new() };
        for leaf in space.leaves() {
            let planted = leaf.domain.from_unit(0.1 + 0.8 * draws.uniform());
            tree.targets.push(leaf.domain.to_unit(planted).unwrap_or(0.5));
            tree.weights.push(0.5 + 2.0 * draws.uniform());
            let count = if leaf.domain.is_categorical() { leaf.domain.cardinality().unwrap_or(0) } else { 0 };
            let mut prices: Vec<f64> = (0..count).map(|_| 0.05 + 0.4 * draws.uniform()).collect();
            if let Value::Option(option) = planted
                && let Some(price) = prices.get_mut(option as usize)
            {
                *price = 0.0;
            }
            tree.prices.push(prices);
        }
        tree
    }

    /// The value at a point of the space.
    pub(crate) fn value(&self, space: &SearchSpace, point: &Point) -> f64 {
        let (mut sum, mut before) = (0.0, 0.0);
        for (index, value) in &point.0 {
            let (at, Some(leaf)) = (usize::from(*index), space.leaf(*index)) else { continue };
            if let (Value::Option(option), true) = (value, leaf.domain.is_categorical()) {
                sum += self.prices[at][*option as usize];
                before = 0.0;
            } else {
                let off = leaf.domain.to_unit(*value).unwrap_or(0.5) - self.targets[at];
                // Neighbours depend on each other, but too little to make a square form below 0.
                sum +=
                    self.weights[at] * off * off + 0.5 * (off * off + before * before + 1.6 * off * before);
                sum += 0.02 * (1.0 - libm::cos(6.0 * PI * off));
                before = off;
            }
        }
        sum
    }
}

/// Options that interact in a ring, each with its neighbour, and numbers whose best place depends on an option. The
/// optimum is 0.
#[derive(Debug)]
pub(crate) struct Ring {
    /// The number of options of every choice.
    options: usize,
    /// By choice: the price of its option beside that of the next one.
    tables: Vec<Vec<Vec<f64>>>,
    /// By number: its best place under each option of the choice of the same place.
    places: Vec<Vec<f64>>,
    /// What the best combination would cost.
    least: f64,
}

impl Ring {
    /// So many choices of so many options, and numbers, at most as many as choices.
    pub(crate) fn new(choices: usize, options: usize, numbers: usize, seed: u64) -> Self {
        let mut draws = Stream::new(seed, TrialId(0), Purpose::Other, 2);
        let mut row = || (0..options).map(|_| draws.uniform()).collect::<Vec<f64>>();
        let tables = (0..choices).map(|_| (0..options).map(|_| row()).collect()).collect();
        let places = (0..numbers).map(|_| row()).collect();
        let mut ring = Self { options, tables, places, least: 0.0 };
        let all = (0..options.pow(choices as u32)).map(|number| ring.price(&ring.combination(number)));
        ring.least = all.fold(f64::INFINITY, f64::min);
        ring
    }

    fn combination(&self, number: usize) -> Vec<usize> {
        let digit = |place: usize| number / self.options.pow(place as u32) % self.options;
        (0..self.tables.len()).map(digit).collect()
    }

    fn price(&self, taken: &[usize]) -> f64 {
        let next = taken.iter().cycle().skip(1);
        self.tables.iter().zip(taken.iter().zip(next)).map(|(table, (own, next))| table[*own][*next]).sum()
    }

    /// The value of the options taken and the numbers, each from 0 to 1.
    pub(crate) fn value(&self, taken: &[usize], numbers: &[f64]) -> f64 {
        let terms = self.places.iter().zip(taken).zip(numbers);
        let bowls: f64 = terms.map(|((places, own), x)| (x - places[*own]) * (x - places[*own])).sum();
        self.price(taken) - self.least + 2.0 * bowls
    }
}

/// The option that a choice has at a point; 0 for anything else.
pub(crate) fn option(value: Value) -> usize {
    if let Value::Option(option) = value { option as usize } else { 0 }
}

/// The number of a value; 0 for what has none.
pub(crate) fn number(domain: &Domain, value: Value) -> f64 {
    domain.number(value).unwrap_or(0.0)
}

/// The numbers of a point whose parameters all are numbers.
pub(crate) fn numbers(space: &SearchSpace, point: &Point) -> Vec<f64> {
    let of =
        |(leaf, value): &(u16, Value)| space.leaf(*leaf).map_or(0.0, |leaf| number(&leaf.domain, *value));
    point.0.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tree_is_zero_at_what_was_planted_and_nowhere_below() {
        let space = SearchSpace::parse(
            &json!({"a": {"uniform": [0, 1]}, "n": {"randint": [0, 9]}, "m": {"choice": [
                {"_name": "p", "x": {"uniform": [0, 1]}, "y": {"loguniform": [1, 100]}}, {"_name": "q"}]}}),
            None,
            "space",
        )
        .unwrap();
        for seed in 0..20 {
            let tree = Tree::new(&space, seed);
            let planted = space.point_from_unit(&tree.targets);
            assert!(tree.value(&space, &planted) < 1e-12, "seed {seed}");
            let mut draws = Stream::new(seed, TrialId(1), Purpose::Other, 0);
            for _ in 0..500 {
                let cube: Vec<f64> = space.leaves().iter().map(|_| draws.uniform()).collect();
                assert!(tree.value(&space, &space.point_from_unit(&cube)) > 0.0, "seed {seed}");
            }
        }
    }

    #[test]
    fn the_best_combination_of_a_ring_is_worth_zero() {
        let ring = Ring::new(4, 3, 2, 5);
        let best = (0..81)
            .map(|number| {
                let taken = ring.combination(number);
                let numbers: Vec<f64> = (0..2).map(|i| ring.places[i][taken[i]]).collect();
                ring.value(&taken, &numbers)
            })
            .fold(f64::INFINITY, f64::min);
        assert_eq!(best, 0.0);
        assert!(ring.value(&ring.combination(7), &[0.9, 0.1]) > 0.0);
    }
}
