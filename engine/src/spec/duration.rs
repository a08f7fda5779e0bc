//! Lengths of time as people write them.

use crate::time::Span;
use serde_json::Value as Json;

/// The longest time that can be asked for: a hundred years, in milliseconds.
const MAX_MS: f64 = 100.0 * 365.25 * 86_400_000.0;

/// Units with their milliseconds, the longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a number of seconds, or a text such as `90s`, `1h30m`, `1.5 h` or `250ms`. An error continues a sentence
/// whose subject is the value.
pub(super) fn parse_duration(value: &Json) -> Result<Span, &'static str> {
    match value {
        Json::Number(number) => bounded(number.as_f64().unwrap_or(f64::NAN) * 1_000.0),
        Json::String(text) => parse_text(text.trim()),
        _ => Err("is not a length of time"),
    }
}

impl std::str::FromStr for Span {
    type Err = &'static str;

    /// As in an experiment file, such as `30d` or `1h30m`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_text(text.trim())
    }
}

fn parse_text(text: &str) -> Result<Span, &'static str> {
    let mut rest = text;
    let mut total = 0.0;
    if rest.is_empty() {
        return Err("is not a length of time");
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| "is not a length of time")?;
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        total += number * milliseconds(unit)?;
        rest = after.trim_start();
    }
    bounded(total)
}

fn milliseconds(unit: &str) -> Result<f64, &'static str> {
    let short = match unit.to_ascii_lowercase().as_str() {
        "" => return Err("has no unit"),
        "day" | "days" => "d",
        "hr" | "hour" | "hours" => "h",
        "min" | "mins" | "minute" | "minutes" => "m",
        "sec" | "secs" | "second" | "seconds" => "s",
        other => return find(other),
    };
    find(short)
}

fn find(unit: &str) -> Result<f64, &'static str> {
    UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, ms)| *ms as f64)
        .ok_or("has a unit that is none of d, h, m, s, ms")
}

fn bounded(ms: f64) -> Result<Span, &'static str> {
    if (0.0..=MAX_MS).contains(&ms) {
        Ok(Span(ms.round() as u64))
    } else {
        Err("is not between 0 and a hundred years")
    }
}

/// The shortest exact text: `1h30m`.
pub(crate) fn duration_text(span: Span) -> String {
    if span.0 == 0 {
        return "0s".to_owned();
    }
    let mut left = span.0;
    let mut parts = Vec::new();
    for (unit, ms) in UNITS {
        if left >= ms {
            parts.push(format!("{}{unit}", left / ms));
            left %= ms;
        }
    }
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_length_of_time_is_a_number_of_seconds_or_a_text_with_units() {
        for (value, ms) in [
            (json!(90), 90_000),
            (json!(0.25), 250),
            (json!("90s"), 90_000),
            (json!("2h"), 7_200_000),
            (json!("1h30m"), 5_400_000),
            (json!(" 1.5 h "), 5_400_000),
            (json!("1 day 2 hours"), 93_600_000),
            (json!("250ms"), 250),
            (json!("0s"), 0),
        ] {
            assert_eq!(parse_duration(&value), Ok(Span(ms)), "{value}");
        }
    }

    #[test]
    fn what_is_not_a_length_of_time_says_why() {
        for (value, why) in [
            (json!("90"), "has no unit"),
            (json!("5 weeks"), "has a unit that is none of d, h, m, s, ms"),
            (json!(""), "is not a length of time"),
            (json!("soon"), "is not a length of time"),
            (json!("1..5h"), "is not a length of time"),
            (json!(-1), "is not between 0 and a hundred years"),
            (json!("9999999d"), "is not between 0 and a hundred years"),
            (json!([1]), "is not a length of time"),
        ] {
            assert_eq!(parse_duration(&value), Err(why), "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_written_length_of_time_reads_back(ms in 0..3_000_000_000_000_u64) {
            prop_assert_eq!(parse_duration(&json!(duration_text(Span(ms)))), Ok(Span(ms)));
        }
    }
}
