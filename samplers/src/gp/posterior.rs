//! How probable a model's parameters are. Read [`Posterior::loss`].

use super::fit::{Beliefs, Data, Theta};
use super::kernel::{Kernel, Metric, correlation, correlation_slope, hump_slope};
use crate::math::linalg::{Lower, dot};

/// Least that rounding may leave of a variance.
const LEAST: f64 = 1e-10;

/// Room for the matrices, used again from one evaluation to the next.
#[derive(Debug, Default)]
pub(super) struct Posterior {
    /// Squared distances in the product; later the slope by each.
    squared: Lower,
    product: Lower,
    sum: Lower,
    whole: Lower,
    factor: Lower,
    inverse: Lower,
    /// The slope by each covariance.
    weights: Lower,
}

impl Posterior {
    /// The negative logarithm of the posterior density, up to a constant, and its slope by each parameter.
    pub(super) fn loss(&mut self, data: &Data<'_>, values: &[f64], slope: &mut [f64]) -> f64 {
        let theta = Theta { values: values.to_vec() };
        let (kernel, noise) = (theta.kernel(data.metrics), theta.noise());
        self.fill(data, &kernel, noise);
        self.whole.factor_into(LEAST * kernel.variance(), &mut self.factor);
        let mut alpha = data.y.to_vec();
        self.factor.solve(&mut alpha);
        let misfit = 0.5 * dot(&alpha, &alpha);
        self.factor.solve_transposed(&mut alpha);
        self.weigh(&alpha);
        slope.fill(0.0);
        self.slopes(data, &kernel, noise, slope);
        let value = misfit + self.factor.log_diagonal();
        value + add_beliefs(data.beliefs, data.metrics.len(), values, slope)
    }

    fn fill(&mut self, data: &Data<'_>, kernel: &Kernel, noise: f64) {
        let n = data.y.len();
        for matrix in [&mut self.squared, &mut self.product, &mut self.sum, &mut self.whole] {
            matrix.reset(n);
        }
        let mut point = Vec::new();
        for i in 0..n {
            data.columns.row(i, &mut point);
            let squared = self.squared.row_mut(i);
            kernel.distances(data.columns, &point, squared);
            for (slot, d) in self.product.row_mut(i).iter_mut().zip(squared) {
                *slot = kernel.signal * correlation(*d);
            }
            kernel.add_sum(data.columns, &point, self.sum.row_mut(i));
            let row = self.whole.row_mut(i);
            for ((slot, a), b) in row.iter_mut().zip(self.product.row(i)).zip(self.sum.row(i)) {
                *slot = a + b;
            }
            if let Some(last) = row.last_mut() {
                *last += noise;
            }
        }
    }

    /// The slope by a covariance is (inverse - alpha alpha') / 2; those off the diagonal count twice.
    fn weigh(&mut self, alpha: &[f64]) {
        self.factor.inverse_into(&mut self.inverse);
        self.inverse.square_into(&mut self.weights);
        for (i, a) in alpha.iter().enumerate() {
            let row = self.weights.row_mut(i);
            for (slot, b) in row.iter_mut().zip(alpha) {
                *slot -= a * b;
            }
            if let Some(last) = row.last_mut() {
                *last *= 0.5;
            }
        }
    }

    fn slopes(&mut self, data: &Data<'_>, kernel: &Kernel, noise: f64, slope: &mut [f64]) {
        let (n, features, len) = (data.y.len(), data.metrics.len(), slope.len());
        let total = |m: &Lower| (0..n).map(|i| dot(self.weights.row(i), m.row(i))).sum::<f64>();
        let additive = kernel.part > 0.0;
        let mut put = |at: usize, x: f64| {
            if let Some(slot) = slope.get_mut(at) {
                *slot = x;
            }
        };
        put(len - 1, noise * (0..n).map(|i| self.weights.diagonal(i)).sum::<f64>());
        put(len - 2, total(&self.product));
        if additive {
            put(len - 3, total(&self.sum));
        }
        for i in 0..n {
            for (slot, w) in self.squared.row_mut(i).iter_mut().zip(self.weights.row(i)) {
                *slot = w * kernel.signal * correlation_slope(*slot);
            }
        }
        for (f, (metric, column)) in data.metrics.iter().zip(&data.columns.columns).enumerate() {
            let own = kernel.own.get(f).copied().unwrap_or_default();
            let (mut product, mut sum) = (0.0, 0.0);
            for (i, x) in column.iter().enumerate().take(n).skip(1) {
                let rows = (self.squared.row(i), self.weights.row(i));
                let (a, b) = match metric {
                    Metric::Ordered => ordered(*x, own, rows, column, i),
                    Metric::Options => options(*x, rows, column, i),
                };
                product += a;
                sum += b;
            }
            let weight = kernel.weights.get(f).copied().unwrap_or_default();
            put(f, weight * product);
            if additive {
                let factor = match metric {
                    Metric::Ordered => 0.5 * own * own,
                    Metric::Options => -own * (1.0 - own),
                };
                put(features + f, kernel.part * factor * sum);
            }
        }
    }
}

