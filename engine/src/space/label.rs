//! The options of choices and ordinals, as the user wrote them.

use serde_json::Value as Json;

/// One option.
#[derive(Debug, Clone, PartialEq)]
pub enum Label {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A real number; finite.
    Float(f64),
    /// A text; the `_name` of a nested option.
    Text(String),
}

impl Label {
    /// The label of a plain JSON value; none for lists and maps.
    pub fn from_json(value: &Json) -> Option<Self> {
        match value {
            Json::Null => Some(Self::Null),
            Json::Bool(b) => Some(Self::Bool(*b)),
            Json::Number(n) => match n.as_i64() {
                Some(i) => Some(Self::Int(i)),
                None => n.as_f64().map(Self::Float),
            },
            Json::String(text) => Some(Self::Text(text.clone())),
            Json::Array(_) | Json::Object(_) => None,
        }
    }

    /// The label as JSON, in the type in which it was written.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(b) => Json::Bool(*b),
            Self::Int(n) => Json::from(*n),
            Self::Float(x) => Json::from(*x),
            Self::Text(text) => Json::String(text.clone()),
        }
    }

    /// The label as text for substitution: a text as it is, anything else as in JSON.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            other => other.to_json().to_string(),
        }
    }

    /// The label's number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Int(n) => Some(*n as f64),
            Self::Float(x) => Some(*x),
            Self::Null | Self::Bool(_) | Self::Text(_) => None,
        }
    }

    /// Whether two labels are the same option: 1 and 1.0 are, 1 and "1" are not.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Float(b)) | (Self::Float(b), Self::Int(a)) => *a as f64 == *b,
            _ => self == other,
        }
    }

    /// A key under which labels that are the same are equal.
    pub(super) fn key(&self) -> (u8, String) {
        match self {
            Self::Null => (0, String::new()),
            Self::Bool(b) => (1, b.to_string()),
            Self::Int(n) if (*n as f64) as i64 == *n => (2, Json::from(*n as f64).to_string()),
            Self::Int(n) => (2, n.to_string()),
            // Zero and minus zero are the same option.
            Self::Float(x) => (2, Json::from(if *x == 0.0 { 0.0 } else { *x }).to_string()),
            Self::Text(text) => (3, text.clone()),
        }
    }
}
