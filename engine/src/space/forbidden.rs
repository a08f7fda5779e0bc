//! Combinations that are forbidden: `{forbid: {optimizer: sgd, schedule: [cosine, step]}}`.

use super::codes;
use super::domain::Domain;
use super::label::Label;
use super::names::meant;
use super::tree::SearchSpace;
use crate::error::SpecError;
use crate::value::{Point, Value};
use serde_json::{Map, Value as Json, json};

/// Points that have one of the values for each of the names. A parameter that does not exist at a point has none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Forbidden {
    /// By name: leaf and value, as written.
    parts: Vec<(String, Vec<(u16, Value)>)>,
}

impl Forbidden {
    /// Whether a point is one of them.
    pub(super) fn matches(&self, point: &Point) -> bool {
        let has = |(leaf, value): &(u16, Value)| point.get(*leaf) == Some(*value);
        self.parts.iter().all(|(_, values)| values.iter().any(has))
    }

    /// As it is written; reads back to the same.
    pub(super) fn json(&self, space: &SearchSpace) -> Json {
        let values = |values: &[(u16, Value)]| {
            let mut list: Vec<Json> = Vec::new();
            for (leaf, value) in values {
                let written =
                    space.leaf(*leaf).map(|leaf| value_json(&leaf.domain, *value)).unwrap_or_default();
                if !list.contains(&written) {
                    list.push(written);
                }
            }
            Json::Array(list)
        };
        let parts: Map<String, Json> =
            self.parts.iter().map(|(name, list)| (name.clone(), values(list))).collect();
        json!({"forbid": parts})
    }
}

fn value_json(domain: &Domain, value: Value) -> Json {
    match (domain.label(value), value) {
        (Some(label), _) => label.to_json(),
        (None, Value::Int(n)) => n.into(),
        (None, Value::Float(x)) => x.into(),
        (None, Value::Option(_)) => Json::Null,
    }
}

/// Reads one.
pub(super) fn read(
    map: &Map<String, Json>,
    space: &SearchSpace,
    path: &str,
) -> Result<Forbidden, Vec<SpecError>> {
    let wrong = |path: &str, message: String, cure: &str| {
        SpecError::new(codes::CONSTRAINT_SYNTAX, path, message, cure)
    };
    let cure = "write {forbid: {optimizer: sgd, schedule: [cosine, step]}}";
    let parts = match (map.get("forbid"), map.len()) {
        (Some(Json::Object(parts)), 1) if !parts.is_empty() => parts,
        _ => {
            return Err(vec![wrong(
                path,
                "the constraint is no text and forbids no combination".to_owned(),
                cure,
            )]);
        }
    };
    let mut errors = Vec::new();
    let mut read = Vec::new();
    for (name, value) in parts {
        let at = format!("{path}.forbid.{name}");
        let leaves: Vec<u16> = space.find(name).collect();
        if leaves.is_empty() {
            let names = space.leaves().iter().map(|leaf| leaf.name.as_str());
            let cure = meant(name, names).map(|name| format!("did you mean `{name}`?")).unwrap_or_default();
            let message = format!("`{name}` is not a parameter of the space");
            errors.push(SpecError::key(codes::CONSTRAINT_UNKNOWN_NAME, at, message, cure));
            continue;
        }
        let one = [value.clone()];
        let list = value.as_array().map_or(one.as_slice(), Vec::as_slice);
        let mut values = Vec::new();
        for value in list {
            let before = values.len();
            for leaf in &leaves {
                let domain = space.leaf(*leaf).map(|leaf| &leaf.domain);
                values.extend(domain.and_then(|domain| value_of(domain, value)).map(|value| (*leaf, value)));
            }
            if values.len() == before {
                let message = format!("{value} is not one of the values of `{name}`");
                let cure = "forbid values of choices, ordinals and whole or stepped numbers; bound others with `lr <= 0.1`";
                errors.push(wrong(&at, message, cure));
            }
        }
        read.push((name.clone(), values));
    }
    if errors.is_empty() { Ok(Forbidden { parts: read }) } else { Err(errors) }
}

/// The value of a domain with separate values that a document means.
fn value_of(domain: &Domain, value: &Json) -> Option<Value> {
    if let Some(options) = domain.options() {
        let label = Label::from_json(value)?;
        let index = options.iter().position(|option| option.same(&label))?;
        return domain.nth(index as u64);
    }
    let number = value.as_f64().filter(|_| !domain.is_continuous())?;
    let nearest = domain.nearest(number);
    (domain.number(nearest)? - number).abs().le(&(1e-9 * number.abs())).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(constraints: &Json) -> Result<SearchSpace, Vec<SpecError>> {
        let space = json!({
            "kind": {"choice": ["a", "b", "c"]},
            "n": {"randint": [1, 5]},
            "x": {"uniform": [0, 1]},
            "net": [{"_name": "deep", "act": {"choice": ["relu", "tanh"]}}, "flat"],
        });
        SearchSpace::parse(&space, Some(constraints), "space")
    }

    #[test]
    fn forbidden_combinations_are_infeasible_and_all_others_are_not() {
        let written = json!(["n + x <= 4.5", {"forbid": {"kind": ["a", "b"], "n": [3]}}, {"forbid": {"net.act": ["tanh"], "kind": ["c"]}}]);
        let space = space(&written).unwrap();
        assert_eq!(space.canonical_constraints(), written);
        assert!(space.is_constrained());
        let feasible = |params: Json| space.from_json(&params, "params").is_ok();
        let flat = json!({"_name": "flat"});
        assert!(!feasible(json!({"kind": "a", "n": 3, "x": 0.1, "net": flat})));
        assert!(feasible(json!({"kind": "c", "n": 3, "x": 0.1, "net": flat})));
        assert!(feasible(json!({"kind": "a", "n": 2, "x": 0.1, "net": flat})));
        assert!(!feasible(json!({"kind": "c", "n": 1, "x": 0.1, "net": {"_name": "deep", "act": "tanh"}})));
        assert!(feasible(json!({"kind": "c", "n": 1, "x": 0.1, "net": {"_name": "deep", "act": "relu"}})));
        assert!(!feasible(json!({"kind": "a", "n": 4, "x": 0.9, "net": flat})), "sums hold beside them");
    }

    #[test]
    fn what_is_wrong_with_them_is_said_at_its_place() {
        let errors =
            space(&json!([{"forbid": {"kid": "a", "n": [3, 9], "x": 0.5}}, {"forbid": 3}])).unwrap_err();
        let found: Vec<(u16, &str)> =
            errors.iter().map(|error| (error.code.0, error.path.as_str())).collect();
        assert_eq!(
            found,
            [
                (231, "constraints[0].forbid.kid"),
                (230, "constraints[0].forbid.n"),
                (230, "constraints[0].forbid.x"),
                (230, "constraints[1]"),
            ]
        );
    }
}
