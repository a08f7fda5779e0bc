//! Warns of what looks like a credential, because all of a specification is recorded.

use super::codes;
use super::reader::{Place, Reader, join};
use crate::error::SpecError;
use serde_json::Value as Json;

/// Last words of keys whose values are credentials.
const WORDS: [&str; 10] = [
    "secret",
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "token",
    "credential",
    "credentials",
    "authorization",
    "signature",
];
/// The same for keys of several words, which are written together, with dashes, underscores or capitals.
const ENDINGS: [&str; 5] = ["accesskey", "accesskeyid", "apikey", "secretkey", "privatekey"];
/// How keys of well-known services begin: Alibaba Cloud, AWS, GitHub, Hugging Face.
const PREFIXES: [&str; 6] = ["LTAI", "AKIA", "ASIA", "ghp_", "github_pat_", "hf_"];
/// Characters of the shortest text that is taken for a secret.
const LEAST_CHARS: usize = 8;
/// Characters of the shortest key of a well-known service.
const LEAST_KEY_CHARS: usize = 16;

/// What names a secret that is kept elsewhere.
pub const SEALED: &str = "secret:";

/// Warns of every credential below a place.
pub(super) fn look_for(reader: &mut Reader, place: &Place<'_>) {
    match place.value {
        Json::Object(map) => {
            for (key, value) in map {
                let inner = Place::new(value, join(&place.path, key));
                if is_credential(key) && value.as_str().is_some_and(is_plain) {
                    warn(reader, &inner.path, &format!("`{key}` looks like a credential"), true);
                } else {
                    look_for(reader, &inner);
                }
            }
        }
        Json::Array(_) => place.items().iter().for_each(|item| look_for(reader, item)),
        Json::String(text) if words(text).any(is_key) || gives_credential(text) => {
            warn(reader, &place.path, "this text holds what looks like a credential", false);
        }
        _ => {}
    }
}

fn warn(reader: &mut Reader, path: &str, what: &str, at_key: bool) {
    let message = format!("{what}, and all of this file is recorded in the journal");
    let cure =
        "take it out, and set it in the environment in which `retrial run` is started: tasks inherit that";
    let warning = SpecError::new(codes::CREDENTIAL, path, message, cure);
    reader.warnings.push(SpecError { at_key, ..warning });
}

/// Whether values of this key are credentials: by its last word, so that `max_tokens` is none.
pub fn is_credential(key: &str) -> bool {
    let mut words = vec![String::new()];
    let mut lower = false;
    for letter in key.chars() {
        if !letter.is_ascii_alphanumeric() || (lower && letter.is_ascii_uppercase()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_ascii_alphanumeric(), words.last_mut()) {
            word.push(letter.to_ascii_lowercase());
        }
        lower = letter.is_ascii_lowercase();
    }
    let joined = words.concat();
    words.last().is_some_and(|last| WORDS.contains(&last.as_str()))
        || ENDINGS.iter().any(|ending| joined.ends_with(ending))
}

/// Whether a piece of an address may be a secret: long, with letters and digits.
pub fn is_token(piece: &str) -> bool {
    let has = |fits: fn(&char) -> bool| piece.chars().any(|c| fits(&c));
    piece.len() >= LEAST_KEY_CHARS && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic)
}

/// Whether a value may be a secret, rather than a placeholder, a path or the name of something.
fn is_plain(text: &str) -> bool {
    !text.starts_with(SEALED) && text.chars().count() >= LEAST_CHARS && !text.contains(['$', '<', ' ', '/'])
}

/// Whether a command gives a secret: `--token=abc`, `--token abc` or `TOKEN=abc`.
fn gives_credential(command: &str) -> bool {
    let words: Vec<&str> = command.split_whitespace().collect();
    let given = |(place, word): (usize, &&str)| match word.split_once('=') {
        Some((key, value)) => is_credential(key) && is_plain(value),
        None => {
            let next = words.get(place + 1).is_some_and(|next| is_plain(next) && !next.starts_with('-'));
            word.starts_with('-') && is_credential(word) && next
        }
    };
    words.iter().enumerate().any(given)
}

/// The parts of a command or a value: separated by all that is in no key.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

fn is_key(word: &str) -> bool {
    let known = PREFIXES.iter().any(|prefix| word.starts_with(prefix));
    known && word.len() >= LEAST_KEY_CHARS && word.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn warned(run: &Json) -> Vec<String> {
        let mut reader = Reader::default();
        look_for(&mut reader, &Place::new(run, "run"));
        assert!(reader.warnings.iter().all(|warning| warning.code == codes::CREDENTIAL));
        reader.warnings.into_iter().map(|warning| warning.path).collect()
    }

    #[test]
    fn what_plainly_is_a_credential_is_named_with_its_place() {
        let run = json!({"local": {
            "tasks": [["train", "--key=LTAI5tPLANTED00PLANTED"], "PG_PASSWORD=hunter2hunter2 train", "t --api-key hunter2hunter2"],
            "env": {"DB_PASSWORD": "hunter2hunter2", "HF_TOKEN": "abcdefgh", "OSS": "AKIAIOSFODNN7EXAMPLE"},
            "oss": {"accessKeySecret": "PLANTEDPLANTED", "endpoint": "http://127.0.0.1"},
        }});
        let places = [
            "run.local.tasks[0][1]",
            "run.local.tasks[1]",
            "run.local.tasks[2]",
            "run.local.env.DB_PASSWORD",
            "run.local.env.HF_TOKEN",
            "run.local.env.OSS",
            "run.local.oss.accessKeySecret",
        ];
        assert_eq!(warned(&run), places);
    }

    #[test]
    fn what_only_sounds_like_one_is_left_alone() {
        let run = json!({"local": {
            "command": "train --max_tokens 512 --token ${token} --signature --verbosely LTAIshort AKIA",
            "env": {
                "MAX_TOKENS": "1234567890", "TOKENIZERS_PARALLELISM": "falsefalse", "API_TOKEN": "${API_TOKEN}",
                "PAD_TOKEN": "<pad_token>", "PASSWORD": "", "SECRET": 12_345_678, "TOKEN_FILE": "tokens.txt",
                "AWS_CREDENTIALS": "/home/me/.aws/credentials", "MY_TOKEN": "secret:prod-robot",
            },
        }});
        assert_eq!(warned(&run), [""; 0]);
    }
}
