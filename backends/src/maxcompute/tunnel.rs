//! Rows through the tunnel: with their types and checksums, and more than the other way gives.
//!
//! A query's result can be read in two ways. [`crate::maxcompute::api::MaxCompute::results`] gives up to 10,000 rows as
//! text and needs nothing more; this one needs a second address and a session each time. Begin with [`Tunnel::rows`].

use crate::cloud::client::{Call, CallError, Client};
use crate::cloud::http::Answer;
use crate::cloud::retry::Repeat;
use crate::maxcompute::api::path;
use crate::maxcompute::fault::explained;
use crate::maxcompute::result::Table;
use crate::protobuf::{Field, Fields};
use crc32c::crc32c_append;
use serde_json::Value;

/// The number of the field that ends a row with its checksum.
const ROW_END: u64 = 33_553_408;
/// The number of the field with the number of rows.
const ROW_COUNT: u64 = 33_554_430;
/// The number of the field with the checksum of the rows' checksums.
const STREAM_END: u64 = 33_554_431;

/// The tunnel of one project.
#[derive(Debug)]
pub struct Tunnel {
    client: Client,
    project: String,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as the service writes it, such as `bigint` or `varchar(10)`.
    pub kind: String,
}

/// A result that is ready to be downloaded, for a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: String,
    /// How many rows there are.
    pub rows: u64,
    /// What they consist of.
    pub columns: Vec<Column>,
}

impl Tunnel {
    /// Over this client, whose protocol is [`crate::maxcompute::protocol::Odps`] for the tunnel and the same project.
    pub fn new(client: Client, project: impl Into<String>) -> Self {
        Self { client, project: project.into() }
    }

    /// Prepares the result of an instance. `limited` asks for at most 10,000 rows, which needs less permission in projects
    /// that protect their data.
    pub async fn open(&self, instance: &str, limited: bool) -> Result<Session, CallError> {
        let mut call = self.call("OpenDownload", "POST", instance)?;
        call.query.push(("downloads".to_owned(), String::new()));
        if limited {
            call.query.push(("instance_tunnel_limit_enabled".to_owned(), String::new()));
        }
        self.client.exchange(&call, Session::read).await.map_err(explained)
    }

    /// Downloads `count` rows, beginning with the row `from`.
    pub async fn rows(
        &self,
        instance: &str,
        session: &Session,
        from: u64,
        count: u64,
    ) -> Result<Table, CallError> {
        let mut call = self.call("Download", "GET", instance)?;
        call.query = vec![
            ("downloadid".to_owned(), session.id.clone()),
            ("rowrange".to_owned(), format!("({from},{count})")),
            ("data".to_owned(), String::new()),
        ];
        let read = |answer: &Answer| {
            let rows = decode(&answer.body, &session.columns)?;
            let columns = session.columns.iter().map(|column| column.name.clone()).collect();
            Ok(Table { columns, rows })
        };
        self.client.exchange(&call, read).await.map_err(explained)
    }

    fn call(&self, action: &'static str, method: &'static str, instance: &str) -> Result<Call, CallError> {
        let path = path(action, &self.project, &["instances", instance])?;
        Ok(Call {
            action,
            method,
            path,
            query: Vec::new(),
            body: Vec::new(),
            repeat: Repeat::Safe,
            bulk: false,
        })
    }
}

impl Session {
    fn read(answer: &Answer) -> Result<Self, String> {
        let value: Value =
            serde_json::from_slice(&answer.body).map_err(|error| format!("it is not JSON: {error}"))?;
        let id = value.get("DownloadID").and_then(Value::as_str).unwrap_or_default();
        let rows = value.get("RecordCount").and_then(Value::as_u64);
        let columns = value.pointer("/Schema/columns").and_then(Value::as_array);
        let (Some(rows), Some(columns), false) = (rows, columns, id.is_empty()) else {
            return Err("it lacks DownloadID, RecordCount or Schema".to_owned());
        };
        let column = |column: &Value| {
            let text = |name: &str| column.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            Column { name: text("name"), kind: text("type").to_ascii_lowercase() }
        };
        Ok(Self { id: id.to_owned(), rows, columns: columns.iter().map(column).collect() })
    }
}

