//! Mistakes and warnings with their places, for people and for programs.

use super::text::{Excerpt, SourceText};
use crate::columns::printable;
use engine::error::Code;
use serde_json::{Value as Json, json};
use std::fmt::{self, Write};
use std::ops::Range;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but not all of it may mean what was meant.
    Warning,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Error => "\u{1b}[1;31m",
            Self::Warning => "\u{1b}[1;33m",
        }
    }
}

/// One mistake or warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Its kind; each has a page in `docs/errors/`.
    pub code: Code,
    /// The path of the value in the document, such as `space.lr`; empty for the whole and for errors of the text.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub help: String,
    /// The name of the file.
    pub file: String,
    place: Option<Excerpt>,
    order: (usize, usize, usize),
}

impl Finding {
    pub(super) fn new(severity: Severity, code: Code, file: &str, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            path: String::new(),
            message: message.into(),
            help: String::new(),
            file: file.to_owned(),
            place: None,
            order: (0, 0, 0),
        }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: help.into(), ..self }
    }

    pub(super) fn path(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// At these bytes of a file, which is the `number`-th of those that were loaded.
    pub(super) fn at(self, number: usize, source: &SourceText, span: &Range<usize>) -> Self {
        let place = Some(source.excerpt(span));
        Self { place, file: source.name.clone(), order: (number, span.start, span.end), ..self }
    }

    /// The line, from 1, if the finding has a place.
    pub fn line(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.line)
    }

    /// The column in characters, from 1, if the finding has a place.
    pub fn column(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.column)
    }

    fn json(&self) -> Json {
        json!({
            "code": self.code.to_string(),
            "path": self.path,
            "file": self.file,
            "line": self.line(),
            "column": self.column(),
            "message": self.message,
            "help": self.help,
        })
    }

    fn write(&self, out: &mut String, paint: Paint) -> fmt::Result {
        let Paint { bold, blue, end, .. } = paint;
        let level = paint.of(self.severity);
        let (word, code) = (self.severity.word(), self.code);
        let message = printable(&self.message);
        writeln!(out, "{level}{word}[{code}]{end}{bold}: {message}{end}")?;
        let Some(place) = &self.place else {
            writeln!(out, "  {blue}-->{end} {}", self.file)?;
            return self.write_help(out, 2, paint);
        };
        let number = place.line.to_string();
        let margin = number.len();
        writeln!(out, "{:margin$}{blue}-->{end} {}:{}:{}", "", self.file, place.line, place.column)?;
        writeln!(out, "{:margin$} {blue}|{end}", "")?;
        writeln!(out, "{blue}{number} |{end} {}", place.text.trim_end())?;
        let carets = "^".repeat(place.width);
        writeln!(
            out,
            "{:margin$} {blue}|{end} {:before$}{level}{carets}{end}",
            "",
            "",
            before = place.before
        )?;
        self.write_help(out, margin, paint)
    }

    fn write_help(&self, out: &mut String, margin: usize, paint: Paint) -> fmt::Result {
        let Paint { bold, blue, end, .. } = paint;
        if self.help.is_empty() {
            return Ok(());
        }
        let help = printable(&self.help);
        writeln!(out, "{:margin$} {blue}={end} {bold}help{end}: {help}", "")
    }
}

#[derive(Debug, Clone, Copy)]
struct Paint {
    colour: bool,
    bold: &'static str,
    blue: &'static str,
    end: &'static str,
}

impl Paint {
    fn new(colour: bool) -> Self {
        if colour {
            Self { colour, bold: "\u{1b}[1m", blue: "\u{1b}[1;34m", end: "\u{1b}[0m" }
        } else {
            Self { colour, bold: "", blue: "", end: "" }
        }
    }

    fn of(self, severity: Severity) -> &'static str {
        if self.colour { severity.colour() } else { "" }
    }
}

/// Findings of one load, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    file: String,
    list: Vec<Finding>,
    /// How many there were before the list was cut.
    total: usize,
}

/// Most findings that are kept: nobody reads more, and a file of thousands of mistakes is no experiment file.
const MAX_FINDINGS: usize = 100;

impl Findings {
    pub(super) fn new(file: &str, mut list: Vec<Finding>) -> Self {
        list.sort_by(|a, b| (a.order, a.code, &a.message).cmp(&(b.order, b.code, &b.message)));
        list.dedup();
        let total = list.len();
        list.truncate(MAX_FINDINGS);
        Self { file: file.to_owned(), list, total }
    }

    /// The findings.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.list.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them for a terminal or a log, and a line that counts them; ends with a line break. Empty if there are none.
    pub fn render(&self, colour: bool) -> String {
        let mut out = String::new();
        let paint = Paint::new(colour);
        for finding in &self.list {
            // Writing into a text cannot fail.
            let _ = finding.write(&mut out, paint);
            out.push('\n');
        }
        let Some(first) = self.list.first() else { return out };
        let count = self.total;
        let what = match (first.severity, count) {
            (Severity::Error, 1) => "mistake",
            (Severity::Error, _) => "mistakes",
            (Severity::Warning, 1) => "warning",
            (Severity::Warning, _) => "warnings",
        };
        let more = if count > self.list.len() {
            format!("; these are the first {MAX_FINDINGS}")
        } else {
            String::new()
        };
        let (level, end, word) = (paint.of(first.severity), paint.end, first.severity.word());
        let _ = writeln!(out, "{level}{word}{end}: {count} {what} in {}{more}", self.file);
        out
    }

    /// As a list of objects with `code`, `path`, `file`, `line`, `column`, `message` and `help`; line and column are
    /// null for what concerns the whole file.
    pub fn json(&self) -> Json {
        self.list.iter().map(Finding::json).collect()
    }
}

/// Why an experiment file cannot be used: all its mistakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecFileError(pub Findings);

impl SpecFileError {
    /// The mistakes for a terminal or a log; see [`Findings::render`].
    pub fn render(&self, colour: bool) -> String {
        self.0.render(colour)
    }

    /// `{"errors": [...]}`; see [`Findings::json`].
    pub fn json(&self) -> Json {
        json!({"errors": self.0.json()})
    }
}

impl fmt::Display for SpecFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for SpecFileError {}
