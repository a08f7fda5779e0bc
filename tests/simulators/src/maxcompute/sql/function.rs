//! Functions of the warehouse that the embedded database lacks, or has with another meaning.

use crate::maxcompute::table::double_text;
use regex::Regex;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, Result};

/// What is made of all numbers of a group.
type Finish = fn(&mut Vec<f64>) -> Option<f64>;
type Scalar = fn(&Context<'_>) -> Result<Value>;

/// Name, number of arguments (-1: any), whether the same arguments always give the same result, and the function.
const SCALARS: [(&str, i32, bool, Scalar); 21] = [
    ("odps_cast", 2, true, cast),
    ("concat", -1, true, concat),
    ("get_json_object", 2, true, json_object),
    ("regexp", 2, true, regexp),
    ("regexp_extract", -1, true, regexp_extract),
    ("regexp_replace", 3, true, regexp_replace),
    ("split_part", 3, true, split_part),
    ("exp", 1, true, |context| number(context, f64::exp)),
    ("ln", 1, true, |context| number(context, f64::ln)),
    ("sqrt", 1, true, |context| number(context, f64::sqrt)),
    ("floor", 1, true, |context| whole(context, f64::floor)),
    ("ceil", 1, true, |context| whole(context, f64::ceil)),
    ("ceiling", 1, true, |context| whole(context, f64::ceil)),
    ("log", 2, true, |context| two(context, |base, value| value.ln() / base.ln())),
    ("pow", 2, true, |context| two(context, f64::powf)),
    ("power", 2, true, |context| two(context, f64::powf)),
    ("to_char", 1, true, |context| Ok(text(context, 0)?.map_or(Value::Null, Value::Text))),
    ("rand", 0, false, |_| Ok(random())),
    ("rand", 1, false, |_| Ok(random())),
    ("getdate", 0, false, |_| Ok(Value::Text(now().strftime("%Y-%m-%d %H:%M:%S").to_string()))),
    ("unix_timestamp", 0, false, |_| Ok(Value::Integer(now().as_second()))),
];

/// Adds them to a connection.
pub fn register(connection: &Connection) -> Result<()> {
    for (name, arguments, constant, function) in SCALARS {
        let mut flags = FunctionFlags::SQLITE_UTF8;
        flags.set(FunctionFlags::SQLITE_DETERMINISTIC, constant);
        connection.create_scalar_function(name, arguments, flags, move |context| function(context))?;
    }
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let samples: [(&'static str, Finish); 7] = [
        ("median", |values| quantile(values, 0.5)),
        ("variance", |values| spread(values, 0)),
        ("var_pop", |values| spread(values, 0)),
        ("var_samp", |values| spread(values, 1)),
        ("stddev", |values| spread(values, 0).map(f64::sqrt)),
        ("stddev_pop", |values| spread(values, 0).map(f64::sqrt)),
        ("stddev_samp", |values| spread(values, 1).map(f64::sqrt)),
    ];
    for (name, finish) in samples {
        connection.create_aggregate_function(name, 1, flags, Sample(finish))?;
    }
    connection.create_aggregate_function("percentile", 2, flags, Percentile)?;
    connection.create_aggregate_function("wm_concat", 2, flags, Joined)
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

fn refused(what: impl Into<String>) -> Error {
    Error::UserFunctionError(what.into().into())
}

/// The text of an argument; nothing for NULL.
fn text(context: &Context<'_>, at: usize) -> Result<Option<String>> {
    Ok(match argument(context, at)? {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(double_text(number)),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    })
}

fn argument<'a>(context: &'a Context<'_>, at: usize) -> Result<ValueRef<'a>> {
    if at < context.len() { Ok(context.get_raw(at)) } else { Err(refused("an argument is missing")) }
}

fn real(context: &Context<'_>, at: usize) -> Result<Option<f64>> {
    Ok(match argument(context, at)? {
        ValueRef::Integer(number) => Some(number as f64),
        ValueRef::Real(number) => Some(number),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok()),
        ValueRef::Null | ValueRef::Blob(_) => None,
    })
}

fn number(context: &Context<'_>, function: fn(f64) -> f64) -> Result<Value> {
    Ok(real(context, 0)?.map_or(Value::Null, |value| Value::Real(function(value))))
}

fn whole(context: &Context<'_>, function: fn(f64) -> f64) -> Result<Value> {
    Ok(real(context, 0)?.map_or(Value::Null, |value| Value::Integer(function(value) as i64)))
}

fn two(context: &Context<'_>, function: fn(f64, f64) -> f64) -> Result<Value> {
    let both = real(context, 0)?.zip(real(context, 1)?);
    Ok(both.map_or(Value::Null, |(first, second)| Value::Real(function(first, second))))
}

fn random() -> Value {
    use std::hash::{BuildHasher, Hasher};
    // As random as the standard library's keys are; a seed is taken and has no effect.
    let drawn = std::collections::hash_map::RandomState::new().build_hasher().finish();
    Value::Real((drawn >> 11) as f64 / (1u64 << 53) as f64)
}

/// CAST; what cannot be converted is NULL.
fn cast(context: &Context<'_>) -> Result<Value> {
    let kind = text(context, 1)?.unwrap_or_default();
    let Some(value) = text(context, 0)? else { return Ok(Value::Null) };
    let number = value.trim().parse::<f64>().ok();
    Ok(match kind.as_str() {
        "string" | "varchar" | "char" | "datetime" | "timestamp" | "date" => Value::Text(value),
        "bigint" | "int" | "smallint" | "tinyint" => {
            let exact = value.trim().parse::<i64>().ok();
            let whole = exact.or(number.filter(|number| number.is_finite()).map(|number| number as i64));
            whole.map_or(Value::Null, Value::Integer)
        }
        "double" | "float" | "decimal" => number.map_or(Value::Null, Value::Real),
        "boolean" => match (number, value.to_lowercase().as_str()) {
            (_, "true") => Value::Integer(1),
            (_, "false") => Value::Integer(0),
            (Some(number), _) => Value::Integer(i64::from(number != 0.0)),
            (None, _) => Value::Null,
        },
        other => return Err(refused(format!("the type {other} is not known"))),
    })
}

fn concat(context: &Context<'_>) -> Result<Value> {
    let parts: Option<Vec<String>> = (0..context.len()).map(|at| text(context, at)).collect::<Result<_>>()?;
    Ok(parts.map_or(Value::Null, |parts| Value::Text(parts.concat())))
}

/// `GET_JSON_OBJECT(json, '$.a.b[0]')`.
fn json_object(context: &Context<'_>) -> Result<Value> {
    let (Some(json), Some(path)) = (text(context, 0)?, text(context, 1)?) else { return Ok(Value::Null) };
    let Some(steps) = path.strip_prefix('$') else { return Ok(Value::Null) };
    let Ok(document) = serde_json::from_str::<serde_json::Value>(&json) else { return Ok(Value::Null) };
    let pointer: String =
        steps.replace('[', ".").replace(']', "").replace('~', "~0").replace('/', "~1").replace('.', "/");
    Ok(match document.pointer(&pointer) {
        None | Some(serde_json::Value::Null) => Value::Null,
        Some(serde_json::Value::String(text)) => Value::Text(text.clone()),
        Some(other) => Value::Text(other.to_string()),
    })
}

fn pattern(context: &Context<'_>, at: usize) -> Result<Option<Regex>> {
    let Some(text) = text(context, at)? else { return Ok(None) };
    Regex::new(&text).map(Some).map_err(|error| refused(error.to_string()))
}

/// The operator `REGEXP`, whose pattern comes first.
fn regexp(context: &Context<'_>) -> Result<Value> {
    let both = pattern(context, 0)?.zip(text(context, 1)?);
    Ok(both.map_or(Value::Null, |(pattern, text)| Value::Integer(i64::from(pattern.is_match(&text)))))
}

fn regexp_extract(context: &Context<'_>) -> Result<Value> {
    let group = if context.len() > 2 { real(context, 2)?.unwrap_or(1.0) as usize } else { 1 };
    let Some((text, pattern)) = text(context, 0)?.zip(pattern(context, 1)?) else { return Ok(Value::Null) };
    let found =
        pattern.captures(&text).and_then(|captures| captures.get(group).map(|part| part.as_str().to_owned()));
    Ok(Value::Text(found.unwrap_or_default()))
}

fn regexp_replace(context: &Context<'_>) -> Result<Value> {
    let all = text(context, 0)?.zip(pattern(context, 1)?).zip(text(context, 2)?);
    let replaced = |((text, pattern), by): ((String, Regex), String)| {
        pattern.replace_all(&text, by.as_str()).into_owned()
    };
    Ok(all.map_or(Value::Null, |all| Value::Text(replaced(all))))
}

fn split_part(context: &Context<'_>) -> Result<Value> {
    let (Some(text), Some(separator)) = (text(context, 0)?, text(context, 1)?) else {
        return Ok(Value::Null);
    };
    let at = real(context, 2)?.unwrap_or_default() as usize;
    let part = at.checked_sub(1).and_then(|at| text.split(&separator).nth(at)).unwrap_or_default();
    Ok(Value::Text(part.to_owned()))
}

/// The value below which a part of the sorted values lies, between neighbours in proportion.
fn quantile(values: &mut [f64], part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = part.clamp(0.0, 1.0) * values.len().checked_sub(1)? as f64;
    let (below, above) = (values.get(at.floor() as usize)?, values.get(at.ceil() as usize)?);
    Some(below + (above - below) * at.fract())
}

fn spread(values: &[f64], lost: usize) -> Option<f64> {
    let count = values.len();
    let mean = values.iter().sum::<f64>() / count as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let freedom = count.checked_sub(lost).filter(|freedom| *freedom > 0)?;
    Some(squares / freedom as f64)
}

/// All numbers of a group, and what is made of them.
struct Sample(Finish);

impl Aggregate<Vec<f64>, Option<f64>> for Sample {
    fn init(&self, _: &mut Context<'_>) -> Result<Vec<f64>> {
        Ok(Vec::new())
    }

    fn step(&self, context: &mut Context<'_>, values: &mut Vec<f64>) -> Result<()> {
        values.extend(real(context, 0)?);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, values: Option<Vec<f64>>) -> Result<Option<f64>> {
        Ok(values.filter(|values| !values.is_empty()).and_then(|mut values| (self.0)(&mut values)))
    }
}

/// `PERCENTILE(value, part)`.
struct Percentile;

impl Aggregate<(Vec<f64>, f64), Option<f64>> for Percentile {
    fn init(&self, _: &mut Context<'_>) -> Result<(Vec<f64>, f64)> {
        Ok((Vec::new(), 0.5))
    }

    fn step(&self, context: &mut Context<'_>, state: &mut (Vec<f64>, f64)) -> Result<()> {
        state.0.extend(real(context, 0)?);
        state.1 = real(context, 1)?.unwrap_or(state.1);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, state: Option<(Vec<f64>, f64)>) -> Result<Option<f64>> {
        Ok(state.and_then(|(mut values, part)| quantile(&mut values, part)))
    }
}

/// `WM_CONCAT(separator, value)`.
struct Joined;

impl Aggregate<(String, Vec<String>), Option<String>> for Joined {
    fn init(&self, _: &mut Context<'_>) -> Result<(String, Vec<String>)> {
        Ok((String::new(), Vec::new()))
    }

    fn step(&self, context: &mut Context<'_>, state: &mut (String, Vec<String>)) -> Result<()> {
        state.0 = text(context, 0)?.unwrap_or_default();
        state.1.extend(text(context, 1)?);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, state: Option<(String, Vec<String>)>) -> Result<Option<String>> {
        Ok(state.filter(|(_, parts)| !parts.is_empty()).map(|(separator, parts)| parts.join(&separator)))
    }
}
