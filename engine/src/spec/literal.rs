//! Reads a Python dictionary of texts to numbers, as `trial.ini` holds one.

use serde_json::{Map, Number, Value as Json};

/// Reads `{'auc': 1, "loss": -0.5}`; texts may be raw (`r'...'`). `None` if it is anything else.
pub(super) fn parse_dict(text: &str) -> Option<Map<String, Json>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut map = Map::new();
    while !rest.is_empty() {
        let (key, after) = parse_text(rest)?;
        let after = after.trim_start().strip_prefix(':')?.trim_start();
        let end = after.find(',').unwrap_or(after.len());
        let (number, after) = after.split_at(end);
        map.insert(key, Json::Number(parse_number(number.trim())?));
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
    }
    Some(map)
}

fn parse_number(text: &str) -> Option<Number> {
    match text.parse::<i64>() {
        Ok(whole) => Some(whole.into()),
        Err(_) => text.parse::<f64>().ok().and_then(Number::from_f64),
    }
}

/// A quoted text at the beginning, and what follows it.
fn parse_text(text: &str) -> Option<(String, &str)> {
    let (raw, text) = match text.strip_prefix(['r', 'R']) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((out, text.get(at + 1..)?));
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        let (_, escaped) = chars.next()?;
        match escaped {
            _ if raw => out.extend([c, escaped]),
            'n' => out.push('\n'),
            't' => out.push('\t'),
            '\\' | '\'' | '"' => out.push(escaped),
            // Python keeps the backslash of what is no escape, such as `\.`.
            other => out.extend([c, other]),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_dictionary_of_numbers_is_read() {
        for (text, value) in [
            ("{}", json!({})),
            ("{'auc':1}", json!({"auc": 1})),
            (" { 'a' : 0.5 , \"b\": -2, } ", json!({"a": 0.5, "b": -2})),
            (r"{'accuracy=([0-9\\.]+)': 1}", json!({r"accuracy=([0-9\.]+)": 1})),
            (r"{'a\.b': 1}", json!({r"a\.b": 1})),
            (r"{r'a\\.b': 1}", json!({r"a\\.b": 1})),
            (r"{'it\'s, {x}': 1}", json!({"it's, {x}": 1})),
        ] {
            assert_eq!(parse_dict(text).map(Json::Object), Some(value), "{text}");
        }
        for text in ["", "{", "auc", "{auc: 1}", "{'a'}", "{'a': x}", "{'a: 1}", "{'a': inf}"] {
            assert_eq!(parse_dict(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_tried(text in any::<String>()) {
            parse_dict(&text);
        }
    }
}
