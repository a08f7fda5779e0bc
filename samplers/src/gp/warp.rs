//! Losses made fit for a Gaussian process: of mean 0 and deviation 1, and about as often far above as far below.

/// The powers between which the transformation is chosen.
const POWERS: (f64, f64) = (-3.0, 3.0);
/// Cuts of the interval of powers.
const CUTS: u32 = 24;

/// The golden section.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// Transforms losses; order is kept. I.-K. Yeo and R. A. Johnson, "A new family of power transformations to improve normality or
/// symmetry", Biometrika 87 (2000), with the most likely power.
pub(super) fn warp(losses: &[f64]) -> Vec<f64> {
    let y = standard(losses);
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
    standard(&transformed)
}

/// The transformation of `x`, where `log` is `ln(1 + |x|)`.
fn raise(x: f64, log: f64, power: f64) -> f64 {
    let (sign, power) = if x < 0.0 { (-1.0, 2.0 - power) } else { (1.0, power) };
    if power.abs() < 1e-9 { sign * log } else { sign * libm::expm1(power * log) / power }
}

fn moments(y: &[f64]) -> (f64, f64) {
    let n = y.len().max(1) as f64;
    let mean = y.iter().sum::<f64>() / n;
    (mean, y.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>() / n)
}

fn standard(y: &[f64]) -> Vec<f64> {
    let (mean, variance) = moments(y);
    // Differences beyond the range of numbers, or none at all, carry nothing.
    let deviation = if variance > 0.0 && variance.is_finite() { variance.sqrt() } else { 1.0 };
    let mean = if mean.is_finite() { mean } else { 0.0 };
    y.iter().map(|y| ((y - mean) / deviation).clamp(-1e6, 1e6)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_of_any_scale_become_comparable_and_keep_their_order() {
        for scale in [1e-9, 1.0, 1e12] {
            let losses: Vec<f64> = (0..50).map(|i| scale * libm::exp(f64::from(i * 7 % 50) / 5.0)).collect();
            let y = warp(&losses);
            let (mean, variance) = moments(&y);
            assert!(mean.abs() < 1e-9 && (variance - 1.0).abs() < 1e-9);
            let skew = y.iter().map(|y| y * y * y).sum::<f64>() / 50.0;
            assert!(skew.abs() < 1.0, "{skew}");
            for (a, b) in losses.iter().zip(&y) {
                for (c, d) in losses.iter().zip(&y) {
                    assert!((a < c) == (b < d));
                }
            }
        }
    }

    #[test]
    fn equal_and_monstrous_losses_do_no_harm() {
        assert_eq!(warp(&[3.0; 5]), [0.0; 5]);
        assert!(warp(&[1e308, -1e308, 3.0]).iter().all(|y| y.is_finite()));
    }
}
