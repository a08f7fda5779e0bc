//! Reads algorithms: a name with arguments.

use super::Algorithm;
use super::codes;
use super::reader::{Place, Reader};
use serde_json::{Map, Value as Json};

/// Reads the sampler and the seed that may stand among its arguments.
pub(super) fn read_sampler(
    reader: &mut Reader,
    place: Option<Place<'_>>,
    seed: Option<Place<'_>>,
) -> Option<(Algorithm, Option<u64>)> {
    let seed_path = seed.as_ref().map(|seed| seed.path.clone()).unwrap_or_default();
    let outer = seed.and_then(|seed| reader.whole(&seed, 0, u64::MAX));
    let Some(place) = place else {
        return Some((Algorithm { name: "auto".to_owned(), args: Json::Object(Map::new()) }, outer));
    };
    let (mut algorithm, args_path) = read_algorithm(reader, &place, "sampler: {tpe: {seed: 7}}")?;
    let inner = match &mut algorithm.args {
        Json::Object(args) => args.shift_remove("seed").filter(|seed| !seed.is_null()),
        _ => None,
    };
    let Some(inner) = inner else { return Some((algorithm, outer)) };
    let inner_path = format!("{args_path}.seed");
    let inner = reader.whole(&Place::new(&inner, inner_path), 0, u64::MAX)?;
    if let Some(outer) = outer.filter(|outer| *outer != inner) {
        let message = format!("the seed is {outer} here and {inner} in the sampler");
        reader.fail(codes::CONFLICT, &seed_path, message, "keep one of them");
    }
    Some((algorithm, Some(inner)))
}

/// Reads the early-stopping rules: none, one, or a list.
pub(super) fn read_early_stop(reader: &mut Reader, place: Option<Place<'_>>) -> Vec<Algorithm> {
    let Some(place) = place else { return Vec::new() };
    if place.value.as_bool() == Some(false) || matches!(place.value.as_str(), Some("off" | "none")) {
        return Vec::new();
    }
    place
        .items()
        .iter()
        .filter_map(|item| read_algorithm(reader, item, "early_stop: {median: {start_step: 5}}"))
        .map(|(algorithm, _)| algorithm)
        .collect()
}

/// Reads `tpe`, `{tpe: {...}}` or `{name: tpe, ...}`, and where its arguments are.
fn read_algorithm(reader: &mut Reader, place: &Place<'_>, example: &str) -> Option<(Algorithm, String)> {
    let cure = format!("write, for example, {example}");
    match place.value {
        Json::String(_) => {
            let name = reader.some_text(place)?;
            Some((Algorithm { name: lower(&name), args: Json::Object(Map::new()) }, place.path.clone()))
        }
        Json::Object(map) => {
            if let Some(Json::String(name)) = map.get("name") {
                if name.trim().is_empty() {
                    let path = format!("{}.name", place.path);
                    reader.fail(codes::EMPTY, &path, "the algorithm has no name", cure);
                    return None;
                }
                let mut args = map.clone();
                args.shift_remove("name");
                return Some((Algorithm { name: lower(name), args: Json::Object(args) }, place.path.clone()));
            }
            let mut members = map.iter();
            let (Some((name, args)), None) = (members.next(), members.next()) else {
                let message = if map.is_empty() {
                    "the algorithm has no name"
                } else {
                    "expected one algorithm with its arguments, found several keys"
                };
                reader.fail(codes::BAD_ALGORITHM, &place.path, message, cure);
                return None;
            };
            if name.trim().is_empty() {
                reader.fail(codes::EMPTY, &place.path, "the algorithm has no name", cure);
                return None;
            }
            let path = format!("{}.{name}", place.path);
            let args = match args {
                Json::Object(args) => args.clone(),
                Json::Null => Map::new(),
                other => {
                    reader.wrong_type(&Place::new(other, path), "a map of arguments", cure);
                    return None;
                }
            };
            Some((Algorithm { name: lower(name), args: Json::Object(args) }, path))
        }
        _ => {
            reader.wrong_type(place, "the name of an algorithm, or a map of its name to arguments", cure);
            None
        }
    }
}

fn lower(name: &str) -> String {
    name.trim().to_lowercase()
}
