//! Numbers out of JSON, as trainers write it.

use serde_json::Value;

/// Parses JSON, also with the `NaN` and `Infinity` that Python's `json` writes; they become `null`.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    let error = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(value),
        Err(error) => error.to_string(),
    };
    let text = String::from_utf8_lossy(bytes);
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Err(error);
    }
    serde_json::from_str(&without_infinities(&text)).map_err(|_| error)
}

fn without_infinities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut in_string) = (text, false);
    while let Some(next) = rest.chars().next() {
        let word = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| rest.starts_with(word));
        if let (false, Some(word)) = (in_string, word) {
            out.push_str("null");
            rest = rest.get(word.len()..).unwrap_or_default();
            continue;
        }
        let mut taken = next.len_utf8();
        if next == '"' {
            in_string = !in_string;
        } else if next == '\\' {
            taken += rest.chars().nth(1).map_or(0, char::len_utf8);
        }
        let (now, later) = rest.split_at(taken);
        out.push_str(now);
        rest = later;
    }
    out
}

/// A number, or what stands for one: `null` and words such as `nan` are numbers that are not finite.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Null => Some(f64::NAN),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The value under a key: the key itself, or a path through nested objects and lists with dots between.
pub(super) fn look_up<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    if let Some(found) = value.get(key) {
        return Some(found);
    }
    // Keys may themselves contain dots, so every cut is tried, the longest first part first.
    key.rmatch_indices('.').find_map(|(dot, _)| {
        let (first, rest) = (key.get(..dot)?, key.get(dot + 1..)?);
        look_up(child(value, first)?, rest).or_else(|| child(child(value, first)?, rest))
    })
}

fn child<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.get(key).or_else(|| value.get(key.parse::<usize>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn python_words_for_what_is_no_number_become_null() {
        let value = parse(br#"{"a": NaN, "b": -Infinity, "c\"NaN": "NaN", "d": Infinity, "e": 1}"#).unwrap();
        assert_eq!(value, json!({"a": null, "b": null, "c\"NaN": "NaN", "d": null, "e": 1}));
        assert!(parse(b"{NaN").is_err());
        assert!(parse(b"nonsense").is_err());
    }

    #[test]
    fn keys_reach_into_nested_objects_and_lists() {
        let value = json!({"a": {"b": [1, {"c": 2}], "x.y": 3}, "a.b": 4});
        for (key, wanted) in [("a.b", 4), ("a.b.0", 1), ("a.b.1.c", 2), ("a.x.y", 3)] {
            assert_eq!(look_up(&value, key), Some(&json!(wanted)), "{key}");
        }
        assert_eq!(look_up(&value, "a.c"), None);
        assert_eq!(look_up(&value, ""), None);
    }
}
