//! What is known of a table beside its rows, and how rows of a query fit it.

use super::sql::Failure;
use super::sql::statement::{Column, Partition};
use super::table::{Cell, Table};
use std::collections::BTreeSet;

/// What is known of a table beside its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definition {
    /// The columns.
    pub columns: Vec<Column>,
    /// The columns that partition it.
    pub partitioned: Vec<Column>,
    /// The values of those columns for each partition.
    pub partitions: BTreeSet<Vec<String>>,
    /// How long it is kept, in days. Nothing is removed after it.
    pub lifecycle: Option<u32>,
    /// What it is for.
    pub comment: String,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
    /// When its rows changed last, in milliseconds since 1970.
    pub modified_ms: i64,
}

impl Definition {
    /// All columns, those that partition it last.
    pub fn all_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().chain(&self.partitioned)
    }
}

/// The values of a partition in the order of the table's columns.
pub fn partition_values(
    project: &str,
    table: &str,
    definition: &Definition,
    partition: &Partition,
) -> Result<Vec<String>, Failure> {
    let value = |column: &Column| {
        let part = partition.iter().find(|(name, _)| *name == column.name);
        part.and_then(|(_, value)| value.clone()).ok_or_else(|| {
            Failure::semantic(
                None,
                &format!("partition column {} of {project}.{table} has no value", column.name),
            )
        })
    };
    definition.partitioned.iter().map(value).collect()
}

/// Rows of a query in the order of the table's columns, with the values of a fixed partition.
pub fn arranged(
    definition: &Definition,
    partition: &Partition,
    columns: &[String],
    rows: Table,
) -> Result<Vec<Vec<Cell>>, Failure> {
    let fixed =
        |name: &str| partition.iter().find(|(part, _)| part == name).and_then(|(_, value)| value.clone());
    if definition.partitioned.is_empty() && !partition.is_empty() {
        return Err(Failure::semantic(None, "the table is not partitioned"));
    }
    if !definition.partitioned.is_empty() && partition.is_empty() && columns.is_empty() {
        return Err(Failure::semantic(None, "the table is partitioned, and no partition is named"));
    }
    let mut names: Vec<&String> = if columns.is_empty() {
        definition.columns.iter().map(|column| &column.name).collect()
    } else {
        columns.iter().collect()
    };
    names.extend(
        definition
            .partitioned
            .iter()
            .map(|column| &column.name)
            .filter(|name| fixed(name).is_none() && !columns.contains(name)),
    );
    if names.len() != rows.columns.len() {
        let what = format!(
            "wrong columns count {} in data source, requires {} columns",
            rows.columns.len(),
            names.len()
        );
        return Err(Failure::semantic(None, &what));
    }
    let places: Vec<Result<usize, Cell>> = definition
        .all_columns()
        .map(|column| match (fixed(&column.name), names.iter().position(|name| **name == column.name)) {
            (Some(value), _) => Err(Cell::Text(value)),
            (None, Some(at)) => Ok(at),
            (None, None) => Err(Cell::Null),
        })
        .collect();
    let arrange = |row: Vec<Cell>| {
        let at = |place: &Result<usize, Cell>| match place {
            Ok(at) => row.get(*at).cloned().unwrap_or(Cell::Null),
            Err(fixed) => fixed.clone(),
        };
        places.iter().map(at).collect()
    };
    Ok(rows.rows.into_iter().map(arrange).collect())
}
