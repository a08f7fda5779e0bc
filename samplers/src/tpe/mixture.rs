//! A density over the whole space: a weighted sum of products of kernels, one product per trial.
//!
//! Parameters are modelled together, nested ones included: a product has a factor for every parameter that exists in
//! its trial. So the model knows which nested values go with which values above them. (Multivariate TPE: S.
//! Falkner, A. Klein and F. Hutter, "BOHB", ICML 2018; Y. Watanabe, "Tree-structured Parzen estimator", 2023.)

use super::column::{Bell, Column, bell};
use super::settings::Settings;
use crate::axis::{Axis, Kind};
use crate::math::exponential::log_sum_exp;
use crate::math::truncated;
use crate::stream::Stream;

/// A mixture over the space.
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

    /// Makes it the mixture of these trials (ascending). `thinned` of them, the first ones, stand for all but the
    /// others of `all` trials.
    pub(super) fn update<'a>(
        &mut self,
        axes: &[Axis],
        trials: Vec<u32>,
        (thinned, all): (usize, usize),
        settings: &Settings,
        coordinates: &dyn Fn(u32) -> &'a [f64],
    ) {
        let (removed, inserted) = difference(&self.trials, &trials);
        if !removed.is_empty() || !inserted.is_empty() {
            for (index, (column, axis)) in self.columns.iter_mut().zip(axes).enumerate() {
                let coordinate = |trial| coordinates(trial).get(index).copied().unwrap_or(f64::NAN);
                column.update(axis, &removed, &trials, &inserted, &coordinate);
            }
        }
        self.trials = trials;
        self.weigh((thinned, all), settings);
    }

    fn weigh(&mut self, (thinned, all): (usize, usize), settings: &Settings) {
        let newer = self.trials.len() - thinned;
        let share = if thinned == 0 { 1.0 } else { (all - newer) as f64 / thinned as f64 };
        let n = all as f64;
        self.weights.clear();
        for place in 0..self.trials.len() {
            let weight = match thinned.checked_sub(place) {
                Some(left) if left > 0 => {
                    share * settings.weight(newer as f64 + (left as f64 - 0.5) * share, n)
                }
                _ => settings.weight((self.trials.len() - 1 - place) as f64, n),
            };
            self.weights.push(weight);
        }
        let prior = if self.trials.is_empty() { 1.0 } else { self.prior_weight };
        self.weights.push(prior);
        let sum: f64 = self.weights.iter().sum();
        for weight in &mut self.weights {
            *weight /= sum;
        }
    }

    /// The logarithm of the density, relative to the space's own distribution, at a point given by coordinates.
    pub(super) fn log_density(&mut self, axes: &[Axis], point: &[f64]) -> f64 {
        let n = self.trials.len();
        let mut terms = std::mem::take(&mut self.scratch);
        terms.clear();
        terms.resize(n + 1, 0.0);
        let mut prior = 0.0;
        for (((axis, column), own), x) in axes.iter().zip(&self.columns).zip(&self.priors).zip(point) {
            if x.is_nan() {
                continue;
            }
            match (&axis.kind, own) {
                (Kind::Options(options), _) => {
                    let (hit, miss) = self.option_factors(column, *options);
                    let kernels = column.x.iter().zip(&column.deviation);
                    for (term, (option, exists)) in terms.iter_mut().zip(kernels) {
                        let factor = if option == x { hit } else { miss };
                        *term += exists * factor;
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
    fn option_factors(&self, column: &Column, options: u32) -> (f64, f64) {
        let options = f64::from(options);
        let (every, own) = self.option_shares(column, options);
        // Without a prior a miss would have the density 0, and its product with an absent parameter no value.
        let log = |share: f64| libm::log((share * options).max(1e-300));
        (log(every + own), log(every))
    }

    /// The probability that a kernel gives to every option, and what its own one gets on top.
    fn option_shares(&self, column: &Column, options: f64) -> (f64, f64) {
        let spread = self.prior_weight / (column.present() + 1) as f64;
        let sum = 1.0 + spread * options;
        (spread / sum, 1.0 / sum)
    }

    /// Draws the coordinates of a point; absent ones are NaN.
    pub(super) fn draw(&self, axes: &[Axis], stream: &mut Stream) -> Vec<f64> {
        let own = pick(&self.weights, stream);
        let mut point: Vec<f64> = Vec::with_capacity(axes.len());
        for ((axis, column), prior) in axes.iter().zip(&self.columns).zip(&self.priors) {
            if !axis.exists(&point) {
                point.push(f64::NAN);
                continue;
            }
            // A product that does not know the parameter leaves it to one that does.
            let is_prior = own == self.trials.len();
            let knows = |place: usize| column.deviation.get(place).is_some_and(|d| *d > 0.0);
            let place = if is_prior || knows(own) { own } else { self.someone(column, stream) };
            point.push(self.draw_one(axis, column, prior.as_ref(), place, stream));
        }
        point
    }

    /// One of the trials in which a parameter exists, or the prior.
    fn someone(&self, column: &Column, stream: &mut Stream) -> usize {
        let mut weights: Vec<f64> = self
            .weights
            .iter()
            .zip(&column.deviation)
            .map(|(weight, deviation)| if *deviation > 0.0 { *weight } else { 0.0 })
            .collect();
        weights.push(self.weights.last().copied().unwrap_or(1.0));
        pick(&weights, stream)
    }

    fn draw_one(
        &self,
        axis: &Axis,
        column: &Column,
        prior: Option<&Bell>,
        place: usize,
        stream: &mut Stream,
    ) -> f64 {
        let u = stream.open();
        match (&axis.kind, prior) {
            (Kind::Options(options), _) => {
                let Some(own) = column.x.get(place) else { return axis.snap(u) };
                let (every, _) = self.option_shares(column, f64::from(*options));
                let spread = every * f64::from(*options);
                if u < spread { axis.snap(u / spread) } else { *own }
            }
            (_, Some(prior)) => {
                let kernel = column.x.get(place).zip(column.deviation.get(place));
                let (centre, deviation) = kernel.map_or((prior.centre, prior.deviation), |(x, d)| (*x, *d));
                let tails = truncated::tails(centre, deviation);
                axis.snap(truncated::quantile(u, centre, deviation, tails))
            }
            _ => 0.0,
        }
    }
}

/// A place, with probabilities in proportion to the weights.
fn pick(weights: &[f64], stream: &mut Stream) -> usize {
    let mut left = stream.uniform() * weights.iter().sum::<f64>();
    let mut last = weights.len().saturating_sub(1);
    for (place, weight) in weights.iter().enumerate() {
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
