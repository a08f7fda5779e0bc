//! A forest of regression trees over the unit cube: L. Breiman, "Random Forests", Machine Learning 45, 2001.

use crate::stream::Stream;

/// A box of the unit cube and the mean loss in it.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// By axis: from where to where.
    pub(super) sides: Vec<(f64, f64)>,
    pub(super) value: f64,
}

/// Grows one tree on a bootstrap sample of the rows and gives its leaves, each with at least `least` rows.
pub(super) fn tree(rows: &[Vec<f64>], losses: &[f64], least: usize, stream: &mut Stream) -> Vec<Leaf> {
    let n = rows.len() as u64;
    let sample: Vec<usize> = (0..n).map(|_| stream.below(n) as usize).collect();
    let axes = rows.first().map_or(0, Vec::len);
    let mut growing = vec![(sample, vec![(0.0, 1.0); axes])];
    let mut leaves = Vec::new();
    while let Some((sample, sides)) = growing.pop() {
        match split(rows, losses, &sample, axes, least) {
            Some((axis, threshold)) => {
                let (mut left, mut right) = (sides.clone(), sides);
                if let (Some(left), Some(right)) = (left.get_mut(axis), right.get_mut(axis)) {
                    (left.1, right.0) = (threshold, threshold);
                }
                let (low, high) = sample.into_iter().partition(|row| at(rows, *row, axis) < threshold);
                growing.push((low, left));
                growing.push((high, right));
            }
            None => {
                let sum: f64 = sample.iter().filter_map(|row| losses.get(*row)).sum();
                leaves.push(Leaf { sides, value: sum / sample.len().max(1) as f64 });
            }
        }
    }
    leaves
}

fn at(rows: &[Vec<f64>], row: usize, axis: usize) -> f64 {
    rows.get(row).and_then(|row| row.get(axis)).copied().unwrap_or_default()
}

/// The axis and the threshold that leave the least squared error; none if nothing is gained.
fn split(
    rows: &[Vec<f64>],
    losses: &[f64],
    sample: &[usize],
    axes: usize,
    least: usize,
) -> Option<(usize, f64)> {
    let n = sample.len();
    if n < 2 * least {
        return None;
    }
    let loss = |row: usize| losses.get(row).copied().unwrap_or_default();
    let mean = sample.iter().map(|row| loss(*row) / n as f64).sum::<f64>();
    let spread: f64 = sample.iter().map(|row| (loss(*row) - mean) * (loss(*row) - mean)).sum();
    let mut best: Option<(f64, usize, f64)> = None;
    for axis in 0..axes {
        let mut sorted: Vec<(f64, f64)> =
            sample.iter().map(|row| (at(rows, *row, axis), loss(*row) - mean)).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut sum = 0.0;
        for (place, pair) in sorted.windows(2).enumerate() {
            let [(x, loss), (next, _)] = pair else { continue };
            sum += loss;
            let left = place + 1;
            if x == next || left < least || n - left < least {
                continue;
            }
            // How much the squared error falls, with the mean of all at 0.
            let gain = sum * sum / left as f64 + sum * sum / (n - left) as f64;
            if best.is_none_or(|(most, _, _)| gain > most) {
                best = Some((gain, axis, x + (next - x) / 2.0));
            }
        }
    }
    // Rounding alone is no gain.
    best.filter(|(gain, _, _)| *gain > 1e-12 * spread).map(|(_, axis, threshold)| (axis, threshold))
}
