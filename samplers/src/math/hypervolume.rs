//! The hypervolume: how much of the space up to a reference point is dominated. All values are to be minimized.
//!
//! Two objectives are swept over, three are sliced into two; more are split by the exclusive parts of the points, as by L.
//! While, L. Bradstreet and L. Barone, "A fast way of calculating exact hypervolumes", IEEE Transactions on Evolutionary
//! Computation 16 (2012). Volumes are exact but for rounding; for six objectives and more they become slow with
//! hundreds of points.

use super::pareto::{front, lexicographic};
use std::collections::BinaryHeap;

/// The volume between some points and a reference point. A point that does not beat the reference in every objective
/// counts nothing.
pub fn hypervolume<P: AsRef<[f64]>>(points: &[P], reference: &[f64]) -> f64 {
    let inside = |point: &&[f64]| point.iter().zip(reference).all(|(x, end)| x < end);
    volume(points.iter().map(AsRef::as_ref).filter(inside).map(<[f64]>::to_vec).collect(), reference)
}

/// By how much a point would raise the hypervolume of others.
pub fn improvement<P: AsRef<[f64]>>(point: &[f64], others: &[P], reference: &[f64]) -> f64 {
    let sides = point.iter().zip(reference).map(|(x, end)| (end - x).max(0.0));
    let own: f64 = sides.product();
    if own == 0.0 {
        return 0.0;
    }
    // What others dominate of the point's own box.
    let limit = |other: &P| point.iter().zip(other.as_ref()).map(|(x, y)| x.max(*y)).collect();
    let limited: Vec<Vec<f64>> = others.iter().map(limit).collect();
    (own - hypervolume(&limited, reference)).max(0.0)
}

/// By how much the hypervolume of the front falls if a point is taken off it. What is not on the front contributes nothing,
/// nor do points that are equal.
pub fn contributions<P: AsRef<[f64]>>(points: &[P], reference: &[f64]) -> Vec<f64> {
    let on_front: Vec<(usize, &[f64])> =
        front(points).into_iter().filter_map(|at| Some((at, points.get(at)?.as_ref()))).collect();
    let mut contributions = vec![0.0; points.len()];
    for (place, point) in &on_front {
        let others: Vec<&[f64]> =
            on_front.iter().filter(|(other, _)| other != place).map(|(_, other)| *other).collect();
        if let Some(slot) = contributions.get_mut(*place) {
            *slot = improvement(point, &others, reference);
        }
    }
    contributions
}

