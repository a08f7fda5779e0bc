//! Hides credentials in what is quoted of a file: messages go to logs and to chats.
//!
//! Works on single lines, since a file with a mistake in its text has no tree. It rather hides too much than too little.

use engine::spec::credential::{is_credential, is_token};
use regex::Regex;
use std::sync::LazyLock;

/// What begins a value that stands elsewhere.
const ELSEWHERE: [char; 4] = ['|', '>', '&', '*'];
/// Keys and options, with the dashes before an option.
static KEY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"-{0,2}[A-Za-z][A-Za-z0-9_.-]*").ok());
/// A password in an address.
static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"://[^\s/@:]*:([^\s/@]+)@").ok());

/// An address of HTTP, whose path may hold a token.
static WEB: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"https?://[^\s"'?#]*"#).ok());

/// The line with a star for each byte of a credential: places in it stay what they are.
pub(super) fn masked(line: &str) -> String {
    let hidden = places(line);
    let mut out = String::with_capacity(line.len());
    for (at, letter) in line.char_indices() {
        if hidden.iter().any(|(from, to)| (*from..*to).contains(&at)) {
            out.extend(std::iter::repeat_n('*', letter.len_utf8()));
        } else {
            out.push(letter);
        }
    }
    out
}

/// Where a line holds credentials: the places of their first bytes and those behind their last ones.
pub fn places(line: &str) -> Vec<(usize, usize)> {
    let mut hidden = Vec::new();
    for key in KEY.iter().flat_map(|pattern| pattern.find_iter(line)) {
        if is_credential(key.as_str()) {
            hidden.extend(value(line, key.start(), key.end()));
        }
    }
    for found in ADDRESS.iter().flat_map(|pattern| pattern.captures_iter(line)) {
        hidden.extend(found.get(1).map(|password| (password.start(), password.end())));
    }
    for found in WEB.iter().flat_map(|pattern| pattern.find_iter(line)) {
        let mut start = found.start();
        for piece in found.as_str().split('/') {
            if is_token(piece) && !piece.contains('.') {
                hidden.push((start, start + piece.len()));
            }
            start += piece.len() + 1;
        }
    }
    hidden
}

/// The bytes of the value behind the key at these bytes, if one is there.
fn value(line: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    let (before, behind) = (line.get(..start)?, line.get(end..)?);
    let quoted = before.ends_with(['"', '\'']);
    let rest = if quoted { behind.strip_prefix(['"', '\'']).unwrap_or(behind) } else { behind };
    let trimmed = rest.trim_start();
    let separator = trimmed.chars().next().filter(|c| matches!(c, ':' | '='));
    let is_option =
        separator.is_none() && line.get(start..end)?.starts_with('-') && trimmed.len() < rest.len();
    let text = match separator {
        Some(_) => trimmed.get(1..)?.trim_start(),
        None if is_option => trimmed,
        None => return None,
    };
    let from = line.len() - text.len();
    if text.starts_with(ELSEWHERE) {
        return None;
    }
    if text.starts_with(['[', '{']) {
        let length = text.find([']', '}']).unwrap_or(text.len());
        return Some((from + 1, from + length));
    }
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let inner = text.get(1..)?;
        let length = inner.find(quote).unwrap_or(inner.len());
        return Some((from + 1, from + 1 + length));
    }
    let in_flow = before.contains(['{', '[']);
    let length = match separator {
        Some(':') if in_flow => text.find([',', '}', ']']),
        Some(':') => text.find(" #"),
        _ => text.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '}' | ']')),
    };
    Some((from, from + length.unwrap_or(text.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_credentials_are_hidden_and_nothing_else_is() {
        for (line, expected) in [
            ("accessKeySecret: abc", "accessKeySecret: ***"),
            ("  password: a, b # why", "  password: **** # why"),
            (r#"{"accessKeyID": "ab\u", "x": 1}"#, r#"{"accessKeyID": "****", "x": 1}"#),
            ("{token: abc, lr: 0.1}", "{token: ***, lr: 0.1}"),
            ("API_TOKEN = 'abc'", "API_TOKEN = '***'"),
            ("command: train --api-key abc --lr 1", "command: train --api-key *** --lr 1"),
            ("command: PGPASSWORD=abc train", "command: PGPASSWORD=abc train"),
            ("command: PG_PASSWORD=abc train", "command: PG_PASSWORD=*** train"),
            ("command: \"train --token=abc\"", "command: \"train --token=***\""),
            ("url: https://me:abc@example.org/x", "url: https://me:***@example.org/x"),
            (
                "url: https://h.org/hook/T1/abcdef0123456789 # x",
                "url: https://h.org/hook/T1/**************** # x",
            ),
            (
                "url: https://h.org/hook/experiments-of-2026.json",
                "url: https://h.org/hook/experiments-of-2026.json",
            ),
            ("secret: é", "secret: **"),
            ("secret: [abc", "secret: [***"),
            ("secret: |", "secret: |"),
            ("secret:", "secret:"),
            ("max_tokens: 4096", "max_tokens: 4096"),
            ("tokenizer: abc", "tokenizer: abc"),
            ("the token of a --token", "the token of a --token"),
            ("seed: 7", "seed: 7"),
        ] {
            assert_eq!(masked(line), expected, "{line}");
            assert_eq!(masked(line).len(), line.len());
        }
    }
}
