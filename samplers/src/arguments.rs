//! Reads the arguments of a sampler or a rule: every mistake is noted, with its place, and none ends the reading.

use crate::codes;
use engine::error::SpecError;
use engine::value::Goal;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// The arguments of one sampler or rule. Ask for each, then call [`Arguments::finish`].
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    path: String,
    map: Option<&'a Map<String, Value>>,
    known: Vec<&'static str>,
    errors: Vec<SpecError>,
}

impl<'a> Arguments<'a> {
    /// The arguments at a path; null is the same as none.
    pub(crate) fn new(arguments: &'a Value, path: &str) -> Self {
        let mut errors = Vec::new();
        let map = match arguments {
            Value::Object(map) => Some(map),
            Value::Null => None,
            _ => {
                let cure = "write `name: value` for each";
                let message = "the arguments are not a map";
                errors.push(SpecError::new(codes::ARGUMENTS_NOT_A_MAP, path, message, cure));
                None
            }
        };
        Self { path: path.to_owned(), map, known: Vec::new(), errors }
    }

    fn place(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The value of an argument that has one or several names.
    fn take(&mut self, names: &[&'static str]) -> Option<(&'static str, &'a Value)> {
        self.known.extend(names);
        let mut given = names.iter().filter_map(|name| self.map?.get(*name).map(|value| (*name, value)));
        let first = given.next();
        if let (Some((one, _)), Some((two, _))) = (first, given.next()) {
            let message = format!("`{one}` and `{two}` are the same argument");
            self.errors.push(SpecError::key(
                codes::GIVEN_TWICE,
                self.place(two),
                message,
                "give one of them",
            ));
        }
        first.filter(|(_, value)| !value.is_null())
    }

    fn wrong(&mut self, name: &str, value: &Value, wanted: &str) {
        let message = format!("`{name}` is {value}, not {wanted}");
        let error = SpecError::new(codes::WRONG_TYPE, self.place(name), message, format!("give it {wanted}"));
        self.errors.push(error);
    }

    /// Whether an argument is there under one of its names, rightly or wrongly.
    pub(crate) fn is_given(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.map.and_then(|map| map.get(*name)).is_some_and(|value| !value.is_null()))
    }

    /// Notes a mistake in the value of an argument.
    pub(crate) fn mistake(&mut self, code: engine::error::Code, name: &str, message: String, cure: &str) {
        self.errors.push(SpecError::new(code, self.place(name), message, cure));
    }

    /// A number within bounds.
    pub(crate) fn number(&mut self, names: &[&'static str], bounds: RangeInclusive<f64>) -> Option<f64> {
        let (name, value) = self.take(names)?;
        match value.as_f64() {
            None => {
                self.wrong(name, value, "a number");
                None
            }
            Some(x) if bounds.contains(&x) => Some(x),
            Some(x) => {
                let (low, high) = bounds.into_inner();
                self.mistake(
                    codes::OUT_OF_RANGE,
                    name,
                    format!("`{name}` is {x}, outside {low} to {high}"),
                    "choose a number inside",
                );
                None
            }
        }
    }

    /// A whole number within bounds; 5.0 is one.
    pub(crate) fn whole(&mut self, names: &[&'static str], bounds: RangeInclusive<u64>) -> Option<u64> {
        let (name, value) = self.take(names)?;
        let float = |x: f64| (x >= 0.0 && x == x.floor() && x < 9e15).then_some(x as u64);
        match value.as_u64().or_else(|| value.as_f64().and_then(float)) {
            None => {
                self.wrong(name, value, "a whole number of at least 0");
                None
            }
            Some(n) if bounds.contains(&n) => Some(n),
            Some(n) => {
                let (low, high) = bounds.into_inner();
                self.mistake(
                    codes::OUT_OF_RANGE,
                    name,
                    format!("`{name}` is {n}, outside {low} to {high}"),
                    "choose a number inside",
                );
                None
            }
        }
    }

    /// True or false; also as a text, as PAI sends it.
    pub(crate) fn boolean(&mut self, names: &[&'static str]) -> Option<bool> {
        let (name, value) = self.take(names)?;
        let text = value.as_str().map(str::to_ascii_lowercase);
        match (value.as_bool(), text.as_deref()) {
            (Some(b), _) => Some(b),
            (_, Some("true")) => Some(true),
            (_, Some("false")) => Some(false),
            _ => {
                self.wrong(name, value, "true or false");
                None
            }
        }
    }

    /// One of several words; letter case does not matter.
    pub(crate) fn word(
        &mut self,
        names: &[&'static str],
        words: &'static [&'static str],
    ) -> Option<&'static str> {
        let (name, value) = self.take(names)?;
        let written = match value {
            Value::Bool(b) => b.to_string(),
            _ => value.as_str().unwrap_or_default().to_ascii_lowercase(),
        };
        let found = words.iter().copied().find(|word| *word == written);
        if found.is_none() {
            self.wrong(name, value, &format!("one of {}", words.join(", ")));
        }
        found
    }

    /// The random seed.
    pub(crate) fn seed(&mut self) -> Option<u64> {
        self.whole(&["seed"], 0..=u64::MAX)
    }

    /// NNI's `optimize_mode`; if given it must agree with the objective.
    pub(crate) fn optimize_mode(&mut self, goal: Goal) {
        let mode = self.word(&["optimize_mode"], &["minimize", "maximize"]);
        let own = match goal {
            Goal::Minimize => "minimize",
            Goal::Maximize => "maximize",
        };
        if let Some(mode) = mode.filter(|mode| *mode != own) {
            self.mistake(
                codes::CONTRADICTION,
                "optimize_mode",
                format!("`optimize_mode` is {mode}, but the objective says {own}"),
                "leave it out: the objective's goal is used",
            );
        }
    }

    /// A map inside the arguments.
    pub(crate) fn inner(&mut self, name: &'static str) -> Option<Arguments<'a>> {
        let (name, value) = self.take(&[name])?;
        Some(Arguments::new(value, &self.place(name)))
    }

    /// Takes in the mistakes of an inner map.
    pub(crate) fn absorb(&mut self, inner: Arguments<'_>) {
        self.errors.extend(inner.finish().err().unwrap_or_default());
    }

    /// Accepts an argument without using it.
    pub(crate) fn ignore(&mut self, name: &'static str) {
        self.known.push(name);
    }

    /// All mistakes, unknown names included.
    pub(crate) fn finish(mut self) -> Result<(), Vec<SpecError>> {
        for name in self.map.into_iter().flat_map(Map::keys) {
            if !self.known.contains(&name.as_str()) {
                let cure = match meant(name, &self.known) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None if self.known.is_empty() => "it takes no arguments".to_owned(),
                    None => format!("it takes {}", self.known.join(", ")),
                };
                let message = format!("there is no argument `{name}`");
                let error = SpecError::key(codes::UNKNOWN_ARGUMENT, self.place(name), message, cure);
                self.errors.push(error);
            }
        }
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}

/// The candidate that was probably meant by a misspelt name.
pub(crate) fn meant<'c>(written: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let written = written.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (distance(&written, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The edit distance of Levenshtein; texts beyond 64 bytes are as far as can be.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (slot, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let cost = (diagonal + usize::from(x != y)).min(left + 1).min(*slot + 1);
            diagonal = *slot;
            *slot = cost;
            left = cost;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
