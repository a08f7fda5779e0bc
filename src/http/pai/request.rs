//! What stands in a request: bodies, pages, words, times. Everything that is wrong is said in one manner.

use super::config::CONFIGURATION;
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use engine::id::ExperimentId;
use engine::time::Timestamp;
use serde_json::{Map, Value, json};

/// Items on a page unless the query says so.
const PAGE: u64 = 10;
/// Most items on a page.
const MAX_PAGE: u64 = 1_000;
/// Most lines on a page of a log.
const MAX_LINES: u64 = 100_000;

/// Something that is not as it has to be.
pub(super) fn invalid(message: impl Into<String>) -> Problem {
    Problem::bad_request(message, "")
}

/// An answer: every one is an object with the number of its request.
pub(super) fn answer(asked: &Asked, mut told: Value) -> Reply {
    if let Some(object) = told.as_object_mut() {
        object.insert("RequestId".to_owned(), json!(asked.id));
    }
    Reply::json(&told)
}

/// The experiment in the path. Only its id names one here.
pub(super) fn experiment(asked: &Asked) -> Result<String, Problem> {
    let part = asked.part("ExperimentId");
    part.parse::<ExperimentId>().map(|id| id.to_string()).map_err(|_| crate::http::reach::unknown(part))
}

/// The body, which is an object; nothing counts as an empty one, and so does a value of null.
pub(super) fn body(asked: &Asked) -> Result<Map<String, Value>, Problem> {
    if asked.body.is_empty() {
        return Ok(Map::new());
    }
    // The parser's own message would repeat values, and with them secrets.
    match serde_json::from_slice(&asked.body) {
        Ok(Value::Object(mut body)) => {
            body.retain(|_, value| !value.is_null());
            Ok(body)
        }
        Ok(_) => Err(invalid("the body is no JSON object")),
        Err(error) => {
            Err(invalid(format!("the body is no JSON: line {}, column {}", error.line(), error.column())))
        }
    }
}

/// A text in the body; a number is taken as its digits.
pub(super) fn text(body: &Map<String, Value>, key: &str) -> Result<Option<String>, Problem> {
    match body.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(invalid(format!("`{key}` is no text"))),
    }
}

/// The configuration in the body.
pub(super) fn configuration(body: &Map<String, Value>) -> Result<Option<&Value>, Problem> {
    match body.get(CONFIGURATION) {
        Some(config) if !config.is_object() => Err(invalid(format!("`{CONFIGURATION}` is no object"))),
        config => Ok(config),
    }
}

/// A value of the query; an empty one counts as none.
pub(super) fn given<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.text(name).filter(|value| !value.is_empty())
}

/// A word of the query in either case, as its place among those that there are.
pub(super) fn word(asked: &Asked, name: &str, words: &[&str]) -> Result<Option<usize>, Problem> {
    let Some(value) = given(asked, name) else { return Ok(None) };
    let found = words.iter().position(|word| word.eq_ignore_ascii_case(value));
    found.map(Some).ok_or_else(|| invalid(format!("`{name}` is none of {}", words.join(", "))))
}

/// Whether the order is descending.
pub(super) fn descending(asked: &Asked, default: bool) -> Result<bool, Problem> {
    Ok(word(asked, "Order", &["ASC", "DESC"])?.map_or(default, |place| place == 1))
}

/// A part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// Items before it.
    pub(super) skip: usize,
    /// Items on it, at most.
    pub(super) size: usize,
}

impl Page {
    /// The page that is asked for.
    pub(super) fn of(asked: &Asked) -> Result<Self, Problem> {
        Ok(Self::read(asked, MAX_PAGE)?.unwrap_or(Self { skip: 0, size: PAGE as usize }))
    }

    /// The page of a log; the whole of it if none is asked for.
    pub(super) fn of_log(asked: &Asked) -> Result<Option<Self>, Problem> {
        Self::read(asked, MAX_LINES)
    }

    fn read(asked: &Asked, most: u64) -> Result<Option<Self>, Problem> {
        let (number, size) = (whole(asked, "PageNumber", u64::MAX)?, whole(asked, "PageSize", most)?);
        if number.is_none() && size.is_none() {
            return Ok(None);
        }
        let size = size.unwrap_or(PAGE);
        let skip = (number.unwrap_or(1) - 1).saturating_mul(size);
        Ok(Some(Self { skip: usize::try_from(skip).unwrap_or(usize::MAX), size: size as usize }))
    }
}

fn whole(asked: &Asked, name: &str, most: u64) -> Result<Option<u64>, Problem> {
    let Some(text) = given(asked, name) else { return Ok(None) };
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.map(Some).ok_or_else(|| {
        let bound = if most == u64::MAX { String::new() } else { format!(" and at most {most}") };
        invalid(format!("`{name}` is no whole number of at least 1{bound}"))
    })
}

/// A bound of times in UTC, `yyyy-mm-dd hh:mm:ss` or `yyyy-mm-dd`; an upper one includes the second or day that it names.
pub(super) fn time(asked: &Asked, name: &str, upper: bool) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = given(asked, name) else { return Ok(None) };
    let wrong = || invalid(format!("`{name}` is neither `yyyy-mm-dd hh:mm:ss` nor `yyyy-mm-dd`"));
    let (first, length) = if let Ok(day) = text.parse::<jiff::civil::Date>().map_err(|_| ())
        && text.len() == "yyyy-mm-dd".len()
    {
        (format!("{day}T00:00:00Z"), 24 * 60 * 60 * 1_000)
    } else {
        let text = text.replacen(' ', "T", 1);
        (if text.ends_with('Z') { text } else { format!("{text}Z") }, 1_000)
    };
    let first: jiff::Timestamp = first.parse().map_err(|_| wrong())?;
    let last = if upper { length - 1 } else { 0 };
    Ok(Some(Timestamp(first.as_millisecond() + last)))
}
