//! How much a point may add to a front: the logarithm of the expected hypervolume improvement, exactly, and its slope.
//!
//! M. T. M. Emmerich, A. H. Deutz and J. W. Klinkenberg, "Hypervolume-based expected improvement", IEEE CEC 2011; the
//! logarithm as in S. Ament and others, "Unexpected improvements to expected improvement for Bayesian optimization",
//! `NeurIPS` 2023. What no point of the front dominates is cut into boxes. The volume that a point adds within a box is a product over the
//! objectives, and those are independent, so its expectation is the product of one expectation each: for a box from
//! `l` to `u` that of `max(u - y, 0) - max(l - y, 0)`.
//!
//! Read [`Volume::new`], then [`Volume::judge`].

use super::criterion::Change;
use super::model::Belief;
use crate::math::normal::log_improvement;

/// Boxes that are kept, the largest: what the others would add is left out.
const MOST_BOXES: usize = 400;
/// A box that can add only so small a part of the largest part, as a logarithm, is not looked at.
const NEGLIGIBLE: f64 = -40.0;

/// A front, and what lies before it.
#[derive(Debug)]
pub(super) struct Volume {
    /// By objective: where boxes begin and end, ascending; the first is minus infinity, the last the reference.
    levels: Vec<Vec<f64>>,
    /// By box, then by objective: indices of its ends.
    boxes: Vec<Vec<(usize, usize)>>,
}

/// By level: the logarithm of the expected improvement upon it, and how that changes with mean and deviation.
type Level = (f64, f64, f64);

impl Volume {
    /// For these points (smaller is better; dominated ones do no harm) and the worst values that still count.
    pub(super) fn new(front: &[Vec<f64>], reference: &[f64]) -> Self {
        let inside: Vec<&Vec<f64>> =
            front.iter().filter(|point| point.iter().zip(reference).all(|(y, r)| y < r)).collect();
        let levels: Vec<Vec<f64>> = reference
            .iter()
            .enumerate()
            .map(|(k, reference)| {
                let mut levels: Vec<f64> = inside.iter().filter_map(|point| point.get(k).copied()).collect();
                levels.extend([f64::NEG_INFINITY, *reference]);
                levels.sort_by(f64::total_cmp);
                levels.dedup();
                levels
            })
            .collect();
        let index = |point: &[f64]| -> Vec<usize> {
            let places = levels.iter().zip(point);
            places.map(|(levels, y)| levels.partition_point(|level| level < y)).collect()
        };
        let mut points: Vec<Vec<usize>> = inside.iter().map(|point| index(point)).collect();
        points.sort_unstable();
        points.dedup();
        let mut boxes: Vec<Vec<(usize, usize)>> =
            vec![levels.iter().map(|levels| (0, levels.len().saturating_sub(1))).collect()];
        for point in &points {
            boxes = boxes.into_iter().flat_map(|cell| cut(cell, point)).collect();
            keep_largest(&mut boxes, &levels, 4 * MOST_BOXES);
        }
        keep_largest(&mut boxes, &levels, MOST_BOXES);
        Self { levels, boxes }
    }

    pub(super) fn objectives(&self) -> usize {
        self.levels.len()
    }

