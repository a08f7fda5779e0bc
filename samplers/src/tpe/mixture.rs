//! A density over some parameters together: a weighted sum of products of kernels, one product per trial.
//!
//! (Multivariate TPE: S. Falkner, A. Klein and F. Hutter, "BOHB: robust and efficient hyperparameter optimization at
//! scale", ICML 2018; S. Watanabe, "Tree-structured Parzen estimator", arXiv 2304.11127, 2023.)

use super::column::{Bell, Column, bell};
use super::settings::Settings;
use crate::axis::{Axis, Kind};
use crate::math::exponential::log_sum_exp;
use crate::math::truncated;
use crate::stream::Stream;

/// The trials of a mixture.
#[derive(Debug)]
pub(super) struct Members {
    /// Their numbers, ascending.
    pub(super) trials: Vec<u32>,
    /// How many of them, the first ones, stand for others that are not kept as well.
    pub(super) thinned: usize,
    /// For how many each of these stands.
    pub(super) share: f64,
    /// Their weights; by age if none.
    pub(super) weights: Option<Vec<f64>>,
}

/// A mixture over the axes of a group. Points are given by their coordinates on these axes.
#[derive(Debug)]
pub(super) struct Mixture {
    trials: Vec<u32>,
    columns: Vec<Column>,
    /// By trial; the last one is that of the prior. They sum to 1.
    weights: Vec<f64>,
    priors: Vec<Option<Bell>>,
    prior_weight: f64,
    scratch: Vec<f64>,
}

impl Mixture {
    pub(super) fn new(axes: &[Axis], prior_weight: f64) -> Self {
        let prior = |axis: &Axis| match axis.kind {
            Kind::Line | Kind::Cells(_) => Some(bell(axis, 0.5, 1.0)),
            Kind::Options(_) | Kind::Fixed => None,
        };
        Self {
            trials: Vec::new(),
            columns: axes.iter().map(|_| Column::default()).collect(),
            weights: Vec::new(),
            priors: axes.iter().map(prior).collect(),
            prior_weight,
            scratch: Vec::new(),
        }
    }

    /// Makes it the mixture of these trials; `coordinate` gives the coordinate of a trial on an axis.
    ///
    /// What is left of the mixture before is used again, and the result is the same as if it were not.
    pub(super) fn update(
        &mut self,
        axes: &[Axis],
        members: Members,
        settings: &Settings,
        coordinate: &dyn Fn(usize, u32) -> f64,
    ) {
        let (removed, inserted) = difference(&self.trials, &members.trials);
        if !removed.is_empty() || !inserted.is_empty() {
            for (index, (column, axis)) in self.columns.iter_mut().zip(axes).enumerate() {
                let coordinate = |trial| coordinate(index, trial);
                column.update(axis, &removed, &members.trials, &inserted, &coordinate);
            }
        }
        self.weigh(&members, settings);
        self.trials = members.trials;
    }

    fn weigh(&mut self, members: &Members, settings: &Settings) {
        let kept = members.trials.len();
        let newer = (kept - members.thinned) as f64;
        let n = newer + members.share * members.thinned as f64;
        self.weights.clear();
        if let Some(weights) = &members.weights {
            self.weights.extend(weights.iter().take(kept));
        }
        for place in self.weights.len()..kept {
            self.weights.push(if place < members.thinned {
                let age = newer + ((members.thinned - place) as f64 - 0.5) * members.share;
                members.share * settings.weight(age, n)
            } else {
                settings.weight((kept - 1 - place) as f64, n)
            });
        }
        self.weights.push(if kept == 0 { 1.0 } else { self.prior_weight });
        let sum: f64 = self.weights.iter().sum();
        for weight in &mut self.weights {
            *weight /= sum;
        }
    }

