//! Learning curves: where does a loss lead that is known up to some report?
//!
//! After T. Domhan, J. T. Springenberg and F. Hutter, "Speeding up automatic hyperparameter optimization of deep neural
//! networks by extrapolation of learning curves", IJCAI 2015: several families of curves are fitted, and their forecasts are
//! averaged with weights by how well each fits. In place of sampling there is a line search for the one
//! parameter of each family that enters in a nonlinear way; the others follow by linear least squares. So a forecast is a
//! function of the curve alone, the same on every machine.

use libm::{exp, log, pow, sqrt};

/// Points of a curve that are looked at; of a longer one an even part.
const MOST_POINTS: usize = 64;
/// Points that are needed.
pub(super) const LEAST_POINTS: usize = 4;
/// How often the way to the neighbours of the best point of the grid is halved.
const REFINEMENTS: u32 = 12;
/// Least squared error of a fit, relative to the variance: nothing is believed to fit better.
const FINEST: f64 = 1e-9;

/// A shape that falls from about 1 towards 0: a curve of loss is `a + b * shape(x)` with `b` of at least 0.
#[derive(Debug, Clone, Copy)]
enum Family {
    /// `x^-c`
    Power,
    /// `exp(-x / c)`
    Exponential,
    /// `exp(-sqrt(x / c))`, Weibull's curve
    Stretched,
    /// `1 / (1 + x / c)`
    Hyperbola,
    /// `1 / log(x + 1)`
    Logarithm,
}

impl Family {
    const ALL: [Self; 5] =
        [Self::Power, Self::Exponential, Self::Stretched, Self::Hyperbola, Self::Logarithm];

    /// The least and the largest `c` for a curve that ends at `end`; none if it has none.
    fn bounds(self, end: f64) -> Option<(f64, f64)> {
        match self {
            Self::Power => Some((0.1, 3.0)),
            Self::Logarithm => None,
            // Half a report, and twice the whole length.
            _ => Some((0.5, 2.0 * end.max(1.0))),
        }
    }

    fn shape(self, c: f64, x: f64) -> f64 {
        match self {
            Self::Power => pow(x, -c),
            Self::Exponential => exp(-x / c),
            Self::Stretched => exp(-sqrt(x / c)),
            Self::Hyperbola => 1.0 / (1.0 + x / c),
            Self::Logarithm => 1.0 / log(x + 1.0),
        }
    }
}

/// A fitted curve: its squared error, the number of its parameters, and its forecast.
type Fit = (f64, f64, f64);

/// The loss to be expected at report `end`, counted from 1, after `losses`; nothing while there are too few.
pub(super) fn forecast(losses: &[f64], end: u64) -> Option<f64> {
    if losses.len() < LEAST_POINTS || losses.iter().any(|loss| !loss.is_finite()) {
        return None;
    }
    let points = thinned(losses);
    let n = points.len() as f64;
    let end = end as f64;
    let mean = points.iter().map(|(_, y)| y / n).sum::<f64>();
    let spread = points.iter().map(|(_, y)| (y - mean) * (y - mean)).sum::<f64>();
    if !spread.is_finite() {
        return None;
    }
    if spread == 0.0 {
        return Some(mean);
    }
    let flat = (spread, 1.0, mean);
    let mut fits = vec![flat];
    for family in Family::ALL {
        let fit = |c: f64| fitted(&points, end, |x| family.shape(c, x));
        let (free, best) = match family.bounds(end) {
            Some((low, high)) => (3.0, finest(low, high, fit)),
            None => (2.0, fit(1.0)),
        };
        fits.extend(best.map(|(error, value)| (error, free, value)));
    }
    Some(average(&fits, n, spread))
}

/// At most [`MOST_POINTS`] points, evenly along the curve, the last one included.
fn thinned(losses: &[f64]) -> Vec<(f64, f64)> {
    let all = losses.len();
    let kept = all.min(MOST_POINTS);
    (1..=kept)
        .filter_map(|i| {
            let x = i * all / kept;
            losses.get(x - 1).map(|y| (x as f64, *y))
        })
        .collect()
}

