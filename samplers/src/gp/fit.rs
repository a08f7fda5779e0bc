//! How a model's parameters are found: the most probable ones, given what was observed. Read [`fit`].

use super::kernel::{Columns, Kernel, Metric};
use super::posterior::Posterior;
use crate::math::minimize::{Effort, minimize};

/// The parameters of a model, as logarithms: by feature the weight in the product; by feature the square of the inverse
/// reach in the sum, and the variance of a part of the sum, if there is one; the variance of the product; that of the
/// noise.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Theta {
    pub(super) values: Vec<f64>,
}

/// What is believed of the parameters before anything is seen: mean and deviation of a logarithm.
#[derive(Debug, Clone)]
pub(super) struct Beliefs {
    /// Of a length scale in the product.
    pub(super) length: (f64, f64),
    /// Of a reach in the sum.
    pub(super) reach: (f64, f64),
    /// Of the product's variance.
    pub(super) signal: (f64, f64),
    /// Of the sum's variance, all parts together.
    pub(super) sum: (f64, f64),
    /// Of the noise's variance.
    pub(super) noise: (f64, f64),
    /// Between which it lies.
    noise_bounds: (f64, f64),
}

impl Beliefs {
    pub(super) fn new(features: usize) -> Self {
        // C. Hvarfner, E. O. Hellsten and L. Nardi, "Vanilla Bayesian optimization performs great in high
        // dimensions", ICML 2024: length scales grow with the root of the number of parameters.
        let mean = std::f64::consts::SQRT_2 + 0.5 * libm::log(features.max(1) as f64);
        Self {
            length: (mean, 3.0f64.sqrt()),
            reach: (0.0, 1.5),
            signal: (-0.5, 1.0),
            sum: (-0.7, 1.5),
            // Also for objectives that are called noisy: what noise there is soon shows.
            noise: (-8.0, 2.0),
            noise_bounds: (-13.8, 1.0),
        }
    }

    /// Where a person has said that values are noisy, and they are to be seen through rather than searched on.
    pub(super) fn noisy(features: usize) -> Self {
        Self { noise: (-2.0, 2.0), ..Self::new(features) }
    }
}

/// Where a search for the best parameters begins.
#[derive(Debug, Clone, Copy)]
struct Start {
    /// The length scale, in units of the root of the number of features.
    length: f64,
    reach: f64,
    /// Logarithms of variances.
    sum: f64,
    signal: f64,
}

/// A bit of both kinds of structure; mostly a sum of rough functions; mostly a product.
const STARTS: [Start; 3] = [
    Start { length: 0.5, reach: 1.2, sum: -0.7, signal: -0.7 },
    Start { length: 0.5, reach: 0.17, sum: 0.0, signal: -2.0 },
    Start { length: 0.3, reach: 1.2, sum: -4.0, signal: 0.0 },
];

/// What the kernel needs of a variable's exponential `v`: the inverse reach is its root.
fn own(metric: Metric, v: f64) -> f64 {
    match metric {
        Metric::Ordered => v.sqrt(),
        Metric::Options => 1.0 / (1.0 + v),
    }
}

impl Theta {
    /// The number of parameters.
    pub(super) const fn count(features: usize, additive: bool) -> usize {
        if additive { 2 * features + 3 } else { features + 2 }
    }

    fn start(start: Start, features: usize, additive: bool, beliefs: &Beliefs) -> Self {
        let count = features.max(1) as f64;
        let mut values = vec![-2.0 * libm::log(start.length * count.sqrt()); features];
        if additive {
            values.extend(vec![-2.0 * libm::log(start.reach); features]);
            values.push(start.sum - libm::log(count));
        }
        values.push(start.signal);
        values.push(beliefs.noise.0);
        Self { values }
    }

    /// What is used before anything is known, and where there are too many features to learn of each.
    pub(super) fn plain(features: usize, additive: bool, beliefs: &Beliefs) -> Self {
        let [start, ..] = STARTS;
        Self::start(start, features, additive, beliefs)
    }

    pub(super) fn kernel(&self, metrics: &[Metric]) -> Kernel {
        let n = metrics.len();
        let v = |i: usize| libm::exp(self.values.get(i).copied().unwrap_or_default());
        let len = self.values.len();
        let additive = len == Self::count(n, true);
        Kernel {
            metrics: metrics.to_vec(),
            weights: (0..n).map(v).collect(),
            signal: v(len - 2),
            own: if additive {
                metrics.iter().zip(n..).map(|(metric, i)| own(*metric, v(i))).collect()
            } else {
                Vec::new()
            },
            part: if additive { v(len - 3) } else { 0.0 },
        }
    }

    pub(super) fn noise(&self) -> f64 {
        libm::exp(self.values.last().copied().unwrap_or_default())
    }

    fn bounds(&self, features: usize, beliefs: &Beliefs) -> Vec<(f64, f64)> {
        let len = self.values.len();
        let additive = len == Self::count(features, true);
        (1..=len)
            .rev()
            .map(|from_end| match from_end {
                1 => beliefs.noise_bounds,
                2 => (-6.0, 4.0),
                3 if additive => (-9.0, 3.0),
                _ => (-9.0, 9.0),
            })
            .collect()
    }
}

/// Observations to which a model is fitted.
pub(super) struct Data<'a> {
    pub(super) columns: &'a Columns,
    pub(super) metrics: &'a [Metric],
    pub(super) y: &'a [f64],
    pub(super) beliefs: &'a Beliefs,
}

/// Looks for the parameters with the highest posterior density, from those that were best before or, if there are
/// none, from several places.
pub(super) fn fit(data: &Data<'_>, additive: bool, before: Option<&Theta>, evaluations: u32) -> Theta {
    let features = data.metrics.len();
    let starts: Vec<Theta> = match before {
        Some(theta) => vec![theta.clone()],
        None => {
            let used = if additive { STARTS.as_slice() } else { STARTS.get(..1).unwrap_or_default() };
            used.iter().map(|start| Theta::start(*start, features, additive, data.beliefs)).collect()
        }
    };
    let effort = Effort { evaluations, slope: 1e-2, gain: 1e-3 };
    let mut posterior = Posterior::default();
    let mut best: Option<(f64, Vec<f64>)> = None;
    for start in starts {
        let bounds = start.bounds(features, data.beliefs);
        let mut function = |values: &[f64], slope: &mut [f64]| posterior.loss(data, values, slope);
        let found = minimize(&start.values, &bounds, effort, &mut function);
        if best.as_ref().is_none_or(|(value, _)| found.value < *value) {
            best = Some((found.value, found.x));
        }
    }
    Theta { values: best.map(|(_, values)| values).unwrap_or_default() }
}
