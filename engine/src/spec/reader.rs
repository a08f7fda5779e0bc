//! Reads values of a document and keeps every mistake, so that all are reported at once.

use super::codes;
use super::duration::parse_duration;
use crate::error::{Code, SpecError};
use crate::space::names::meant;
use crate::time::Span;
use serde_json::{Map, Value as Json};

/// Longest part of a wrong value that an error repeats, in characters.
const MAX_SHOWN_CHARS: usize = 40;

/// Collects the mistakes and warnings of one document.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) errors: Vec<SpecError>,
    pub(super) warnings: Vec<SpecError>,
}

impl Reader {
    pub(super) fn fail(
        &mut self,
        code: Code,
        path: &str,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.errors.push(SpecError::new(code, path, message, cure));
    }

    pub(super) fn fail_key(
        &mut self,
        code: Code,
        path: &str,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.errors.push(SpecError::key(code, path, message, cure));
    }

    pub(super) fn warn(
        &mut self,
        code: Code,
        path: &str,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.warnings.push(SpecError::new(code, path, message, cure));
    }

    pub(super) fn wrong_type(&mut self, place: &Place<'_>, expected: &str, cure: impl Into<String>) {
        let message = format!("expected {expected}, found {}", describe(place.value));
        self.fail(codes::WRONG_TYPE, &place.path, message, cure);
    }

    /// A text, also an empty one.
    pub(super) fn text(&mut self, place: &Place<'_>) -> Option<String> {
        match place.value {
            Json::String(text) if text.contains('\0') => {
                self.fail(codes::BAD_TEXT, &place.path, "the text contains a NUL character", "remove it");
                None
            }
            Json::String(text) => Some(text.clone()),
            Json::Number(_) | Json::Bool(_) => {
                self.wrong_type(place, "a text", "put it in quotes");
                None
            }
            _ => {
                self.wrong_type(place, "a text", "");
                None
            }
        }
    }

    /// A text with at least one character that is no space.
    pub(super) fn some_text(&mut self, place: &Place<'_>) -> Option<String> {
        let text = self.text(place)?;
        if text.trim().is_empty() {
            self.fail(
                codes::EMPTY,
                &place.path,
                "the text is empty",
                "write something, or leave the key out",
            );
            return None;
        }
        Some(text)
    }

    /// A whole number within bounds. A number such as `40.0` counts as whole.
    pub(super) fn whole(&mut self, place: &Place<'_>, low: u64, high: u64) -> Option<u64> {
        let Json::Number(number) = place.value else {
            let cure = match place.value {
                Json::String(text) if text.trim().parse::<u64>().is_ok() => "write the number without quotes",
                _ => "",
            };
            self.wrong_type(place, "a whole number", cure);
            return None;
        };
        let float = number.as_f64().unwrap_or(f64::NAN);
        let whole = number.as_u64().or_else(|| {
            // Exact: floats hold every whole number up to 2^53.
            (float.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&float)).then_some(float as u64)
        });
        match whole {
            Some(n) if (low..=high).contains(&n) => Some(n),
            None if float.fract() != 0.0 => {
                self.wrong_type(place, "a whole number", "");
                None
            }
            _ => {
                let name = place.path.rsplit('.').next().unwrap_or_default();
                let message = format!("`{name}` is {number}, not between {low} and {high}");
                let cure = if float < low as f64 {
                    format!("the least is {low}")
                } else {
                    format!("the most is {high}")
                };
                self.fail(codes::OUT_OF_BOUNDS, &place.path, message, cure);
                None
            }
        }
    }

    pub(super) fn whole_u32(&mut self, place: &Place<'_>, low: u32, high: u32) -> Option<u32> {
        self.whole(place, low.into(), high.into()).and_then(|n| u32::try_from(n).ok())
    }

    /// A finite number.
    pub(super) fn number(&mut self, place: &Place<'_>) -> Option<f64> {
        let number = place.value.as_f64().filter(|x| x.is_finite());
        if number.is_none() {
            let cure = match place.value {
                Json::String(text) if text.trim().parse::<f64>().is_ok() => "write the number without quotes",
                _ => "",
            };
            self.wrong_type(place, "a number", cure);
        }
        number
    }

    /// A finite number above 0.
    pub(super) fn positive(&mut self, place: &Place<'_>) -> Option<f64> {
        let number = self.number(place)?;
        if number <= 0.0 {
            let message = format!("{number} is not above 0");
            self.fail(codes::OUT_OF_BOUNDS, &place.path, message, "choose a number above 0, or leave it out");
            return None;
        }
        Some(number)
    }

    pub(super) fn flag(&mut self, place: &Place<'_>) -> Option<bool> {
        let flag = place.value.as_bool();
        if flag.is_none() {
            let cure = match place.value.as_str().map(str::to_lowercase).as_deref() {
                Some("yes" | "on" | "true") => "write true",
                Some("no" | "off" | "false") => "write false",
                _ => "",
            };
            self.wrong_type(place, "true or false", cure);
        }
        flag
    }

    /// A length of time: a number of seconds or a text such as `1h30m`.
    pub(super) fn span(&mut self, place: &Place<'_>, zero_allowed: bool) -> Option<Span> {
        match parse_duration(place.value) {
            Ok(Span(0)) if !zero_allowed => {
                self.fail(codes::OUT_OF_BOUNDS, &place.path, "the time must be longer than 0", "");
                None
            }
            Ok(span) => Some(span),
            Err(problem) => {
                let message = format!("{} {problem}", describe(place.value));
                let cure = "write seconds as a number, or a text such as '90s', '2h' or '1h30m'";
                self.fail(codes::NOT_A_DURATION, &place.path, message, cure);
                None
            }
        }
    }

    /// The keys of a map.
    pub(super) fn fields<'a>(&mut self, place: &Place<'a>, expected: &str, cure: &str) -> Option<Fields<'a>> {
        if let Json::Object(map) = place.value {
            Some(Fields::new(map, &place.path))
        } else {
            self.wrong_type(place, expected, cure);
            None
        }
    }

    /// One of several words.
    pub(super) fn word<T: Copy>(&mut self, place: &Place<'_>, words: &[(&str, T)]) -> Option<T> {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let Json::String(text) = place.value else {
            self.wrong_type(place, &format!("one of {}", all.join(", ")), "");
            return None;
        };
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value);
        if found.is_none() {
            let message = format!("`{}` is none of {}", shorten(text), all.join(", "));
            let cure = did_you_mean(text, all.iter().copied()).unwrap_or_default();
            self.fail(codes::UNKNOWN_WORD, &place.path, message, cure);
        }
        found
    }
}

