//! Reads the JSON form of a space: long, short and bare domains, nested choices. All mistakes at once.

use super::codes;
use super::constraint_text::read_constraints;
use super::domain::Domain;
use super::domain_form::{TYPES, meant_type, read_numbers};
use super::label::Label;
use super::names::{check_name, join, name_of};
use super::tree::{Leaf, Parent, SearchSpace};
use crate::error::SpecError;
use crate::limits::{MAX_LEAVES, MAX_NESTING, MAX_OPTIONS};
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;

/// A parameter before leaves have numbers.
#[derive(Debug, Clone, PartialEq)]
struct Draft {
    name: String,
    body: Body,
}

#[derive(Debug, Clone, PartialEq)]
struct Body {
    domain: Domain,
    nested: Vec<u32>,
    /// Each child with the options under which it exists.
    children: Vec<(Vec<u32>, Draft)>,
}

impl From<Domain> for Body {
    fn from(domain: Domain) -> Self {
        Self { domain, nested: Vec::new(), children: Vec::new() }
    }
}

impl SearchSpace {
    /// Reads a space and its constraints. `path` is the place of the space in its document, for the errors;
    /// the constraints are at `constraints`.
    ///
    /// The space is a map of names to domains. A name may be written as the placeholder `${name}`. A domain is
    /// `{"_type": "loguniform", "_value": [a, b]}`, `{"loguniform": [a, b]}`, a list of options, or a single value
    /// that is a constant. An option of a choice is a plain value or `{"_name": "svm", "c": domain, ...}`; in the
    /// short form also `{"choice": {"svm": {"c": domain}, "tree": {}}}`. Children of several options with one name
    /// and one domain (and equal children of their own) are one leaf.
    ///
    /// A constraint is a text such as `a + 2*b <= 10`; see [`LinearConstraint`](super::LinearConstraint).
    pub fn parse(space: &Json, constraints: Option<&Json>, path: &str) -> Result<Self, Vec<SpecError>> {
        let mut reader = Reader { errors: Vec::new() };
        let Json::Object(map) = space else {
            let message = "the search space is not a map of names to domains";
            let cure = "write, for example, {lr: {loguniform: [0.0001, 0.1]}}";
            return Err(vec![SpecError::new(codes::NOT_A_MAP, path, message, cure)]);
        };
        if map.is_empty() {
            let message = "the search space has no parameter";
            return Err(vec![SpecError::new(
                codes::EMPTY_SPACE,
                path,
                message,
                "name at least one parameter",
            )]);
        }
        let drafts = reader.members(map.iter(), "", path, 0);
        let mut leaves = Vec::new();
        flatten(drafts, None, &mut leaves);
        if leaves.len() > MAX_LEAVES {
            let message = format!("the space has {} parameters; the limit is {MAX_LEAVES}", leaves.len());
            reader.errors.push(SpecError::new(codes::TOO_MANY, path, message, "leave some out"));
            return Err(reader.errors);
        }
        let mut space = Self::assemble(leaves);
        // Names of parameters that have mistakes would look unknown to the constraints.
        if reader.errors.is_empty() {
            read_constraints(&mut space, constraints, &mut reader.errors);
        }
        if reader.errors.is_empty() { Ok(space) } else { Err(reader.errors) }
    }
}

/// Numbers the drafts, parents first, in the order in which they were written.
fn flatten(drafts: Vec<Draft>, parent: Option<u16>, leaves: &mut Vec<Leaf>) {
    flatten_under(drafts.into_iter().map(|draft| (Vec::new(), draft)).collect(), parent, leaves);
}

fn flatten_under(drafts: Vec<(Vec<u32>, Draft)>, parent: Option<u16>, leaves: &mut Vec<Leaf>) {
    for (options, Draft { name, body }) in drafts {
        let index = u16::try_from(leaves.len()).unwrap_or(u16::MAX);
        let parent = parent.map(|leaf| Parent { leaf, options });
        leaves.push(Leaf { name, domain: body.domain, parent, nested: body.nested });
        flatten_under(body.children, Some(index), leaves);
    }
}

struct Reader {
    errors: Vec<SpecError>,
}

impl Reader {
    fn fail(&mut self, code: crate::error::Code, path: &str, message: String, cure: impl Into<String>) {
        self.errors.push(SpecError::new(code, path, message, cure));
    }

