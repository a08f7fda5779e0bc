//! Facts. An event is never rejected; its kind number and its layout never change their meaning.
//!
//! The table below is the only place that gives out kind numbers. A number is never used again. A changed
//! payload is a new struct under a new version of the same kind, converted to today's form when it is read.

pub mod v1;
pub mod v2;

/// The newest form of each payload.
mod newest {
    pub use super::v1::*;
    pub use super::v2::{ExperimentEnded, ExperimentStopping, TrialSuggested};
}

use serde::{Deserialize, Serialize};

/// Receives an event's payload to encode it.
pub trait PayloadWriter {
    /// What can go wrong.
    type Error;
    /// Encodes one payload.
    fn write<T: Serialize>(&mut self, payload: &T) -> Result<(), Self::Error>;
}

/// Gives an event's payload from its encoded form.
pub trait PayloadReader {
    /// What can go wrong.
    type Error;
    /// Decodes one payload, all of it.
    fn read<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T, Self::Error>;
}

/// One line of the event catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindInfo {
    /// The number in the record's header.
    pub kind: u16,
    /// The newest version of its payload.
    pub version: u8,
    /// The name.
    pub name: &'static str,
    /// What it says.
    pub about: &'static str,
}

macro_rules! events {
    ($($kind:literal $version:literal $(($old:literal $form:ident))* $name:ident $about:literal,)*) => {
        /// A fact about an experiment or the store.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Event {
            $(#[doc = $about] $name(newest::$name),)*
        }

        /// All kinds by number.
        pub const KINDS: &[KindInfo] = &[
            $(KindInfo { kind: $kind, version: $version, name: stringify!($name), about: $about },)*
        ];

        /// All kinds with the versions of their payloads that this program reads, newest and older.
        pub const READABLE: &[(u16, u8)] = &[$(($kind, $version), $(($kind, $old),)*)*];

        impl Event {
            /// The kind number, the version of the payload and the name.
            pub const fn info(&self) -> KindInfo {
                match self {
                    $(Self::$name(_) => KindInfo { kind: $kind, version: $version, name: stringify!($name), about: $about },)*
                }
            }

            /// Hands the payload to `writer`.
            pub fn write<W: PayloadWriter>(&self, writer: &mut W) -> Result<(), W::Error> {
                match self {
                    $(Self::$name(payload) => writer.write(payload),)*
                }
            }

            /// Takes the payload of this kind and version from `reader`; `None` if this program does not know
            /// them.
            pub fn read<R: PayloadReader>(kind: u16, version: u8, reader: &mut R) -> Result<Option<Self>, R::Error> {
                match (kind, version) {
                    $(($kind, $version) => reader.read().map(|payload| Some(Self::$name(payload))),)*
                    $($(($kind, $old) => {
                        reader.read::<$form::$name>().map(|payload| Some(Self::$name(payload.into())))
                    })*)*
                    _ => Ok(None),
                }
            }
        }

        $(impl From<newest::$name> for Event {
            fn from(payload: newest::$name) -> Self {
                Self::$name(payload)
            }
        })*
    };
}

events! {
    1 1 ActorNamed "A person or program that acts on this store was given a number.",
    2 1 CheckpointTaken "The digest of the whole state before this record.",
    3 1 HistoryArchived "Ended experiments have left this history for an archive; every record before this one has a new number.",
    10 1 ExperimentCreated "An experiment exists.",
    11 1 ExperimentUpdated "The specification was replaced.",
    12 1 ExperimentPaused "No further trial is started until it is resumed.",
    13 1 ExperimentResumed "Trials are started again.",
    14 2 (1 v1) ExperimentStopping "The experiment is ending: running trials are stopped.",
    15 2 (1 v1) ExperimentEnded "The experiment has ended; nothing of it runs.",
    16 1 ExperimentReopened "An ended experiment goes on.",
    17 1 ExperimentRemoved "The experiment is hidden from lists.",
    18 1 SpaceExhausted "The sampler has no further point.",
    19 1 PointEnqueued "A point was put into the queue.",
    20 1 ExperimentLabelled "Labels were set, or taken away where there is no value.",
    21 1 WindowOpened "The window of the schedule is open: trials may start.",
    22 1 WindowClosed "The window of the schedule is closed: what runs goes on, and nothing starts.",
    30 2 (1 v1) TrialSuggested "A trial exists, with its point, where that comes from, and the trial whose checkpoint it goes on from.",
    31 1 TrialStopping "The trial's running task is to be stopped.",
    32 1 TrialEnded "The trial has ended.",
    33 1 TrialLeased "A client was given the trial until a time.",
    40 1 AttemptPlanned "A try is about to begin: recorded before anything is submitted.",
    41 1 TaskPlanned "The attempt's next task is about to be submitted.",
    42 1 TaskCleared "The backend certainly does not hold this submission.",
    43 1 TaskAccepted "The backend holds the task.",
    44 1 TaskDoubtful "It cannot be found out whether the backend holds the task.",
    45 1 TaskStarted "The task runs.",
    46 1 TaskEnded "The task has ended.",
    47 1 LateResult "A result arrived for a task that was settled before; without effect.",
    60 1 MetricReported "Reports of a running trial.",
}
