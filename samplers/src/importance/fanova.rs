//! Functional ANOVA: how much of the variance over the whole space is due to each parameter and each pair.
//!
//! F. Hutter, H. Hoos, K. Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance", ICML 2014: a random forest is
//! fitted to the trials, and the variance of each of its trees is decomposed exactly. Coordinates are those of the unit cube, so
//! that a logarithmic parameter counts by its logarithm and every value as often as the space would draw it. Where a parameter
//! does not exist it is filled in at random: what it would be there does not matter, and so it counts only where it exists.

use super::forest::{Leaf, tree};
use super::{Share, Study, Unclear, ranked};
use crate::axis::{Axis, Kind};
use crate::stream::{Purpose, Stream};
use engine::id::TrialId;

/// Trees of the forest.
const TREES: u32 = 64;
/// Rows that a leaf has at least.
const LEAST_ROWS: usize = 3;
/// About how many leaves a tree has at most.
const MOST_LEAVES: usize = 128;
/// Trials that are looked at; of more an even part.
const MOST_TRIALS: usize = 2_000;
/// Parameters whose pairs are looked at: those that matter most.
const MOST_PAIRED: usize = 30;
/// The forest is one and the same for the same trials.
const SEED: u64 = 0;

/// The shares of the variance.
#[derive(Debug, Clone, PartialEq)]
pub struct Anova {
    /// Of each parameter alone, the largest first.
    pub parameters: Vec<Share>,
    /// Of each pair beyond what its two parameters do alone, the largest first.
    pub pairs: Vec<Share>,
}

/// The shares of the parameters and, if asked for, of their pairs. Trials that were stopped early are left out: their values are
/// not those of their points.
pub fn fanova(study: &Study, pairs: bool) -> Result<Anova, Unclear> {
    study.check()?;
    let axes = study.axes.len();
    let finished: Vec<(usize, f64)> =
        study.trials.iter().enumerate().filter_map(|(at, trial)| Some((at, trial.loss?))).collect();
    let kept = finished.len().min(MOST_TRIALS);
    let chosen: Vec<(usize, f64)> =
        (0..kept).filter_map(|i| finished.get(i * finished.len() / kept).copied()).collect();
    let losses = scaled(&chosen);
    let least = LEAST_ROWS.max(kept / MOST_LEAVES);
    let mut alone = vec![0.0; axes];
    let mut forest = Vec::new();
    for number in 0..TREES {
        let mut stream = Stream::new(SEED, TrialId(0), Purpose::Other, number);
        let rows: Vec<Vec<f64>> = chosen
            .iter()
            .filter_map(|(at, _)| study.trials.get(*at))
            .map(|trial| filled(&study.axes, &trial.coordinates, &mut stream))
            .collect();
        let leaves = tree(&rows, &losses, least, &mut stream);
        let all = variance(&leaves);
        // A tree without a split explains nothing.
        if all <= 0.0 {
            continue;
        }
        for (axis, sum) in alone.iter_mut().enumerate() {
            *sum += Marginal::new(&leaves, axis).variance() / all;
        }
        forest.push((leaves, all));
    }
    let trees = forest.len().max(1) as f64;
    for share in &mut alone {
        *share /= trees;
    }
    let together = if pairs { paired(study, &forest, &alone) } else { Vec::new() };
    Ok(Anova { parameters: study.named(&alone), pairs: together })
}

/// Losses from 0 to 1: shares do not change, and nothing overflows.
fn scaled(chosen: &[(usize, f64)]) -> Vec<f64> {
    let least = chosen.iter().map(|(_, loss)| *loss).fold(f64::INFINITY, f64::min);
    let most = chosen.iter().map(|(_, loss)| *loss).fold(f64::NEG_INFINITY, f64::max);
    let width = 0.5 * most - 0.5 * least;
    chosen.iter().map(|(_, loss)| (0.5 * loss - 0.5 * least) / width).collect()
}

/// A place in the unit cube.
fn filled(axes: &[Axis], coordinates: &[f64], stream: &mut Stream) -> Vec<f64> {
    let fill = |(axis, x): (&Axis, &f64)| match &axis.kind {
        _ if x.is_nan() => stream.uniform(),
        Kind::Options(n) => (x + 0.5) / f64::from(*n),
        _ => *x,
    };
    axes.iter().zip(coordinates).map(fill).collect()
}

fn volume(leaf: &Leaf) -> f64 {
    leaf.sides.iter().map(|(low, high)| high - low).product()
}

fn variance(leaves: &[Leaf]) -> f64 {
    let mean: f64 = leaves.iter().map(|leaf| volume(leaf) * leaf.value).sum();
    leaves.iter().map(|leaf| volume(leaf) * (leaf.value - mean) * (leaf.value - mean)).sum()
}

