//! The two encodings that signatures need.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is beside letters and digits.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Percent-encodes all but `A-Za-z0-9-_.~`; a space becomes `%20` and not `+`.
pub fn percent(text: &str) -> String {
    utf8_percent_encode(text, KEPT).to_string()
}

/// Base 64 with padding (RFC 4648, section 4).
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// What a text in base 64 stands for; blanks and line ends in it mean nothing.
pub fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).map_err(|error| format!("it is not base 64: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_gives_the_examples_of_its_standard_and_takes_them_back() {
        let examples = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in examples {
            assert_eq!(base64(plain.as_bytes()), encoded);
            assert_eq!(from_base64(&format!(" {encoded}\n")).unwrap(), plain.as_bytes());
        }
        assert!(from_base64("Zg").is_err() && from_base64("!").is_err());
    }

    #[test]
    fn a_space_is_percent_20() {
        assert_eq!(percent("a b+*~/中"), "a%20b%2B%2A~%2F%E4%B8%AD");
    }
}