    /// The logarithm of the expected improvement where these are the beliefs, and by objective how it changes.
    pub(super) fn judge(&self, beliefs: &[Belief], changes: &mut Vec<Change>) -> f64 {
        let tables: Vec<Vec<Level>> =
            self.levels.iter().zip(beliefs).map(|(levels, belief)| table(levels, *belief)).collect();
        // No part is larger than what its box would hold if it had no lower end.
        let most = |cell: &[(usize, usize)]| -> f64 {
            cell.iter().zip(&tables).filter_map(|((_, high), table)| Some(table.get(*high)?.0)).sum()
        };
        let mut parts: Vec<(f64, &Vec<(usize, usize)>)> = Vec::new();
        let mut largest = f64::NEG_INFINITY;
        for cell in &self.boxes {
            if most(cell) < largest + NEGLIGIBLE {
                continue;
            }
            let part: f64 = cell.iter().zip(&tables).map(|(ends, table)| side(*ends, table).0).sum();
            largest = largest.max(part);
            parts.push((part, cell));
        }
        let mut total = 0.0;
        let mut slopes = vec![(0.0, 0.0); tables.len()];
        for (part, cell) in parts {
            let share = libm::exp(part - largest);
            total += share;
            if share < f64::EPSILON {
                continue;
            }
            for ((ends, table), (mean, deviation)) in cell.iter().zip(&tables).zip(&mut slopes) {
                let (_, by_mean, by_deviation) = side(*ends, table);
                *mean += share * by_mean;
                *deviation += share * by_deviation;
            }
        }
        changes.extend(
            slopes
                .iter()
                .map(|(mean, deviation)| Change::By { mean: mean / total, deviation: deviation / total }),
        );
        largest + libm::log(total)
    }
}

fn table(levels: &[f64], belief: Belief) -> Vec<Level> {
    let Belief { mean, deviation } = belief;
    let level = |level: &f64| {
        if *level == f64::NEG_INFINITY {
            return (f64::NEG_INFINITY, 0.0, 0.0);
        }
        let z = (level - mean) / deviation;
        let (log, rise) = log_improvement(z);
        (log + libm::log(deviation), -rise / deviation, (1.0 - z * rise) / deviation)
    };
    levels.iter().map(level).collect()
}

/// The logarithm of what is expected of one side of a box, and its slopes.
fn side((low, high): (usize, usize), table: &[Level]) -> Level {
    let (Some(low), Some(high)) = (table.get(low), table.get(high)) else { return (0.0, 0.0, 0.0) };
    // The smaller expectation as a share of the larger.
    let share = libm::exp(low.0 - high.0);
    let rest = (1.0 - share).max(f64::EPSILON);
    (high.0 + libm::log(rest), (high.1 - share * low.1) / rest, (high.2 - share * low.2) / rest)
}

/// What is left of a box where a point takes away all that it dominates: boxes that do not overlap.
fn cut(cell: Vec<(usize, usize)>, point: &[usize]) -> Vec<Vec<(usize, usize)>> {
    if cell.iter().zip(point).any(|((_, high), y)| high <= y) {
        return vec![cell];
    }
    let mut rest = Vec::new();
    let mut left = cell;
    for (k, y) in point.iter().enumerate() {
        let Some(&(low, _)) = left.get(k) else { continue };
        if low < *y {
            let mut better = left.clone();
            if let Some(side) = better.get_mut(k) {
                side.1 = *y;
            }
            rest.push(better);
            if let Some(side) = left.get_mut(k) {
                side.0 = *y;
            }
        }
    }
    rest
}