/// Where a tree splits an axis, with both ends.
fn ends(leaves: &[Leaf], axis: usize) -> Vec<f64> {
    let sides = leaves.iter().filter_map(|leaf| leaf.sides.get(axis));
    let mut ends: Vec<f64> = sides.flat_map(|(low, high)| [*low, *high]).collect();
    ends.sort_by(f64::total_cmp);
    ends.dedup();
    ends
}

/// A tree averaged over all parameters but one: a step function.
struct Marginal {
    ends: Vec<f64>,
    values: Vec<f64>,
}

impl Marginal {
    fn new(leaves: &[Leaf], axis: usize) -> Self {
        let ends = ends(leaves, axis);
        // By how much the value changes at each end.
        let mut values = vec![0.0; ends.len()];
        for leaf in leaves {
            let Some((low, high)) = leaf.sides.get(axis) else { continue };
            let value = leaf.value * volume(leaf) / (high - low);
            for (end, change) in [(low, value), (high, -value)] {
                if let Some(slot) = values.get_mut(ends.partition_point(|e| e < end)) {
                    *slot += change;
                }
            }
        }
        let mut sum = 0.0;
        for slot in &mut values {
            sum += *slot;
            *slot = sum;
        }
        Self { ends, values }
    }

    fn variance(&self) -> f64 {
        let steps = || self.ends.windows(2).map(|pair| pair.iter().fold(0.0, |a, b| b - a)).zip(&self.values);
        let mean: f64 = steps().map(|(width, value)| width * value).sum();
        steps().map(|(width, value)| width * (value - mean) * (value - mean)).sum()
    }
}

/// The variance of a tree averaged over all parameters but two.
fn variance_of_two(leaves: &[Leaf], one: usize, two: usize) -> f64 {
    let (ends_one, ends_two) = (ends(leaves, one), ends(leaves, two));
    let columns = ends_two.len();
    let mut values = vec![0.0; ends_one.len() * columns];
    for leaf in leaves {
        let (Some(a), Some(b)) = (leaf.sides.get(one), leaf.sides.get(two)) else { continue };
        let value = leaf.value * volume(leaf) / ((a.1 - a.0) * (b.1 - b.0));
        for (end_a, sign_a) in [(a.0, 1.0), (a.1, -1.0)] {
            let row = ends_one.partition_point(|e| *e < end_a);
            for (end_b, sign_b) in [(b.0, 1.0), (b.1, -1.0)] {
                let column = ends_two.partition_point(|e| *e < end_b);
                if let Some(slot) = values.get_mut(row * columns + column) {
                    *slot += sign_a * sign_b * value;
                }
            }
        }
    }
    let (mut mean, mut squares) = (0.0, 0.0);
    let mut above = vec![0.0; columns];
    for (row, pair) in values.chunks(columns).zip(ends_one.windows(2)) {
        let height: f64 = pair.iter().fold(0.0, |a, b| b - a);
        let mut along = 0.0;
        for (column, change) in row.iter().enumerate() {
            along += change;
            let Some(value) = above.get_mut(column) else { continue };
            *value += along;
            let width = match (ends_two.get(column), ends_two.get(column + 1)) {
                (Some(low), Some(high)) => high - low,
                _ => 0.0,
            };
            mean += height * width * *value;
            squares += height * width * *value * *value;
        }
    }
    (squares - mean * mean).max(0.0)
}

fn paired(study: &Study, forest: &[(Vec<Leaf>, f64)], alone: &[f64]) -> Vec<Share> {
    let mut axes: Vec<usize> = (0..alone.len())
        .filter(|axis| study.axes.get(*axis).is_some_and(|axis| axis.kind != Kind::Fixed))
        .collect();
    let share = |axis: &usize| alone.get(*axis).copied().unwrap_or_default();
    axes.sort_by(|a, b| share(b).total_cmp(&share(a)));
    axes.truncate(MOST_PAIRED);
    axes.sort_unstable();
    let name = |axis: usize| study.names.get(axis).cloned().unwrap_or_default();
    let mut shares = Vec::new();
    for (place, one) in axes.iter().enumerate() {
        for two in axes.iter().skip(place + 1) {
            let sum: f64 = forest
                .iter()
                .map(|(leaves, all)| {
                    let both = variance_of_two(leaves, *one, *two);
                    let single = |axis| Marginal::new(leaves, axis).variance();
                    (both - single(*one) - single(*two)).max(0.0) / all
                })
                .sum();
            shares
                .push(Share { names: vec![name(*one), name(*two)], share: sum / forest.len().max(1) as f64 });
        }
    }
    ranked(shares)
}
