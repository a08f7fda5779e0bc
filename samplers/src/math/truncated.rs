//! The normal distribution cut to the unit interval; its centre lies inside.

use engine::space::normal;
use std::f64::consts::FRAC_1_SQRT_2;

/// Deviations beyond which nothing of a normal distribution is left, as far as `f64` near 1 can tell.
const FAR: f64 = 8.5;

/// The probability above `z`, for `z` of at least 0.
fn above(z: f64) -> f64 {
    if z > FAR { 0.0 } else { 0.5 * libm::erfc(z * FRAC_1_SQRT_2) }
}

/// What lies left and right of the unit interval.
pub fn tails(mean: f64, deviation: f64) -> (f64, f64) {
    (above(mean / deviation), above((1.0 - mean) / deviation))
}

/// The logarithm of the density's factor: density is `exp(factor - (x - mean)^2 / (2 deviation^2))`.
pub fn log_factor(mean: f64, deviation: f64) -> f64 {
    const HALF_LOG_TAU: f64 = 0.918_938_533_204_672_8;
    let (left, right) = tails(mean, deviation);
    -HALF_LOG_TAU - libm::log(deviation * (1.0 - left - right))
}

/// The place below which the share `u` of the cut distribution lies. `tails` are those of [`tails`].
pub fn quantile(u: f64, mean: f64, deviation: f64, (left, right): (f64, f64)) -> f64 {
    let x = mean + deviation * normal::quantile(left + u * (1.0 - left - right));
    x.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_density_of_a_cut_normal_distribution_sums_to_one() {
        for (mean, deviation) in [(0.5, 1.0), (0.0, 0.3), (0.97, 0.05), (0.4, 0.01)] {
            let factor = log_factor(mean, deviation);
            let n = 20_000;
            let sum: f64 = (0..n)
                .map(|i| {
                    let z = ((f64::from(i) + 0.5) / f64::from(n) - mean) / deviation;
                    libm::exp(factor - 0.5 * z * z)
                })
                .sum();
            assert!((sum / f64::from(n) - 1.0).abs() < 1e-6, "{mean} {deviation}: {sum}");
        }
    }

    #[test]
    fn quantiles_stay_inside_and_ascend() {
        for (mean, deviation) in [(0.0, 0.01), (1.0, 0.01), (0.5, 1.0)] {
            let tails = tails(mean, deviation);
            let mut before = 0.0;
            for i in 0..=1_000 {
                let x = quantile(f64::from(i) / 1_000.0, mean, deviation, tails);
                assert!((before..=1.0).contains(&x), "{mean} {deviation} {i}: {x}");
                before = x;
            }
        }
        assert!((quantile(0.5, 0.5, 0.2, tails(0.5, 0.2)) - 0.5).abs() < 1e-12);
    }
}
