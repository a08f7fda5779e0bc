//! The normal distribution over continuous and lattice parameters.
//!
//! N. Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772. Instead of the root of the covariance matrix its
//! Cholesky factor is used: O. Krause, D. R. Arbonès and C. Igel, "CMA-ES with optimal covariance update and storage
//! complexity", NIPS 2016. Points that were drawn from an older distribution, or by a person, are taken in as in N. Hansen,
//! "Injecting external solutions into CMA-ES", 2011: long steps are shortened.

use super::margin::Margin;
use crate::math::linalg::{Lower, add_scaled, dot};
use crate::stream::Stream;

/// Beyond so many parameters no correlations are learned: their number would exceed what trials can tell.
const MOST_CORRELATED: usize = 200;
/// A variance never falls below this part of what it began with.
const LEAST_VARIANCE: f64 = 1e-28;
/// A run has converged when no continuous parameter deviates more than this.
const CONVERGED: f64 = 1e-9;
/// The largest quotient of deviations that the factor may have.
const MOST_UNEVEN: f64 = 1e7;

/// Weights and rates that follow from the number of parameters and the size of a generation.
#[derive(Debug)]
pub(super) struct Rates {
    /// By rank, the best first: positive for the better half, summing to 1, and negative for the others.
    pub(super) weights: Vec<f64>,
    mass: f64,
    rank_one: f64,
    rank_mu: f64,
    path: f64,
    path_sigma: f64,
    damping: f64,
    /// The expected length of a standard normal vector.
    length: f64,
}

impl Rates {
    /// The defaults of the tutorial's table 1.
    pub(super) fn new(dimensions: usize, population: u32) -> Self {
        let n = dimensions.max(1) as f64;
        let raw: Vec<f64> = (1..=population)
            .map(|rank| libm::log(f64::midpoint(f64::from(population), 1.0)) - libm::log(f64::from(rank)))
            .collect();
        let half = population as usize / 2;
        let mass = |part: &[f64]| {
            let (sum, squares) = part.iter().fold((0.0, 0.0), |(s, q), w| (s + w, q + w * w));
            if squares > 0.0 { sum * sum / squares } else { 0.0 }
        };
        let (better, worse) = raw.split_at(half);
        let (mass, mass_worse) = (mass(better), mass(worse));
        let diagonal = if dimensions > MOST_CORRELATED { (n + 2.0) / 3.0 } else { 1.0 };
        let rank_one = (diagonal * 2.0 / ((n + 1.3) * (n + 1.3) + mass)).min(0.5);
        let rank_mu = (diagonal * 2.0 * (mass - 2.0 + 1.0 / mass) / ((n + 2.0) * (n + 2.0) + mass))
            .clamp(0.0, 1.0 - rank_one);
        let least = (1.0 + rank_one / rank_mu.max(1e-12))
            .min(1.0 + 2.0 * mass_worse / (mass + 2.0))
            .min((1.0 - rank_one - rank_mu) / (n * rank_mu.max(1e-12)));
        let positive: f64 = raw.iter().filter(|w| **w > 0.0).sum();
        let negative: f64 = -raw.iter().filter(|w| **w < 0.0).sum::<f64>();
        let weigh = |w: &f64| if *w >= 0.0 { w / positive } else { w * least / negative };
        let path_sigma = (mass + 2.0) / (n + mass + 5.0);
        Self {
            weights: raw.iter().map(weigh).collect(),
            mass,
            rank_one,
            rank_mu,
            path: (4.0 + mass / n) / (n + 4.0 + 2.0 * mass / n),
            path_sigma,
            damping: 1.0 + 2.0 * (((mass - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + path_sigma,
            length: n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n)),
        }
    }
}

/// A member of a generation: its place, and its weights in the mean and in the covariances.
pub(super) struct Weighted {
    pub(super) place: Vec<f64>,
    pub(super) mean: f64,
    pub(super) shape: f64,
}

/// The distribution: `mean + sigma * stretch * factor * standard normal`.
#[derive(Debug)]
pub(super) struct Gaussian {
    mean: Vec<f64>,
    sigma: f64,
    covariance: Lower,
    factor: Lower,
    /// By parameter; only the lattice parameters' differ from 1.
    stretch: Vec<f64>,
    margins: Vec<Option<Margin>>,
    path: Vec<f64>,
    path_sigma: Vec<f64>,
    generations: u32,
}

impl Gaussian {
    pub(super) fn new(mean: Vec<f64>, sigma: f64, margins: Vec<Option<Margin>>) -> Self {
        let n = mean.len();
        let mut covariance = Lower::new();
        covariance.reset(n);
        for i in 0..n {
            if let Some(slot) = covariance.row_mut(i).last_mut() {
                *slot = 1.0;
            }
        }
        Self {
            mean,
            sigma,
            factor: covariance.clone(),
            covariance,
            stretch: vec![1.0; n],
            margins,
            path: vec![0.0; n],
            path_sigma: vec![0.0; n],
            generations: 0,
        }
    }

    /// One draw.
    pub(super) fn draw(&self, stream: &mut Stream) -> Vec<f64> {
        let z: Vec<f64> = self.mean.iter().map(|_| stream.normal()).collect();
        (0..)
            .zip(self.mean.iter().zip(&self.stretch))
            .map(|(i, (mean, stretch))| mean + self.sigma * stretch * dot(self.factor.row(i), &z))
            .collect()
    }

