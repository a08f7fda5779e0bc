//! The history of a store, read without holding it: its records, and the state as it once stood.
//!
//! Whoever may meet a damaged mirror opens it by `src/cli/store.rs` first, which has it repaired.

use crate::error::{Failure, exit};
use crate::runtime::dispatcher::Fatal;
use engine::envelope::Envelope;
use engine::id::{ExperimentId, Seq};
use engine::ports::journal::JournalError;
use engine::state::State;
use journal::MirrorReader;
use std::ops::ControlFlow;
use std::path::Path;
use std::str::FromStr;

/// An error unless there is a store.
pub fn exists(store: &Path) -> Result<(), Failure> {
    if journal::is_store(store) {
        return Ok(());
    }
    Err(Failure {
        code: Some(crate::codes::NO_STORE.to_string()),
        ..Failure::new(
            exit::FAILED,
            format!("there is no store in {}", store.display()),
            "`retrial run FILE` creates one; name another with --store DIR or RETRIAL_STORE",
        )
    })
}

/// Whether this user may write to a store.
pub fn is_writable(store: &Path) -> bool {
    use nix::unistd::{AccessFlags, access};
    [store.to_owned(), store.join("lock")].iter().all(|path| access(path, AccessFlags::W_OK).is_ok())
}

/// Every record of a store in order.
pub fn records(store: &Path, visit: &mut dyn FnMut(&Envelope) -> ControlFlow<()>) -> Result<(), Failure> {
    records_from(store, Seq(1), visit)
}

/// As [`records`], from this one on.
pub fn records_from(
    store: &Path,
    from: Seq,
    visit: &mut dyn FnMut(&Envelope) -> ControlFlow<()>,
) -> Result<(), Failure> {
    exists(store)?;
    let mut reader = MirrorReader::open(store)?;
    reader.read(from, &mut |envelope| visit(&envelope)).map_err(|error| unread(&reader, error))?;
    Ok(())
}

/// Why a reader cannot read on. Where another history has taken the place of its own, nothing is wrong with the store.
pub fn unread(reader: &MirrorReader, error: JournalError) -> Failure {
    if reader.is_overtaken() {
        return Failure::new(exit::FAILED, error.to_string(), "repeat the command");
    }
    error.into()
}

/// Every record of one experiment in order.
pub fn records_of(
    store: &Path,
    id: ExperimentId,
    visit: &mut dyn FnMut(&Envelope) -> ControlFlow<()>,
) -> Result<(), Failure> {
    records(store, &mut |envelope| {
        if envelope.experiment == id { visit(envelope) } else { ControlFlow::Continue(()) }
    })
}

/// A place in history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// After the record of this number.
    Record(u64),
    /// The end of this millisecond since 1970.
    Time(i64),
}

impl Moment {
    /// Whether a record came later.
    pub const fn is_before(self, envelope: &Envelope) -> bool {
        match self {
            Self::Record(seq) => envelope.seq.0 > seq,
            Self::Time(time) => envelope.time.0 > time,
        }
    }
}

/// A text that names no place in history.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is neither a record's number nor a time: {error}")]
pub struct NoMoment {
    text: String,
    error: jiff::Error,
}

impl NoMoment {
    /// What to write instead.
    pub const CURE: &'static str = "give a number such as 120, or a time such as 2026-11-24T09:30:00Z";
}

impl FromStr for Moment {
    type Err = NoMoment;

    /// Times are shown in whole seconds of UTC: so one without a zone is UTC, and one without a fraction is its whole second.
    fn from_str(text: &str) -> Result<Self, NoMoment> {
        if let Ok(record) = text.parse() {
            return Ok(Self::Record(record));
        }
        let zoned = text.parse::<jiff::Timestamp>();
        let time = zoned.or_else(|error| format!("{text}Z").parse().map_err(|_| error));
        let time = time.map_err(|error| NoMoment { text: text.to_owned(), error })?;
        Ok(Self::Time(time.as_millisecond() + if text.contains('.') { 0 } else { 999 }))
    }
}

/// The state as it then stood. That of the last record, if the moment is after it.
pub fn state_at(store: &Path, moment: Moment) -> Result<State, Failure> {
    let mut state = State::default();
    let mut failure = None;
    records(store, &mut |envelope| {
        if moment.is_before(envelope) {
            return ControlFlow::Break(());
        }
        match state.apply(envelope) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    failure.map_or(Ok(state), |error| Err(Fatal::Replay(error).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_record_or_a_time_with_or_without_a_zone() {
        let of = |text: &str| text.parse::<Moment>().ok();
        assert_eq!(of("120"), Some(Moment::Record(120)));
        assert_eq!(of("1970-01-01T00:00:02Z"), Some(Moment::Time(2_999)));
        assert_eq!(of("1970-01-01T00:00:02"), of("1970-01-01T00:00:02Z"));
        assert_eq!(of("1970-01-01T01:00:02.5+01:00"), Some(Moment::Time(2_500)));
        assert_eq!(of("yesterday"), None);
    }
}
