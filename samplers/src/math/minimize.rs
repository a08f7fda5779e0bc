//! A limited-memory quasi-Newton method within bounds. Read [`minimize`].
//!
//! J. Nocedal, "Updating quasi-Newton matrices with limited storage", Mathematics of Computation 35 (1980); bounds by
//! projection, with coordinates held at a bound while the slope points outwards.

use super::linalg::{add_scaled, dot};

/// Pairs of steps and slopes that are remembered.
const MEMORY: usize = 8;
/// A step must bring at least this part of what the slope promises.
const SUFFICIENT: f64 = 1e-4;
/// Times a step is cut.
const CUTS: u32 = 12;

/// How long to go on.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Evaluations at most.
    pub evaluations: u32,
    /// The search ends when no free coordinate's slope is larger.
    pub slope: f64,
    /// The search ends when a step brings less than this.
    pub gain: f64,
}

/// Where the search ended.
#[derive(Debug, Clone)]
pub struct Minimum {
    /// The place.
    pub x: Vec<f64>,
    /// The value there.
    pub value: f64,
}

/// Looks for a minimum from `start`. `function` writes the slope and gives the value; a value that is not finite makes
/// a step too long.
pub fn minimize(
    start: &[f64],
    bounds: &[(f64, f64)],
    effort: Effort,
    function: &mut dyn FnMut(&[f64], &mut [f64]) -> f64,
) -> Minimum {
    let n = start.len();
    let mut x: Vec<f64> = start.iter().zip(bounds).map(|(x, (low, high))| x.clamp(*low, *high)).collect();
    let mut slope = vec![0.0; n];
    let mut value = function(&x, &mut slope);
    let mut evaluations = 1;
    let mut pairs: Vec<(Vec<f64>, Vec<f64>, f64)> = Vec::new();
    while evaluations < effort.evaluations && value.is_finite() {
        let free: Vec<bool> = x
            .iter()
            .zip(bounds)
            .zip(&slope)
            .map(|((x, (low, high)), s)| !((*x <= *low && *s > 0.0) || (*x >= *high && *s < 0.0)))
            .collect();
        let mut direction: Vec<f64> =
            slope.iter().zip(&free).map(|(s, free)| if *free { -s } else { 0.0 }).collect();
        let steepest = direction.iter().fold(0.0f64, |most, d| most.max(d.abs()));
        if steepest <= effort.slope {
            break;
        }
        recurse(&pairs, &free, &mut direction);
        let mut promise = dot(&direction, &slope);
        if promise.is_nan() || promise >= 0.0 {
            pairs.clear();
            for ((d, s), free) in direction.iter_mut().zip(&slope).zip(&free) {
                *d = if *free { -s } else { 0.0 };
            }
            promise = dot(&direction, &slope);
        }
        // Without memory the length of the slope means nothing.
        let mut length = if pairs.is_empty() { 0.1 / steepest.max(0.1) } else { 1.0 };
        let mut moved = None;
        let mut next_slope = vec![0.0; n];
        for _ in 0..CUTS {
            let next: Vec<f64> = x
                .iter()
                .zip(&direction)
                .zip(bounds)
                .map(|((x, d), (low, high))| (x + length * d).clamp(*low, *high))
                .collect();
            let next_value = function(&next, &mut next_slope);
            evaluations += 1;
            let real: f64 = next.iter().zip(&x).zip(&slope).map(|((a, b), s)| (a - b) * s).sum();
            let promised = if real < 0.0 { real } else { length * promise };
            if next_value.is_finite() && next_value <= value + SUFFICIENT * promised {
                moved = Some((next, next_value));
                break;
            }
            if evaluations >= effort.evaluations {
                break;
            }
            // The minimum of the parabola through both values and the slope, kept within reason.
            let curve = next_value - value - length * promise;
            let wanted = if next_value.is_finite() && curve > 0.0 {
                -0.5 * length * length * promise / curve
            } else {
                0.0
            };
            length = wanted.clamp(0.1 * length, 0.5 * length);
        }
        let Some((next, next_value)) = moved else { break };
        let step: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = next_slope.iter().zip(&slope).map(|(a, b)| a - b).collect();
        let curvature = dot(&step, &change);
        if curvature > 1e-10 * dot(&change, &change).sqrt() * dot(&step, &step).sqrt() {
            if pairs.len() == MEMORY {
                pairs.remove(0);
            }
            pairs.push((step, change, 1.0 / curvature));
        }
        let gain = value - next_value;
        (x, value) = (next, next_value);
        slope = next_slope;
        if gain < effort.gain {
            break;
        }
    }
    Minimum { x, value }
}

/// Turns the steepest direction into the quasi-Newton one (two loops).
fn recurse(pairs: &[(Vec<f64>, Vec<f64>, f64)], free: &[bool], direction: &mut [f64]) {
    let mut factors = Vec::with_capacity(pairs.len());
    for (step, change, inverse) in pairs.iter().rev() {
        let factor = inverse * dot(step, direction);
        add_scaled(direction, -factor, change);
        factors.push(factor);
    }
    if let Some((_, change, inverse)) = pairs.last() {
        let scale = 1.0 / (inverse * dot(change, change));
        for d in direction.iter_mut() {
            *d *= scale;
        }
    }
    for ((step, change, inverse), factor) in pairs.iter().zip(factors.iter().rev()) {
        let other = inverse * dot(change, direction);
        add_scaled(direction, factor - other, step);
    }
    for (d, free) in direction.iter_mut().zip(free) {
        if !free {
            *d = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EFFORT: Effort = Effort { evaluations: 500, slope: 1e-9, gain: 0.0 };

    fn rosenbrock(x: &[f64], slope: &mut [f64]) -> f64 {
        let (a, b) = (x[0], x[1]);
        slope[0] = -2.0 * (1.0 - a) - 400.0 * a * (b - a * a);
        slope[1] = 200.0 * (b - a * a);
        (1.0 - a) * (1.0 - a) + 100.0 * (b - a * a) * (b - a * a)
    }

    #[test]
    fn a_curved_valley_is_followed_to_its_end() {
        let found = minimize(&[-1.2, 1.0], &[(-2.0, 2.0); 2], EFFORT, &mut rosenbrock);
        assert!(found.value < 1e-12, "{found:?}");
    }

    #[test]
    fn bounds_hold() {
        let found = minimize(&[-1.2, 0.3], &[(-2.0, 0.5), (0.0, 2.0)], EFFORT, &mut rosenbrock);
        assert!((found.x[0] - 0.5).abs() < 1e-9 && (found.x[1] - 0.25).abs() < 1e-6, "{found:?}");
    }
}
