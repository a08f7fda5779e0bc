//! Identifiers. All are plain values: making random ones is the shell's work.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// One experiment of a store: 40 bits, shown as eight lower-case characters that start with a letter, so that
/// the text is also valid in Kubernetes names, file names and table names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExperimentId(u64);

impl ExperimentId {
    /// The id of records that belong to the store as a whole.
    pub const STORE: Self = Self(0);

    /// Makes an id of 64 random bits; the first character is always a letter, and the id is never
    /// [`Self::STORE`].
    pub const fn from_random(bits: u64) -> Self {
        let first = (bits >> 59) % 26;
        let rest = bits & ((1 << 35) - 1);
        let id = (first << 35) | rest;
        Self(if id == 0 { 1 } else { id })
    }

    /// The id as stored in a record's header.
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// Reads an id from a record's header.
    pub const fn from_u64(raw: u64) -> Option<Self> {
        if raw >> 40 == 0 { Some(Self(raw)) } else { None }
    }
}

impl fmt::Display for ExperimentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = (0..8)
            .rev()
            .map(|place| {
                let digit = usize::try_from((self.0 >> (5 * place)) & 31).unwrap_or(0);
                char::from(ALPHABET.get(digit).copied().unwrap_or(b'a'))
            })
            .collect();
        f.pad(&text)
    }
}

/// The text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id")]
pub struct InvalidId(pub String);

impl FromStr for ExperimentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let wrong = || InvalidId(text.to_owned());
        if text.len() != 8 {
            return Err(wrong());
        }
        let mut id = 0_u64;
        for byte in text.bytes() {
            let digit = ALPHABET.iter().position(|a| *a == byte).ok_or_else(wrong)?;
            id = (id << 5) | u64::try_from(digit).map_err(|_| wrong())?;
        }
        Ok(Self(id))
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number! {
    /// A record's place in the journal: dense, from 1. Zero means "before the first record".
    Seq(u64)
}
number! {
    /// One point of an experiment's search: dense within the experiment, from 0.
    TrialId(u32)
}
number! {
    /// One try at running a trial: dense within the trial, from 1.
    AttemptNo(u32)
}
number! {
    /// One command of a trial: from 0, in the order in which they run.
    TaskIndex(u16)
}
number! {
    /// Who caused an event. Numbers below [`ActorId::FIRST_NAMED`] are fixed roles; the others are introduced by an
    /// `ActorNamed` event.
    ActorId(u32)
}

impl Seq {
    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl ActorId {
    /// The engine itself, following its rules.
    pub const ENGINE: Self = Self(0);
    /// A sampler's proposal.
    pub const SAMPLER: Self = Self(1);
    /// A backend's observation.
    pub const BACKEND: Self = Self(2);
    /// An early-stopping rule.
    pub const EARLY_STOP: Self = Self(3);
    /// A client that asks and tells.
    pub const CLIENT: Self = Self(4);
    /// The first number that stands for a named person or program.
    pub const FIRST_NAMED: Self = Self(16);
}

/// Names one submission of one task for ever: the backend is asked to start it at most once.
///
/// The text form is `EXPERIMENT-TRIAL-ATTEMPT-TASK`, for example `kq3m2x7a-12-1-0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubmissionKey {
    /// The experiment.
    pub experiment: ExperimentId,
    /// The trial.
    pub trial: TrialId,
    /// The attempt.
    pub attempt: AttemptNo,
    /// The task.
    pub task: TaskIndex,
}

impl fmt::Display for SubmissionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.experiment, self.trial, self.attempt, self.task)
    }
}

impl FromStr for SubmissionKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let wrong = || InvalidId(text.to_owned());
        let mut parts = text.split('-');
        let mut next = || parts.next().ok_or_else(wrong);
        let key = Self {
            experiment: next()?.parse()?,
            trial: TrialId(next()?.parse().map_err(|_| wrong())?),
            attempt: AttemptNo(next()?.parse().map_err(|_| wrong())?),
            task: TaskIndex(next()?.parse().map_err(|_| wrong())?),
        };
        if parts.next().is_some() { Err(wrong()) } else { Ok(key) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_id_survives_its_text_form() {
        for bits in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
            let id = ExperimentId::from_random(bits);
            let text = id.to_string();
            assert!(text.starts_with(|c: char| c.is_ascii_lowercase()), "{text}");
            assert_eq!(text.parse(), Ok(id));
            assert_ne!(id, ExperimentId::STORE);
        }
    }

    #[test]
    fn a_submission_key_survives_its_text_form() {
        let key = SubmissionKey {
            experiment: ExperimentId::from_random(42),
            trial: TrialId(12),
            attempt: AttemptNo(2),
            task: TaskIndex(1),
        };
        assert_eq!(key.to_string().parse(), Ok(key));
        assert!("x-1-2".parse::<SubmissionKey>().is_err());
    }
}
