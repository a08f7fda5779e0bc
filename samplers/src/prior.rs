//! The user's prior as densities on the coordinates that searches use: where good points are expected before the first
//! trial.
//!
//! A search multiplies its own criterion by the density to the power of [`Pull::weight`], which falls with the number
//! of results: C. Hvarfner, D. Stoll, A. Souza, M. Lindauer, F. Hutter and L. Nardi, "piBO: augmenting acquisition functions with user
//! beliefs for Bayesian optimization", ICLR 2022. Beside
//! that it falls where the results contradict the prior. So a good prior saves trials, and a wrong one is left.

use crate::axis::{Axis, Kind};
use crate::stream::Stream;
use engine::space::{SearchSpace, normal};
use engine::spec::{Expected, Prior};
use std::f64::consts::PI;

/// The part of every density that is spread over the whole parameter: nothing is ruled out.
const ANYWHERE: f64 = 0.1;
/// The deviation around a single value, in parts of the unit interval.
const AROUND: f64 = 0.12;
/// The deviation of what is left outside of a range.
const BESIDE: f64 = 0.04;
/// The power of the density after this many results is 1, and falls with their number from there on.
const STRENGTH: f64 = 10.0;
/// A prior counts fully where the correlation of its densities with the ranks of the results is at least `0.5 / TRUST`,
/// by half where there is none, and not at all where better results came from where it expected worse ones.
const TRUST: f64 = 2.0;

/// The density of one parameter, relative to the space's own distribution.
#[derive(Debug, Clone, PartialEq)]
enum Density {
    /// Level between two places of the unit interval, and normal tails on both sides.
    Range { low: f64, high: f64, deviation: f64, left: f64, right: f64 },
    /// By option: the density.
    Options(Vec<f64>),
}

impl Density {
    fn new(expected: &Expected, axis: &Axis, leaf: &engine::space::Leaf) -> Option<Self> {
        match (expected, &axis.kind) {
            (_, Kind::Fixed) => None,
            (Expected::Among(among), Kind::Options(options)) => {
                let share = (1.0 - ANYWHERE) * f64::from(*options) / among.len().max(1) as f64;
                let density = |option| if among.contains(&option) { ANYWHERE + share } else { ANYWHERE };
                Some(Self::Options((0..*options).map(density).collect()))
            }
            _ => {
                let (low, high) = expected.range(&leaf.domain)?;
                let deviation = if low == high { AROUND } else { BESIDE };
                // The area of each tail, where the level part has the height 1.
                let area =
                    |reach: f64| (normal::cdf(reach / deviation) - 0.5) * deviation * (2.0 * PI).sqrt();
                Some(Self::Range { low, high, deviation, left: area(low), right: area(1.0 - high) })
            }
        }
    }

    /// The logarithm of the density at a coordinate, and its slope.
    fn log(&self, x: f64) -> (f64, f64) {
        match self {
            Self::Options(densities) => {
                (libm::log(densities.get(x as usize).copied().unwrap_or(ANYWHERE)), 0.0)
            }
            Self::Range { low, high, deviation, left, right } => {
                let beyond = if x < *low { x - low } else { (x - high).max(0.0) };
                let z = beyond / deviation;
                let near = (1.0 - ANYWHERE) / (left + (high - low) + right) * libm::exp(-0.5 * z * z);
                let density = ANYWHERE + near;
                (libm::log(density), -near * z / deviation / density)
            }
        }
    }

    /// Maps the unit interval to itself such that even draws become draws from the density.
    fn place(&self, u: f64) -> f64 {
        if u < ANYWHERE {
            return u / ANYWHERE;
        }
        let u = (u - ANYWHERE) / (1.0 - ANYWHERE);
        match self {
            Self::Options(densities) => {
                let options = densities.len() as f64;
                let good: Vec<usize> = (0..densities.len())
                    .filter(|at| densities.get(*at).is_some_and(|d| *d > ANYWHERE))
                    .collect();
                let rank = u * good.len() as f64;
                let option = good.get(rank as usize).or(good.last()).copied().unwrap_or_default();
                (option as f64 + rank.fract()) / options
            }
            Self::Range { low, high, deviation, left, right } => {
                let area = u * (left + (high - low) + right);
                // Half of the bell is as large as the tail were it not cut.
                let tail =
                    |area: f64| deviation * normal::quantile(0.5 + area / (deviation * (2.0 * PI).sqrt()));
                let x = if area < *left {
                    low - tail(left - area)
                } else if area - left < high - low {
                    low + (area - left)
                } else {
                    high + tail(area - left - (high - low))
                };
                x.clamp(0.0, 1.0)
            }
        }
    }
}