/// A candidate of [`subset`] with what it would have added when that was last looked at.
#[derive(PartialEq)]
struct Candidate {
    gain: f64,
    place: usize,
    /// How many points had been taken then.
    taken: usize,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.gain.total_cmp(&other.gain).then(other.place.cmp(&self.place))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The places of `wanted` points that together have much hypervolume, in the order in which they were taken: always the one that
/// adds most to those taken before, the first one of equals. At least 63 % of the largest possible (G. L. Nemhauser, L. A. Wolsey
/// and M. L. Fisher, "An analysis of approximations for maximizing submodular set functions", Mathematical Programming
/// 14, 1978).
pub fn subset<P: AsRef<[f64]>>(points: &[P], wanted: usize, reference: &[f64]) -> Vec<usize> {
    let alone = |(place, point): (usize, &P)| Candidate {
        gain: improvement::<&[f64]>(point.as_ref(), &[], reference),
        place,
        taken: 0,
    };
    let mut heap: BinaryHeap<Candidate> = points.iter().enumerate().map(alone).collect();
    let (mut places, mut chosen): (Vec<usize>, Vec<&[f64]>) = (Vec::new(), Vec::new());
    while places.len() < wanted {
        let Some(mut best) = heap.pop() else { break };
        let Some(point) = points.get(best.place) else { break };
        // A gain never grows while others are taken: who leads with a fresh one leads.
        if best.taken == places.len() {
            places.push(best.place);
            chosen.push(point.as_ref());
        } else {
            best.gain = improvement(point.as_ref(), &chosen, reference).min(best.gain);
            best.taken = places.len();
            heap.push(best);
        }
    }
    places
}

/// The volume of points that all lie before the reference.
fn volume(mut points: Vec<Vec<f64>>, reference: &[f64]) -> f64 {
    match *reference {
        [] => 0.0,
        [end] => points.iter().flatten().fold(0.0, |most, x| most.max(end - x)),
        [x, y] => {
            points.sort_by(|a, b| lexicographic(a, b));
            area(&points, x, y)
        }
        [.., end] if reference.len() == 3 => {
            points.sort_by(|a, b| last(a).total_cmp(&last(b)).then_with(|| lexicographic(a, b)));
            sliced(&points, reference, end)
        }
        _ => {
            let places = front(&points);
            let mut points: Vec<Vec<f64>> =
                places.into_iter().filter_map(|place| points.get(place).cloned()).collect();
            // The worst in the last objective first: its box leaves the least of others.
            points.sort_by(|a, b| last(b).total_cmp(&last(a)).then_with(|| lexicographic(a, b)));
            let parts = points.iter().enumerate().map(|(place, point)| {
                improvement(point, points.get(place + 1..).unwrap_or_default(), reference)
            });
            parts.sum()
        }
    }
}

fn last(point: &[f64]) -> f64 {
    point.last().copied().unwrap_or_default()
}

/// The area of points in lexicographic order.
fn area(points: &[Vec<f64>], right: f64, top: f64) -> f64 {
    let (mut sum, mut top) = (0.0, top);
    for point in points {
        if let [x, y, ..] = **point
            && y < top
        {
            sum += (right - x) * (top - y);
            top = y;
        }
    }
    sum
}

/// The volume of points that are ordered by the last of three objectives.
fn sliced(points: &[Vec<f64>], reference: &[f64], end: f64) -> f64 {
    let [right, top, ..] = *reference else { return 0.0 };
    let mut sum = 0.0;
    // The front of the slice, with the first objective ascending and the second one descending.
    let mut stairs: Vec<Vec<f64>> = Vec::new();
    for (place, point) in points.iter().enumerate() {
        let [x, y, z] = **point else { continue };
        let at = stairs.partition_point(|stair| lexicographic(stair, &[x, y]).is_lt());
        let below = at.checked_sub(1).and_then(|before| stairs.get(before)).is_some_and(|s| last(s) <= y);
        if !below {
            let worse = stairs.iter().skip(at).take_while(|stair| last(stair) >= y).count();
            stairs.splice(at..at + worse, [vec![x, y]]);
        }
        let next = points.get(place + 1).map_or(end, |next| last(next));
        if next > z {
            sum += area(&stairs, right, top) * (next - z);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The unit cells of a lattice that points dominate are counted.
    fn counted(points: &[Vec<f64>], side: usize, objectives: usize) -> f64 {
        let cells = side.pow(objectives as u32);
        let dominated = (0..cells).filter(|cell| {
            let corner: Vec<f64> =
                (0..objectives).map(|k| (cell / side.pow(k as u32) % side) as f64).collect();
            points.iter().any(|point| point.iter().zip(&corner).all(|(x, at)| x <= at))
        });
        dominated.count() as f64
    }

    fn points(objectives: usize) -> impl Strategy<Value = Vec<Vec<f64>>> {
        proptest::collection::vec(proptest::collection::vec((0u8..7).prop_map(f64::from), objectives), 0..14)
    }

    proptest! {
        #[test]
        fn volumes_and_contributions_are_those_of_counted_cells(points in (1usize..6).prop_flat_map(points)) {
            // Some points lie on or beyond the reference.
            let objectives = points.first().map_or(1, Vec::len);
            let reference = vec![5.0; objectives];
            let all = counted(&points, 5, objectives);
            prop_assert_eq!(hypervolume(&points, &reference), all);
            let expected: Vec<f64> = (0..points.len()).map(|out| {
                let front = front(&points);
                let others: Vec<Vec<f64>> =
                    front.iter().filter(|place| **place != out).map(|place| points[*place].clone()).collect();
                all - counted(&others, 5, objectives)
            }).collect();
            prop_assert_eq!(contributions(&points, &reference), expected);
            if let Some((point, others)) = points.split_last() {
                let gain = all - counted(others, 5, objectives);
                prop_assert_eq!(improvement(point, others, &reference), gain);
            }
        }

        #[test]
        fn a_subset_takes_always_the_point_that_adds_most(
            points in (1usize..5).prop_flat_map(points), wanted in 0usize..8,
        ) {
            let objectives = points.first().map_or(1, Vec::len);
            let reference = vec![5.0; objectives];
            let places = subset(&points, wanted, &reference);
            prop_assert_eq!(places.len(), wanted.min(points.len()));
            let mut chosen: Vec<Vec<f64>> = Vec::new();
            for place in &places {
                let gain = |point: &Vec<f64>| improvement(point, &chosen, &reference);
                let most = points.iter().map(gain).fold(0.0, f64::max);
                prop_assert_eq!(gain(&points[*place]), most);
                chosen.push(points[*place].clone());
            }
        }
    }

    #[test]
    fn a_sphere_has_its_volume() {
        // A fine quarter circle about the origin as front; what it dominates up to (1, 1) is 1 - pi / 4.
        let n = 2_000;
        let circle: Vec<Vec<f64>> = (0..=n)
            .map(|i| {
                let angle = std::f64::consts::FRAC_PI_2 * f64::from(i) / f64::from(n);
                vec![libm::cos(angle), libm::sin(angle)]
            })
            .collect();
        let volume = hypervolume(&circle, &[1.0, 1.0]);
        assert!((volume - (1.0 - std::f64::consts::FRAC_PI_4)).abs() < 1e-3, "{volume}");
    }
}
