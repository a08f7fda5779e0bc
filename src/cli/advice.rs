//! Commands that are told to people: as they can be typed into a shell, for the store that is meant.

use super::args::{Common, NamedBy};

/// Commands that have nothing to do with a store, or mean another thing with one.
const WITHOUT_STORE: [&str; 4] = ["check", "ask-tell", "completions", "man"];

/// The text with the store, or the daemon, in each command that stands in it as `` `retrial COMMAND ...` ``, if that was named
/// on the command line: what was said without would act on another one.
pub fn with_store(common: &Common, text: &str) -> String {
    let store = match &common.server {
        Some(server) if common.server_from == NamedBy::Typed => format!(" --server {}", word(server)),
        None if common.store_from == NamedBy::Typed => {
            format!(" --store {}", word(&common.store.display().to_string()))
        }
        _ => return text.to_owned(),
    };
    let mut out = String::with_capacity(text.len() + store.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("`retrial ") {
        let Some((command, behind)) = after.split_once('`') else { break };
        let name = command.split(' ').next().unwrap_or_default();
        let added = if WITHOUT_STORE.contains(&name) { "" } else { &store };
        out.extend([before, "`retrial ", command, added, "`"]);
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// A word of a shell's command line that means this text.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use clap::Parser;

    fn common(store: &str, store_from: NamedBy) -> Common {
        let cli = Cli::try_parse_from(["retrial", "ls", "--store", store]).unwrap();
        Common { store_from, server: None, ..cli.common }
    }

    #[test]
    fn each_command_names_the_store_that_was_typed() {
        let text = "`retrial ls` shows them; `retrial check FILE`, `lr`, `retrial stop a 3`";
        assert_eq!(with_store(&common(".retrial", NamedBy::Environment), text), text);
        assert_eq!(
            with_store(&common("my store", NamedBy::Typed), text),
            "`retrial ls --store 'my store'` shows them; `retrial check FILE`, `lr`, `retrial stop a 3 --store 'my store'`"
        );
        let (server, server_from) = (Some("https://a.example".to_owned()), NamedBy::Typed);
        let there = Common { server, server_from, ..common(".retrial", NamedBy::Default) };
        assert_eq!(with_store(&there, "`retrial ls`"), "`retrial ls --server https://a.example`");
        assert_eq!(with_store(&common("s", NamedBy::Typed), "an open `retrial ls"), "an open `retrial ls");
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_change_it() {
        for (text, quoted) in [
            ("a/b-c.yaml", "a/b-c.yaml"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("$x", "'$x'"),
        ] {
            assert_eq!(word(text), quoted);
        }
    }
}
