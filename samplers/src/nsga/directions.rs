//! NSGA-III: directions spread over the objectives, and an order of trials that serves each of them.
//!
//! K. Deb and H. Jain, "An evolutionary many-objective optimization algorithm using reference-point-based nondominated
//! sorting approach, part I", IEEE Transactions on Evolutionary Computation 18 (2014). The directions are those of I. Das and J.
//! E. Dennis (SIAM Journal on Optimization 8, 1998).

/// What an extreme point may have in the other objectives, when it is looked for.
const SMALL: f64 = 1e-6;

/// Directions: points of the simplex on a lattice of `parts` parts; where there are fewer parts than objectives, so that no
/// point lies inside, a second lattice of half the size. As many as fit into `most`, but one for each objective at least.
pub(super) fn spread(objectives: usize, most: usize) -> Vec<Vec<f64>> {
    let count = |parts: usize| (1..objectives).fold(1usize, |count, k| count.saturating_mul(parts + k) / k);
    let largest = |most: usize| (1..most.max(1)).take_while(|parts| count(*parts) <= most).last();
    let outer = if objectives > 1 { largest(most).unwrap_or(1) } else { 1 };
    let mut directions = lattice(objectives, outer);
    if outer < objectives
        && let Some(inner) = largest(most.saturating_sub(directions.len()))
    {
        let middle = 0.5 / objectives as f64;
        let inner = lattice(objectives, inner).into_iter();
        directions.extend(inner.map(|point| point.iter().map(|x| x / 2.0 + middle).collect()));
    }
    directions
}

/// All points whose coordinates are multiples of one part and sum up to 1.
fn lattice(objectives: usize, parts: usize) -> Vec<Vec<f64>> {
    let mut points: Vec<(usize, Vec<f64>)> = vec![(parts, Vec::new())];
    for objective in 1..=objectives {
        let longer = |(left, point): (usize, Vec<f64>)| {
            let least = if objective == objectives { left } else { 0 };
            (least..=left).map(move |taken| {
                let mut point = point.clone();
                point.push(taken as f64 / parts as f64);
                (left - taken, point)
            })
        };
        points = points.into_iter().flat_map(longer).collect();
    }
    points.into_iter().map(|(_, point)| point).collect()
}

/// The places of the points of some fronts, front after front; within a front so that as few directions as possible are without
/// a point, each with the one that lies nearest to it.
pub(super) fn order(points: &[&[f64]], ranks: &[u32], directions: &[Vec<f64>]) -> Vec<usize> {
    let first: Vec<&[f64]> =
        points.iter().zip(ranks).filter(|(_, rank)| **rank == 0).map(|(point, _)| *point).collect();
    let frame = Frame::of(&first, points);
    // The direction of each point, and how far it lies from it.
    let nearest: Vec<(usize, f64)> = points
        .iter()
        .map(|point| {
            let scaled = frame.scaled(point);
            let gaps = directions.iter().map(|direction| gap(&scaled, direction)).enumerate();
            gaps.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default()
        })
        .collect();
    let mut served = vec![0usize; directions.len()];
    let mut order = Vec::with_capacity(points.len());
    for rank in 0..=ranks.iter().copied().max().unwrap_or(0) {
        let mut left: Vec<(usize, (usize, f64))> = nearest
            .iter()
            .copied()
            .enumerate()
            .filter(|(place, _)| ranks.get(*place) == Some(&rank))
            .collect();
        while !left.is_empty() {
            let key = |(_, (direction, gap)): &(usize, (usize, f64))| {
                (served.get(*direction).copied().unwrap_or_default(), *gap)
            };
            let next = left.iter().enumerate().min_by(|(_, a), (_, b)| {
                let (a, b) = (key(a), key(b));
                a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
            });
            let Some((at, _)) = next else { break };
            let (place, (direction, _)) = left.remove(at);
            if let Some(count) = served.get_mut(direction) {
                *count += 1;
            }
            order.push(place);
        }
    }
    order
}

/// The squared distance of a point from the line through the origin in a direction.
fn gap(point: &[f64], direction: &[f64]) -> f64 {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let along = product(point, direction) / product(direction, direction);
    let off = point.iter().zip(direction).map(|(x, d)| (x - along * d) * (x - along * d));
    off.sum()
}

/// How objectives are made comparable: 0 is the best of the front, 1 where the plane through its extreme points cuts the
/// axis.
#[derive(Debug)]
struct Frame {
    ideal: Vec<f64>,
    lengths: Vec<f64>,
}

