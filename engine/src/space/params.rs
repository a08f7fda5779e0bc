//! Reads the values of a point from JSON, and checks single values.

use super::codes;
use super::domain::{Domain, Shape};
use super::label::Label;
use super::names::{join, meant, name_of};
use super::tree::{Leaf, SearchSpace};
use crate::error::{Code, SpecError};
use crate::value::{Point, Value};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// A number this close to a value of a stepped domain, in steps, is meant to be that value.
const NEAR: f64 = 1e-6;

/// What is wrong with a value: code, message, cure.
type Mistake = (Code, String, String);

impl Domain {
    /// The value, or what is wrong with it.
    pub(super) fn check(&self, value: Value) -> Result<(), Mistake> {
        if self.contains(value) {
            return Ok(());
        }
        let shown = match value {
            Value::Float(x) => format!("the real number {x}"),
            Value::Int(n) => format!("the whole number {n}"),
            Value::Option(n) => format!("option number {n}"),
        };
        let kind = self.nth(0).unwrap_or(Value::Float(0.0)).key().0;
        let code = if kind == value.key().0 { codes::OUT_OF_DOMAIN } else { codes::WRONG_TYPE };
        Err((code, format!("{shown} is not in {}", self.describe()), String::new()))
    }

    /// The domain in words, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::RandInt { low, high } => {
                format!("the whole numbers from {low} to {}", high.saturating_sub(1))
            }
            Self::Uniform { low, high } | Self::LogUniform { low, high } => format!("{low} to {high}"),
            Self::QUniform { low, high, q } | Self::QLogUniform { low, high, q } => {
                format!("{low} to {high} in steps of {q}")
            }
            Self::Normal { .. } => "the real numbers".to_owned(),
            Self::LogNormal { .. } => "the numbers above 0".to_owned(),
            Self::QNormal { mu, sigma, q } => {
                format!("the multiples of {q} that normal({mu}, {sigma}) reaches")
            }
            Self::QLogNormal { mu, sigma, q } => {
                format!("the multiples of {q} that lognormal({mu}, {sigma}) reaches")
            }
            Self::Choice { options } | Self::Ordinal { options } => {
                let mut list: Vec<String> =
                    options.iter().take(12).map(|label| label.to_json().to_string()).collect();
                if options.len() > list.len() {
                    list.push(format!("and {} more", options.len() - list.len()));
                }
                format!("the options {}", list.join(", "))
            }
        }
    }

    /// Reads a value. A number may be a text; an option may be given by its text where that fits one option only.
    /// A number very close to a step is that step.
    pub fn read(&self, value: &Json) -> Result<Value, (Code, String, String)> {
        if let Some(options) = self.options() {
            return self.read_option(options, value);
        }
        let number = match value {
            Json::Number(n) => n.as_f64(),
            Json::String(text) => text.trim().parse::<f64>().ok(),
            _ => None,
        };
        let Some(x) = number.filter(|x| x.is_finite()) else {
            return Err((codes::WRONG_TYPE, format!("{value} is not a number"), "give a number".to_owned()));
        };
        let nearest = self.nearest(x);
        let near = match self.shape() {
            Shape::Stepped(lattice) => {
                let index = lattice.nearest(x);
                let neighbour =
                    lattice.number(if index == 0 { 1.min(lattice.count() - 1) } else { index - 1 });
                let number = lattice.number(index);
                let gap = if neighbour == number { number.abs() } else { (neighbour - number).abs() };
                (number - x).abs() <= NEAR * gap
            }
            Shape::Continuous(_) | Shape::Even(_) => self.number(nearest) == Some(x),
        };
        if near {
            return Ok(nearest);
        }
        let message = format!("{value} is not in {}", self.describe());
        let cure = format!("the nearest value is {}", self.value_json(nearest));
        Err((codes::OUT_OF_DOMAIN, message, cure))
    }

    fn read_option(&self, options: &[Label], value: &Json) -> Result<Value, Mistake> {
        let Some(wanted) = Label::from_json(value) else {
            let message = format!("{value} is not a plain value");
            return Err((codes::WRONG_TYPE, message, format!("give one of {}", self.describe())));
        };
        let exact = options.iter().position(|label| label.same(&wanted));
        let text = wanted.text();
        let alike = |label: &Label| {
            label.text() == text
                || matches!((label.number(), text.trim().parse::<f64>()), (Some(a), Ok(b)) if a == b)
        };
        let found = exact.or_else(|| {
            let mut fits = options.iter().enumerate().filter(|(_, label)| alike(label));
            match (fits.next(), fits.next()) {
                (Some((index, _)), None) => Some(index),
                _ => None,
            }
        });
        if let Some(index) = found.and_then(|index| u32::try_from(index).ok()) {
            return Ok(Value::Option(index));
        }
        let message = format!("{value} is not one of {}", self.describe());
        let texts: Vec<String> = options.iter().map(Label::text).collect();
        let cure = meant(&text, texts.iter().map(String::as_str));
        Err((
            codes::OUT_OF_DOMAIN,
            message,
            cure.map(|text| format!("did you mean `{text}`?")).unwrap_or_default(),
        ))
    }
}

/// A value as it was given.
struct Given<'a> {
    path: String,
    value: &'a Json,
    used: bool,
}

/// Whether a leaf exists, as far as the given values tell.
#[derive(Clone, Copy, PartialEq)]
enum Existence {
    Yes,
    No,
    /// The choice above has a mistake of its own.
    Unknown,
}

