//! Losses made fit for a Gaussian process, of mean 0 and deviation 1, and about as often far above as far below; and the way
//! back.

use super::model::Belief;
use crate::math::normal::below;
use engine::space::normal::quantile;

/// The powers between which the transformation is chosen.
const POWERS: (f64, f64) = (-3.0, 3.0);
/// Cuts of the interval of powers.
const CUTS: u32 = 24;

/// The golden section.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// Places at which a loss that is believed in is looked at.
const PLACES: u32 = 32;

/// How losses were transformed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Warp {
    power: f64,
    /// Mean and deviation before the power, and after it.
    before: (f64, f64),
    after: (f64, f64),
}

impl Warp {
    /// The loss that became `y`.
    pub(super) fn back(self, y: f64) -> f64 {
        let raised = y * self.after.1 + self.after.0;
        self.before.0 + self.before.1 * lower(raised, self.power)
    }

    /// The improvement upon the loss that became `incumbent` that is to be expected, as a loss: never negative.
    pub(super) fn improvement(self, belief: Belief, incumbent: f64) -> f64 {
        let probability = below((incumbent - belief.mean) / belief.deviation);
        if probability < f64::MIN_POSITIVE {
            return 0.0;
        }
        let best = self.back(incumbent);
        let gain = |k: u32| {
            let place = (f64::from(k) + 0.5) / f64::from(PLACES);
            (best - self.back(belief.mean + belief.deviation * quantile(probability * place))).max(0.0)
        };
        probability * (0..PLACES).map(gain).sum::<f64>() / f64::from(PLACES)
    }

    /// Mean and deviation of a loss that is believed in.
    pub(super) fn moments(self, belief: Belief) -> (f64, f64) {
        let loss = |k: u32| {
            let place = (f64::from(k) + 0.5) / f64::from(PLACES);
            self.back(belief.mean + belief.deviation * quantile(place))
        };
        let (mean, variance) = moments(&(0..PLACES).map(loss).collect::<Vec<_>>());
        (mean, variance.sqrt())
    }
}

/// Transforms losses; order is kept. I.-K. Yeo and R. A. Johnson, "A new family of power transformations to improve normality or
/// symmetry", Biometrika 87 (2000), with the most likely power.
pub(super) fn warp(losses: &[f64]) -> (Vec<f64>, Warp) {
    let (y, mean, deviation) = standard(losses);
    let before = (mean, deviation);
    let logs: Vec<f64> = y.iter().map(|x| libm::log1p(x.abs())).collect();
    let jacobian: f64 = y.iter().zip(&logs).map(|(x, log)| if *x < 0.0 { -log } else { *log }).sum();
    let n = y.len() as f64;
    let mut transformed = y.clone();
    let mut likelihood = |power: f64| {
        for ((slot, x), log) in transformed.iter_mut().zip(&y).zip(&logs) {
            *slot = raise(*x, *log, power);
        }
        let (_, variance) = moments(&transformed);
        -0.5 * n * libm::log(variance.max(1e-300)) + (power - 1.0) * jacobian
    };
    // The likelihood has one maximum.
    let (mut low, mut high) = POWERS;
    let (mut a, mut b) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
    let (mut at_a, mut at_b) = (likelihood(a), likelihood(b));
    for _ in 0..CUTS {
        if at_a < at_b {
            (low, a, at_a) = (a, b, at_b);
            b = low + GOLDEN * (high - low);
            at_b = likelihood(b);
        } else {
            (high, b, at_b) = (b, a, at_a);
            a = high - GOLDEN * (high - low);
            at_a = likelihood(a);
        }
    }
    let power = 0.5 * (low + high);
    let transformed: Vec<f64> = y.iter().zip(&logs).map(|(x, log)| raise(*x, *log, power)).collect();
    let (y, mean, deviation) = standard(&transformed);
    (y, Warp { power, before, after: (mean, deviation) })
}

/// The transformation of `x`, where `log` is `ln(1 + |x|)`.
fn raise(x: f64, log: f64, power: f64) -> f64 {
    let (sign, power) = if x < 0.0 { (-1.0, 2.0 - power) } else { (1.0, power) };
    if power.abs() < 1e-9 { sign * log } else { sign * libm::expm1(power * log) / power }
}

/// The inverse of [`raise`]: what lies beyond its range counts as its end.
fn lower(x: f64, power: f64) -> f64 {
    let (sign, power) = if x < 0.0 { (-1.0, 2.0 - power) } else { (1.0, power) };
    let log =
        if power.abs() < 1e-9 { x.abs() } else { libm::log1p((power * x.abs()).max(-1.0 + 1e-12)) / power };
    sign * libm::expm1(log.min(600.0))
}