impl Frame {
    /// The frame of a front; where all of it has the same value of an objective, the other points say how much is far.
    fn of(front: &[&[f64]], points: &[&[f64]]) -> Self {
        let objectives = front.first().map_or(0, |point| point.len());
        let column = |k: usize| front.iter().filter_map(move |point| point.get(k).copied());
        let ideal: Vec<f64> = (0..objectives).map(|k| column(k).fold(f64::INFINITY, f64::min)).collect();
        // Quartered, as all differences are here: those of finite numbers are then finite, and so are sums of a few.
        let above = |point: &[f64]| -> Vec<f64> {
            point.iter().zip(&ideal).map(|(x, least)| x / 4.0 - least / 4.0).collect()
        };
        let span = |(k, least): (usize, &f64)| {
            let own = column(k).fold(*least, f64::max);
            let all = points.iter().filter_map(|point| point.get(k)).copied().fold(*least, f64::max);
            (if own > *least { own } else { all }) / 4.0 - least / 4.0
        };
        let spans: Vec<f64> = ideal.iter().enumerate().map(span).collect();
        let extreme = |k: usize| {
            // The point with the least of all other objectives, each as a share of its span.
            let worst = |point: &[f64]| {
                let shares = above(point).into_iter().zip(&spans).enumerate().map(|(j, (x, span))| {
                    let share = if *span > 0.0 { x / span } else { 0.0 };
                    if j == k { share } else { share / SMALL }
                });
                shares.fold(0.0, f64::max)
            };
            front.iter().copied().min_by(|a, b| worst(a).total_cmp(&worst(b)))
        };
        let extremes: Vec<Vec<f64>> = (0..objectives)
            .filter_map(extreme)
            .map(|point| {
                let shares = above(point).into_iter().zip(&spans);
                shares.map(|(x, span)| if *span > 0.0 { x / span } else { 0.0 }).collect()
            })
            .collect();
        // Where the plane is no plane, or cuts an axis beyond what the front has, the front's worst is taken.
        let cuts = solved(extremes).unwrap_or_default();
        let sound = cuts.len() == objectives && cuts.iter().all(|cut| (1.0..=1.0 / SMALL).contains(cut));
        let lengths = spans
            .iter()
            .enumerate()
            .map(|(k, span)| {
                let share = if sound { 1.0 / cuts.get(k).copied().unwrap_or(1.0) } else { 1.0 };
                if *span > 0.0 { span * share } else { 1.0 }
            })
            .collect();
        Self { ideal, lengths }
    }

    fn scaled(&self, point: &[f64]) -> Vec<f64> {
        let terms = point.iter().zip(&self.ideal).zip(&self.lengths);
        terms.map(|((x, least), length)| ((x / 4.0 - least / 4.0) / length).min(1e100)).collect()
    }
}

/// The solution of a linear system whose right side is 1 everywhere (Gauss, with the largest of each column as pivot); none if
/// it has no single one.
fn solved(rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let n = rows.len();
    let mut rows = rows;
    for row in &mut rows {
        row.push(1.0);
    }
    for column in 0..n {
        let size = |row: &Vec<f64>| row.get(column).map_or(0.0, |x| x.abs());
        let (pivot, most) = rows
            .iter()
            .map(size)
            .enumerate()
            .skip(column)
            .fold((column, 0.0), |best, row| if row.1 > best.1 { row } else { best });
        if most < 1e-9 {
            return None;
        }
        rows.swap(column, pivot);
        let pivot = rows.get(column)?.clone();
        for (at, row) in rows.iter_mut().enumerate() {
            if at != column {
                let factor = row.get(column)? / pivot.get(column)?;
                for (x, y) in row.iter_mut().zip(&pivot) {
                    *x -= factor * y;
                }
            }
        }
    }
    rows.iter().enumerate().map(|(at, row)| Some(row.last()? / row.get(at)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_even_and_as_many_as_fit() {
        assert_eq!(spread(3, 91).len(), 91);
        assert_eq!(spread(3, 92).len(), 91);
        assert_eq!(spread(2, 50).len(), 50);
        assert_eq!(spread(1, 50), [[1.0]]);
        // 10 objectives: 1 part has 10 points on the edges and 10 inside; 55 of 2 parts and 10 inside fit into 65.
        assert_eq!((spread(10, 50).len(), spread(10, 65).len(), spread(10, 3).len()), (20, 65, 10));
        for direction in spread(4, 60).into_iter().chain(spread(10, 65)) {
            assert!(
                (direction.iter().sum::<f64>() - 1.0).abs() < 1e-12 && direction.iter().all(|x| *x >= 0.0)
            );
        }
        let mut points = spread(3, 30);
        let all = points.len();
        points.dedup();
        assert_eq!(points.len(), all);
    }

    #[test]
    fn a_linear_system_is_solved() {
        let solution = solved(vec![vec![0.0, 2.0], vec![4.0, 2.0]]).unwrap();
        assert_eq!(solution, [0.0, 0.5]);
        assert_eq!(solved(vec![vec![1.0, 2.0], vec![2.0, 4.0]]), None);
    }

    #[test]
    fn the_frame_is_that_of_the_extreme_points() {
        let front: [&[f64]; 3] = [&[1.0, 30.0], &[3.0, 10.0], &[2.0, 15.0]];
        let frame = Frame::of(&front, &front);
        assert_eq!(frame.scaled(&[3.0, 10.0]), [1.0, 0.0]);
        assert_eq!(frame.scaled(&[2.0, 20.0]), [0.5, 0.5]);
        let huge: [&[f64]; 2] = [&[f64::MIN, f64::MAX], &[f64::MAX, f64::MIN]];
        assert_eq!(Frame::of(&huge, &huge).scaled(&[f64::MAX, 0.0]), [1.0, 0.5]);
        let one: [&[f64]; 1] = [&[1.0, 1.0]];
        let all: [&[f64]; 3] = [&[1.0, 1.0], &[1.0, 2.0], &[1.0, 5.0]];
        assert_eq!(Frame::of(&one, &all).scaled(&[1.0, 2.0]), [0.0, 0.25]);
    }

    #[test]
    fn every_direction_is_served_before_one_is_served_twice() {
        let directions = spread(2, 3);
        // Three points near the first axis, one in the middle, one at the second axis; the last one is dominated.
        let points: [&[f64]; 6] =
            [&[1.0, 0.0], &[0.99, 0.001], &[0.98, 0.002], &[0.5, 0.45], &[0.0, 1.0], &[0.6, 0.6]];
        let order = order(&points, &[0, 0, 0, 0, 0, 1], &directions);
        let mut served = order[..3].to_vec();
        served.sort_unstable();
        assert_eq!(served, [0, 3, 4]);
        assert_eq!(order[5], 5);
    }
}