/// The densities of all parameters of which anything is expected.
#[derive(Debug, Clone, Default)]
pub(crate) struct Densities {
    /// By leaf; empty without a prior.
    leaves: Vec<Option<Density>>,
}

impl Densities {
    pub(crate) fn new(prior: &Prior, space: &SearchSpace) -> Self {
        if prior.is_empty() {
            return Self::default();
        }
        let density = |(index, leaf): (u16, &engine::space::Leaf)| {
            Density::new(prior.of(index)?, &Axis::new(leaf), leaf)
        };
        Self { leaves: (0u16..).zip(space.leaves()).map(density).collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    fn of(&self, leaf: usize) -> Option<&Density> {
        self.leaves.get(leaf)?.as_ref()
    }

    /// A place in the unit interval that a value has: even draws become draws from the prior.
    pub(crate) fn place(&self, leaf: usize, u: f64) -> f64 {
        self.of(leaf).map_or(u, |density| density.place(u))
    }

    /// Draws coordinates for parameters that exist; those of others become NaN.
    pub(crate) fn draw(&self, axes: &[Axis], stream: &mut Stream) -> Vec<f64> {
        let mut coordinates = vec![f64::NAN; axes.len()];
        for (leaf, axis) in axes.iter().enumerate() {
            let u = stream.open();
            if axis.exists(&coordinates)
                && let Some(slot) = coordinates.get_mut(leaf)
            {
                *slot = axis.snap(self.place(leaf, u));
            }
        }
        coordinates
    }

    /// The prior as it pulls after these results, the best first.
    pub(crate) fn pull<'a>(&self, ranked: impl ExactSizeIterator<Item = &'a [f64]>) -> Pull<'_> {
        if self.is_empty() {
            return Pull { densities: self, weight: 0.0 };
        }
        let results = ranked.len() as f64;
        let full = Pull { densities: self, weight: 1.0 };
        let agreement = correlation(&ranked.map(|point| -full.of(point)).collect::<Vec<f64>>());
        let trust = (0.5 + TRUST * agreement).clamp(0.0, 1.0);
        let fading = STRENGTH / results.max(STRENGTH);
        Pull { densities: self, weight: trust * fading }
    }
}

/// The correlation of numbers with their places; 0 where they are all alike.
fn correlation(numbers: &[f64]) -> f64 {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let (mut both, mut own, mut places) = (0.0, 0.0, 0.0);
    for (place, x) in numbers.iter().enumerate() {
        let place = place as f64 - (n - 1.0) / 2.0;
        both += place * (x - mean);
        own += (x - mean) * (x - mean);
        places += place * place;
    }
    let scale = (own * places).sqrt();
    if scale > 0.0 { both / scale } else { 0.0 }
}

/// A prior, and how much it counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pull<'a> {
    pub(crate) densities: &'a Densities,
    /// The power of the densities: at most 1, and 0 without a prior.
    pub(crate) weight: f64,
}

