//! Prediction with a model (`prediction`).
//!
//! The table that comes out has the columns of `appendColNames` (all of the input's if it is absent) and then the label that is most
//! probable, its probability, and all probabilities as JSON. With a model of numbers the label is empty, and the score is
//! the number.

use super::model::{Model, sigmoid};
use super::parameters::Parameters;
use super::run::{Output, Source};
use super::samples::{Sparse, points};
use crate::maxcompute::sql::Failure;
use crate::maxcompute::table::{Cell, Table, column};
use serde_json::json;

/// What is said of one point: label, score, details.
fn told(model: &Model, point: &[f64]) -> Result<[Cell; 3], Failure> {
    let of_odds = |odds: f64, good: &str, other: &str| {
        let probability = sigmoid(odds);
        let (label, score) =
            if probability >= 0.5 { (good, probability) } else { (other, 1.0 - probability) };
        let detail = json!({other: 1.0 - probability, good: probability});
        [Cell::Text(label.to_owned()), Cell::Double(score), Cell::Text(detail.to_string())]
    };
    match model {
        Model::Logistic { weights, intercept, labels, .. } => {
            let odds =
                intercept + weights.iter().zip(point).map(|(weight, value)| weight * value).sum::<f64>();
            Ok(of_odds(odds, &labels.0, &labels.1))
        }
        Model::Trees { trees, base, logistic, .. } => {
            let sum = base + trees.iter().map(|tree| tree.value(point)).sum::<f64>();
            if *logistic {
                return Ok(of_odds(sum, "1", "0"));
            }
            Ok([Cell::Text(String::new()), Cell::Double(sum), Cell::Text(json!({"label": sum}).to_string())])
        }
        Model::Clusters { .. } => Err(Failure::algorithm("a model of kmeans predicts nothing")),
    }
}

/// Runs it.
pub fn run(source: &Source<'_>, parameters: &Parameters) -> Result<Output, Failure> {
    let model = source.model()?;
    let input = source.input()?;
    let item = if matches!(model, Model::Trees { .. }) { " " } else { "," };
    let all = points(&input, model.columns(), Sparse::of(parameters, item).as_ref())?;
    let mut appended = parameters.list("appendColNames");
    if appended.is_empty() {
        appended = input.columns.iter().map(|column| column.name.clone()).collect();
    }
    let places: Vec<usize> = appended.iter().filter_map(|name| input.position(name)).collect();
    if places.len() != appended.len() {
        return Err(Failure::algorithm("appendColNames names a column that the input table does not have"));
    }
    let named = |name: &str, default: &str| parameters.get(name).unwrap_or(default).to_lowercase();
    let mut table = Table {
        columns: places.iter().filter_map(|place| input.columns.get(*place)).cloned().collect(),
        rows: Vec::with_capacity(all.len()),
    };
    table.columns.extend([
        column(&named("resultColName", "prediction_result"), "string"),
        column(&named("scoreColName", "prediction_score"), "double"),
        column(&named("detailColName", "prediction_detail"), "string"),
    ]);
    for (row, point) in input.rows.iter().zip(&all) {
        let mut cells: Vec<Cell> = places.iter().filter_map(|place| row.get(*place)).cloned().collect();
        cells.extend(told(&model, point)?);
        table.rows.push(cells);
    }
    parameters.need("outputTableName")?;
    let mut output = Output::default();
    output.table(parameters, "outputTableName", table)?;
    Ok(output)
}