/// Keeps the largest boxes, where one without a lower end ends as far below the best level as the worst is above it.
fn keep_largest(boxes: &mut Vec<Vec<(usize, usize)>>, levels: &[Vec<f64>], most: usize) {
    if boxes.len() <= most {
        return;
    }
    let at = |k: usize, index: usize| -> f64 {
        let Some(levels) = levels.get(k) else { return 0.0 };
        let level = levels.get(index).copied().unwrap_or_default();
        match (levels.get(1), levels.last()) {
            (Some(best), Some(worst)) if index == 0 => best - (worst - best),
            _ => level,
        }
    };
    let volume = |cell: &Vec<(usize, usize)>| -> f64 {
        cell.iter().enumerate().map(|(k, (low, high))| at(k, *high) - at(k, *low)).product()
    };
    let mut sized: Vec<(f64, Vec<(usize, usize)>)> =
        boxes.drain(..).map(|cell| (volume(&cell), cell)).collect();
    sized.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    boxes.extend(sized.into_iter().take(most).map(|(_, cell)| cell));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Purpose, Stream};
    use engine::id::TrialId;

    fn stream() -> Stream {
        Stream::new(5, TrialId(0), Purpose::Other, 0)
    }

    fn score(volume: &Volume, beliefs: &[Belief]) -> f64 {
        volume.judge(beliefs, &mut Vec::new())
    }

    /// The part of the unit cube that no point of the front dominates and the sample does, by counting.
    fn added(front: &[Vec<f64>], y: &[f64], stream: &mut Stream) -> f64 {
        let hits = (0..4_000)
            .filter(|_| {
                let x: Vec<f64> = y.iter().map(|_| stream.uniform()).collect();
                let dominated = |by: &[f64]| by.iter().zip(&x).all(|(a, b)| a <= b);
                dominated(y) && !front.iter().any(|point| dominated(point))
            })
            .count();
        hits as f64 / 4_000.0
    }

    #[test]
    fn boxes_of_any_dimension_hold_what_the_front_leaves() {
        let mut stream = stream();
        for objectives in [2, 3, 4] {
            let front: Vec<Vec<f64>> =
                (0..8).map(|_| (0..objectives).map(|_| stream.uniform()).collect()).collect();
            let volume = Volume::new(&front, &vec![1.0; objectives]);
            for _ in 0..10 {
                // Where all is certain the expectation is the volume itself.
                let y: Vec<f64> = (0..objectives).map(|_| 0.7 * stream.uniform()).collect();
                let beliefs: Vec<Belief> = y.iter().map(|y| Belief { mean: *y, deviation: 1e-6 }).collect();
                let (exact, counted) = (libm::exp(score(&volume, &beliefs)), added(&front, &y, &mut stream));
                assert!((exact - counted).abs() < 0.03, "{objectives}: {exact} {counted}");
            }
        }
    }

    #[test]
    fn the_expectation_is_that_of_the_volume() {
        let front = [vec![0.2, 0.7], vec![0.5, 0.4], vec![0.8, 0.1], vec![0.9, 0.9]];
        let volume = Volume::new(&front, &[1.0, 1.0]);
        let beliefs = [Belief { mean: 0.45, deviation: 0.2 }, Belief { mean: 0.5, deviation: 0.1 }];
        let mut stream = stream();
        let mut sum = 0.0;
        for _ in 0..20_000 {
            let y: Vec<Belief> = beliefs
                .iter()
                .map(|b| Belief { mean: b.mean + b.deviation * stream.normal(), deviation: 1e-7 })
                .collect();
            sum += libm::exp(score(&volume, &y));
        }
        let (exact, drawn) = (libm::exp(score(&volume, &beliefs)), sum / 20_000.0);
        assert!((exact - drawn).abs() < 0.02 * exact, "{exact} {drawn}");
    }

    #[test]
    fn the_slope_is_that_of_the_logarithm_near_the_front_and_far_behind_it() {
        let front = [vec![0.2, 0.7, 0.3], vec![0.5, 0.4, 0.6], vec![0.8, 0.1, 0.2]];
        let volume = Volume::new(&front, &[1.0, 1.0, 1.0]);
        for (mean, deviation) in [(0.45, 0.2), (0.9, 0.01), (3.0, 0.05)] {
            let beliefs = [0.0, 0.02, -0.1].map(|off| Belief { mean: mean + off, deviation });
            let mut changes = Vec::new();
            let here = volume.judge(&beliefs, &mut changes);
            assert!(here.is_finite());
            for (k, change) in changes.iter().enumerate() {
                for (dm, ds) in [(1.0, 0.0), (0.0, 1.0)] {
                    let at = |step: f64| {
                        let mut moved = beliefs;
                        moved[k].mean += step * dm;
                        moved[k].deviation += step * ds;
                        score(&volume, &moved)
                    };
                    let step = 1e-5 * deviation;
                    let numeric = (at(step) - at(-step)) / (2.0 * step);
                    let own = change.along(dm, ds);
                    assert!((numeric - own).abs() < 1e-3 * (1.0 + own.abs()), "{mean} {k}: {numeric} {own}");
                }
            }
        }
    }
}