    /// The step from the mean to a place, and the same in independent coordinates; both shortened if they are longer than
    /// nearly every draw is. Unknown places are at the mean.
    fn step(&self, place: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let step = |((x, mean), stretch): ((&f64, &f64), &f64)| {
            if x.is_nan() { 0.0 } else { (x - mean) / (self.sigma * stretch) }
        };
        let mut step: Vec<f64> = place.iter().zip(&self.mean).zip(&self.stretch).map(step).collect();
        let mut plain = step.clone();
        self.factor.solve(&mut plain);
        let n = self.mean.len() as f64;
        let (length, most) = (norm(&plain), n.sqrt() + 2.0 * n / (n + 2.0));
        if length > most {
            for x in step.iter_mut().chain(&mut plain) {
                *x *= most / length;
            }
        }
        (step, plain)
    }

    /// Takes in a generation, the best first.
    pub(super) fn update(&mut self, rates: &Rates, mut members: Vec<Weighted>) {
        let n = self.mean.len();
        if n == 0 {
            return;
        }
        self.generations += 1;
        for (i, margin) in self.margins.iter_mut().enumerate() {
            if let (Some(margin), Some(mean)) = (margin, self.mean.get(i)) {
                margin.centre(i, *mean, &mut members);
            }
        }
        let steps: Vec<(Vec<f64>, Vec<f64>)> =
            members.iter().map(|member| self.step(&member.place)).collect();
        let (mut moved, mut plain) = (vec![0.0; n], vec![0.0; n]);
        for (member, (step, own)) in members.iter().zip(&steps) {
            add_scaled(&mut moved, member.mean, step);
            add_scaled(&mut plain, member.mean, own);
        }
        for ((mean, stretch), step) in self.mean.iter_mut().zip(&self.stretch).zip(&moved) {
            *mean += self.sigma * stretch * step;
        }
        let c = rates.path_sigma;
        for (path, own) in self.path_sigma.iter_mut().zip(&plain) {
            *path = (1.0 - c) * *path + (c * (2.0 - c) * rates.mass).sqrt() * own;
        }
        let length = norm(&self.path_sigma);
        // While the step size still has to grow, the path of the covariances waits.
        let age = 2.0 * f64::from(self.generations);
        let full = (1.0 - libm::pow(1.0 - c, age)).sqrt();
        let goes = length / full < (1.4 + 2.0 / (n as f64 + 1.0)) * rates.length;
        let c = rates.path;
        for (path, step) in self.path.iter_mut().zip(&moved) {
            let further = if goes { (c * (2.0 - c) * rates.mass).sqrt() * step } else { 0.0 };
            *path = (1.0 - c) * *path + further;
        }
        let waited = if goes { 0.0 } else { c * (2.0 - c) };
        self.shape(rates, &members, &steps, waited);
        let growth = rates.path_sigma / rates.damping * (length / rates.length - 1.0);
        self.sigma = (self.sigma * libm::exp(growth.min(1.0))).clamp(1e-150, 1.0);
        self.widen();
    }

    /// Updates the covariances and their factor.
    fn shape(&mut self, rates: &Rates, members: &[Weighted], steps: &[(Vec<f64>, Vec<f64>)], waited: f64) {
        let n = self.mean.len();
        let total: f64 = members.iter().map(|member| member.shape).sum();
        let kept = 1.0 + rates.rank_one * waited - rates.rank_one - rates.rank_mu * total;
        let diagonal = n > MOST_CORRELATED;
        let weigh = |(member, (_, plain)): (&Weighted, &(Vec<f64>, Vec<f64>))| {
            // A bad long step says no more than a bad short one.
            let length = norm(plain);
            if member.shape < 0.0 {
                member.shape * n as f64 / (length * length).max(1e-12)
            } else {
                member.shape
            }
        };
        let weights: Vec<f64> = members.iter().zip(steps).map(weigh).collect();
        for i in 0..n {
            let first = if diagonal { i } else { 0 };
            let row = self.covariance.row_mut(i).get_mut(first..).unwrap_or_default();
            for slot in row.iter_mut() {
                *slot *= kept;
            }
            let rank_one = [(rates.rank_one, &self.path)].into_iter();
            let rank_mu = weights.iter().zip(steps).map(|(w, (step, _))| (rates.rank_mu * w, step));
            for (weight, step) in rank_one.chain(rank_mu) {
                let here = step.get(i).copied().unwrap_or_default();
                add_scaled(row, weight * here, step.get(first..).unwrap_or_default());
            }
        }
        self.covariance.factor_into(LEAST_VARIANCE, &mut self.factor);
    }

    /// Keeps every lattice parameter mobile.
    fn widen(&mut self) {
        for (i, margin) in self.margins.iter_mut().enumerate() {
            let (Some(margin), Some(mean), Some(stretch)) =
                (margin, self.mean.get_mut(i), self.stretch.get_mut(i))
            else {
                continue;
            };
            let unit = self.sigma * self.covariance.diagonal(i).max(LEAST_VARIANCE).sqrt();
            (*mean, *stretch) = margin.correct(*mean, *stretch, unit);
        }
    }

    /// Whether the run can do no more: it has converged, or it has lost its numerical footing.
    pub(super) fn spent(&self) -> bool {
        let n = self.mean.len();
        let pivots = (0..n).map(|i| self.factor.diagonal(i));
        let mut numbers = self.mean.iter().chain(&self.stretch).copied().chain(pivots.clone());
        let sound = numbers.all(f64::is_finite) && self.sigma.is_finite();
        let (low, high) = pivots.fold((f64::INFINITY, 0.0f64), |(low, high), x| (low.min(x), high.max(x)));
        let mut lines = self.margins.iter().enumerate().filter(|(_, margin)| margin.is_none()).peekable();
        let narrow = |i: usize| self.sigma * self.covariance.diagonal(i).max(0.0).sqrt() < CONVERGED;
        let converged = lines.peek().is_some() && lines.all(|(i, _)| narrow(i));
        n > 0 && (!sound || high > low * MOST_UNEVEN || converged)
    }
}

fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}
