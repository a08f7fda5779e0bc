//! The normal distribution: its cumulative probability and the inverse. Bits are the same on every machine.

use std::f64::consts::FRAC_1_SQRT_2;

/// Probabilities closer to 0 or 1 than this are moved to it before they are inverted.
pub const TAIL: f64 = 1e-12;

/// `quantile(1 - TAIL)`: how many deviations from the mean a draw can be.
pub const TAIL_DEVIATIONS: f64 = 7.034_483_825;

/// The probability that a standard normal variable is at most `z`.
pub fn cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// The `z` with `cdf(z) = p`, for `p` clamped to `[TAIL, 1 - TAIL]`; about 1e-16 relative.
///
/// M. J. Wichura, "Algorithm AS 241: The percentage points of the normal distribution", Applied Statistics 37
/// (1988), routine PPND16.
pub fn quantile(p: f64) -> f64 {
    ppnd16(if p.is_nan() { 0.5 } else { p.clamp(TAIL, 1.0 - TAIL) })
}

/// PPND16 without the clamp; `p` strictly between 0 and 1.
fn ppnd16(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * ratio(r, &CENTRE);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = (-libm::log(tail)).sqrt();
    let z = if r <= 5.0 { ratio(r - 1.6, &MIDDLE) } else { ratio(r - 5.0, &FAR) };
    if q < 0.0 { -z } else { z }
}

/// Numerator and denominator of a rational approximation, lowest power first.
type Rational = ([f64; 8], [f64; 8]);

fn ratio(r: f64, (numerator, denominator): &Rational) -> f64 {
    let horner = |coefficients: &[f64; 8]| coefficients.iter().rev().fold(0.0, |sum, c| sum * r + c);
    horner(numerator) / horner(denominator)
}

#[expect(clippy::excessive_precision, clippy::unreadable_literal, reason = "the digits as published")]
const CENTRE: Rational = (
    [
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ],
    [
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ],
);
#[expect(clippy::excessive_precision, clippy::unreadable_literal, reason = "the digits as published")]
const MIDDLE: Rational = (
    [
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ],
    [
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ],
);
#[expect(clippy::excessive_precision, clippy::unreadable_literal, reason = "the digits as published")]
const FAR: Rational = (
    [
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ],
    [
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ],
);

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 4e-15 * b.abs()
    }

    #[test]
    fn the_quantile_gives_the_check_values_of_the_paper() {
        assert!(close(ppnd16(0.25), -0.674_489_750_196_081_7));
        assert!(close(ppnd16(0.001), -3.090_232_306_167_814));
        assert!(close(ppnd16(1e-20), -9.262_340_089_798_408));
        assert_eq!(ppnd16(0.5), 0.0);
    }

    #[test]
    fn the_tail_is_where_the_constant_says() {
        assert!((quantile(1.0) - TAIL_DEVIATIONS).abs() < 2e-5, "{}", quantile(1.0));
        assert!((quantile(0.0) + TAIL_DEVIATIONS).abs() < 2e-5, "{}", quantile(0.0));
        assert!(quantile(f64::NAN).abs() < 1e-300);
    }

    #[test]
    fn the_cdf_gives_tabled_values_and_inverts_the_quantile() {
        assert!(close(cdf(1.0), 0.841_344_746_068_542_9));
        assert!(close(cdf(-3.0), 0.001_349_898_031_630_094_5));
        for i in 1..1000 {
            let p = f64::from(i) / 1000.0;
            assert!((cdf(quantile(p)) - p).abs() < 1e-15);
        }
    }
}
