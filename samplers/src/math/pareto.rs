//! Several objectives at once: who dominates whom, fronts, and how crowded they are. All values are to be minimized.
//!
//! The fronts of K. Deb, A. Pratap, S. Agarwal and T. Meyarivan, "A fast and elitist multiobjective genetic algorithm:
//! NSGA-II", IEEE Transactions on Evolutionary Computation 6 (2002), kept up to date from point to point as by K. Li, K. Deb, Q. Zhang
//! and Q. Zhang, "Efficient nondomination level update method for steady-state evolutionary multiobjective
//! optimization", IEEE Transactions on Cybernetics 47 (2017).

use std::collections::BTreeMap;

/// Whether one point is at least as good as another in every objective, and better in one.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    let mut better = false;
    for (x, y) in a.iter().zip(b) {
        if x > y {
            return false;
        }
        better |= x < y;
    }
    better
}

/// The places of the points that none dominates, ascending. Of equal points all are on the front.
pub fn front<P: AsRef<[f64]>>(points: &[P]) -> Vec<usize> {
    // A point can only be dominated by one that comes before it in lexicographic order.
    let mut order: Vec<(usize, &[f64])> = points.iter().map(AsRef::as_ref).enumerate().collect();
    order.sort_by(|(_, a), (_, b)| lexicographic(a, b));
    let mut front: Vec<(usize, &[f64])> = Vec::new();
    for (place, point) in order {
        if !front.iter().any(|(_, other)| dominates(other, point)) {
            front.push((place, point));
        }
    }
    let mut places: Vec<usize> = front.into_iter().map(|(place, _)| place).collect();
    places.sort_unstable();
    places
}

/// The order by the first objective, then by the second, and so on.
pub fn lexicographic(a: &[f64], b: &[f64]) -> std::cmp::Ordering {
    let pairs = a.iter().zip(b);
    pairs.map(|(x, y)| x.total_cmp(y)).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
}

/// Numbered points in fronts: those that none dominates, those that only these dominate, and so on.
#[derive(Debug, Default, Clone)]
pub struct Fronts {
    fronts: Vec<BTreeMap<u32, Vec<f64>>>,
    points: usize,
}

impl Fronts {
    /// No points.
    pub const fn new() -> Self {
        Self { fronts: Vec::new(), points: 0 }
    }

    /// Adds a point. The fronts do not depend on the order in which points are added.
    pub fn insert(&mut self, number: u32, point: Vec<f64>) {
        self.points += 1;
        // Who is dominated from one front is dominated from every front before it.
        let dominated =
            |front: &BTreeMap<u32, Vec<f64>>| front.values().any(|other| dominates(other, &point));
        let mut place = self.fronts.partition_point(dominated);
        let mut moved = BTreeMap::from([(number, point)]);
        while let Some(front) = self.fronts.get_mut(place) {
            let beaten = |_: &u32, own: &mut Vec<f64>| moved.values().any(|other| dominates(other, own));
            let down: BTreeMap<u32, Vec<f64>> = front.extract_if(.., beaten).collect();
            front.append(&mut moved);
            if down.is_empty() {
                return;
            }
            moved = down;
            place += 1;
        }
        self.fronts.push(moved);
    }

    /// How many points there are.
    pub const fn len(&self) -> usize {
        self.points
    }

    /// Whether there is no point.
    pub const fn is_empty(&self) -> bool {
        self.points == 0
    }

    /// The fronts, the best first, and in each the points by ascending number.
    pub fn iter(&self) -> impl Iterator<Item = &BTreeMap<u32, Vec<f64>>> {
        self.fronts.iter()
    }
}

/// The number of the front of each point; 0 is the best.
pub fn ranks<P: AsRef<[f64]>>(points: &[P]) -> Vec<u32> {
    let mut fronts = Fronts::new();
    for (number, point) in (0..).zip(points) {
        fronts.insert(number, point.as_ref().to_vec());
    }
    let mut ranks = vec![0; points.len()];
    for (rank, front) in (0..).zip(fronts.iter()) {
        for number in front.keys() {
            if let Some(slot) = ranks.get_mut(*number as usize) {
                *slot = rank;
            }
        }
    }
    ranks
}

