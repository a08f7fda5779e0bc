//! Two models with a closed solution: ridge regression and kernel ridge regression.

use crate::data::{FEATURES, Penguins};
use crate::validation::Fitted;

/// Brings each column to mean 0 and variance 1, as measured on the training data.
struct Scale {
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl Scale {
    fn measure(rows: &[Vec<f64>]) -> Self {
        let count = rows.len() as f64;
        let columns = rows.first().map_or(0, Vec::len);
        let mean = |column: usize, f: &dyn Fn(f64) -> f64| {
            rows.iter().map(|row| f(row[column])).sum::<f64>() / count
        };
        let means: Vec<f64> = (0..columns).map(|column| mean(column, &|value| value)).collect();
        let deviation =
            |(column, centre): (usize, &f64)| mean(column, &|value| (value - centre).powi(2)).sqrt();
        // A column that never varies says nothing: left as it is, it becomes zero.
        let deviations =
            means.iter().enumerate().map(deviation).map(|d| if d > 1e-12 { d } else { 1.0 }).collect();
        Self { means, deviations }
    }

    fn apply(&self, row: &[f64]) -> Vec<f64> {
        let measured = self.means.iter().zip(&self.deviations);
        row.iter().zip(measured).map(|(value, (mean, deviation))| (value - mean) / deviation).collect()
    }
}

/// Ridge regression on the features and, from degree 2 on, their products two by two.
pub(crate) struct Linear {
    degree: usize,
    first: Scale,
    second: Scale,
    weights: Vec<f64>,
    mean: f64,
}

impl Linear {
    pub(crate) fn fit(training: &Penguins, alpha: f64, degree: usize) -> Result<Self, String> {
        let plain: Vec<Vec<f64>> = training.features.iter().map(|row| row.to_vec()).collect();
        let first = Scale::measure(&plain);
        let rows: Vec<Vec<f64>> = plain.iter().map(|row| expand(&first.apply(row), degree)).collect();
        let second = Scale::measure(&rows);
        let rows: Vec<Vec<f64>> = rows.iter().map(|row| second.apply(row)).collect();
        let (mean, targets) = centred(&training.masses);
        let weights = ridge(&rows, &targets, alpha)?;
        Ok(Self { degree, first, second, weights, mean })
    }
}

impl Fitted for Linear {
    fn predict(&self, features: &[f64; FEATURES]) -> f64 {
        let row = self.second.apply(&expand(&self.first.apply(features), self.degree));
        self.mean + dot(&row, &self.weights)
    }
}

/// Kernel ridge regression with a Gaussian kernel of the given width (in standard deviations of the features).
pub(crate) struct Kernel {
    scale: Scale,
    rows: Vec<Vec<f64>>,
    weights: Vec<f64>,
    width: f64,
    mean: f64,
}

impl Kernel {
    pub(crate) fn fit(training: &Penguins, alpha: f64, width: f64) -> Result<Self, String> {
        let plain: Vec<Vec<f64>> = training.features.iter().map(|row| row.to_vec()).collect();
        let scale = Scale::measure(&plain);
        let rows: Vec<Vec<f64>> = plain.iter().map(|row| scale.apply(row)).collect();
        let mut matrix: Vec<Vec<f64>> =
            rows.iter().map(|row| rows.iter().map(|other| gaussian(row, other, width)).collect()).collect();
        add_to_diagonal(&mut matrix, alpha);
        let (mean, targets) = centred(&training.masses);
        let weights = solve(matrix, targets)?;
        Ok(Self { scale, rows, weights, width, mean })
    }
}

impl Fitted for Kernel {
    fn predict(&self, features: &[f64; FEATURES]) -> f64 {
        let row = self.scale.apply(features);
        let likenesses = self.rows.iter().map(|other| gaussian(&row, other, self.width));
        self.mean + likenesses.zip(&self.weights).map(|(likeness, weight)| likeness * weight).sum::<f64>()
    }
}

/// The weights `w` that minimise `|rows w - targets|^2 + alpha |w|^2`.
fn ridge(rows: &[Vec<f64>], targets: &[f64], alpha: f64) -> Result<Vec<f64>, String> {
    let columns = rows.first().map_or(0, Vec::len);
    let mut matrix = vec![vec![0.0; columns]; columns];
    let mut right = vec![0.0; columns];
    for (row, target) in rows.iter().zip(targets) {
        for (i, value) in row.iter().enumerate() {
            right[i] += value * target;
            matrix[i].iter_mut().zip(row).for_each(|(sum, other)| *sum += value * other);
        }
    }
    add_to_diagonal(&mut matrix, alpha);
    solve(matrix, right)
}

fn add_to_diagonal(matrix: &mut [Vec<f64>], alpha: f64) {
    for (i, row) in matrix.iter_mut().enumerate() {
        row[i] += alpha;
    }
}

/// Solves a symmetric positive definite system by Cholesky's method; the matrix becomes its lower factor.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Result<Vec<f64>, String> {
    let size = right.len();
    for i in 0..size {
        let (above, below) = matrix.split_at_mut(i);
        let Some(row) = below.first_mut() else { break };
        for (j, other) in above.iter().enumerate() {
            row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
        }
        let pivot = row[i] - dot(&row[..i], &row[..i]);
        if pivot.is_nan() || pivot <= 0.0 {
            return Err("the system has no unique solution: alpha is too small for this data".to_owned());
        }
        row[i] = pivot.sqrt();
        right[i] = (right[i] - dot(&row[..i], &right[..i])) / row[i];
    }
    for i in (0..size).rev() {
        let known: f64 = (i + 1..size).map(|j| matrix[j][i] * right[j]).sum();
        right[i] = (right[i] - known) / matrix[i][i];
    }
    Ok(right)
}

