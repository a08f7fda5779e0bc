//! The text of a file: lines, columns, and how wide they are on a terminal.

use super::secret;
use crate::columns::{printable, width};
use std::ops::Range;

/// A file's name and text.
#[derive(Debug, Clone)]
pub(super) struct SourceText {
    /// The name as people know it.
    pub(super) name: String,
    /// Its content.
    pub(super) text: String,
    starts: Vec<usize>,
}

/// A line of a file and the part of it that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
    /// The line, cut around the part if it is very long.
    pub(super) text: String,
    /// Terminal columns before the part.
    pub(super) before: usize,
    /// Terminal columns of the part, at least 1.
    pub(super) width: usize,
}

/// Longest line that is shown whole, in characters.
const MAX_LINE_CHARS: usize = 140;
/// What is shown of a longer line before the part that is meant.
const BEFORE_CHARS: usize = 60;

impl SourceText {
    pub(super) fn new(name: String, text: String) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { name, text, starts }
    }

    /// The number of the line, from 0, that holds a byte.
    fn line_of(&self, byte: usize) -> usize {
        self.starts.partition_point(|start| *start <= byte).saturating_sub(1)
    }

    /// Whether the bytes lie on more than one line.
    pub(super) fn spans_lines(&self, span: &Range<usize>) -> bool {
        self.line_of(span.start) != self.line_of(span.end.saturating_sub(1).max(span.start))
    }

    fn line(&self, number: usize) -> (usize, &str) {
        let start = self.starts.get(number).copied().unwrap_or(self.text.len());
        let end = self.starts.get(number + 1).copied().unwrap_or(self.text.len());
        let line = self.text.get(start..end).unwrap_or_default();
        (start, line.trim_end_matches(['\n', '\r']))
    }

    /// The line of a span and the part of the span that lies on it.
    pub(super) fn excerpt(&self, span: &Range<usize>) -> Excerpt {
        let number = self.line_of(span.start);
        let (start, line) = self.line(number);
        let from = floor(line, span.start.saturating_sub(start));
        let to = floor(line, span.end.saturating_sub(start)).max(from);
        let column = line.get(..from).unwrap_or_default().chars().count() + 1;
        let shown = secret::masked(line);
        let (head, rest) = shown.split_at(from);
        let (part, tail) = rest.split_at(to - from);
        let long = line.chars().count() > MAX_LINE_CHARS;
        let head = if long { last_chars(head, BEFORE_CHARS) } else { head.to_owned() };
        let room = MAX_LINE_CHARS.saturating_sub(head.chars().count());
        let part = if long { first_chars(part, room) } else { part.to_owned() };
        let room = room.saturating_sub(part.chars().count());
        let tail = if long { first_chars(tail, room) } else { tail.to_owned() };
        let [head, part, tail] = [head, part, tail].map(|text| printable(&text));
        Excerpt {
            line: number + 1,
            column,
            before: width(&head),
            width: width(&part).max(1),
            text: format!("{head}{part}{tail}"),
        }
    }
}

/// The byte of the nearest character boundary at or before.
fn floor(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

fn first_chars(text: &str, count: usize) -> String {
    match text.char_indices().nth(count) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn last_chars(text: &str, count: usize) -> String {
    let total = text.chars().count();
    if total <= count {
        return text.to_owned();
    }
    let kept: String = text.chars().skip(total - count).collect();
    format!("…{kept}")
}