    fn members<'a>(
        &mut self,
        members: impl Iterator<Item = (&'a String, &'a Json)>,
        above: &str,
        path: &str,
        depth: usize,
    ) -> Vec<Draft> {
        let mut drafts = Vec::new();
        let mut seen = BTreeSet::new();
        for (key, value) in members {
            let path = join(path, key);
            let short = name_of(key);
            let name = join(above, short);
            if let Err(error) = check_name(short, &path) {
                self.errors.push(error);
            } else if !seen.insert(short) {
                let message = format!("`{name}` is given twice");
                let cure = "`x` and `${x}` are the same name";
                self.errors.push(SpecError::key(codes::DUPLICATE_NAME, &path, message, cure));
            }
            if let Some(body) = self.domain(&name, value, &path, depth) {
                drafts.push(Draft { name, body });
            }
        }
        drafts
    }

    fn domain(&mut self, name: &str, value: &Json, path: &str, depth: usize) -> Option<Body> {
        match value {
            Json::Array(_) => self.choice(name, value, path, depth),
            Json::Object(map) if map.contains_key("_type") => self.long(name, map, path, depth),
            Json::Object(map) => self.short(name, map, path, depth),
            Json::Null => {
                let message = format!("`{name}` has no domain");
                let cure = "write, for example, {uniform: [0, 1]}, or [null] for a constant null";
                self.fail(codes::BAD_FORM, path, message, cure);
                None
            }
            Json::String(text) if looks_like_domain(text) => {
                let message = format!("`{name}` is the text \"{text}\", which looks like a domain");
                let cure = "write, for example, {uniform: [0, 1]}, or a list of one for a constant text";
                self.fail(codes::BAD_FORM, path, message, cure);
                None
            }
            scalar => {
                Label::from_json(scalar).map(|label| Body::from(Domain::Choice { options: vec![label] }))
            }
        }
    }

    fn long(&mut self, name: &str, map: &Map<String, Json>, path: &str, depth: usize) -> Option<Body> {
        for key in map.keys().filter(|key| !matches!(key.as_str(), "_type" | "_value")) {
            let path = join(path, key);
            let message = format!("`{name}`: `{key}` cannot stand beside `_type` and `_value`");
            self.errors.push(SpecError::key(codes::UNKNOWN_KEY, path, message, "leave it out"));
        }
        let Some(Json::String(kind)) = map.get("_type") else {
            let message = format!("`{name}`: `_type` is not a text");
            self.fail(codes::UNKNOWN_TYPE, &join(path, "_type"), message, known_types());
            return None;
        };
        if !TYPES.contains(&kind.as_str()) {
            let cure = type_cure(kind);
            let message = format!("`{name}`: there is no domain type `{kind}`");
            self.fail(codes::UNKNOWN_TYPE, &join(path, "_type"), message, cure);
            return None;
        }
        let Some(value) = map.get("_value") else {
            let message = format!("`{name}`: `_type` {kind} has no `_value`");
            self.fail(codes::MISSING_VALUE, path, message, "add `_value`, a list");
            return None;
        };
        self.typed(name, kind, value, &join(path, "_value"), depth)
    }

    fn short(&mut self, name: &str, map: &Map<String, Json>, path: &str, depth: usize) -> Option<Body> {
        let mut entries = map.iter();
        let (Some((kind, value)), None) = (entries.next(), entries.next()) else {
            let message = format!("`{name}` has {} keys where a domain has one", map.len());
            let cure =
                "write, for example, {uniform: [0, 1]}; parameters are nested under the options of a choice";
            self.fail(codes::BAD_FORM, path, message, cure);
            return None;
        };
        let path = join(path, kind);
        if TYPES.contains(&kind.as_str()) {
            return self.typed(name, kind, value, &path, depth);
        }
        let cure = type_cure(kind);
        let message = format!("`{name}`: there is no domain type `{kind}`");
        self.errors.push(SpecError::key(codes::UNKNOWN_TYPE, path, message, cure));
        None
    }

    fn typed(&mut self, name: &str, kind: &str, value: &Json, path: &str, depth: usize) -> Option<Body> {
        match kind {
            "choice" => self.choice(name, value, path, depth),
            "ordinal" => {
                let body = self.choice(name, value, path, depth)?;
                let Domain::Choice { options } = body.domain else { return None };
                if body.nested.is_empty() {
                    return Some(Body::from(Domain::Ordinal { options }));
                }
                let message = format!("`{name}`: the options of an ordinal cannot have parameters");
                self.fail(codes::BAD_OPTION, path, message, "use choice");
                None
            }
            _ => read_numbers(name, kind, value, path, &mut self.errors).map(Body::from),
        }
    }

    fn choice(&mut self, name: &str, value: &Json, path: &str, depth: usize) -> Option<Body> {
        let count = match value {
            Json::Array(items) => items.len(),
            Json::Object(map) => map.len(),
            _ => {
                let message = format!("`{name}`: the options are not a list");
                self.fail(codes::NO_OPTIONS, path, message, "write a list such as [a, b, c]");
                return None;
            }
        };
        if count == 0 {
            self.fail(codes::NO_OPTIONS, path, format!("`{name}` has no options"), "give at least one");
            return None;
        }
        if count > MAX_OPTIONS {
            let message = format!("`{name}` has {count} options; the limit is {MAX_OPTIONS}");
            self.fail(codes::TOO_MANY, path, message, "use randint or quniform for many numbers");
            return None;
        }
        let before = self.errors.len();
        let mut body = Body::from(Domain::Choice { options: Vec::new() });
        let mut options = Vec::with_capacity(count);
        match value {
            Json::Array(items) => {
                for (index, item) in (0u32..).zip(items) {
                    let path = format!("{path}[{index}]");
                    options.extend(self.option(name, item, &path, index, depth, &mut body));
                }
                self.duplicates(name, &options, path, before);
            }
            Json::Object(map) => {
                for (index, (key, inner)) in (0u32..).zip(map) {
                    let path = join(path, key);
                    body.nested.push(index);
                    options.push(Label::Text(key.clone()));
                    match inner {
                        Json::Null => {}
                        Json::Object(inner) => {
                            self.nested(name, inner.iter(), &path, index, depth, &mut body);
                        }
                        _ => {
                            let message = format!("`{name}`: the option `{key}` is not a map of parameters");
                            self.fail(
                                codes::BAD_OPTION,
                                &path,
                                message,
                                "write {} for an option without parameters",
                            );
                        }
                    }
                }
            }
            _ => {}
        }
        body.domain = Domain::Choice { options };
        (self.errors.len() == before).then_some(body)
    }

    fn option(
        &mut self,
        name: &str,
        item: &Json,
        path: &str,
        index: u32,
        depth: usize,
        body: &mut Body,
    ) -> Option<Label> {
        let Json::Object(map) = item else {
            let label = Label::from_json(item);
            if label.is_none() {
                let message = format!("`{name}`: a list cannot be an option");
                self.fail(codes::BAD_OPTION, path, message, "write it as a text, such as \"64,64\"");
            }
            return label;
        };
        body.nested.push(index);
        self.nested(name, map.iter().filter(|(key, _)| *key != "_name"), path, index, depth, body);
        match map.get("_name") {
            Some(Json::String(label)) => Some(Label::Text(label.clone())),
            Some(_) => {
                let message = format!("`{name}`: the `_name` of an option is not a text");
                self.fail(codes::NO_OPTION_NAME, &join(path, "_name"), message, "put it in quotes");
                None
            }
            None => {
                let message = format!("`{name}`: an option with parameters has no `_name`");
                self.fail(codes::NO_OPTION_NAME, path, message, "add `_name`, a text");
                None
            }
        }
    }

    /// Reads the parameters under one option, and joins those that an earlier option has as well.
    fn nested<'a>(
        &mut self,
        name: &str,
        members: impl Iterator<Item = (&'a String, &'a Json)>,
        path: &str,
        index: u32,
        depth: usize,
        body: &mut Body,
    ) {
        let mut members = members.peekable();
        if members.peek().is_some() && depth >= MAX_NESTING {
            let message = format!("`{name}`: choices are nested more than {MAX_NESTING} deep");
            self.fail(codes::TOO_DEEP, path, message, "flatten the space");
            return;
        }
        for draft in self.members(members, name, path, depth + 1) {
            if body.children.len() > MAX_LEAVES {
                // Refused as a whole later; comparing on would cost the square.
                return;
            }
            match body.children.iter_mut().find(|(_, known)| *known == draft) {
                Some((options, _)) => options.push(index),
                None => body.children.push((vec![index], draft)),
            }
        }
    }

    /// Two equal options; `before` is the number of errors before the options were read, since an option that
    /// could not be read shifts the indices.
    fn duplicates(&mut self, name: &str, options: &[Label], path: &str, before: usize) {
        if self.errors.len() > before {
            return;
        }
        let mut seen = BTreeSet::new();
        for (index, label) in options.iter().enumerate() {
            if !seen.insert(label.key()) {
                let message = format!("`{name}`: the option {} is given twice", label.to_json());
                self.fail(codes::DUPLICATE_OPTION, &format!("{path}[{index}]"), message, "leave one out");
            }
        }
    }
}

fn known_types() -> String {
    format!("use one of {}", TYPES.join(", "))
}

fn type_cure(written: &str) -> String {
    meant_type(written).map_or_else(known_types, |kind| format!("did you mean `{kind}`?"))
}

/// Whether a text is a domain type, or begins like a call of one.
fn looks_like_domain(text: &str) -> bool {
    let head = text.split(['(', '[', ':']).next().unwrap_or_default().trim();
    TYPES.contains(&head)
        && (head != text.trim() || !matches!(head, "normal" | "choice" | "uniform" | "ordinal"))
}
