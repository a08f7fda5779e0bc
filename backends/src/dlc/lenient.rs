//! Reading answers as they come: a number may be text, a flag may be `"True"`, a list may be `null`, and what is not
//! known is left alone. A field of a wrong kind counts as absent; it never makes the rest unreadable.

use engine::time::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// The fields of an object; of anything else, none.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>(pub &'a Value);

impl<'a> Fields<'a> {
    /// The fields of a nested object.
    #[must_use]
    pub fn inner(self, key: &str) -> Self {
        Self(self.0.get(key).unwrap_or(&Value::Null))
    }

    /// Text; numbers and flags as text; else empty.
    pub fn text(self, key: &str) -> String {
        self.0.get(key).map(text_of).unwrap_or_default()
    }

    /// A whole number, also from text or with a fraction, which is cut.
    pub fn integer(self, key: &str) -> Option<i64> {
        let value = self.0.get(key)?;
        let text = || value.as_str()?.trim().parse().ok();
        value.as_i64().or_else(text).or_else(|| self.number(key).map(|number| number as i64))
    }

    /// A finite number, also from text.
    pub fn number(self, key: &str) -> Option<f64> {
        let value = self.0.get(key)?;
        let text = || value.as_str()?.trim().parse().ok();
        value.as_f64().or_else(text).filter(|number| number.is_finite())
    }

    /// A flag, also from text in any case.
    pub fn flag(self, key: &str) -> Option<bool> {
        let value = self.0.get(key)?;
        value.as_bool().or_else(|| match value.as_str()?.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        })
    }

    /// A moment such as `2026-01-02T03:04:05Z`; empty text is none.
    pub fn time(self, key: &str) -> Option<Timestamp> {
        let text = self.0.get(key)?.as_str()?.trim();
        // Most times of most jobs are empty, and a parser takes long to say why.
        let moment: jiff::Timestamp = if text.is_empty() { None } else { text.parse().ok() }?;
        Some(Timestamp(moment.as_millisecond()))
    }

    /// The texts of a map.
    pub fn map(self, key: &str) -> BTreeMap<String, String> {
        let map = self.0.get(key).and_then(Value::as_object);
        map.into_iter().flatten().map(|(key, value)| (key.clone(), text_of(value))).collect()
    }

    /// The elements of a list.
    pub fn list(self, key: &str) -> impl Iterator<Item = Fields<'a>> {
        self.0.get(key).and_then(Value::as_array).into_iter().flatten().map(Fields)
    }

    /// A list of texts; an element that is no text counts as the text of it, `null` as empty.
    pub fn texts(self, key: &str) -> Vec<String> {
        self.list(key).map(|element| text_of(element.0)).collect()
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_is_read_in_every_form_in_which_it_comes() {
        let value = json!({"a": "25", "b": 25.9, "c": "True", "d": null, "e": [1, null, "x"], "t": "", "n": "NaN",
            "m": {"k": 1, "l": null}});
        let fields = Fields(&value);
        assert_eq!(
            (fields.integer("a"), fields.integer("b"), fields.integer("d")),
            (Some(25), Some(25), None)
        );
        assert_eq!((fields.number("a"), fields.number("n")), (Some(25.0), None));
        assert_eq!((fields.flag("c"), fields.flag("a")), (Some(true), None));
        assert_eq!((fields.text("b").as_str(), fields.text("d").as_str()), ("25.9", ""));
        assert_eq!(fields.texts("e"), ["1", "", "x"]);
        assert_eq!((fields.texts("d").len(), fields.time("t")), (0, None));
        assert_eq!(fields.map("m"), BTreeMap::from([("k".into(), "1".into()), ("l".into(), String::new())]));
        assert!(fields.inner("x").text("y").is_empty());
    }
}