impl SearchSpace {
    /// Reads a point from its nested form (`{"model": {"_name": "svm", "c": 1}}`) or its flat form (`{"model": "svm",
    /// "model.c": 1}`); keys may be placeholders (`"${lr}"`). Numbers may be texts. A parameter with one value only may
    /// be left out. `path` is the place of the values in their document.
    ///
    /// # Errors
    /// All mistakes: names unknown, missing or absent under the option taken, values of the wrong type or outside
    /// their domain; and if there are none of these, the constraints that are broken.
    pub fn from_json(&self, params: &Json, path: &str) -> Result<Point, Vec<SpecError>> {
        let Json::Object(map) = params else {
            let message = "the parameters are not a map of names to values";
            return Err(vec![SpecError::new(
                codes::PARAMS_NOT_A_MAP,
                path,
                message,
                "write {name: value, ...}",
            )]);
        };
        let mut errors = Vec::new();
        let mut given = BTreeMap::new();
        gather(map, "", path, 0, &mut given, &mut errors);
        let mut point = Point::default();
        let mut known: Vec<Existence> = Vec::with_capacity(self.leaves.len());
        for (index, leaf) in (0u16..).zip(&self.leaves) {
            let mut existence = existence(leaf, &point, &known);
            let entry = given.get_mut(&leaf.name);
            if existence == Existence::Yes {
                match take(leaf, entry, path) {
                    Ok(value) => point.0.push((index, value)),
                    Err(error) => {
                        errors.push(error);
                        existence = Existence::Unknown;
                    }
                }
            } else if let (Existence::Unknown, Some(entry)) = (existence, entry) {
                entry.used = true;
            }
            known.push(existence);
        }
        for (name, entry) in given.iter().filter(|(_, entry)| !entry.used) {
            errors.push(self.surplus(name, entry));
        }
        if errors.is_empty() {
            errors = self.broken(&point);
        }
        if errors.is_empty() { Ok(point) } else { Err(errors) }
    }

    fn surplus(&self, name: &str, entry: &Given<'_>) -> SpecError {
        if self.find(name).next().is_some() {
            let message = format!("`{name}` does not exist under the option taken");
            return SpecError::key(codes::ABSENT_PARAMETER, &entry.path, message, "leave it out");
        }
        let message = format!("the space has no parameter `{name}`");
        let cure = meant(name, self.leaves.iter().map(|leaf| leaf.name.as_str()));
        let cure = cure.map_or_else(|| "leave it out".to_owned(), |name| format!("did you mean `{name}`?"));
        SpecError::key(codes::UNKNOWN_PARAMETER, &entry.path, message, cure)
    }
}

fn existence(leaf: &Leaf, point: &Point, known: &[Existence]) -> Existence {
    let Some(parent) = &leaf.parent else { return Existence::Yes };
    match known.get(usize::from(parent.leaf)) {
        Some(Existence::Yes) => match point.get(parent.leaf) {
            Some(Value::Option(option)) if parent.options.binary_search(&option).is_ok() => Existence::Yes,
            _ => Existence::No,
        },
        Some(Existence::Unknown) => Existence::Unknown,
        Some(Existence::No) | None => Existence::No,
    }
}

/// The value of a leaf that exists.
fn take(leaf: &Leaf, entry: Option<&mut Given<'_>>, path: &str) -> Result<Value, SpecError> {
    if let Some(entry) = entry {
        entry.used = true;
        return leaf.domain.read(entry.value).map_err(|(code, message, cure)| {
            SpecError::new(code, &entry.path, format!("`{}`: {message}", leaf.name), cure)
        });
    }
    leaf.domain.nth(0).filter(|_| leaf.domain.cardinality() == Some(1)).ok_or_else(|| {
        let message = format!("`{}` has no value", leaf.name);
        let cure = format!("give one in {}", leaf.domain.describe());
        SpecError::new(codes::MISSING_PARAMETER, join(path, &leaf.name), message, cure)
    })
}

/// Flattens the nested form.
fn gather<'a>(
    map: &'a Map<String, Json>,
    above: &str,
    path: &str,
    depth: usize,
    given: &mut BTreeMap<String, Given<'a>>,
    errors: &mut Vec<SpecError>,
) {
    for (key, value) in map.iter().filter(|(key, _)| above.is_empty() || *key != "_name") {
        let name = join(above, name_of(key));
        let mut path = join(path, key);
        let mut value = value;
        if let Json::Object(inner) = value {
            if depth > crate::limits::MAX_NESTING {
                let message = format!("`{name}` is nested too deeply");
                errors.push(SpecError::new(codes::TOO_DEEP, path, message, ""));
                continue;
            }
            gather(inner, &name, &path, depth + 1, given, errors);
            let Some(option) = inner.get("_name") else {
                let message = format!("`{name}` has no `_name` that says which option it is");
                errors.push(SpecError::new(codes::NO_OPTION_NAME, path, message, "add `_name`"));
                continue;
            };
            value = option;
            path = join(&path, "_name");
        }
        if given.contains_key(&name) {
            let message = format!("`{name}` is given twice");
            errors.push(SpecError::key(codes::DUPLICATE_NAME, path, message, "leave one out"));
            continue;
        }
        given.insert(name, Given { path, value, used: false });
    }
}
