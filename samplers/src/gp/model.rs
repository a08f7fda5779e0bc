//! A Gaussian process given what was observed. Read [`Model`].

use super::fit::Theta;
use super::kernel::{Columns, Kernel, Metric, correlation_slope, hump_slope};
use crate::math::linalg::{Lower, dot};

/// Least share of a variance that rounding may leave.
const LEAST: f64 = 1e-10;

/// The posterior over all points.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) kernel: Kernel,
    noise: f64,
    pub(super) columns: Columns,
    factor: Lower,
    /// The observations, solved halfway: `L^-1 y`.
    half: Vec<f64>,
    alpha: Vec<f64>,
    scratch: Scratch,
}

#[derive(Debug, Default)]
struct Scratch {
    distances: Vec<f64>,
    covariances: Vec<f64>,
    solved: Vec<f64>,
}

/// What the model says of one point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Belief {
    pub(super) mean: f64,
    pub(super) deviation: f64,
}

impl Model {
    pub(super) fn new(theta: &Theta, metrics: &[Metric], columns: &Columns, y: &[f64]) -> Self {
        let mut model = Self {
            kernel: theta.kernel(metrics),
            noise: theta.noise(),
            columns: Columns::new(metrics.len()),
            factor: Lower::new(),
            half: Vec::new(),
            alpha: Vec::new(),
            scratch: Scratch::default(),
        };
        let mut point = Vec::new();
        for (row, y) in y.iter().enumerate() {
            columns.row(row, &mut point);
            model.push(&point, *y);
        }
        model.settle();
        model
    }

    /// Takes in one observation. Call [`Self::settle`] before asking.
    fn push(&mut self, point: &[f64], y: f64) {
        let mut covariances = vec![0.0; self.columns.rows];
        self.kernel.covariances(&self.columns, point, &mut covariances);
        covariances.push(self.kernel.variance() + self.noise);
        self.factor.push_factored(&covariances, LEAST * self.kernel.variance());
        self.columns.push(point);
        let row = self.factor.row(self.factor.rows() - 1);
        if let Some((pivot, row)) = row.split_last() {
            self.half.push((y - dot(row, &self.half)) / pivot);
        }
    }

    /// Takes account of all that was taken in.
    pub(super) fn settle(&mut self) {
        self.alpha.clone_from(&self.half);
        self.factor.solve_transposed(&mut self.alpha);
    }

    /// Pretends that a point was observed with the value that the model expects there. Call [`Self::settle`] before asking
    /// for anything but means.
    pub(super) fn believe(&mut self, point: &[f64]) {
        // The weights solved so far are those without it; what it is believed to be changes no mean.
        let mean = self.mean(point);
        self.push(point, mean);
    }

    /// The expected value only.
    pub(super) fn mean(&mut self, point: &[f64]) -> f64 {
        let Scratch { covariances, .. } = &mut self.scratch;
        // Believed points have no weight in the mean.
        covariances.resize(self.alpha.len(), 0.0);
        self.kernel.covariances(&self.columns, point, covariances);
        dot(covariances, &self.alpha)
    }

    pub(super) fn at(&mut self, point: &[f64]) -> Belief {
        let Scratch { covariances, .. } = &mut self.scratch;
        covariances.resize(self.columns.rows, 0.0);
        self.kernel.covariances(&self.columns, point, covariances);
        let mean = dot(covariances, &self.alpha);
        self.factor.solve(covariances);
        let variance = self.kernel.variance() - dot(covariances, covariances);
        Belief { mean, deviation: variance.max(LEAST * self.kernel.variance()).sqrt() }
    }

