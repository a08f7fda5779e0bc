//! How alike two points are. Read [`Kernel`].
//!
//! Matérn 5/2 over a weighted squared distance with one weight for each parameter: the squared difference of
//! coordinates for ordered parameters, 0 or 1 for options. A parameter that does not exist at a point counts as the centre of its
//! interval, or as an option of its own.

use crate::axis::{Axis, Kind};
use crate::math::exponential::exp;

const SQRT_5: f64 = 2.236_067_977_499_79;

/// The Matérn 5/2 correlation at a squared distance.
#[inline]
pub(super) fn correlation(squared: f64) -> f64 {
    let r = SQRT_5 * squared.sqrt();
    (1.0 + r + 5.0 / 3.0 * squared) * exp(-r)
}

/// Its derivative by the squared distance.
#[inline]
pub(super) fn correlation_slope(squared: f64) -> f64 {
    let r = SQRT_5 * squared.sqrt();
    -5.0 / 6.0 * (1.0 + r) * exp(-r)
}

/// The correlation in one dimension at a distance in units of its reach, beyond which it is 0: H. Wendland, "Piecewise
/// polynomial, positive definite and compactly supported radial functions of minimal degree", Advances in
/// Computational Mathematics 4 (1995), the function with four derivatives. As smooth as Matérn 5/2, without an
/// exponential.
#[inline]
pub(super) fn hump(distance: f64) -> f64 {
    let rest = 1.0 - distance;
    let rest = if rest > 0.0 { rest } else { 0.0 };
    let square = rest * rest;
    square * square * square * ((35.0 / 3.0 * distance + 6.0) * distance + 1.0)
}

/// Its derivative by the distance, divided by the distance.
#[inline]
pub(super) fn hump_slope(distance: f64) -> f64 {
    let rest = 1.0 - distance;
    let rest = if rest > 0.0 { rest } else { 0.0 };
    let square = rest * rest;
    -56.0 / 3.0 * square * square * rest * (5.0 * distance + 1.0)
}

/// How the model sees one parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metric {
    /// By the difference of coordinates.
    Ordered,
    /// By being the same or not.
    Options,
}

/// Where a parameter that does not exist counts to be.
const ABSENT_OPTION: f64 = -1.0;

/// The parameters that a model distinguishes points by: all with more than one value.
#[derive(Debug, Clone)]
pub(crate) struct Features {
    /// By feature: the leaf, and how it is measured.
    pub(crate) leaves: Vec<(usize, Metric)>,
}

impl Features {
    pub(crate) fn new(axes: &[Axis]) -> Self {
        let metric = |axis: &Axis| match axis.kind {
            Kind::Fixed => None,
            Kind::Options(_) => Some(Metric::Options),
            Kind::Line | Kind::Cells(_) => Some(Metric::Ordered),
        };
        let leaves = axes.iter().enumerate().filter_map(|(leaf, axis)| Some((leaf, metric(axis)?))).collect();
        Self { leaves }
    }

    pub(super) fn count(&self) -> usize {
        self.leaves.len()
    }

    /// The features of a point given by its coordinates, where NaN is absent.
    pub(crate) fn of(&self, coordinates: &[f64], out: &mut Vec<f64>) {
        out.clear();
        out.extend(self.leaves.iter().map(|(leaf, metric)| {
            let x = coordinates.get(*leaf).copied().unwrap_or(f64::NAN);
            match metric {
                _ if !x.is_nan() => x,
                Metric::Ordered => 0.5,
                Metric::Options => ABSENT_OPTION,
            }
        }));
    }
}

/// Points as columns: one for each feature.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    pub(super) columns: Vec<Vec<f64>>,
    pub(super) rows: usize,
}

impl Columns {
    pub(super) fn new(features: usize) -> Self {
        Self { columns: vec![Vec::new(); features], rows: 0 }
    }

    pub(super) fn push(&mut self, features: &[f64]) {
        for (column, x) in self.columns.iter_mut().zip(features) {
            column.push(*x);
        }
        self.rows += 1;
    }

    /// One point.
    pub(super) fn row(&self, row: usize, out: &mut Vec<f64>) {
        out.clear();
        out.extend(self.columns.iter().map(|column| column.get(row).copied().unwrap_or_default()));
    }
}

/// The similarity of points: a product over all features, and a sum of one for each.
#[derive(Debug, Clone)]
pub(super) struct Kernel {
    pub(super) metrics: Vec<Metric>,
    /// By feature: the weight of its squared difference in the product, the inverse of the squared length scale.
    pub(super) weights: Vec<f64>,
    /// The variance of the product.
    pub(super) signal: f64,
    /// By feature: the inverse of its reach in its own part of the sum; for options, the correlation of different ones.
    pub(super) own: Vec<f64>,
    /// The variance of each part of the sum; 0 leaves the sum out.
    pub(super) part: f64,
}

impl Kernel {
    /// The variance of a point.
    pub(super) fn variance(&self) -> f64 {
        self.signal + if self.part > 0.0 { self.part * self.metrics.len() as f64 } else { 0.0 }
    }

    /// The weighted squared distances of a point to the first `out.len()` rows.
    pub(super) fn distances(&self, columns: &Columns, point: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        let parts = self.metrics.iter().zip(&self.weights).zip(&columns.columns).zip(point);
        for (((metric, weight), column), x) in parts {
            match metric {
                Metric::Ordered => {
                    for (slot, other) in out.iter_mut().zip(column) {
                        let gap = x - other;
                        *slot += weight * gap * gap;
                    }
                }
                Metric::Options => {
                    for (slot, other) in out.iter_mut().zip(column) {
                        *slot += if x == other { 0.0 } else { *weight };
                    }
                }
            }
        }
    }

    /// The covariances of a point with the first `out.len()` rows.
    pub(super) fn covariances(&self, columns: &Columns, point: &[f64], out: &mut [f64]) {
        self.distances(columns, point, out);
        for slot in out.iter_mut() {
            *slot = self.signal * correlation(*slot);
        }
        self.add_sum(columns, point, out);
    }

    /// Adds the sum's part of the covariances.
    pub(super) fn add_sum(&self, columns: &Columns, point: &[f64], out: &mut [f64]) {
        if self.part <= 0.0 {
            return;
        }
        let parts = self.metrics.iter().zip(&self.own).zip(&columns.columns).zip(point);
        for (((metric, weight), column), x) in parts {
            match metric {
                Metric::Ordered => {
                    for (slot, other) in out.iter_mut().zip(column) {
                        *slot += self.part * hump(weight * (x - other).abs());
                    }
                }
                Metric::Options => {
                    let (same, other_one) = (self.part, self.part * weight);
                    for (slot, other) in out.iter_mut().zip(column) {
                        *slot += if x == other { same } else { other_one };
                    }
                }
            }
        }
    }
}
