//! Two old acquaintances with known optima: Branin's function and Hartmann's in six dimensions.

use std::f64::consts::PI;

/// The least value of [`branin`].
pub(crate) const BRANIN: f64 = 0.397_887_357_729_738_16;
/// The least value of [`hartmann`].
pub(crate) const HARTMANN: f64 = -3.322_368_011_415_515;

/// F. H. Branin, IBM J. Res. Dev. 16 (1972): three equal optima, for the first coordinate in `[-5, 10]` and the second in
/// `[0, 15]`.
pub(crate) fn branin(x: f64, y: f64) -> f64 {
    let valley = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
    valley * valley + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * libm::cos(x) + 10.0
}

const HEIGHTS: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
const WIDTHS: [[f64; 6]; 4] = [
    [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
    [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
    [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
    [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
];
const PLACES: [[f64; 6]; 4] = [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
];

/// L. C. W. Dixon and G. P. Szegő, "Towards global optimisation 2" (1978): six local optima in the unit cube.
pub(crate) fn hartmann(x: &[f64]) -> f64 {
    let peak = |((height, widths), places): ((&f64, &[f64; 6]), &[f64; 6])| {
        let terms = x.iter().zip(widths).zip(places);
        height * libm::exp(-terms.map(|((x, width), place)| width * (x - place) * (x - place)).sum::<f64>())
    };
    -HEIGHTS.iter().zip(&WIDTHS).zip(&PLACES).map(peak).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_optima_have_the_published_values() {
        for (x, y) in [(-PI, 12.275), (PI, 2.275), (9.424_778, 2.475)] {
            assert!((branin(x, y) - BRANIN).abs() < 1e-6, "{x} {y}");
        }
        let place = [0.201_69, 0.150_011, 0.476_874, 0.275_332, 0.311_652, 0.6573];
        assert!((hartmann(&place) - HARTMANN).abs() < 1e-6);
    }
}
