//! Reads the text of a command as far as quotes, comments and semicolons go. Begin with [`statements`].
//!
//! Texts stand in `'` or `"`, where `\` escapes; names may stand in a back quote. `--` begins a comment that ends with
//! its line, `/*` one that ends with `*/`. In a `PAI` line only a `--` that stands alone does, since its values may hold
//! all of this: `oss://bucket/*`.

use std::ops::Range;

/// A part of a text that was opened and not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unclosed {
    /// What is open.
    pub(super) mark: &'static str,
    /// Where it begins, in bytes.
    pub(super) at: usize,
}

/// What a stretch of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blank,
    Comment,
    Semicolon,
    /// Anything else, quoted texts included.
    Content,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// From its first to its last character, without comments and blanks around it and without its semicolon.
    pub(super) content: Range<usize>,
    /// Where what comes after it begins: behind the semicolon.
    pub(super) end: usize,
    /// Whether there is a semicolon.
    pub(super) closed: bool,
}

/// Whether this begins with the word `PAI`, in any case.
pub(super) fn is_pai(text: &str) -> bool {
    let (word, rest) = text.split_at_checked(3).unwrap_or((text, ""));
    word.eq_ignore_ascii_case("pai") && rest.chars().next().is_none_or(char::is_whitespace)
}

/// The statements of a text that hold something, and whether a comment that only its line ends is the last of it but for
/// blanks.
pub(super) fn statements(text: &str) -> Result<(Vec<Statement>, bool), Unclosed> {
    let mut all = Vec::new();
    let mut content: Option<Range<usize>> = None;
    let (mut at, mut in_comment) = (0, false);
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let pai = is_pai(content.as_ref().and_then(|content| text.get(content.start..)).unwrap_or(rest));
        let alone =
            text.get(..at).is_some_and(|before| !before.ends_with(|c: char| !c.is_whitespace() && c != ';'));
        let Some((kind, length)) = next(rest, at, pai, alone)? else { break };
        let end = at + length;
        let stretch = text.get(at..end).unwrap_or_default();
        if kind != Kind::Blank {
            in_comment = kind == Kind::Comment && stretch.starts_with("--");
        }
        match kind {
            Kind::Blank | Kind::Comment => {}
            Kind::Content => content = Some(content.map_or(at, |known| known.start)..end),
            Kind::Semicolon => {
                all.extend(content.take().map(|content| Statement { content, end, closed: true }));
            }
        }
        at = end;
    }
    all.extend(content.map(|content| Statement { content, end: at, closed: false }));
    Ok((all, in_comment))
}

/// The stretch at the beginning of `rest`, which is at `at`: what it is, and its length. `pai` says whether this is a
/// `PAI` line, `alone` whether a blank or nothing is before it.
fn next(rest: &str, at: usize, pai: bool, alone: bool) -> Result<Option<(Kind, usize)>, Unclosed> {
    let Some(first) = rest.chars().next() else { return Ok(None) };
    let comment = rest
        .strip_prefix("--")
        .is_some_and(|later| !pai || (alone && later.chars().next().is_none_or(char::is_whitespace)));
    let (kind, length) = match first {
        ';' => (Kind::Semicolon, 1),
        _ if first.is_whitespace() => (Kind::Blank, first.len_utf8()),
        _ if comment => (Kind::Comment, rest.find('\n').map_or(rest.len(), |end| end + 1)),
        '/' if rest.starts_with("/*") && !pai => {
            let inner = rest.get(2..).unwrap_or_default();
            let end = inner.find("*/").ok_or(Unclosed { mark: "/*", at })?;
            (Kind::Comment, end + 4)
        }
        '\'' => (Kind::Content, quoted(rest, '\'').ok_or(Unclosed { mark: "'", at })?),
        '"' => (Kind::Content, quoted(rest, '"').ok_or(Unclosed { mark: "\"", at })?),
        '`' if !pai => (Kind::Content, quoted(rest, '`').ok_or(Unclosed { mark: "`", at })?),
        _ => (Kind::Content, first.len_utf8()),
    };
    Ok(Some((kind, length)))
}

/// The length of the quoted text at the beginning, both marks included.
pub(super) fn quoted(text: &str, mark: char) -> Option<usize> {
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        if letter == mark {
            return Some(at + letter.len_utf8());
        }
        if letter == '\\' && mark != '`' {
            letters.next();
        }
    }
    None
}

/// Line and column of a place in a text, both from 1; the column in characters.
pub(super) fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}")
}

/// The first character that XML, and so the service, cannot take.
pub(super) fn unsendable(text: &str) -> Option<usize> {
    let bad = |c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    text.find(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> (Vec<&str>, bool) {
        let (statements, in_comment) = statements(text).unwrap();
        (statements.iter().map(|one| &text[one.content.clone()]).collect(), in_comment)
    }

    #[test]
    fn statements_end_at_semicolons_outside_of_quotes_and_comments() {
        for (text, contents, in_comment) in [
            ("select 1", vec!["select 1"], false),
            (" a ; ;b; ", vec!["a", "b"], false),
            ("a ';' \";\" `;` \\; b", vec!["a ';' \";\" `;` \\", "b"], false),
            (r"a 'it\'s;' ; b", vec![r"a 'it\'s;'", "b"], false),
            ("-- x; y\na -- ;", vec!["a"], true),
            ("/* ; */ a /* ; */;", vec!["a"], false),
            ("a; -- done", vec!["a"], true),
            ("a - -b /c", vec!["a - -b /c"], false),
            ("", vec![], false),
            ("-- only", vec![], true),
            ("a -- b\n", vec!["a"], true),
            ("a /* b */ ", vec!["a"], false),
            (
                "set a=1; PAI -name x --y -Dz=a--b/*` -- ;",
                vec!["set a=1", "PAI -name x --y -Dz=a--b/*`"],
                true,
            ),
        ] {
            assert_eq!(parts(text), (contents, in_comment), "{text}");
        }
        for (text, mark, at) in
            [("a 'b", "'", 2), ("x\n\"b\\\"", "\"", 2), ("`", "`", 0), ("a /* b", "/*", 2), ("/*/", "/*", 0)]
        {
            assert_eq!(statements(text), Err(Unclosed { mark, at }), "{text}");
        }
    }

    #[test]
    fn a_pai_line_begins_with_the_word() {
        assert!(is_pai("PAI\n-name") && is_pai("pai") && !is_pai("PAIxxx -name") && !is_pai("select"));
    }

    #[test]
    fn a_place_is_a_line_and_a_column() {
        assert_eq!(place("a\nüb", 4), "line 2, column 2");
        assert_eq!(place("", 0), "line 1, column 1");
        assert_eq!((unsendable("a\t\r\nü"), unsendable("ab\u{1}")), (None, Some(2)));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_panics(text in "(a|;|'|\"|`|\\\\|-|--|/\\*|\\*/|\n| |\\PC){0,30}") {
            if let Ok((all, _)) = statements(&text) {
                let mut last = 0;
                for one in all {
                    prop_assert!(one.content.start >= last && one.content.end <= one.end);
                    prop_assert!(!text[one.content.clone()].trim().is_empty());
                    last = one.end;
                }
            }
        }
    }
}