/// A value as text, and the bytes that its checksum is of.
fn value(kind: &str, field: Field<'_>) -> Result<(String, Vec<u8>), String> {
    let name = kind.split(['(', '<']).next().unwrap_or_default();
    Ok(match (name, field) {
        ("bigint" | "int" | "smallint" | "tinyint" | "date" | "datetime", Field::Varint(raw)) => {
            let number = zigzag(raw);
            (number.to_string(), number.to_le_bytes().to_vec())
        }
        ("boolean", Field::Varint(raw)) => ((raw != 0).to_string(), vec![u8::from(raw != 0)]),
        ("double", Field::Fixed64(bits)) => (f64::from_bits(bits).to_string(), bits.to_le_bytes().to_vec()),
        ("float", Field::Fixed32(bits)) => (f32::from_bits(bits).to_string(), bits.to_le_bytes().to_vec()),
        ("string" | "varchar" | "char" | "decimal" | "json" | "binary", Field::Bytes(bytes)) => {
            let text = std::str::from_utf8(bytes).map_err(|_| format!("a {kind} in it is not UTF-8"))?;
            (text.to_owned(), bytes.to_vec())
        }
        _ => return Err(format!("a value in it is no {kind} that is read here")),
    })
}

fn zigzag(raw: u64) -> i64 {
    (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
}

/// The rows of a stream. Integers are decimal, days (`date`) and milliseconds (`datetime`) since 1970; the error continues
/// a sentence about the answer.
pub fn decode(stream: &[u8], columns: &[Column]) -> Result<Vec<Vec<Option<String>>>, String> {
    let empty: Vec<Option<String>> = vec![None; columns.len()];
    let (mut rows, mut row) = (Vec::new(), empty.clone());
    let (mut row_sum, mut all_sum) = (0_u32, 0_u32);
    let mut counted = None;
    let mut closed = false;
    for field in Fields(stream) {
        let (number, field) = field.map_err(|_| "it is cut off or damaged".to_owned())?;
        match (number, field) {
            (ROW_END, Field::Varint(sum)) => {
                // Writers differ in how they extend it.
                if sum as u32 != row_sum {
                    return Err(format!("row {} of it is damaged", rows.len() + 1));
                }
                all_sum = crc32c_append(all_sum, &row_sum.to_le_bytes());
                row_sum = 0;
                rows.push(std::mem::replace(&mut row, empty.clone()));
            }
            (ROW_COUNT, Field::Varint(count)) => counted = Some(zigzag(count)),
            (STREAM_END, Field::Varint(sum)) => {
                if sum as u32 != all_sum {
                    return Err("its rows are damaged".to_owned());
                }
                closed = true;
            }
            (number, field) => {
                let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
                let (place, column) = place
                    .and_then(|place| Some((place, columns.get(place)?)))
                    .ok_or_else(|| format!("it has a column {number}, which the result does not have"))?;
                let (text, bytes) = value(&column.kind, field)?;
                let index = [&(number as u32).to_le_bytes(), bytes.as_slice()].concat();
                row_sum = crc32c_append(row_sum, &index);
                if let Some(field) = row.get_mut(place) {
                    *field = Some(text);
                }
            }
        }
    }
    if !closed || counted != i64::try_from(rows.len()).ok() {
        return Err("it ends before its rows do".to_owned());
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vector() -> (Vec<u8>, Vec<Column>) {
        let vector: Value =
            serde_json::from_str(include_str!("../../tests/vectors/maxcompute/tunnel_stream.json")).unwrap();
        let hex = vector["hex"].as_str().unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let columns = vector["schema"].as_array().unwrap().iter();
        let columns = columns.map(|pair| Column { name: text(&pair[0]), kind: text(&pair[1]) }).collect();
        ((0..hex.len()).step_by(2).map(byte).collect(), columns)
    }

    #[test]
    fn a_stream_of_the_official_client_is_read() {
        let (stream, columns) = vector();
        let rows = decode(&stream, &columns).unwrap();
        let row: Vec<Option<&str>> = rows[0].iter().map(Option::as_deref).collect();
        assert_eq!(row, [Some("auc"), Some("-7"), Some("0.91"), Some("true")]);
        assert_eq!(rows[1..], [vec![None; 4]]);
    }

    #[test]
    fn whatever_is_changed_or_cut_is_noticed() {
        let (stream, columns) = vector();
        for at in 0..stream.len() {
            assert!(decode(&stream[..at], &columns).is_err(), "cut at {at}");
            let mut changed = stream.clone();
            changed[at] ^= 1;
            // A change in what extends a checksum to 64 bits means nothing.
            if let Ok(rows) = decode(&changed, &columns) {
                assert_eq!(rows, decode(&stream, &columns).unwrap(), "changed at {at}");
            }
        }
        assert!(decode(&stream, &columns[..2]).unwrap_err().contains("column 3"));
        let array = vec![Column { name: "k".to_owned(), kind: "array<int>".to_owned() }];
        assert!(decode(&stream, &array).unwrap_err().contains("no array<int>"));
    }

    proptest! {
        #[test]
        fn no_stream_makes_it_panic(stream in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode(&stream, &vector().1);
        }
    }
}