impl Pull<'_> {
    /// The weighted logarithm of the density of one parameter, and its slope; 0 where nothing is expected of it and
    /// where it does not exist (NaN).
    pub(crate) fn at(&self, leaf: usize, x: f64) -> (f64, f64) {
        match self.densities.of(leaf) {
            Some(density) if !x.is_nan() => {
                let (log, slope) = density.log(x);
                (self.weight * log, self.weight * slope)
            }
            _ => (0.0, 0.0),
        }
    }

    /// The weighted logarithm of the density of a point.
    pub(crate) fn of(&self, coordinates: &[f64]) -> f64 {
        if self.densities.is_empty() {
            return 0.0;
        }
        coordinates.iter().enumerate().map(|(leaf, x)| self.at(leaf, *x).0).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::spec::Spec;
    use serde_json::json;

    fn densities() -> (Vec<Axis>, Densities) {
        let document = json!({
            "space": {"x": {"uniform": [0, 1]}, "y": {"uniform": [0, 1]}, "n": {"randint": [0, 10]},
                "kind": [{"_name": "a", "z": {"uniform": [0, 1]}}, "b", "c", "d"], "rest": {"uniform": [0, 1]}},
            "objective": "minimize", "budget": {"trials": 9},
            "prior": {"x": 0.9, "y": [0.2, 0.3], "n": [0, 3], "kind": ["b", "c"], "kind.z": 0.1},
        });
        let (spec, _) = Spec::parse(&document, "").unwrap();
        (spec.space.leaves().iter().map(Axis::new).collect(), Densities::new(&spec.prior, &spec.space))
    }

    #[test]
    fn densities_sum_to_one_and_slopes_are_theirs() {
        let (_, densities) = densities();
        let pull = Pull { densities: &densities, weight: 1.0 };
        for leaf in [0, 1] {
            let n = 100_000;
            let sum: f64 =
                (0..n).map(|i| libm::exp(pull.at(leaf, (f64::from(i) + 0.5) / f64::from(n)).0)).sum();
            assert!((sum / f64::from(n) - 1.0).abs() < 1e-4, "{leaf}: {sum}");
            for x in [0.05, 0.19, 0.25, 0.33, 0.8, 0.99] {
                let slope = (pull.at(leaf, x + 1e-6).0 - pull.at(leaf, x - 1e-6).0) / 2e-6;
                assert!((pull.at(leaf, x).1 - slope).abs() < 1e-3, "{leaf} {x}: {slope}");
            }
        }
        let options: f64 = (0..4).map(|at| libm::exp(pull.at(3, f64::from(at)).0)).sum();
        assert!((options / 4.0 - 1.0).abs() < 1e-12, "{options}");
    }

    #[test]
    fn draws_fall_as_the_densities_say() {
        let (_, densities) = densities();
        let pull = Pull { densities: &densities, weight: 1.0 };
        let (draws, parts) = (200_000, 20);
        for leaf in [0, 1] {
            let mut counts = vec![0.0; parts];
            for i in 0..draws {
                let x = densities.place(leaf, (f64::from(i) + 0.5) / f64::from(draws));
                counts[((x * parts as f64) as usize).min(parts - 1)] += 1.0 / f64::from(draws);
            }
            for (part, count) in counts.iter().enumerate() {
                let inside = (0..1_000).map(|i| (part as f64 + (f64::from(i) + 0.5) / 1e3) / parts as f64);
                let wanted: f64 =
                    inside.map(|x| libm::exp(pull.at(leaf, x).0)).sum::<f64>() / 1e3 / parts as f64;
                assert!((count - wanted).abs() < 1e-3, "{leaf} {part}: {count} {wanted}");
            }
        }
        let good = (0..1_000).filter(|i| (0.25..0.75).contains(&densities.place(3, f64::from(*i) / 1e3)));
        // Of what is spread over all, half falls there too.
        assert!(good.count().abs_diff(950) <= 1);
    }

    #[test]
    fn a_draw_holds_what_exists_and_the_pull_fades_and_ends_where_it_is_wrong() {
        let (axes, densities) = densities();
        for trial in 0..50 {
            let mut stream = Stream::new(1, engine::id::TrialId(trial), crate::stream::Purpose::Other, 0);
            let draw = densities.draw(&axes, &mut stream);
            assert_eq!(draw[4].is_nan(), draw[3] != 0.0, "{draw:?}");
            assert!(draw[..4].iter().chain(&draw[5..]).all(|x| !x.is_nan()));
        }
        let good: &[f64] = &[0.9, 0.25, 0.05, 1.0, f64::NAN, 0.5];
        let bad: &[f64] = &[0.1, 0.9, 0.95, 3.0, f64::NAN, 0.5];
        let weight = |results: usize, first, last| {
            let ranked = (0..results).map(|place| if 2 * place < results { first } else { last });
            densities.pull(ranked).weight
        };
        assert_eq!(weight(10, good, bad), 1.0);
        assert_eq!(weight(100, good, bad), 0.1);
        assert_eq!(weight(10, good, good), 0.5, "nothing is known of it");
        assert_eq!(weight(10, bad, good), 0.0, "it is wrong");
        assert_eq!(Densities::default().pull([good].into_iter()).weight, 0.0);
    }
}