fn moments(y: &[f64]) -> (f64, f64) {
    let n = y.len().max(1) as f64;
    let mean = y.iter().sum::<f64>() / n;
    (mean, y.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>() / n)
}

/// The values with mean 0 and deviation 1, and the mean and the deviation that they had.
pub(super) fn standard(y: &[f64]) -> (Vec<f64>, f64, f64) {
    let (mean, variance) = moments(y);
    // Differences beyond the range of numbers, or none at all, carry nothing.
    let deviation = if variance > 0.0 && variance.is_finite() { variance.sqrt() } else { 1.0 };
    let mean = if mean.is_finite() { mean } else { 0.0 };
    (y.iter().map(|y| ((y - mean) / deviation).clamp(-1e6, 1e6)).collect(), mean, deviation)
}

/// Transforms values by how far they are from 0, and gives what 0 becomes: near 0, where a constraint is decided, differences
/// stay large, and far from it they shrink to those of logarithms. D. Eriksson and M. Poloczek, "Scalable constrained Bayesian
/// optimization", AISTATS 2021.
pub(super) fn warp_around(excess: &[f64]) -> (Vec<f64>, f64) {
    let mut sizes: Vec<f64> = excess.iter().map(|x| x.abs().min(f64::MAX)).filter(|x| *x > 0.0).collect();
    sizes.sort_by(f64::total_cmp);
    let scale = sizes.get(sizes.len() / 2).copied().unwrap_or(1.0);
    let bend = |x: &f64| {
        let log = libm::log1p((x.abs() / scale).min(f64::MAX));
        if *x < 0.0 { -log } else { log }
    };
    let (y, mean, deviation) = standard(&excess.iter().map(bend).collect::<Vec<_>>());
    (y, (-mean / deviation).clamp(-1e6, 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_of_any_scale_become_comparable_and_keep_their_order() {
        for scale in [1e-9, 1.0, 1e12] {
            let losses: Vec<f64> = (0..50).map(|i| scale * libm::exp(f64::from(i * 7 % 50) / 5.0)).collect();
            let (y, back) = warp(&losses);
            let (mean, variance) = moments(&y);
            assert!(mean.abs() < 1e-9 && (variance - 1.0).abs() < 1e-9);
            let skew = y.iter().map(|y| y * y * y).sum::<f64>() / 50.0;
            assert!(skew.abs() < 1.0, "{skew}");
            for (loss, y) in losses.iter().zip(&y) {
                assert!((back.back(*y) - loss).abs() <= 1e-9 * scale * (1.0 + loss / scale));
            }
            for (a, b) in losses.iter().zip(&y) {
                for (c, d) in losses.iter().zip(&y) {
                    assert!((a < c) == (b < d));
                }
            }
        }
    }

    #[test]
    fn an_expected_improvement_is_one_of_the_losses() {
        // Of evenly spread losses the transformation is nearly straight.
        let losses: Vec<f64> = (0..101).map(f64::from).collect();
        let (y, back) = warp(&losses);
        let slope = back.after.1 * back.before.1;
        for (z, expected) in [(0.0, 0.398_942), (-1.0, 0.083_315), (-3.0, 0.000_382)] {
            let belief = Belief { mean: y[50], deviation: 0.1 };
            let found = back.improvement(belief, y[50] + 0.1 * z) / (0.1 * slope);
            assert!((found - expected).abs() < 0.05 * expected, "{z}: {found}");
        }
        let (mean, deviation) = back.moments(Belief { mean: y[50], deviation: 0.1 });
        assert!((mean - 50.0).abs() < 0.5 && (deviation / (0.1 * slope) - 1.0).abs() < 0.05);
        assert_eq!(back.improvement(Belief { mean: 3.0, deviation: 1e-6 }, -3.0), 0.0);
    }

    #[test]
    fn what_keeps_a_bound_stays_below_it() {
        let excess = [-1e9, -3.0, -0.1, 0.0, 0.02, 4.0, 1e12];
        let (y, bound) = warp_around(&excess);
        assert!(y.is_sorted());
        assert!(excess.iter().zip(&y).all(|(x, y)| (*x <= 0.0) == (*y <= bound)));
    }

    #[test]
    fn equal_and_monstrous_losses_do_no_harm() {
        assert_eq!(warp(&[3.0; 5]).0, [0.0; 5]);
        for all in [vec![], vec![0.0; 3], vec![f64::MAX, -f64::MAX, f64::INFINITY], vec![5e-324, 1e308]] {
            let (y, bound) = warp_around(&all);
            assert!(y.iter().all(|y| y.is_finite()) && bound.is_finite());
        }
        assert!(warp(&[1e308, -1e308, 3.0]).0.iter().all(|y| y.is_finite()));
    }
}
