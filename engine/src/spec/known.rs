//! Results that are known before the first trial: what a search may learn from, but does not count.

use super::codes;
use super::reader::{Fields, Place, Reader};
use crate::limits::MAX_KNOWN;
use crate::space::SearchSpace;
use crate::value::Point;
use serde_json::{Map, Value as Json, json};

/// A point and what it gave elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The point, inside the space.
    pub point: Point,
    /// Its value, in the direction of the goal.
    pub value: f64,
}

/// Reads `known: [{params: {...}, value: 0.9}]`. Without a space the parameters are not looked at.
pub(super) fn read_known(
    reader: &mut Reader,
    place: Option<Place<'_>>,
    space: Option<&SearchSpace>,
) -> Option<Vec<Known>> {
    let Some(place) = place else { return Some(Vec::new()) };
    let Json::Array(items) = place.value else {
        reader.wrong_type(
            &place,
            "a list of results",
            "write, for example, [{params: {lr: 0.1}, value: 0.9}]",
        );
        return None;
    };
    if items.len() > MAX_KNOWN {
        let message = format!("`known` has {} results; the limit is {MAX_KNOWN}", items.len());
        reader.fail(codes::TOO_MANY, &place.path, message, "keep the best ones, and a few of the others");
        return None;
    }
    let before = reader.errors.len();
    let mut known = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        let path = format!("{}[{number}]", place.path);
        let Json::Object(map) = item else {
            let place = Place { value: item, path };
            reader.wrong_type(&place, "a result", "write, for example, {params: {lr: 0.1}, value: 0.9}");
            continue;
        };
        let mut fields = Fields::new(map, &path);
        let (params, value) = (fields.get("params"), fields.get("value"));
        fields.finish(reader);
        for (name, given) in [("params", params.is_some()), ("value", value.is_some())] {
            if !given {
                let message = format!("the result has no `{name}`");
                reader.fail(codes::MISSING_KEY, &path, message, "a result is {params: {...}, value: 0.9}");
            }
        }
        let value = value.and_then(|value| reader.number(&value));
        let point = params.zip(space).and_then(|(params, space)| {
            let point = space.from_json(params.value, &params.path);
            point.map_err(|mut errors| reader.errors.append(&mut errors)).ok()
        });
        if let (Some(point), Some(value)) = (point, value) {
            known.push(Known { point, value });
        }
    }
    (reader.errors.len() == before).then_some(known)
}

/// The recorded form.
pub(super) fn known_json(known: &[Known], space: &SearchSpace) -> Json {
    let item = |known: &Known| {
        let params: Map<String, Json> = space.to_json(&known.point);
        json!({"params": params, "value": known.value})
    };
    known.iter().map(item).collect()
}
