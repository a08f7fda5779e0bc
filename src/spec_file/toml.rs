//! Reads TOML.

use super::codes;
use super::tree::{Body, MAX_DEPTH, Member, Node, TextError};
use serde_json::{Number, Value as Json};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads the text; `None` if it holds no key.
pub(super) fn read(text: &str) -> Result<Option<Node>, Vec<TextError>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors.iter().map(|error| syntax(error, text)).collect());
    }
    if table.get_ref().is_empty() {
        return Ok(None);
    }
    let span = 0..text.trim_end().len();
    Ok(Some(Node { span, body: members(table.get_ref(), 0).map_err(|error| vec![error])? }))
}

fn syntax(error: &toml::de::Error, text: &str) -> TextError {
    let span = error.span().unwrap_or(0..0);
    let span = span.start.min(text.len())..span.end.max(span.start + 1).min(text.len());
    let duplicate = error.message().contains("duplicate key");
    let (code, cure) = if duplicate {
        (codes::DUPLICATE_KEY, "keep one of them")
    } else {
        (codes::SYNTAX, "texts need quotes in TOML, and tables are written [name]")
    };
    let message = if duplicate {
        format!("the key `{}` is given twice", text.get(span.clone()).unwrap_or_default())
    } else {
        format!("this is not TOML: {}", error.message())
    };
    TextError::new(code, span, message, cure)
}

fn members(table: &DeTable<'_>, depth: usize) -> Result<Body, TextError> {
    let mut members = Vec::with_capacity(table.len());
    for (key, value) in table {
        let value = node(value, depth + 1)?;
        members.push(Member { key: key.get_ref().clone().into_owned(), key_span: key.span(), value });
    }
    // The parser sorts by name; the order of the text numbers the parameters.
    members.sort_by_key(|member| member.key_span.start);
    Ok(Body::Map(members))
}

fn node(value: &Spanned<DeValue<'_>>, depth: usize) -> Result<Node, TextError> {
    let span = value.span();
    if depth > MAX_DEPTH {
        let message = format!("lists and tables are nested more than {MAX_DEPTH} deep");
        return Err(TextError::new(codes::TOO_MUCH, span, message, ""));
    }
    let body = match value.get_ref() {
        DeValue::String(text) => Body::Plain(Json::String(text.clone().into_owned())),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            let whole = i64::from_str_radix(&digits, number.radix()).ok().map(Json::from);
            let whole = whole.or_else(|| u64::from_str_radix(&digits, number.radix()).ok().map(Json::from));
            let big = || digits.parse().ok().and_then(Number::from_f64).map(Json::Number);
            Body::Plain(whole.or_else(big).ok_or_else(|| not_finite(&span))?)
        }
        DeValue::Float(number) => {
            let number = number.as_str().replace('_', "").parse().ok().and_then(Number::from_f64);
            Body::Plain(Json::Number(number.ok_or_else(|| not_finite(&span))?))
        }
        DeValue::Boolean(flag) => Body::Plain(Json::Bool(*flag)),
        DeValue::Datetime(time) => Body::Plain(Json::String(time.to_string())),
        DeValue::Array(items) => {
            Body::List(items.iter().map(|item| node(item, depth + 1)).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => members(table, depth)?,
    };
    Ok(Node { span, body })
}

fn not_finite(span: &Range<usize>) -> TextError {
    let message = "the value is not a finite number";
    TextError::new(codes::NOT_FINITE, span.clone(), message, "write a finite number")
}
