//! Dividing a table into two at random (`split`).

use super::parameters::Parameters;
use super::run::{Output, Source};
use crate::dice::Dice;
use crate::maxcompute::sql::Failure;
use crate::maxcompute::table::Table;

/// Runs it: of `n` rows `fraction * n`, rounded, come into the first table and the rest into the second.
pub fn run(source: &Source<'_>, parameters: &Parameters, now_ms: i64) -> Result<Output, Failure> {
    let input = source.input()?;
    let fraction = parameters.number("fraction", 0.5, 0.0, 1.0)?;
    let mut dice = Dice::new(parameters.number("seed", now_ms as u64, 0, u64::MAX)?);
    let mut order: Vec<(u64, usize)> = (0..input.rows.len()).map(|at| (dice.next(), at)).collect();
    order.sort_unstable();
    let first = (fraction * input.rows.len() as f64).round() as usize;
    let mut chosen = vec![false; input.rows.len()];
    for (_, at) in order.into_iter().take(first) {
        if let Some(chosen) = chosen.get_mut(at) {
            *chosen = true;
        }
    }
    let part = |wanted: bool| {
        let rows = input.rows.iter().zip(&chosen).filter(|(_, chosen)| **chosen == wanted);
        Table { columns: input.columns.clone(), rows: rows.map(|(row, _)| row.clone()).collect() }
    };
    let mut output = Output::default();
    parameters.need("output1TableName")?;
    output.table(parameters, "output1TableName", part(true))?;
    output.table(parameters, "output2TableName", part(false))?;
    Ok(output)
}
