//! A value that must not be seen: it prints as `***`, whatever prints it.
//!
//! It has no serialised form, so that it cannot reach an event, a journal or an answer by accident.

use std::fmt;
use std::sync::Arc;

/// What an experiment writes before the name of a secret that is kept for it.
pub const SEALED_PREFIX: &str = "secret:";

type Open = Arc<dyn Fn(&str) -> Result<Secret<String>, String> + Send + Sync>;

/// Secrets that are kept elsewhere, by their names.
#[derive(Clone)]
pub struct Sealed(Open);

impl Sealed {
    /// Secrets that this function gives out; its errors are told to people and repeat no secret.
    pub fn new(open: Open) -> Self {
        Self(open)
    }

    /// The secret of this name as it is now, or why there is none.
    pub fn open(&self, name: &str) -> Result<Secret<String>, String> {
        (self.0)(name)
    }
}

/// No secrets.
impl Default for Sealed {
    fn default() -> Self {
        Self(Arc::new(|name| Err(format!("no secret `{name}` is kept here"))))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed")
    }
}

/// A value that shows as `***`. [`Secret::expose`] is the only way to it, and easy to search for.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides the value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for signing or sending it and for nothing else.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_as_stars_wherever_it_is_printed() {
        let secret = Secret::new("planted".to_owned());
        let shown = format!("{secret} {secret:?} {:#?} {:?}", Some(&secret), vec![secret.clone()]);
        assert!(!shown.contains("planted") && shown.contains("***"), "{shown}");
        assert_eq!(secret.expose(), "planted");
    }
}
