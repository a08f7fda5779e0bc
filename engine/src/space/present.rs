//! Writes points and spaces: the nested JSON form, texts for substitution, the canonical form.

use super::domain::Domain;
use super::tree::{Leaf, SearchSpace};
use crate::value::{Point, Value};
use serde_json::{Map, Value as Json, json};

impl Domain {
    /// The value as a trial sees it: a number, or the label of an option; null for an option that does not exist.
    pub fn value_json(&self, value: Value) -> Json {
        match value {
            Value::Float(x) => Json::from(x),
            Value::Int(n) => Json::from(n),
            Value::Option(_) => self.label(value).map_or(Json::Null, super::Label::to_json),
        }
    }

    /// The value as text for substitution, with the digits that JSON has; a text option as it is.
    pub fn value_text(&self, value: Value) -> String {
        match self.label(value) {
            Some(label) => label.text(),
            None => self.value_json(value).to_string(),
        }
    }
}

impl SearchSpace {
    /// The values in the nested form, in the order of the space: `{"lr": 0.1, "model": {"_name": "svm", "c": 1.0}}`. A
    /// plain option is its value, also beside nested ones.
    pub fn to_json(&self, point: &Point) -> Map<String, Json> {
        self.roots.iter().filter_map(|root| self.write(*root, point)).collect()
    }

    fn write(&self, index: u16, point: &Point) -> Option<(String, Json)> {
        let leaf = self.leaf(index)?;
        let value = point.get(index)?;
        let plain = leaf.domain.value_json(value);
        let json = match value {
            Value::Option(option) if leaf.is_nested(option) => {
                let mut map = Map::new();
                map.insert("_name".to_owned(), plain);
                let children = self.children.get(usize::from(index)).into_iter().flatten();
                map.extend(
                    children
                        .filter(|child| self.exists(**child, point))
                        .filter_map(|child| self.write(*child, point)),
                );
                Json::Object(map)
            }
            _ => plain,
        };
        Some((leaf.key().to_owned(), json))
    }

    /// For every dotted name the text that replaces `${name}`: the value of the leaf of that name that exists, or
    /// the empty text. In the order of the space, each name once. Texts are inserted as they are, numbers, truth
    /// values and null as in JSON.
    pub fn bindings(&self, point: &Point) -> Vec<(String, String)> {
        let mut bindings: Vec<(String, String)> = Vec::with_capacity(self.leaves.len());
        for (index, leaf) in (0u16..).zip(&self.leaves) {
            let text = point.get(index).map(|value| leaf.domain.value_text(value)).unwrap_or_default();
            // Leaves of one name are children of one choice: only a nested name can repeat.
            let known =
                leaf.parent.as_ref().and_then(|_| bindings.iter_mut().find(|(name, _)| *name == leaf.name));
            match known {
                Some((_, known)) if known.is_empty() => *known = text,
                Some(_) => {}
                None => bindings.push((leaf.name.clone(), text)),
            }
        }
        bindings
    }

    /// Short names of nested parameters: the last segment and the dotted name, where no other name ends in that
    /// segment. PAI `AutoML` replaces `${c}` for the key `${c}` of a nested option.
    pub fn aliases(&self) -> Vec<(String, String)> {
        let unique = |leaf: &Leaf| {
            self.leaves.iter().all(|other| other.key() != leaf.key() || other.name == leaf.name)
        };
        let mut aliases: Vec<(String, String)> = Vec::new();
        for leaf in self.leaves.iter().filter(|leaf| leaf.parent.is_some() && unique(leaf)) {
            let alias = (leaf.key().to_owned(), leaf.name.clone());
            if !aliases.contains(&alias) {
                aliases.push(alias);
            }
        }
        aliases
    }

    /// The space in the long form of NNI; [`Self::parse`] of it and of [`Self::canonical_constraints`] gives this space
    /// again.
    pub fn canonical(&self) -> Json {
        Json::Object(self.roots.iter().filter_map(|root| self.describe(*root)).collect())
    }

    /// The constraints as a list: sums as texts, then forbidden combinations.
    pub fn canonical_constraints(&self) -> Json {
        let sums = self.constraints.iter().map(|constraint| Json::from(constraint.text(self)));
        sums.chain(self.forbidden.iter().map(|forbidden| forbidden.json(self))).collect()
    }

    fn describe(&self, index: u16) -> Option<(String, Json)> {
        let leaf = self.leaf(index)?;
        let numbers = match &leaf.domain {
            Domain::Uniform { low, high } | Domain::LogUniform { low, high } => json!([low, high]),
            Domain::QUniform { low, high, q } | Domain::QLogUniform { low, high, q } => json!([low, high, q]),
            Domain::Normal { mu, sigma } | Domain::LogNormal { mu, sigma } => json!([mu, sigma]),
            Domain::QNormal { mu, sigma, q } | Domain::QLogNormal { mu, sigma, q } => json!([mu, sigma, q]),
            Domain::RandInt { low, high } => json!([low, high]),
            Domain::Choice { options } | Domain::Ordinal { options } => (0u32..)
                .zip(options)
                .map(|(option, label)| {
                    if leaf.is_nested(option) {
                        self.describe_option(index, option, label.to_json())
                    } else {
                        label.to_json()
                    }
                })
                .collect::<Vec<_>>()
                .into(),
        };
        Some((leaf.key().to_owned(), json!({"_type": leaf.domain.type_name(), "_value": numbers})))
    }

    fn describe_option(&self, index: u16, option: u32, name: Json) -> Json {
        let mut map = Map::new();
        map.insert("_name".to_owned(), name);
        for child in self.children.get(usize::from(index)).into_iter().flatten() {
            let under = self.leaf(*child).and_then(|leaf| leaf.parent.as_ref());
            if under.is_some_and(|parent| parent.options.binary_search(&option).is_ok()) {
                map.extend(self.describe(*child));
            }
        }
        Json::Object(map)
    }
}