/// The least squares fit of `a + b * shape`: its squared error and its value at `end`; none if it would rise.
fn fitted(points: &[(f64, f64)], end: f64, shape: impl Fn(f64) -> f64) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    let shaped: Vec<(f64, f64)> = points.iter().map(|(x, y)| (shape(*x), *y)).collect();
    let (mean_g, mean_y) =
        shaped.iter().fold((0.0, 0.0), |(mean_g, mean_y), (g, y)| (mean_g + g / n, mean_y + y / n));
    let (mut gg, mut gy) = (0.0, 0.0);
    for (g, y) in &shaped {
        gg += (g - mean_g) * (g - mean_g);
        gy += (g - mean_g) * (y - mean_y);
    }
    let slope = gy / gg;
    if !slope.is_finite() || slope <= 0.0 {
        return None;
    }
    let curve = |g: f64| mean_y + slope * (g - mean_g);
    let error = shaped.iter().map(|(g, y)| (y - curve(*g)) * (y - curve(*g))).sum::<f64>();
    Some((error, curve(shape(end))))
}

/// The fit with the least error: by a grid of which each is a fixed multiple of the one before, and then by halving the way
/// to the neighbours.
fn finest(low: f64, high: f64, fit: impl Fn(f64) -> Option<(f64, f64)>) -> Option<(f64, f64)> {
    let mut ratio = 1.5;
    let grid = std::iter::successors(Some(low), |c| Some(c * ratio)).take_while(|c| *c <= high);
    let better = |a: &(f64, (f64, f64)), b: &(f64, (f64, f64))| a.1.0.total_cmp(&b.1.0);
    let mut best = grid.filter_map(|c| Some((c, fit(c)?))).min_by(better)?;
    for _ in 0..REFINEMENTS {
        ratio = sqrt(ratio);
        let near = [best.0 / ratio, best.0 * ratio];
        let found = near.into_iter().filter_map(|c| Some((c, fit(c)?))).min_by(better);
        if let Some(found) = found.filter(|found| better(found, &best).is_lt()) {
            best = found;
        }
    }
    Some(best.1)
}

/// The forecasts with Akaike's weights.
fn average(fits: &[Fit], n: f64, spread: f64) -> f64 {
    let score = |(error, free, _): &Fit| n * log(error.max(FINEST * spread) / n) + 2.0 * free;
    let least = fits.iter().map(score).fold(f64::INFINITY, f64::min);
    let (mut weights, mut sum) = (0.0, 0.0);
    for fit in fits {
        let weight = exp(-0.5 * (score(fit) - least));
        weights += weight;
        sum += weight * fit.2;
    }
    sum / weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Purpose, Stream};
    use engine::id::TrialId;

    fn curve(n: u32, value: impl Fn(f64) -> f64) -> Vec<f64> {
        (1..=n).map(|x| value(f64::from(x))).collect()
    }

    #[test]
    fn curves_of_common_shapes_are_continued() {
        let shapes: [fn(f64) -> f64; 4] = [
            |x| 0.1 + 0.8 * pow(x, -0.8),
            |x| 0.2 + 0.7 * exp(-x / 9.0),
            |x| 0.05 + 0.9 / (1.0 + x / 5.0),
            |x| 3.0 + 2.0 / log(x + 1.0),
        ];
        for (place, shape) in shapes.into_iter().enumerate() {
            let seen = curve(15, shape);
            let (expected, last) = (shape(60.0), shape(15.0));
            let found = forecast(&seen, 60).unwrap();
            assert!(
                (found - expected).abs() < 0.15 * (last - expected),
                "{place}: {found} {expected} {last}"
            );
        }
    }

    #[test]
    fn noise_does_not_lead_astray() {
        let mut stream = Stream::new(3, TrialId(0), Purpose::Other, 0);
        for _ in 0..20 {
            let seen: Vec<f64> = curve(15, |x| 0.1 + 0.8 * pow(x, -0.8))
                .into_iter()
                .map(|y| y + 0.02 * (stream.uniform() - 0.5))
                .collect();
            let found = forecast(&seen, 60).unwrap();
            assert!((found - 0.13).abs() < 0.06, "{found}");
        }
    }

    #[test]
    fn a_flat_or_rising_loss_is_expected_to_stay() {
        assert_eq!(forecast(&[0.5; 8], 50), Some(0.5));
        let rising = forecast(&curve(10, |x| x), 50).unwrap();
        assert!((rising - 5.5).abs() < 1e-9);
        assert_eq!(forecast(&[1.0, 0.5, 0.4], 50), None);
        assert_eq!(forecast(&[1.0, 0.5, f64::NAN, 0.3], 50), None);
        assert_eq!(forecast(&[f64::MAX, -f64::MAX, f64::MAX, -f64::MAX], 50), None);
    }

    #[test]
    fn a_long_curve_is_thinned_and_keeps_its_last_point() {
        let points = thinned(&curve(1_000, |x| x));
        assert_eq!((points.len(), points.last().copied()), (MOST_POINTS, Some((1_000.0, 1_000.0))));
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
