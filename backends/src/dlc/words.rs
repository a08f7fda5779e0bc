//! Splits a line into words as a POSIX shell does, and replaces nothing. Begin with [`split`].
//!
//! The line is never given to a shell, so what a shell would do with `;` or `|` is refused rather than passed over.

/// The words of a line. The error continues a sentence whose subject is the line.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('\'') => break,
                        Some(inner) => word.push(inner),
                        None => return Err("has an opening `'` and no closing one".to_owned()),
                    }
                }
            }
            '"' => double_quoted(&mut letters, word.get_or_insert_default())?,
            '\\' => match letters.next() {
                // Goes on in the next line.
                Some('\n') => {}
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Err("ends with a single `\\`".to_owned()),
            },
            ';' | '|' | '&' | '<' | '>' | '`' => {
                return Err(format!(
                    "has a `{letter}` outside of quotes, and it is read as it is, without a shell"
                ));
            }
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Ok(words)
}

fn double_quoted(letters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    let open = || Err("has an opening `\"` and no closing one".to_owned());
    loop {
        match letters.next() {
            Some('"') => return Ok(()),
            Some('\\') => match letters.next() {
                Some('\n') => {}
                Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
                None => return open(),
            },
            Some(inner) => word.push(inner),
            None => return open(),
        }
    }
}

/// The words as one line that a shell splits into the same words.
pub(super) fn join(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c);
    let quoted: Vec<String> = words
        .iter()
        .map(|word| if !word.is_empty() && word.chars().all(plain) { word.clone() } else { quote(word) })
        .collect();
    quoted.join(" ")
}

/// A text as one word of a shell's line. Clusters replace `$(NAME)` in commands whatever quotes are around it, so this
/// never stands there.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''").replace("$(", "$''("))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn lines_are_split_at_blanks_outside_of_quotes() {
        for (line, words) in [
            ("a  b\tc\nd", vec!["a", "b", "c", "d"]),
            ("--command='a \"b\" c' x", vec!["--command=a \"b\" c", "x"]),
            (r#""a \"b\" \n \$x" ''"#, vec![r#"a "b" \n $x"#, ""]),
            ("a\\ b \\\n  c", vec!["a b", "c"]),
            ("--name=t_${exp_id} ${x}", vec!["--name=t_${exp_id}", "${x}"]),
            (r"'it'\''s'", vec!["it's"]),
            ("  ", vec![]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
    }

    #[test]
    fn what_a_shell_would_act_on_is_refused() {
        for (line, part) in [
            ("a 'b", "opening `'`"),
            ("a \"b\\", "opening `\"`"),
            ("a\\", "single `\\`"),
            ("a; b", "a `;` outside"),
            ("a && b", "a `&` outside"),
            ("a > b", "a `>` outside"),
        ] {
            assert!(split(line).unwrap_err().contains(part), "{line}");
        }
    }

    #[test]
    fn a_shell_splits_joined_words_into_the_same_words() {
        let words = ["it's", "", "a b", "$HOME;`x`", "ü\n\"", "-x=1,2"].map(str::to_owned);
        let out =
            Command::new("sh").arg("-c").arg(format!("printf '%s\\036' {}", join(&words))).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        assert_eq!(text.strip_suffix('\u{1e}').unwrap().split('\u{1e}').collect::<Vec<_>>(), words);
    }

    proptest! {
        #[test]
        fn joined_words_are_split_again(words in prop::collection::vec("\\PC*", 0..6)) {
            prop_assert_eq!(split(&join(&words)).unwrap(), words);
        }

        #[test]
        fn no_line_makes_it_panic(line in ".*") {
            let _ = split(&line);
        }
    }
}
