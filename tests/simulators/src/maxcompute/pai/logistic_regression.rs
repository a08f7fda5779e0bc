//! Logistic regression for two classes (`logisticregression_binary`).
//!
//! The minimum of the sum of the losses and of the penalty is found by coordinate descent on Newton's quadratic
//! approximations (Friedman, Hastie and Tibshirani 2010), and not by the service's L-BFGS: the place is the same.

use super::model::{Model, sigmoid};
use super::parameters::Parameters;
use super::run::{Output, Source};
use super::samples::{Sparse, feature_columns, labels, points, same_label};
use crate::maxcompute::sql::Failure;

/// How often the quadratic approximation is gone through, for each new one.
const SWEEPS: usize = 50;

/// What makes weights small.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Penalty {
    /// The factor of the sum of their absolute values.
    pub l1: f64,
    /// The factor of half the sum of their squares.
    pub l2: f64,
}

/// The weights and the intercept; labels are 0 or 1. It ends when no weight changes by more than `epsilon`.
pub fn fit(
    points: &[Vec<f64>],
    labels: &[f64],
    penalty: Penalty,
    loops: usize,
    epsilon: f64,
) -> (Vec<f64>, f64) {
    let width = points.first().map_or(0, Vec::len);
    // The last weight is the intercept, which has no penalty.
    let mut weights = vec![0.0; width + 1];
    for _ in 0..loops {
        let odds: Vec<f64> = points.iter().map(|point| linear(&weights, point)).collect();
        // The weight of each point in the approximation, and what is left to explain.
        let curvature: Vec<f64> =
            odds.iter().map(|odds| (sigmoid(*odds) * (1.0 - sigmoid(*odds))).max(1e-6)).collect();
        let mut left: Vec<f64> = odds
            .iter()
            .zip(labels)
            .zip(&curvature)
            .map(|((odds, label), curvature)| (label - sigmoid(*odds)) / curvature)
            .collect();
        let before = weights.clone();
        for _ in 0..SWEEPS {
            let mut moved = 0.0_f64;
            for (at, weight) in weights.iter_mut().enumerate() {
                let value = |point: &Vec<f64>| point.get(at).copied().unwrap_or(1.0);
                let (l1, l2) = if at < width { (penalty.l1, penalty.l2) } else { (0.0, 0.0) };
                let (mut slope, mut square) = (0.0, 0.0);
                for ((point, left), curvature) in points.iter().zip(&left).zip(&curvature) {
                    let value = value(point);
                    slope += curvature * value * (left + value * *weight);
                    square += curvature * value * value;
                }
                let next = if square + l2 > 0.0 {
                    slope.signum() * (slope.abs() - l1).max(0.0) / (square + l2)
                } else {
                    0.0
                };
                let change = next - *weight;
                if change != 0.0 {
                    left.iter_mut().zip(points).for_each(|(left, point)| *left -= change * value(point));
                    *weight = next;
                    moved = moved.max(change.abs());
                }
            }
            if moved < epsilon {
                break;
            }
        }
        if weights.iter().zip(&before).all(|(now, before)| (now - before).abs() < epsilon) {
            break;
        }
    }
    let intercept = weights.pop().unwrap_or_default();
    (weights, intercept)
}

fn linear(weights: &[f64], point: &[f64]) -> f64 {
    weights.iter().zip(point.iter().copied().chain([1.0])).map(|(weight, value)| weight * value).sum()
}

/// Runs it.
pub fn run(source: &Source<'_>, parameters: &Parameters) -> Result<Output, Failure> {
    let input = source.input()?;
    let label = parameters.need("labelColName")?;
    let columns = feature_columns(&input, parameters.list("featureColNames"), label);
    let all = points(&input, &columns, Sparse::of(parameters, ",").as_ref())?;
    let found = labels(&input, label)?;
    let mut kinds: Vec<&String> = found.iter().collect();
    kinds.sort();
    kinds.dedup();
    if kinds.len() > 2 {
        return Err(Failure::algorithm(&format!("column {label} has {} values and not two", kinds.len())));
    }
    // The last of the two if none is named; a label that no row has makes all rows negative.
    let named = parameters.get("goodValue").or(kinds.last().map(|kind| kind.as_str())).unwrap_or("1");
    let is_good = |label: &str| same_label(label, named);
    let known = |wanted: bool| kinds.iter().find(|kind| is_good(kind) == wanted).map(|kind| (*kind).clone());
    let (good, other) = (known(true).unwrap_or(named.to_owned()), known(false).unwrap_or("0".to_owned()));
    let truths: Vec<f64> = found.iter().map(|text| f64::from(is_good(text))).collect();
    let level = parameters.number("regularizedLevel", 1.0, 0.0, f64::MAX)?;
    let penalty = match parameters.one_of("regularizedType", &["l1", "l2", "None"])? {
        "l1" => Penalty { l1: level, l2: 0.0 },
        "l2" => Penalty { l1: 0.0, l2: level },
        _ => Penalty { l1: 0.0, l2: 0.0 },
    };
    let loops = parameters.number("maxIter", 100, 1, 100_000)?;
    let epsilon = parameters.number("epsilon", 0.000_001, f64::MIN_POSITIVE, 1.0)?;
    let (weights, intercept) = fit(&all, &truths, penalty, loops, epsilon);
    let name = parameters.model().ok_or_else(|| Failure::algorithm("parameter modelName is required"))?;
    let model = Model::Logistic { columns, weights, intercept, labels: (good, other) };
    Ok(Output { model: Some((name, model)), ..Output::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_loss_and_penalty_is_nothing_at_the_minimum() {
        let points: Vec<Vec<f64>> = (0..20).map(|at| vec![f64::from(at), f64::from(at * 7 % 5)]).collect();
        let labels: Vec<f64> = (0..20).map(|at| f64::from(at > 8 && at != 15)).collect();
        for (l1, l2) in [(0.0, 1.0), (0.5, 0.0), (30.0, 0.0)] {
            let (weights, intercept) = fit(&points, &labels, Penalty { l1, l2 }, 200, 1e-10);
            let wrong = |point: &Vec<f64>, label: &f64| {
                sigmoid(weights[0] * point[0] + weights[1] * point[1] + intercept) - label
            };
            let slope = |at: usize| -> f64 {
                points
                    .iter()
                    .zip(&labels)
                    .map(|(point, label)| wrong(point, label) * point.get(at).unwrap_or(&1.0))
                    .sum()
            };
            assert!(slope(2).abs() < 1e-5, "{}", slope(2));
            for at in 0..2 {
                let whole =
                    slope(at) + l2 * weights[at] + l1 * weights[at].signum() * f64::from(weights[at] != 0.0);
                let allowed = if weights[at] == 0.0 { l1 } else { 1e-4 };
                assert!(whole.abs() <= allowed, "{l1} {l2} {at}: {whole} {weights:?}");
            }
        }
    }
}