    /// The logarithm of the density at a point, relative to the space's own distribution.
    pub(super) fn log_density(&mut self, axes: &[Axis], point: &[f64]) -> f64 {
        let mut terms = std::mem::take(&mut self.scratch);
        terms.clear();
        terms.resize(self.trials.len() + 1, 0.0);
        let mut prior = 0.0;
        for (((axis, column), own), x) in axes.iter().zip(&self.columns).zip(&self.priors).zip(point) {
            match (&axis.kind, own) {
                (Kind::Options(options), _) => {
                    let (hit, miss) = self.option_factors(*options);
                    for (term, option) in terms.iter_mut().zip(&column.x) {
                        *term += if option == x { hit } else { miss };
                    }
                }
                (_, Some(own)) => {
                    let kernels = column.x.iter().zip(&column.curvature).zip(&column.factor);
                    for (term, ((centre, curvature), factor)) in terms.iter_mut().zip(kernels) {
                        let gap = x - centre;
                        *term += factor - gap * gap * curvature;
                    }
                    let gap = x - own.centre;
                    prior += own.factor - gap * gap * own.curvature;
                }
                _ => {}
            }
        }
        if let Some(last) = terms.last_mut() {
            *last = prior;
        }
        let density = log_sum_exp(&terms, &self.weights);
        self.scratch = terms;
        density
    }

    /// Logarithms of the density on the trial's own option and on the others.
    fn option_factors(&self, options: u32) -> (f64, f64) {
        let options = f64::from(options);
        let (every, own) = self.option_shares(options);
        // Without a prior a miss has the density 0, whose logarithm no sum survives.
        let log = |share: f64| libm::log((share * options).max(1e-300));
        (log(every + own), log(every))
    }

    /// The probability that a kernel gives to every option, and what its own one gets on top.
    fn option_shares(&self, options: f64) -> (f64, f64) {
        let spread = self.prior_weight / (self.trials.len() + 1) as f64;
        let sum = 1.0 + spread * options;
        (spread / sum, 1.0 / sum)
    }

    /// Draws the coordinates of a point.
    pub(super) fn draw(&self, axes: &[Axis], stream: &mut Stream) -> Vec<f64> {
        let place = self.pick(stream);
        axes.iter()
            .zip(&self.columns)
            .zip(&self.priors)
            .map(|((axis, column), prior)| {
                let u = stream.open();
                match prior {
                    Some(prior) => {
                        let kernel = column.x.get(place).zip(column.deviation.get(place));
                        let (centre, deviation) =
                            kernel.map_or((prior.centre, prior.deviation), |(x, d)| (*x, *d));
                        let tails = truncated::tails(centre, deviation);
                        axis.snap(truncated::quantile(u, centre, deviation, tails))
                    }
                    None => self.draw_option(axis, column.x.get(place).copied(), u),
                }
            })
            .collect()
    }

    fn draw_option(&self, axis: &Axis, own: Option<f64>, u: f64) -> f64 {
        let (Kind::Options(options), Some(own)) = (&axis.kind, own) else { return axis.snap(u) };
        let (every, _) = self.option_shares(f64::from(*options));
        let spread = every * f64::from(*options);
        if u < spread { axis.snap(u / spread) } else { own }
    }

    /// The place of a product, with the probability of its weight; that of the prior comes last.
    fn pick(&self, stream: &mut Stream) -> usize {
        let mut left = stream.uniform();
        let mut last = self.trials.len();
        for (place, weight) in self.weights.iter().enumerate() {
            if *weight > 0.0 {
                last = place;
                if left < *weight {
                    break;
                }
                left -= weight;
            }
        }
        last
    }
}

/// What must be removed from the first ascending list (place and number) and inserted (place in the second) to
/// make it the second.
fn difference(from: &[u32], to: &[u32]) -> (Vec<(usize, u32)>, Vec<usize>) {
    let (mut removed, mut inserted) = (Vec::new(), Vec::new());
    let (mut a, mut b) = (0, 0);
    loop {
        match (from.get(a), to.get(b)) {
            (Some(old), Some(new)) if old == new => (a, b) = (a + 1, b + 1),
            (Some(old), new) if new.is_none_or(|new| old < new) => {
                removed.push((a, *old));
                a += 1;
            }
            (_, Some(_)) => {
                inserted.push(b);
                b += 1;
            }
            (_, None) => return (removed, inserted),
        }
    }
}