/// For the pairs of one row: the sums of slope times squared gap in the product, and in the sum.
fn ordered(
    x: f64,
    own: f64,
    (by_distance, by_part): (&[f64], &[f64]),
    column: &[f64],
    upto: usize,
) -> (f64, f64) {
    let (mut product, mut sum) = ([0.0f64; 4], [0.0f64; 4]);
    let cut = |values: &'_ [f64]| values.get(..upto).map_or(0, <[f64]>::len);
    let whole = cut(by_distance).min(cut(by_part)).min(cut(column)) / 4;
    let parts =
        by_distance.as_chunks::<4>().0.iter().zip(by_part.as_chunks::<4>().0).zip(column.as_chunks::<4>().0);
    for ((d, p), others) in parts.take(whole) {
        for ((((product, sum), d), p), other) in product.iter_mut().zip(&mut sum).zip(d).zip(p).zip(others) {
            let gap = x - other;
            let square = gap * gap;
            *product += d * square;
            *sum += p * square * hump_slope(own * gap.abs());
        }
    }
    let [a, b, c, d] = product;
    let [e, f, g, h] = sum;
    let (mut product, mut sum) = ((a + b) + (c + d), (e + f) + (g + h));
    for ((d, p), other) in by_distance.iter().zip(by_part).zip(column).take(upto).skip(4 * whole) {
        let gap = x - other;
        let square = gap * gap;
        product += d * square;
        sum += p * square * hump_slope(own * gap.abs());
    }
    (product, sum)
}

fn options(x: f64, (by_distance, by_part): (&[f64], &[f64]), column: &[f64], upto: usize) -> (f64, f64) {
    let (mut product, mut sum) = (0.0, 0.0);
    for ((d, p), other) in by_distance.iter().zip(by_part).zip(column).take(upto) {
        if *other != x {
            product += d;
            sum += p;
        }
    }
    (product, sum)
}

/// Adds what is believed of the parameters; gives what it adds to the loss.
fn add_beliefs(beliefs: &Beliefs, features: usize, values: &[f64], slope: &mut [f64]) -> f64 {
    let len = values.len();
    let mut total = 0.0;
    for (i, (v, slot)) in values.iter().zip(slope.iter_mut()).enumerate() {
        // A weight is the inverse square of a length.
        let (x, (mean, deviation), inner) = match len - i {
            1 => (*v, beliefs.noise, 1.0),
            2 => (*v, beliefs.signal, 1.0),
            _ if i < features => (-0.5 * v, beliefs.length, -0.5),
            3 => (v + libm::log(features as f64), beliefs.sum, 1.0),
            _ => (-0.5 * v, beliefs.reach, -0.5),
        };
        let z = (x - mean) / deviation;
        total += 0.5 * z * z;
        *slot += inner * z / deviation;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gp::kernel::Columns;

    #[test]
    fn the_slope_is_that_of_the_loss() {
        let metrics = [Metric::Ordered, Metric::Options, Metric::Ordered];
        let mut columns = Columns::new(3);
        let mut y = Vec::new();
        for i in 0..17 {
            let (a, c) = (f64::from(i * 5 % 17) / 17.0, f64::from(i * 7 % 17) / 17.0);
            columns.push(&[a, f64::from(i % 3), c]);
            y.push(a * a + c - f64::from(i % 3) * 0.2);
        }
        let beliefs = Beliefs::new(3);
        let data = Data { columns: &columns, metrics: &metrics, y: &y, beliefs: &beliefs };
        let mut posterior = Posterior::default();
        for values in [vec![1.0, 0.5, 0.3, 2.0, 1.5, 2.2, -0.3, 0.2, -4.0], vec![1.0, 0.5, 0.3, 0.2, -4.0]] {
            let mut slope = vec![0.0; values.len()];
            posterior.loss(&data, &values, &mut slope);
            for i in 0..values.len() {
                let mut at = |step: f64| {
                    let mut moved = values.clone();
                    moved[i] += step;
                    posterior.loss(&data, &moved, &mut vec![0.0; values.len()])
                };
                let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!(
                    (numeric - slope[i]).abs() < 1e-4 * (1.0 + numeric.abs()),
                    "{i}: {numeric} {}",
                    slope[i]
                );
            }
        }
    }
}
