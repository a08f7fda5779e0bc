//! Where to look next, given a forest. Read [`Acquisition::search`].

use super::Settings;
use super::tree::{Feature, Tree};
use crate::axis::{self, Axis, Kind};
use crate::math::normal;
use crate::stream::Stream;

/// Steps of a local search at most.
const STEPS: u32 = 10;
/// Neighbours of a point along one parameter.
const NEIGHBOURS: u32 = 4;
/// No deviation is taken to be smaller, in units of the logarithm of costs.
const LEAST_DEVIATION: f64 = 1e-3;

/// The features of coordinates: a parameter that does not exist has a number, or an option, of its own.
pub(super) fn features(features: &[Feature], coordinates: &[f64]) -> Vec<f64> {
    let feature = |(feature, x): (&Feature, &f64)| match feature {
        Feature::Line if x.is_nan() => -1.0,
        Feature::Options(options) if x.is_nan() => f64::from(options - 1),
        _ => *x,
    };
    features.iter().zip(coordinates).map(feature).collect()
}

/// The forest.
#[derive(Debug)]
pub(super) struct Model {
    trees: Vec<Tree>,
}

impl Model {
    pub(super) const fn new(trees: Vec<Tree>) -> Self {
        Self { trees }
    }

    /// Mean and deviation of the logarithm of the cost: what the trees say, and how far they differ.
    pub(super) fn at(&self, x: &[f64]) -> (f64, f64) {
        let n = self.trees.len().max(1) as f64;
        let (mut sum, mut squares) = (0.0, 0.0);
        for tree in &self.trees {
            let y = tree.at(x);
            sum += y;
            squares += y * y;
        }
        let mean = sum / n;
        (mean, (squares / n - mean * mean).max(LEAST_DEVIATION * LEAST_DEVIATION).sqrt())
    }
}

/// A score and the coordinates that have it.
pub(super) type Candidate = (f64, Vec<f64>);

pub(super) struct Acquisition<'a> {
    pub(super) axes: &'a [Axis],
    pub(super) features: &'a [Feature],
    pub(super) model: &'a Model,
    /// The logarithm of the best cost.
    pub(super) best: f64,
}

impl Acquisition<'_> {
    /// The expected improvement of a cost whose logarithm is normal.
    fn score(&self, coordinates: &[f64]) -> f64 {
        let (mean, deviation) = self.model.at(&features(self.features, coordinates));
        let v = (self.best - mean) / deviation;
        libm::exp(self.best) * normal::below(v)
            - libm::exp(mean + deviation * deviation / 2.0) * normal::below(v - deviation)
    }

    /// Candidates, the most promising first: draws from the space, and what a climb from the best trials and from the best
    /// draws arrives at.
    pub(super) fn search(
        &self,
        settings: &Settings,
        trials: &[&[f64]],
        stream: &mut Stream,
    ) -> Vec<Candidate> {
        let mut pool: Vec<Candidate> = Vec::new();
        for _ in 0..settings.anywhere {
            let mut coordinates = vec![f64::NAN; self.axes.len()];
            axis::fill(self.axes, &mut coordinates, stream);
            pool.push((self.score(&coordinates), coordinates));
        }
        pool.sort_by(|a, b| b.0.total_cmp(&a.0));
        let drawn = pool.iter().take(settings.starts as usize).map(|(_, x)| x.clone());
        let starts: Vec<Vec<f64>> = trials.iter().map(|x| x.to_vec()).chain(drawn).collect();
        for start in starts {
            let candidate = self.climb(start, stream);
            pool.push(candidate);
        }
        pool.sort_by(|a, b| b.0.total_cmp(&a.0));
        pool
    }

    /// Goes to the best neighbour as long as it is better; never stays at the start, which was tried.
    fn climb(&self, start: Vec<f64>, stream: &mut Stream) -> Candidate {
        let mut here = (f64::NEG_INFINITY, start);
        for _ in 0..STEPS {
            let Some(next) = self.best_neighbour(&here.1, stream) else { break };
            if next.0 <= here.0 {
                break;
            }
            here = next;
        }
        here
    }

    /// The best of some points that differ in one parameter, and in what exists under it.
    fn best_neighbour(&self, centre: &[f64], stream: &mut Stream) -> Option<Candidate> {
        let mut best: Option<Candidate> = None;
        for (leaf, axis) in self.axes.iter().enumerate() {
            let Some(x) = centre.get(leaf).copied().filter(|x| !x.is_nan()) else { continue };
            let options = if let Kind::Options(n) = axis.kind { n } else { 0 };
            let count = if axis.kind == Kind::Fixed { 0 } else { NEIGHBOURS.min(options.wrapping_sub(1)) };
            // A few options are all looked at.
            let first = stream.below(u64::from(options.max(1))) as u32;
            for number in 0..count {
                let other = if options > 0 {
                    let option = f64::from((first + number) % options);
                    if option == x { f64::from((first + count) % options) } else { option }
                } else {
                    near(axis, x, stream)
                };
                let mut coordinates = centre.to_vec();
                if let Some(slot) = coordinates.get_mut(leaf) {
                    *slot = other;
                }
                axis::fill(self.axes, &mut coordinates, stream);
                let score = self.score(&coordinates);
                if best.as_ref().is_none_or(|(most, _)| score > *most) {
                    best = Some((score, coordinates));
                }
            }
        }
        best
    }
}

/// Another coordinate of a number, at any distance.
fn near(axis: &Axis, x: f64, stream: &mut Stream) -> f64 {
    let step = libm::exp(-1.2 - 4.5 * stream.uniform()) * stream.normal();
    let beyond = x + step;
    let inside = if beyond < 0.0 { -beyond } else { 1.0 - (1.0 - beyond).abs() };
    let place = axis.snap(inside.clamp(0.0, 1.0));
    if place == x { axis.beside(x, step > 0.0) } else { place }
}
