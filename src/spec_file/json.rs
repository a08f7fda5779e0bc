//! Reads JSON: `serde_json` judges the syntax, and a scan of the text, which is then known to be right, finds the places.

use super::codes;
use super::tree::{Body, MAX_DEPTH, Member, Node, TextError};
use serde::de::IgnoredAny;
use serde_json::Value as Json;

/// Reads the text.
pub(super) fn read(text: &str) -> Result<Node, TextError> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| syntax(&error, text))?;
    let mut scan = Scan { text, at: 0 };
    scan.value(0)
}

fn syntax(error: &serde_json::Error, text: &str) -> TextError {
    let lines: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let last = text.trim_end().len().saturating_sub(1);
    let at = (lines + error.column().saturating_sub(1)).min(last);
    // The position follows the message, too.
    let full = error.to_string();
    let message = full.split_once(" at line ").map_or(full.as_str(), |(message, _)| message);
    let comma = text.get(..at).is_some_and(|before| before.trim_end().ends_with(','));
    let cure = if comma && text.get(at..).is_some_and(|rest| rest.starts_with(['}', ']'])) {
        "remove the comma before it"
    } else {
        ""
    };
    TextError::new(codes::SYNTAX, at..at + 1, format!("this is not JSON: {message}"), cure)
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next character that is no white space.
    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.rest().chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Node, TextError> {
        let first = self.peek();
        let start = self.at;
        if depth > MAX_DEPTH {
            let message = format!("lists and maps are nested more than {MAX_DEPTH} deep");
            return Err(TextError::new(codes::TOO_MUCH, start..start + 1, message, ""));
        }
        let body = match first {
            Some('{') => self.map(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Body::Plain(Json::String(self.string())),
            _ => Body::Plain(self.word()?),
        };
        Ok(Node { span: start..self.at, body })
    }

    fn map(&mut self, depth: usize) -> Result<Body, TextError> {
        let mut members = Vec::new();
        self.eat('{');
        while self.peek() == Some('"') {
            let start = self.at;
            let key = self.string();
            let key_span = start..self.at;
            self.eat(':');
            members.push(Member { key, key_span, value: self.value(depth + 1)? });
            self.eat(',');
        }
        self.eat('}');
        Ok(Body::Map(members))
    }

    fn list(&mut self, depth: usize) -> Result<Body, TextError> {
        let mut items = Vec::new();
        self.eat('[');
        while self.peek().is_some_and(|c| c != ']') {
            items.push(self.value(depth + 1)?);
            self.eat(',');
        }
        self.eat(']');
        Ok(Body::List(items))
    }

    fn string(&mut self) -> String {
        let mut escaped = false;
        let inside = self.rest().get(1..).unwrap_or_default();
        let end = inside.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let start = self.at;
        self.at += end.map_or(self.rest().len(), |end| end + 2);
        let raw = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(raw).unwrap_or_default()
    }

    /// A number, a truth value or null.
    fn word(&mut self) -> Result<Json, TextError> {
        let start = self.at;
        let ends = |c: char| matches!(c, ',' | ']' | '}' | ' ' | '\t' | '\n' | '\r');
        self.at += self.rest().find(ends).unwrap_or(self.rest().len()).max(1);
        let raw = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(raw).map_err(|_| {
            let message = format!("`{raw}` is not a finite number");
            TextError::new(codes::NOT_FINITE, start..self.at, message, "write a finite number")
        })
    }
}
