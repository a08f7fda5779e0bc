//! Plain scalars of the YAML 1.2 core schema.

use serde_json::{Number, Value as Json};

/// Why a plain scalar has no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotFinite;

/// What an unquoted scalar means: nothing, a truth value, a number, or else its own text.
pub(super) fn core_scalar(text: &str) -> Result<Json, NotFinite> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Json::Null),
        "true" | "True" | "TRUE" => return Ok(Json::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Json::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(NotFinite);
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(number) =
            text.strip_prefix(prefix).filter(|digits| digits.starts_with(|c: char| c.is_digit(radix)))
            && let Ok(number) = u64::from_str_radix(number, radix)
        {
            return Ok(number.into());
        }
    }
    if !is_number(unsigned) {
        return Ok(Json::String(text.to_owned()));
    }
    let positive = text.strip_prefix('+').unwrap_or(text);
    if let Ok(number) = positive.parse::<i64>() {
        // A minus before a zero is the float.
        return Ok(if number == 0 && text.starts_with('-') { (-0.0).into() } else { number.into() });
    }
    if let Ok(number) = positive.parse::<u64>() {
        return Ok(number.into());
    }
    positive.parse().ok().and_then(Number::from_f64).map(Json::Number).ok_or(NotFinite)
}

/// `[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?` or with the point first.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        None => (text, "0"),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && (!whole.is_empty() || !fraction.is_empty())
        && digits(exponent)
        && !exponent.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        for (text, value) in [
            ("", Json::Null),
            ("~", Json::Null),
            ("null", Json::Null),
            ("true", json!(true)),
            ("yes", json!("yes")),
            ("on", json!("on")),
            ("12", json!(12)),
            ("+12", json!(12)),
            ("-12", json!(-12)),
            ("012", json!(12)),
            ("0x1F", json!(31)),
            ("0o17", json!(15)),
            ("0x", json!("0x")),
            ("0x+1", json!("0x+1")),
            ("18446744073709551615", json!(u64::MAX)),
            ("1e-4", json!(0.0001)),
            ("1E+4", json!(10000.0)),
            (".5", json!(0.5)),
            ("5.", json!(5.0)),
            ("-.5e1", json!(-5.0)),
            ("1_000", json!("1_000")),
            ("1e", json!("1e")),
            ("e5", json!("e5")),
            (".", json!(".")),
            ("-", json!("-")),
            ("+-1", json!("+-1")),
            ("inf", json!("inf")),
            ("nan", json!("nan")),
            ("1:30", json!("1:30")),
            ("2026-11-24", json!("2026-11-24")),
            ("0.1 ", json!("0.1 ")),
        ] {
            assert_eq!(core_scalar(text), Ok(value), "{text}");
        }
        for text in [".inf", "-.INF", "+.inf", ".nan", "1e999"] {
            assert_eq!(core_scalar(text), Err(NotFinite), "{text}");
        }
    }
}
