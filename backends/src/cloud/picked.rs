//! JSON of which only some fields matter: the rest is passed over and not kept.
//!
//! Begin with [`picked`]. Lists of many jobs are mostly what nobody asks about: kept whole, they would cost more than all
//! the rest of watching these jobs.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Reads JSON and keeps, of every object in it, the fields of these names.
pub fn picked(text: &[u8], fields: &[&str]) -> serde_json::Result<Value> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = Picked(fields).deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Picked<'f>(&'f [&'f str]);

impl<'de> DeserializeSeed<'de> for Picked<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Picked<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(flag.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(self)? {
            list.push(element);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(wanted) = entries.next_key_seed(Name(self.0))? {
            match wanted {
                Some(name) => drop(map.insert(name.to_owned(), entries.next_value_seed(self)?)),
                None => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        Ok(map.into())
    }
}

/// The name of a field, if it is one that is kept.
struct Name<'f>(&'f [&'f str]);

impl<'de, 'f> DeserializeSeed<'de> for Name<'f> {
    type Value = Option<&'f str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'f> Visitor<'_> for Name<'f> {
    type Value = Option<&'f str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|field| **field == name).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn of_every_object_the_named_fields_are_kept_and_of_them_everything() {
        let whole = json!({"Jobs": [
            {"JobId": "a", "Status": 7, "Envs": {"Status": "x"}, "Odd": [1, {"JobId": 2}]},
            {"Status": null, "JobId": [true, -1, 1.5, "\u{e9}\n", {"No": 1, "JobId": "b"}]},
            "text"
        ], "RequestId": "r", "TotalCount": 18_446_744_073_709_551_615_u64});
        let kept = json!({"Jobs": [
            {"JobId": "a", "Status": 7},
            {"Status": null, "JobId": [true, -1, 1.5, "\u{e9}\n", {"JobId": "b"}]},
            "text"
        ], "TotalCount": 18_446_744_073_709_551_615_u64});
        let fields = ["Jobs", "JobId", "Status", "TotalCount"];
        assert_eq!(picked(whole.to_string().as_bytes(), &fields).unwrap(), kept);
        assert_eq!(picked(b" 3 ", &fields).unwrap(), json!(3));
    }

    #[test]
    fn what_is_no_json_is_refused_wherever_it_is_not() {
        for text in ["", "{", "{\"a\": [1,}", "{\"a\": 1} x", "{\"a\": tru}", "[\"JobId\"", "{\"JobId\": 1"] {
            assert!(picked(text.as_bytes(), &["JobId"]).is_err(), "{text}");
        }
    }
}
