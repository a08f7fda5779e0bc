//! Tables in the embedded database: how they are declared, and how rows come in and out.

use super::definition::Definition;
use super::sql::statement::Column;
use super::table::Cell;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Transaction, params_from_iter};

/// How a column is declared to the embedded database, which derives the form of its values from it.
fn declared(column: &Column) -> String {
    let kind = match column.kind.split('(').next().unwrap_or_default() {
        kind @ ("bigint" | "int" | "smallint" | "tinyint" | "double" | "float" | "boolean" | "decimal") => {
            kind
        }
        _ => "text",
    };
    format!("{} {kind}", quoted(&column.name))
}

/// A name in backticks.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A cell of a value of the database.
pub fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Double(number),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Cell::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(number) => Value::Integer(*number),
        Cell::Double(number) => Value::Real(*number),
        Cell::Text(text) => Value::Text(text.clone()),
    }
}

/// The type of a column whose type is nowhere declared.
pub fn inferred(rows: &[Vec<Cell>], at: usize) -> &'static str {
    let mut kind = "string";
    for cell in rows.iter().filter_map(|row| row.get(at)) {
        match cell {
            Cell::Text(_) => return "string",
            Cell::Double(_) => kind = "double",
            Cell::Integer(_) if kind != "double" => kind = "bigint",
            Cell::Null | Cell::Integer(_) => {}
        }
    }
    kind
}

/// A cell of a field of a CSV file.
pub fn field(text: &str) -> Cell {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Cell::Null;
    }
    let whole = trimmed.parse().map(Cell::Integer);
    let number = || trimmed.parse().map(Cell::Double);
    whole.or_else(|_| number()).unwrap_or_else(|_| Cell::Text(text.to_owned()))
}

/// Makes an empty table.
pub fn define(transaction: &Transaction<'_>, table: &str, definition: &Definition) -> rusqlite::Result<()> {
    let columns: Vec<String> = definition.all_columns().map(declared).collect();
    transaction.execute_batch(&format!("CREATE TABLE {} ({})", quoted(table), columns.join(", ")))
}

/// Adds rows to a table.
pub fn append(transaction: &Transaction<'_>, table: &str, rows: &[Vec<Cell>]) -> rusqlite::Result<()> {
    let Some(first) = rows.first() else { return Ok(()) };
    let marks = vec!["?"; first.len()].join(", ");
    let mut statement = transaction.prepare(&format!("INSERT INTO {} VALUES ({marks})", quoted(table)))?;
    for row in rows {
        statement.execute(params_from_iter(row.iter().map(value)))?;
    }
    Ok(())
}

/// Removes the rows of a partition.
pub fn delete(
    transaction: &Transaction<'_>,
    table: &str,
    keys: &[Column],
    values: &[String],
) -> rusqlite::Result<()> {
    let equal: Vec<String> = keys.iter().map(|key| format!("{} = ?", quoted(&key.name))).collect();
    let text = format!("DELETE FROM {} WHERE {}", quoted(table), equal.join(" AND "));
    transaction.execute(&text, params_from_iter(values)).map(|_| ())
}
