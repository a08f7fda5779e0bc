//! Several objectives: which trials are good, and how much each of them counts.
//!
//! Y. Ozaki, Y. Tanigaki, S. Watanabe, M. Nomura and M. Onishi, "Multiobjective tree-structured Parzen estimator", Journal of
//! Artificial Intelligence Research 73 (2022): whole fronts are good while they fit; of the next one, those that together
//! dominate most; and on the first front a trial counts the more, the more only it dominates.

use crate::math::hypervolume;
use crate::math::pareto::{Fronts, crowding};

/// How far the reference point of hypervolumes lies beyond the worst, as a share of the range.
const MARGIN: f64 = 0.1;
/// Objectives up to which hypervolumes are computed: what that costs grows with a power of the trials that grows with them. Beyond, trials far
/// from others are preferred, and all of the first front count alike.
const MOST_MEASURED: usize = 4;
/// The weight of a good trial that adds nothing. It is more than in the paper: a dominated trial that is good still tells where to
/// look.
const LEAST_WEIGHT: f64 = 0.1;

/// The numbers of the `wanted` best trials; of all, if there are fewer.
pub(super) fn best(fronts: &Fronts, wanted: usize) -> Vec<u32> {
    let mut best: Vec<u32> = Vec::with_capacity(wanted);
    for front in fronts.iter() {
        let room = wanted - best.len();
        if front.len() <= room {
            best.extend(front.keys());
            continue;
        }
        if room > 0 {
            let numbers: Vec<u32> = front.keys().copied().collect();
            let points: Vec<&[f64]> = front.values().map(Vec::as_slice).collect();
            let scaled = scaled(&points);
            let objectives = points.first().map_or(0, |point| point.len());
            let places = if objectives > MOST_MEASURED {
                loneliest(&scaled, room)
            } else {
                hypervolume::subset(&scaled, room, &vec![1.0 + MARGIN; objectives])
            };
            best.extend(places.into_iter().filter_map(|place| numbers.get(place)));
        }
        break;
    }
    best
}

/// The weights of some trials: 1 for the one on the first front that adds most to the hypervolume of the others there, and
/// [`LEAST_WEIGHT`] for one that adds nothing.
pub(super) fn weights(fronts: &Fronts, trials: &[u32]) -> Vec<f64> {
    let first = fronts.iter().next();
    let losses = |trial: &u32| first.and_then(|front| front.get(trial)).map(Vec::as_slice);
    let points: Vec<&[f64]> = trials.iter().filter_map(losses).collect();
    let reference = vec![1.0 + MARGIN; points.first().map_or(0, |point| point.len())];
    let parts = if reference.len() > MOST_MEASURED {
        vec![1.0; points.len()]
    } else {
        hypervolume::contributions(&scaled(&points), &reference)
    };
    let most = parts.iter().copied().fold(0.0, f64::max);
    let share = |part: &f64| if most > 0.0 { part / most } else { 1.0 };
    let mut shares = parts.iter().map(|part| LEAST_WEIGHT + (1.0 - LEAST_WEIGHT) * share(part));
    let weight = |trial| if losses(trial).is_some() { shares.next().unwrap_or(1.0) } else { LEAST_WEIGHT };
    trials.iter().map(weight).collect()
}

/// The places of the points that are farthest from their neighbours.
fn loneliest(points: &[Vec<f64>], wanted: usize) -> Vec<usize> {
    let distances = crowding(points);
    let mut places: Vec<usize> = (0..points.len()).collect();
    let distance = |place: &usize| distances.get(*place).copied().unwrap_or_default();
    places.sort_by(|a, b| distance(b).total_cmp(&distance(a)).then(a.cmp(b)));
    places.truncate(wanted);
    places
}

/// Each objective from 0, the best of the points, to 1, the worst.
fn scaled(points: &[&[f64]]) -> Vec<Vec<f64>> {
    let objectives = points.first().map_or(0, |point| point.len());
    let range = |k: usize| {
        let values = points.iter().filter_map(|point| point.get(k));
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)))
    };
    let ranges: Vec<(f64, f64)> = (0..objectives).map(range).collect();
    // Halved, so that differences of finite numbers are finite.
    let share = |(x, (low, high)): (&f64, &(f64, f64))| {
        if high > low { (x / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0) } else { 0.0 }
    };
    points.iter().map(|point| point.iter().zip(&ranges).map(share).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fronts(points: &[[f64; 2]]) -> Fronts {
        let mut fronts = Fronts::new();
        for (number, point) in (0..).zip(points) {
            fronts.insert(number, point.to_vec());
        }
        fronts
    }

    #[test]
    fn whole_fronts_are_good_and_of_the_next_one_those_that_dominate_most_together() {
        let first = [[0.0, 5.0], [5.0, 0.0]];
        let second = [[1.0, 6.0], [1.2, 5.99], [3.0, 5.2], [6.0, 1.0]];
        let fronts = fronts(&[first.as_slice(), second.as_slice()].concat());
        assert_eq!(best(&fronts, 2), [0, 1]);
        assert_eq!(best(&fronts, 3), [0, 1, 4]);
        // What is beside the first end adds less than the other end.
        assert_eq!(best(&fronts, 4).len(), 4);
        assert_eq!(best(&fronts, 9).len(), 6);
        assert!(best(&fronts, 0).is_empty());
    }

    #[test]
    fn a_trial_counts_by_what_only_it_dominates_and_a_dominated_one_hardly() {
        let fronts = fronts(&[[0.0, 4.0], [1.0, 1.0], [1.2, 0.95], [4.0, 0.0], [4.0, 4.0]]);
        let weights = weights(&fronts, &[0, 1, 2, 3, 4]);
        assert_eq!(weights.iter().copied().fold(0.0, f64::max), 1.0);
        assert!(weights[1] > 3.0 * weights[2] && weights[2] > weights[4], "{weights:?}");
        assert_eq!(weights[4], LEAST_WEIGHT);
        assert_eq!(super::weights(&fronts, &[4]), [LEAST_WEIGHT]);
    }
}
