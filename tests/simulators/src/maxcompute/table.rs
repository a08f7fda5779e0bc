//! Rows with named and typed columns: what queries give, and what algorithms read and write.

use super::sql::statement::Column;

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// None.
    Null,
    /// A whole number, or a truth value as 0 or 1.
    Integer(i64),
    /// A number.
    Double(f64),
    /// A text; times and decimals too.
    Text(String),
}

impl Cell {
    /// Its text in a column of a type; nothing for `Null`.
    pub fn text(&self, kind: &str) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Integer(number) if kind == "boolean" => Some((*number != 0).to_string()),
            Self::Integer(number) if kind == "double" => Some(double_text(*number as f64)),
            Self::Integer(number) => Some(number.to_string()),
            Self::Double(number) => Some(double_text(*number)),
            Self::Text(text) => Some(text.clone()),
        }
    }

    /// Its number; texts that are one count.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Null => None,
            Self::Integer(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }
}

/// A number as Java writes it, and with it the service: always with a point, a name for what is not finite.
pub fn double_text(number: f64) -> String {
    match number {
        number if number.is_nan() => "NaN".to_owned(),
        number if number.is_infinite() => format!("{}Infinity", if number < 0.0 { "-" } else { "" }),
        number => format!("{number:?}").replace('e', "E"),
    }
}

/// A name and a type.
pub fn column(name: &str, kind: &str) -> Column {
    Column { name: name.to_owned(), kind: kind.to_owned(), comment: String::new() }
}

/// Rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, each with a cell for every column.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// The rows as a result's text: a line of names, then a line for each of the first rows; `\N` is none.
    pub fn csv(&self, most: usize) -> String {
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let names: Vec<String> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        let mut text = names.join(",") + "\n";
        for row in self.rows.iter().take(most) {
            let cells: Vec<String> = row
                .iter()
                .zip(&self.columns)
                .map(|(cell, column)| cell.text(&column.kind).map_or("\\N".to_owned(), |text| quoted(&text)))
                .collect();
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        text
    }

    /// Where a column of a name is, in any case.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_written_as_the_official_client_reads_it() {
        let table = Table {
            columns: vec![column("auc", "double"), column("say \"hi\"", "string"), column("ok", "boolean")],
            rows: vec![
                vec![Cell::Double(0.91), Cell::Text("a\"b,c".to_owned()), Cell::Integer(1)],
                vec![Cell::Null, Cell::Null, Cell::Null],
            ],
        };
        let text = "\"auc\",\"say \"\"hi\"\"\",\"ok\"\n\"0.91\",\"a\"\"b,c\",\"true\"\n\\N,\\N,\\N\n";
        assert_eq!(table.csv(10), text);
        assert_eq!(table.csv(0).lines().count(), 1);
        assert_eq!(double_text(1.0), "1.0");
        assert_eq!(double_text(f64::NAN), "NaN");
    }
}
