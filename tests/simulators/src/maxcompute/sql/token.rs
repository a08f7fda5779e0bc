//! The tokens of a text: words, names in backticks, texts, numbers and signs, each with its place.

use super::failure::Failure;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A keyword or a name.
    Word,
    /// A name in backticks.
    Name,
    /// A text in quotes of either kind.
    Text,
    /// A number.
    Number,
    /// A sign of one or two characters.
    Sign,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its text; without quotes, and with what was escaped put back.
    pub text: String,
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
}

impl Token {
    /// Whether it is a word, in any case.
    pub fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is a sign.
    pub fn sign(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    /// The name that it may stand for.
    pub fn name(&self) -> Option<&str> {
        matches!(self.kind, Kind::Word | Kind::Name).then_some(self.text.as_str())
    }
}

const PAIRS: [&str; 7] = ["<=", ">=", "<>", "!=", "==", "||", ":="];

struct Reader<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
    column: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let character = self.rest.next()?;
        if character == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(character)
    }

    fn while_fits(&mut self, text: &mut String, fits: impl Fn(char) -> bool) {
        while self.rest.peek().copied().is_some_and(&fits) {
            text.extend(self.next());
        }
    }

    /// What stands until a quote; nothing if the text ends before.
    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.next()? {
                '\\' if quote != '`' => match self.next()? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    '0' => text.push('\0'),
                    // A pattern's own escapes stay as they are.
                    other @ ('%' | '_') => text.extend(['\\', other]),
                    other => text.push(other),
                },
                character if character == quote => {
                    if self.rest.peek() != Some(&quote) {
                        return Some(text);
                    }
                    text.extend(self.next());
                }
                character => text.push(character),
            }
        }
    }

    fn number(&mut self, first: char) -> String {
        let mut text = String::from(first);
        self.while_fits(&mut text, |next| next.is_ascii_digit() || next == '.');
        if self.rest.peek().is_some_and(|next| matches!(next, 'e' | 'E')) {
            text.extend(self.next());
            if self.rest.peek().is_some_and(|next| matches!(next, '+' | '-')) {
                text.extend(self.next());
            }
            self.while_fits(&mut text, |next| next.is_ascii_digit());
        }
        // The suffixes of typed literals, such as 1L and 0.5BD.
        self.while_fits(&mut String::new(), |next| "LSYDBlsydb".contains(next));
        text
    }
}

/// Cuts a text into tokens; comments and hints are left out.
pub fn tokens(text: &str) -> Result<Vec<Token>, Failure> {
    let mut reader = Reader { rest: text.chars().peekable(), line: 1, column: 1 };
    let mut found = Vec::new();
    loop {
        let (line, column) = (reader.line, reader.column);
        let Some(first) = reader.next() else { return Ok(found) };
        let second = reader.rest.peek().copied();
        let unended = |what: &str| {
            let token = Token { kind: Kind::Sign, text: String::new(), line, column };
            Failure::parse(Some(&token), what)
        };
        let (kind, text) = match (first, second) {
            (space, _) if space.is_whitespace() => continue,
            ('-', Some('-')) => {
                reader.while_fits(&mut String::new(), |next| next != '\n');
                continue;
            }
            ('/', Some('*')) => {
                reader.next();
                let mut last = ' ';
                loop {
                    match reader.next().ok_or_else(|| unended("a comment does not end"))? {
                        '/' if last == '*' => break,
                        other => last = other,
                    }
                }
                continue;
            }
            (quote @ ('\'' | '"'), _) => {
                (Kind::Text, reader.quoted(quote).ok_or_else(|| unended("a text does not end"))?)
            }
            ('`', _) => (Kind::Name, reader.quoted('`').ok_or_else(|| unended("a name does not end"))?),
            (digit, _) if digit.is_ascii_digit() => (Kind::Number, reader.number(digit)),
            ('.', Some(digit)) if digit.is_ascii_digit() => (Kind::Number, reader.number('.')),
            (letter, _) if letter.is_alphabetic() || letter == '_' || letter == '@' => {
                let mut text = String::from(letter);
                reader.while_fits(&mut text, |next| next.is_alphanumeric() || next == '_');
                (Kind::Word, text)
            }
            (sign, next) => {
                let mut text = String::from(sign);
                if PAIRS.iter().any(|pair| pair.chars().eq([sign, next.unwrap_or(' ')])) {
                    text.extend(reader.next());
                }
                (Kind::Sign, text)
            }
        };
        found.push(Token { kind, text, line, column });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_into_tokens_with_their_places() {
        let found = tokens("select a.`b c`, 'it\\'s' /*+ hint */ -- end;\n<> 1.5e-3D \"x\"").unwrap();
        let texts: Vec<&str> = found.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(texts, ["select", "a", ".", "b c", ",", "it's", "<>", "1.5e-3", "x"]);
        assert_eq!((found[6].line, found[6].column), (2, 1));
        assert_eq!((found[8].line, found[8].column, found[8].kind), (2, 12, Kind::Text));
    }

    #[test]
    fn what_does_not_end_is_an_error_with_its_place() {
        let error = tokens("select\n 'a").unwrap_err();
        assert_eq!(error.0, "ODPS-0130161:[2,2] Parse exception - a text does not end");
        assert!(tokens("/* a").is_err() && tokens("`a").is_err());
    }
}
