//! Rows that a query gives, and numbers out of them. Begin with [`Table::read`] and [`Table::numbers`].
//!
//! A metric is one number: no row, several rows, NULL or something else than a number is an error that says so.

use crate::maxcompute::codes;
use engine::error::Code;
use serde_json::{Map, Number, Value};
use std::fmt;

/// Most rows of a result; documented by the service.
pub const ROW_BOUND: usize = 10_000;
/// How the service writes NULL.
const NULL: &str = r"\N";
/// Most characters of a value that are shown.
const SHOWN_CHARS: usize = 64;

/// Rows with names for their columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The names, as the service gives them: most often in lower case.
    pub columns: Vec<String>,
    /// The rows, each as long as the names; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

/// Why there is no number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoNumber {
    /// The statement gives no rows at all.
    #[error("the statement gives a text and no rows: it has to be a SELECT")]
    NotRows,
    /// The rows cannot be read.
    #[error("the rows cannot be read: {0}")]
    Unreadable(String),
    /// The query gives nothing.
    #[error("the query gives no row: nothing was written for this trial, or its condition meets nothing")]
    NoRow,
    /// The query gives more than one row.
    #[error("the query gives {0} rows, and one is wanted: name the trial in its condition, or add LIMIT 1")]
    SeveralRows(usize),
    /// There is no such column.
    #[error("the query gives no column `{wanted}`; it gives {}", list(.given))]
    NoColumn {
        /// The metric.
        wanted: String,
        /// What there is.
        given: Vec<String>,
    },
    /// The value is NULL.
    #[error("the column `{0}` is NULL")]
    Null(String),
    /// The value is no number.
    #[error("the column `{column}` is {value:?}, which is no number")]
    NotANumber {
        /// The metric.
        column: String,
        /// What there is, bounded.
        value: String,
    },
    /// The value is not finite.
    #[error("the column `{column}` is {value}, which is not a finite number")]
    NotFinite {
        /// The metric.
        column: String,
        /// What there is.
        value: String,
    },
}

impl NoNumber {
    /// Its page.
    pub fn code(&self) -> Code {
        codes::NO_NUMBER
    }
}

fn list(names: &[String]) -> impl fmt::Display {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

impl Table {
    /// Reads rows from the text of a result in CSV: names first, fields in double quotes, NULL as `\N`.
    pub fn read(text: &str) -> Result<Self, NoNumber> {
        let unreadable = |error: csv::Error| NoNumber::Unreadable(error.to_string());
        let mut reader = csv::ReaderBuilder::new().has_headers(true).from_reader(text.as_bytes());
        let columns: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            if rows.len() == ROW_BOUND {
                return Err(NoNumber::Unreadable(format!("there are more than {ROW_BOUND}")));
            }
            let record = record.map_err(unreadable)?;
            rows.push(record.iter().map(|field| (field != NULL).then(|| field.to_owned())).collect());
        }
        Ok(Self { columns, rows })
    }

    /// The only row.
    pub fn row(&self) -> Result<&[Option<String>], NoNumber> {
        match self.rows.as_slice() {
            [] => Err(NoNumber::NoRow),
            [row] => Ok(row),
            rows => Err(NoNumber::SeveralRows(rows.len())),
        }
    }

    /// The only row as a JSON object: finite numbers as such, other values as texts, NULL as null.
    pub fn object(&self) -> Result<Map<String, Value>, NoNumber> {
        let value = |field: &Option<String>| match field {
            None => Value::Null,
            Some(text) => {
                let number = text.trim().parse().ok().and_then(Number::from_f64);
                number.map_or_else(|| Value::String(text.clone()), Value::Number)
            }
        };
        let row = self.row()?;
        Ok(self.columns.iter().zip(row).map(|(name, field)| (name.clone(), value(field))).collect())
    }

    /// The numbers in these columns of the only row, in their order. Names are compared without regard to case.
    pub fn numbers(&self, wanted: &[&str]) -> Result<Vec<f64>, NoNumber> {
        let row = self.row()?;
        wanted.iter().map(|name| self.number(name, row)).collect()
    }

    fn number(&self, wanted: &str, row: &[Option<String>]) -> Result<f64, NoNumber> {
        let place = self.columns.iter().position(|column| column.trim().eq_ignore_ascii_case(wanted));
        let Some(field) = place.and_then(|place| row.get(place)) else {
            return Err(NoNumber::NoColumn { wanted: wanted.to_owned(), given: self.columns.clone() });
        };
        let column = wanted.to_owned();
        let text = field.as_deref().ok_or_else(|| NoNumber::Null(column.clone()))?;
        let value = || text.chars().take(SHOWN_CHARS).collect();
        match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            Ok(_) => Err(NoNumber::NotFinite { column, value: value() }),
            Err(_) => Err(NoNumber::NotANumber { column, value: value() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(text: &str, wanted: &[&str]) -> Result<Vec<f64>, NoNumber> {
        Table::read(text)?.numbers(wanted)
    }

    #[test]
    fn one_row_gives_its_numbers_by_name() {
        assert_eq!(numbers("\"auc\"\n\"0.91\"\n", &["auc"]), Ok(vec![0.91]));
        let two = "\"auc\",\"recall\",\"note\"\n\" 0.5\",\"-1e-3\",\"a \"\"b\"\", c\"\n";
        assert_eq!(numbers(two, &["RECALL", "auc"]), Ok(vec![-0.001, 0.5]));
        assert_eq!(Table::read(two).unwrap().rows[0][2].as_deref(), Some("a \"b\", c"));
    }

    #[test]
    fn one_row_is_an_object_of_numbers_and_texts() {
        let table = Table::read("a,b,c,d\n\"1.5\",\\N,x,NaN\n").unwrap();
        let object = serde_json::json!({"a": 1.5, "b": null, "c": "x", "d": "NaN"});
        assert_eq!(Value::Object(table.object().unwrap()), object);
        assert_eq!(Table::default().object(), Err(NoNumber::NoRow));
    }

    #[test]
    fn what_is_not_one_number_is_told_apart() {
        let cases = [
            ("\"m\"\n", "no row"),
            ("", "no row"),
            ("\"m\"\n\"1\"\n\"2\"\n", "2 rows"),
            ("\"a\",\"b\"\n\"1\",\"2\"\n", "no column `m`; it gives `a`, `b`"),
            ("\"m\"\n\\N\n", "`m` is NULL"),
            ("\"m\"\n\"\\N\"\n", "`m` is NULL"),
            ("\"m\"\n\"NaN\"\n", "is NaN, which is not a finite"),
            ("\"m\"\n\"-Infinity\"\n", "is -Infinity, which is not a finite"),
            ("\"m\"\n\"good\"\n", "is \"good\", which is no number"),
            ("\"m\"\n\"\"\n", "is \"\", which is no number"),
            ("\"m\",\"n\"\n\"1\"\n", "cannot be read"),
        ];
        for (text, part) in cases {
            let error = numbers(text, &["m"]).unwrap_err();
            assert!(error.to_string().contains(part), "{text:?}: {error}");
        }
        let many = format!("m\n{}", "1\n".repeat(ROW_BOUND + 1));
        assert!(matches!(numbers(&many, &["m"]), Err(NoNumber::Unreadable(_))));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\"|,|\n|\\\\N|1|a|\\PC){0,40}") {
            let _ = numbers(&text, &["a"]);
        }

        #[test]
        fn a_finite_number_comes_back(number in any::<f64>().prop_filter("finite", |number| number.is_finite())) {
            prop_assert_eq!(numbers(&format!("\"m\"\n\"{number}\"\n"), &["m"]), Ok(vec![number]));
        }
    }
}