/// The crowding distances of the points of one front: by objective, the gap between a point's two neighbours as a
/// share of the range, summed up. Points at an end, among equals the one with the least place, are infinitely far from others.
pub fn crowding<P: AsRef<[f64]>>(points: &[P]) -> Vec<f64> {
    let mut distances = vec![0.0; points.len()];
    let objectives = points.first().map_or(0, |point| point.as_ref().len());
    for objective in 0..objectives {
        let value = |place: usize| {
            points.get(place).and_then(|point| point.as_ref().get(objective)).copied().unwrap_or_default()
        };
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by(|a, b| value(*a).total_cmp(&value(*b)).then(a.cmp(b)));
        let (Some(first), Some(last)) = (order.first().copied(), order.last().copied()) else { break };
        // Halved, so that differences of finite numbers are finite.
        let range = value(last) / 2.0 - value(first) / 2.0;
        if range <= 0.0 {
            continue;
        }
        let end = order.iter().position(|place| value(*place) == value(last)).unwrap_or_default();
        for (rank, place) in order.iter().enumerate() {
            let around = rank.checked_sub(1).and_then(|rank| order.get(rank)).zip(order.get(rank + 1));
            let gap = match around {
                Some((below, above)) if rank != end => (value(*above) / 2.0 - value(*below) / 2.0) / range,
                None if rank == 0 => f64::INFINITY,
                _ if rank == end => f64::INFINITY,
                _ => 0.0,
            };
            if let Some(slot) = distances.get_mut(*place) {
                *slot += gap;
            }
        }
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Points on a small lattice, so that many are equal in one objective or all.
    fn points(objectives: usize) -> impl Strategy<Value = Vec<Vec<f64>>> {
        proptest::collection::vec(proptest::collection::vec((0u8..6).prop_map(f64::from), objectives), 0..30)
    }

    /// Front after front is taken off.
    fn peeled(points: &[Vec<f64>]) -> Vec<u32> {
        let mut ranks = vec![u32::MAX; points.len()];
        for rank in 0.. {
            let left: Vec<usize> = (0..points.len()).filter(|p| ranks[*p] == u32::MAX).collect();
            if left.is_empty() {
                break;
            }
            for p in &left {
                if !left.iter().any(|q| dominates(&points[*q], &points[*p])) {
                    ranks[*p] = rank;
                }
            }
        }
        ranks
    }

    #[test]
    fn to_dominate_is_to_be_better_somewhere_and_worse_nowhere() {
        assert!(dominates(&[1.0, 2.0], &[1.0, 3.0]));
        assert!(!dominates(&[1.0, 2.0], &[1.0, 2.0]));
        assert!(!dominates(&[1.0, 2.0], &[0.0, 3.0]));
    }

    proptest! {
        #[test]
        fn fronts_are_those_that_are_peeled_off_one_by_one(points in (1usize..5).prop_flat_map(points)) {
            let peeled = peeled(&points);
            prop_assert_eq!(ranks(&points), peeled.clone());
            let first: Vec<usize> = (0..points.len()).filter(|p| peeled[*p] == 0).collect();
            prop_assert_eq!(front(&points), first);
        }
    }

    #[test]
    fn the_crowding_distance_is_the_way_around_a_point() {
        let points = [[0.0, 4.0], [1.0, 2.0], [3.0, 1.0], [4.0, 0.0]];
        assert_eq!(crowding(&points), [f64::INFINITY, 1.5, 1.25, f64::INFINITY]);
        // Of two equal ends one is far, so that the other can go.
        let twice = [[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]];
        let far: Vec<bool> = crowding(&twice).into_iter().map(f64::is_infinite).collect();
        assert_eq!(far, [true, false, true, false]);
        assert_eq!(crowding(&[[2.0, 2.0]; 3]), [0.0; 3]);
        assert!(crowding(&[[f64::MIN, f64::MAX], [f64::MAX, f64::MIN]]).iter().all(|x| x.is_infinite()));
    }
}
