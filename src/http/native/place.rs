//! Places in the history, as clients remember them: the ids of events. Begin with [`History`].
//!
//! After experiments have left for an archive records have other numbers. A number alone would then lead whoever comes back to a wrong
//! place without a word, so ids name the history that they belong to.

use crate::codes;
use crate::http::problem::Problem;
use axum::http::StatusCode;
use engine::id::Seq;
use engine::state::State;
use std::fmt::Write;

/// What the texts of places look like, as a regular expression.
pub const PATTERN: &str = "^[0-9]+(@[0-9a-f]{8})?$";
/// Bytes of an archive's head that name the history after it.
const NAME_BYTES: usize = 4;

/// The history that records' numbers belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History(Option<String>);

impl History {
    /// That of a store.
    pub fn of(state: &State) -> Self {
        Self(state.archive().map(|head| {
            let mut name = String::with_capacity(2 * NAME_BYTES);
            for byte in head.iter().take(NAME_BYTES) {
                // A text takes everything.
                let _ = write!(name, "{byte:02x}");
            }
            name
        }))
    }

    /// Its name; none before anything has left for an archive.
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// A place in it as clients see it: `120`, or `120@1f2e3d4c`.
    pub(super) fn id(&self, seq: Seq) -> String {
        self.name().map_or_else(|| seq.0.to_string(), |name| format!("{seq}@{name}"))
    }

    /// The record that the id of an event means. Before the first one is the same place in every history.
    pub(super) fn seen(&self, id: &str) -> Result<Seq, Problem> {
        let (seq, name) = parts(id).ok_or_else(|| {
            let message = "the header Last-Event-ID is not the id of an event";
            Problem::bad_request(message, "send the id of the last event that was seen, or none")
        })?;
        if seq == Seq(0) || name == self.name() { Ok(seq) } else { Err(another(id)) }
    }

    /// The record that a number or an id means; a number alone is one of this history.
    pub(super) fn after(&self, text: &str) -> Result<Seq, Problem> {
        match parts(text) {
            Some((seq, None)) => Ok(seq),
            _ => self.seen(text),
        }
    }
}

fn another(id: &str) -> Problem {
    let message = format!(
        "`{id}` is a place in another history than the store has now: experiments have left for an archive, and records have other numbers"
    );
    let cure = "begin anew: without it, and with `after=0` for everything that there is";
    Problem::coded(StatusCode::CONFLICT, codes::OTHER_HISTORY, message, cure)
}

/// The number and the name of a place. Nothing comes after the last number that there is.
fn parts(text: &str) -> Option<(Seq, Option<&str>)> {
    let (number, name) = text.split_once('@').map_or((text, None), |(number, name)| (number, Some(name)));
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let named = name.is_none_or(|name| {
        name.len() == 2 * NAME_BYTES && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    });
    let seq = number.parse().unwrap_or(u64::MAX).min(i64::MAX as u64);
    (digits && named).then_some((Seq(seq), name))
}

/// Whether a text may be a place.
pub fn is_place(text: &str) -> bool {
    parts(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> History {
        History(Some(name.to_owned()))
    }

    #[test]
    fn an_id_leads_back_to_its_place_in_its_own_history_only() {
        let histories = [History(None), named("1f2e3d4c"), named("00000000")];
        assert_eq!(histories[1].id(Seq(120)), "120@1f2e3d4c");
        for own in &histories {
            for other in &histories {
                let found = own.seen(&other.id(Seq(120)));
                if own == other {
                    assert_eq!(found.unwrap(), Seq(120));
                } else {
                    let problem = found.unwrap_err();
                    assert_eq!((problem.status.as_u16(), problem.code.as_deref()), (409, Some("E0639")));
                }
                assert_eq!(own.seen(&other.id(Seq(0))).unwrap(), Seq(0));
            }
            assert_eq!(own.after("120").unwrap(), Seq(120), "a number alone");
            assert_eq!(own.after("99999999999999999999").unwrap(), Seq(i64::MAX as u64));
        }
        assert!(histories[1].after("120@00000000").is_err());
    }

    #[test]
    fn what_is_no_id_is_told_so() {
        for text in
            ["", "x", "-1", "1.5", "@1f2e3d4c", "120@", "120@1f2e3d4", "120@1F2E3D4C", "1 ", "120@1f2e3d4c@"]
        {
            assert!(!is_place(text), "{text}");
            assert_eq!(History(None).seen(text).unwrap_err().status.as_u16(), 400, "{text}");
        }
    }
}