    /// As [`Self::at`], with the slopes of mean and variance by each feature.
    pub(super) fn slopes(&mut self, point: &[f64], mean: &mut [f64], variance: &mut [f64]) -> Belief {
        let Scratch { distances, covariances, solved } = &mut self.scratch;
        let n = self.columns.rows;
        distances.resize(n, 0.0);
        covariances.resize(n, 0.0);
        self.kernel.covariances(&self.columns, point, covariances);
        self.kernel.distances(&self.columns, point, distances);
        let expected = dot(covariances, &self.alpha);
        solved.clone_from(covariances);
        self.factor.solve(solved);
        let left = self.kernel.variance() - dot(solved, solved);
        self.factor.solve_transposed(solved);
        for slot in distances.iter_mut() {
            *slot = 2.0 * self.kernel.signal * correlation_slope(*slot);
        }
        mean.fill(0.0);
        variance.fill(0.0);
        let parts = self.kernel.metrics.iter().zip(&self.kernel.weights).zip(&self.columns.columns);
        for (feature, ((((metric, weight), column), x), (mean, variance))) in
            parts.zip(point).zip(mean.iter_mut().zip(variance.iter_mut())).enumerate()
        {
            let own = self.kernel.own.get(feature);
            if *metric == Metric::Options {
                continue;
            }
            covariances.clear();
            covariances
                .extend(distances.iter().zip(column).map(|(slope, other)| weight * slope * (x - other)));
            if let Some(own) = own {
                let factor = self.kernel.part * own * own;
                for (slot, other) in covariances.iter_mut().zip(column) {
                    let gap = x - other;
                    *slot += factor * gap * hump_slope(own * gap.abs());
                }
            }
            *mean = dot(covariances, &self.alpha);
            *variance = -2.0 * dot(covariances, solved);
        }
        Belief { mean: expected, deviation: left.max(LEAST * self.kernel.variance()).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Model {
        let metrics = [Metric::Ordered, Metric::Options, Metric::Ordered];
        let mut columns = Columns::new(3);
        let mut y = Vec::new();
        for i in 0..20 {
            let (a, c) = (f64::from(i % 7) / 7.0, f64::from(i % 5) / 5.0);
            columns.push(&[a, f64::from(i % 3), c]);
            y.push(a * a + c - f64::from(i % 3) * 0.2);
        }
        let theta = Theta { values: vec![1.0, 0.5, 0.3, 2.0, 1.5, 2.2, -0.3, 0.2, -9.0] };
        Model::new(&theta, &metrics, &columns, &y)
    }

    #[test]
    fn slopes_are_those_of_the_prediction() {
        let mut model = sample();
        let point = [0.31, 1.0, 0.77];
        let (mut mean, mut variance) = (vec![0.0; 3], vec![0.0; 3]);
        let here = model.slopes(&point, &mut mean, &mut variance);
        let same = model.at(&point);
        assert!((here.mean - same.mean).abs() < 1e-12 && (here.deviation - same.deviation).abs() < 1e-12);
        for i in [0, 2] {
            let at = |model: &mut Model, step: f64| {
                let mut moved = point;
                moved[i] += step;
                model.at(&moved)
            };
            let (up, down) = (at(&mut model, 1e-5), at(&mut model, -1e-5));
            assert!(((up.mean - down.mean) / 2e-5 - mean[i]).abs() < 1e-5);
            let numeric = (up.deviation * up.deviation - down.deviation * down.deviation) / 2e-5;
            assert!((numeric - variance[i]).abs() < 1e-5, "{numeric} {}", variance[i]);
        }
    }

    #[test]
    fn a_believed_point_leaves_the_mean_and_narrows_the_deviation() {
        let mut model = sample();
        let point = [0.9, 2.0, 0.1];
        let before = model.at(&point);
        let elsewhere = model.at(&[0.5, 2.0, 0.4]);
        model.believe(&point);
        model.settle();
        let after = model.at(&point);
        assert!((before.mean - after.mean).abs() < 1e-4);
        assert!(after.deviation < 0.2 * before.deviation);
        assert!((model.at(&[0.5, 2.0, 0.4]).mean - elsewhere.mean).abs() < 1e-4);
    }
}