fn expand(row: &[f64], degree: usize) -> Vec<f64> {
    let mut expanded = row.to_vec();
    if degree >= 2 {
        for (i, value) in row.iter().enumerate() {
            expanded.extend(row[i..].iter().map(|other| value * other));
        }
    }
    expanded
}

fn gaussian(a: &[f64], b: &[f64], width: f64) -> f64 {
    let distance: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    (-distance / (2.0 * width * width)).exp()
}

fn centred(values: &[f64]) -> (f64, Vec<f64>) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|value| value - mean).collect())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::{centred, dot, expand, ridge, solve};
    use crate::data::Penguins;

    #[test]
    fn a_ridge_solution_has_no_slope_left() -> Result<(), String> {
        let penguins = Penguins::load()?;
        let rows: Vec<Vec<f64>> = penguins.features.iter().map(|row| row[..3].to_vec()).collect();
        let (_, targets) = centred(&penguins.masses);
        for alpha in [1e-3, 1.0, 1e4] {
            let weights = ridge(&rows, &targets, alpha)?;
            for column in 0..3 {
                let pull: f64 = rows
                    .iter()
                    .zip(&targets)
                    .map(|(row, target)| row[column] * (target - dot(row, &weights)))
                    .sum();
                let error = (pull - alpha * weights[column]).abs();
                assert!(error < 1e-4, "alpha {alpha}, column {column}: {error}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_known_system_is_solved_and_a_singular_one_refused() -> Result<(), String> {
        let matrix = vec![vec![4.0, 2.0, 0.0], vec![2.0, 5.0, 1.0], vec![0.0, 1.0, 3.0]];
        let solution = solve(matrix, vec![8.0, 15.0, 11.0])?;
        for (actual, expected) in solution.iter().zip([1.0, 2.0, 3.0]) {
            assert!((actual - expected).abs() < 1e-12, "{solution:?}");
        }
        assert!(solve(vec![vec![1.0, 1.0], vec![1.0, 1.0]], vec![1.0, 2.0]).is_err());
        Ok(())
    }

    #[test]
    fn products_are_added_from_degree_two_on() {
        assert_eq!(expand(&[2.0, 3.0], 1), [2.0, 3.0]);
        assert_eq!(expand(&[2.0, 3.0], 2), [2.0, 3.0, 4.0, 6.0, 9.0]);
    }
}