/// A value and where it is.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub(super) value: &'a Json,
    pub(super) path: String,
}

impl<'a> Place<'a> {
    pub(super) fn new(value: &'a Json, path: impl Into<String>) -> Self {
        Self { value, path: path.into() }
    }

    /// The items of a list with their places; of any other value, that value alone.
    pub(super) fn items(&self) -> Vec<Place<'a>> {
        match self.value {
            Json::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| Place::new(item, format!("{}[{index}]", self.path)))
                .collect(),
            _ => vec![self.clone()],
        }
    }
}

/// A map whose keys are asked for one by one; those never asked for are unknown.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Json>,
    pub(super) path: String,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(map: &'a Map<String, Json>, path: &str) -> Self {
        Self { map, path: path.to_owned(), known: Vec::new() }
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// The value of a key; a null counts as absent.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Place<'a>> {
        self.know(key);
        self.peek(key)
    }

    /// Counts a key as known without reading it.
    pub(super) fn know(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
    }

    pub(super) fn peek(&self, key: &str) -> Option<Place<'a>> {
        let value = self.map.get(key).filter(|value| !value.is_null())?;
        Some(Place::new(value, self.path_of(key)))
    }

    /// The members that were not asked for.
    pub(super) fn rest(&self) -> impl Iterator<Item = (&'a String, Place<'a>)> {
        self.map
            .iter()
            .filter(|(key, _)| !self.known.contains(&key.as_str()))
            .map(|(key, value)| (key, Place::new(value, self.path_of(key))))
    }

    /// Reports every key that was never asked for.
    pub(super) fn finish(&self, reader: &mut Reader) {
        let place =
            if self.path.is_empty() { "an experiment".to_owned() } else { format!("`{}`", self.path) };
        for (key, rest) in self.rest() {
            let message = format!("{place} has no key `{}`", shorten(key));
            let cure = did_you_mean(key, self.known.iter().copied())
                .unwrap_or_else(|| format!("the keys are {}", self.known.join(", ")));
            reader.fail_key(codes::UNKNOWN_KEY, &rest.path, message, cure);
        }
    }
}

/// A path one key further.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The question for a misspelt word, if one is near.
pub(super) fn did_you_mean<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let first = |word: &str| word.chars().next().map(|c| c.to_ascii_lowercase());
    // Short words are near to each other without having anything in common.
    let alike = |word: &&str| word.len() > 5 || first(word) == first(written);
    meant(written, candidates).filter(alike).map(|word| format!("did you mean `{word}`?"))
}

/// Names a value for an error message.
pub(super) fn describe(value: &Json) -> String {
    match value {
        Json::Null => "nothing".to_owned(),
        Json::Bool(flag) => format!("`{flag}`"),
        Json::Number(number) => format!("the number {number}"),
        Json::String(text) => format!("the text `{}`", shorten(text)),
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "a map".to_owned(),
    }
}

/// A text on one line, cut to a length that fits in a message.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String =
        text.chars().take(MAX_SHOWN_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_SHOWN_CHARS).is_some() {
        short.push('…');
    }
    short
}
