//! Functions of the standard normal distribution that acquisition functions need.

use std::f64::consts::FRAC_1_SQRT_2;

const SQRT_TAU: f64 = 2.506_628_274_631_000_2;
const HALF_LOG_TAU: f64 = 0.918_938_533_204_672_8;

/// The density.
pub fn density(z: f64) -> f64 {
    libm::exp(-0.5 * z * z) / SQRT_TAU
}

/// The probability below `z`.
pub fn below(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// `below(z) / density(z)` for `z` of at most 0, also where both vanish: the inverse of Mills' ratio. Below -5 by its
/// continued fraction (Abramowitz and Stegun 26.2.14).
pub fn mills(z: f64) -> f64 {
    if z > -5.0 {
        return below(z) / density(z);
    }
    let x = -z;
    let mut fraction = x;
    for k in (1..=40).rev() {
        fraction = x + f64::from(k) / fraction;
    }
    1.0 / fraction
}

/// `ln(below(z))` and its derivative, also where the probability vanishes.
pub fn log_below(z: f64) -> (f64, f64) {
    if z > 0.0 {
        let p = below(z);
        return (libm::log(p), density(z) / p);
    }
    let m = mills(z);
    (libm::log(m) - 0.5 * z * z - HALF_LOG_TAU, 1.0 / m)
}

/// `ln(density(z) + z * below(z))` and its derivative: the logarithm of the expected improvement in units of the
/// deviation. Never overflows and never loses its slope. S. Ament and others, "Unexpected improvements to expected
/// improvement for Bayesian optimization", `NeurIPS` 2023.
pub fn log_improvement(z: f64) -> (f64, f64) {
    if z > -1.0 {
        let (d, p) = (density(z), below(z));
        let h = d + z * p;
        return (libm::log(h), p / h);
    }
    // density (1 + z m), where m is the ratio; 1 + z m is about 1 / z^2.
    let m = mills(z);
    let rest = if z > -60.0 {
        1.0 + z * m
    } else {
        let w = 1.0 / (z * z);
        w * (1.0 - w * (3.0 - 15.0 * w))
    };
    (-0.5 * z * z - HALF_LOG_TAU + libm::log(rest), m / rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_of_a_probability_is_smooth_and_exact() {
        for (z, expected) in [(0.0, -std::f64::consts::LN_2), (1.0, -0.172_753_8), (-10.0, -53.231_285_2)] {
            assert!((log_below(z).0 - expected).abs() < 1e-6, "{z}: {}", log_below(z).0);
        }
        let mut z: f64 = -300.0;
        while z < 8.0 {
            let step = 1e-5 * (1.0 + z.abs());
            let slope = (log_below(z + step).0 - log_below(z - step).0) / (2.0 * step);
            assert!((slope - log_below(z).1).abs() <= 1e-4 * slope.abs() + 1e-6, "{z}: {slope}");
            z += 0.37;
        }
    }

    #[test]
    fn the_logarithm_of_the_improvement_is_smooth_and_exact() {
        for (z, expected) in [(0.0, -HALF_LOG_TAU), (1.0, 0.079_966_0), (-1.0, -2.484_946_5)] {
            assert!((log_improvement(z).0 - expected).abs() < 1e-3, "{z}: {}", log_improvement(z).0);
        }
        let mut z: f64 = -300.0;
        while z < 8.0 {
            let step = 1e-5 * (1.0 + z.abs());
            let slope = (log_improvement(z + step).0 - log_improvement(z - step).0) / (2.0 * step);
            let own = log_improvement(z).1;
            assert!((slope - own).abs() <= 2e-3 * own.abs() + 1e-6, "{z}: {slope} {own}");
            z += 0.37;
        }
    }
}
