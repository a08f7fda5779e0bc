//! The tunnel: rows of a result or of a table as a stream of records.
//!
//! A record is a protocol buffer message whose fields are numbered like the columns, from 1; a column without a value is left
//! out. After each comes the checksum (CRC-32C) of its values, at the end the number of records and the checksum of
//! the checksums.

use super::limits;
use super::refusal::Refusal;
use super::table::{Cell, Table};
use std::collections::BTreeMap;
use std::sync::Arc;

const END_OF_RECORD: u32 = 33_553_408;
const COUNT: u32 = 33_554_430;
const CHECKSUM: u32 = 33_554_431;

/// Downloads that were begun.
#[derive(Debug, Default)]
pub struct Sessions {
    by_id: BTreeMap<String, Arc<Table>>,
    next: u64,
}

impl Sessions {
    /// Begins one and gives its id.
    pub fn open(&mut self, rows: Arc<Table>) -> String {
        self.next += 1;
        let id = format!("{:020}simulated", self.next);
        self.by_id.insert(id.clone(), rows);
        if self.by_id.len() > limits::SESSIONS {
            self.by_id.pop_first();
        }
        id
    }

    /// The rows of one.
    pub fn rows(&self, id: &str) -> Result<&Arc<Table>, Refusal> {
        let absent =
            || Refusal::new(404, "NoSuchDownload", format!("The specified download id {id} does not exist."));
        self.by_id.get(id).ok_or_else(absent)
    }
}

fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number as u8 & 0x7F) | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The number of a field and the form of its value: 0 for a varint, 1 for eight bytes, 2 for bytes with their number.
fn key(bytes: &mut Vec<u8>, field: u32, form: u32) {
    varint(bytes, u64::from(field << 3 | form));
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// Appends a cell, and gives what its checksum is made of; nothing for a cell without a value.
fn cell(bytes: &mut Vec<u8>, field: u32, cell: &Cell, kind: &str) -> Option<Vec<u8>> {
    match (cell, kind) {
        (Cell::Null, _) => None,
        (_, "double") => {
            let number = cell.number().unwrap_or(f64::NAN).to_le_bytes();
            key(bytes, field, 1);
            bytes.extend(number);
            Some(number.to_vec())
        }
        (_, "float") => {
            let number = (cell.number().unwrap_or(f64::NAN) as f32).to_le_bytes();
            key(bytes, field, 5);
            bytes.extend(number);
            Some(number.to_vec())
        }
        (Cell::Integer(number), "boolean") => {
            key(bytes, field, 0);
            varint(bytes, u64::from(*number != 0));
            Some(vec![u8::from(*number != 0)])
        }
        (Cell::Integer(number), "bigint" | "int" | "smallint" | "tinyint") => {
            key(bytes, field, 0);
            varint(bytes, zigzag(*number));
            Some(number.to_le_bytes().to_vec())
        }
        _ => {
            let text = cell.text(kind)?.into_bytes();
            key(bytes, field, 2);
            varint(bytes, text.len() as u64);
            bytes.extend(&text);
            Some(text)
        }
    }
}

/// The stream of some columns of some rows; columns are numbered by their place in `columns`.
pub fn stream(table: &Table, rows: &[Vec<Cell>], columns: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut all = 0;
    for row in rows {
        let mut checksum = 0;
        for (at, place) in columns.iter().enumerate() {
            let (Some(value), Some(column)) = (row.get(*place), table.columns.get(*place)) else { continue };
            let number = at as u32 + 1;
            if let Some(part) = cell(&mut bytes, number, value, &column.kind) {
                checksum = crc32c::crc32c_append(checksum, &number.to_le_bytes());
                checksum = crc32c::crc32c_append(checksum, &part);
            }
        }
        key(&mut bytes, END_OF_RECORD, 0);
        varint(&mut bytes, u64::from(checksum));
        all = crc32c::crc32c_append(all, &checksum.to_le_bytes());
    }
    key(&mut bytes, COUNT, 0);
    varint(&mut bytes, zigzag(rows.len() as i64));
    key(&mut bytes, CHECKSUM, 0);
    varint(&mut bytes, u64::from(all));
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::table::column;
    use super::*;

    /// What the official client's writer made of two records, with its two checksums cut to the 32 bits that they have.
    #[test]
    fn the_stream_is_that_of_the_official_client() {
        let columns = vec![
            column("k", "string"),
            column("n", "bigint"),
            column("v", "double"),
            column("ok", "boolean"),
        ];
        let rows = vec![
            vec![Cell::Text("auc".to_owned()), Cell::Integer(-7), Cell::Double(0.91), Cell::Integer(1)],
            vec![Cell::Null; 4],
        ];
        let table = Table { columns, rows };
        let hex: String =
            stream(&table, &table.rows, &[0, 1, 2, 3]).iter().map(|byte| format!("{byte:02x}")).collect();
        let expected =
            "0a03617563100d191f85eb51b81eed3f200180c0ff7fc0b493840b80c0ff7f00f0ffff7f04f8ffff7faaded2fa04";
        assert_eq!(hex, expected);
    }
}
