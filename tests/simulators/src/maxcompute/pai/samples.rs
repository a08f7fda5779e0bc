//! Rows of a table as points: the features, and what belongs to them.

use super::parameters::Parameters;
use crate::maxcompute::limits::FEATURES;
use crate::maxcompute::sql::Failure;
use crate::maxcompute::table::{Cell, Table};

/// How sparse features are written: pairs, and what stands between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sparse {
    item: String,
    pair: String,
}

impl Sparse {
    /// What the parameters say, if the features are sparse. `item` stands between pairs if nothing else is said.
    pub fn of(parameters: &Parameters, item: &str) -> Option<Self> {
        parameters.flag("enableSparse").then(|| Self {
            item: parameters.get("itemDelimiter").unwrap_or(item).to_owned(),
            pair: parameters.get("kvDelimiter").unwrap_or(":").to_owned(),
        })
    }

    fn pairs<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Result<(usize, f64), Failure>> + 'a {
        let items = text.split(self.item.as_str()).map(str::trim).filter(|item| !item.is_empty());
        items.map(|item| {
            let (key, value) = item.split_once(self.pair.as_str()).unwrap_or((item, ""));
            let key = key.trim().parse().ok().filter(|key| *key < FEATURES);
            key.zip(value.trim().parse().ok()).ok_or_else(|| {
                Failure::algorithm(&format!("{item} is no pair of a feature's number and its value"))
            })
        })
    }
}

/// The points of rows, each with as many coordinates: the columns' values, or with sparse features one for each number.
pub fn points(table: &Table, columns: &[String], sparse: Option<&Sparse>) -> Result<Vec<Vec<f64>>, Failure> {
    let places: Vec<usize> = columns
        .iter()
        .map(|name| {
            let found = table.position(name);
            found.ok_or_else(|| Failure::semantic(None, &format!("column {name} cannot be resolved")))
        })
        .collect::<Result<_, _>>()?;
    if table.rows.is_empty() {
        return Err(Failure::algorithm("the input table has no rows"));
    }
    let null = || Failure("Algo Job Failed-System Error-Null feature value found".to_owned());
    let mut points = Vec::with_capacity(table.rows.len());
    let mut width = 0;
    for row in &table.rows {
        let cells = places.iter().filter_map(|place| row.get(*place));
        let mut point: Vec<f64> = Vec::with_capacity(columns.len());
        for cell in cells {
            match (cell, sparse) {
                (Cell::Null, _) => return Err(null()),
                (Cell::Text(text), Some(sparse)) => {
                    for pair in sparse.pairs(text) {
                        let (key, value) = pair?;
                        if point.len() <= key {
                            point.resize(key + 1, 0.0);
                        }
                        if let Some(place) = point.get_mut(key) {
                            *place = value;
                        }
                    }
                }
                (cell, _) => point.push(cell.number().filter(|number| number.is_finite()).ok_or_else(null)?),
            }
        }
        width = width.max(point.len());
        points.push(point);
    }
    for point in &mut points {
        point.resize(width, 0.0);
    }
    Ok(points)
}

/// The columns of the features: those that are named, or else all of numbers but `without`.
pub fn feature_columns(table: &Table, named: Vec<String>, without: &str) -> Vec<String> {
    if !named.is_empty() {
        return named;
    }
    let numeric = table.columns.iter().filter(|column| {
        matches!(column.kind.as_str(), "bigint" | "int" | "double" | "float")
            && !column.name.eq_ignore_ascii_case(without)
    });
    numeric.map(|column| column.name.clone()).collect()
}

/// The texts of a column.
pub fn texts(table: &Table, name: &str) -> Result<Vec<String>, Failure> {
    let place = table.position(name);
    let place = place.ok_or_else(|| Failure::semantic(None, &format!("column {name} cannot be resolved")))?;
    let kind = table.columns.get(place).map_or("", |column| column.kind.as_str());
    let text = |row: &Vec<Cell>| row.get(place).and_then(|cell| cell.text(kind)).unwrap_or_default();
    Ok(table.rows.iter().map(text).collect())
}

/// The labels of a column: its texts, whole numbers without a point.
pub fn labels(table: &Table, name: &str) -> Result<Vec<String>, Failure> {
    let plain = |text: String| text.strip_suffix(".0").map_or(text.clone(), str::to_owned);
    Ok(texts(table, name)?.into_iter().map(plain).collect())
}

/// Whether two labels are the same text or the same number.
pub fn same_label(one: &str, other: &str) -> bool {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    one == other || number(one).zip(number(other)).is_some_and(|(one, other)| one == other)
}

/// The numbers of a column; a row without one is an error.
pub fn numbers(table: &Table, name: &str) -> Result<Vec<f64>, Failure> {
    let all = texts(table, name)?.iter().map(|text| text.trim().parse().ok()).collect::<Option<Vec<f64>>>();
    all.ok_or_else(|| Failure::algorithm(&format!("column {name} has a value that is no number")))
}
