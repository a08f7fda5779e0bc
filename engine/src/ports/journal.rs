//! The journal: the one durable truth.

use crate::envelope::Envelope;
use crate::id::Seq;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

/// What can go wrong with a journal, by what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Another process holds the store.
    #[error("the store {} is in use by {holder}", path.display())]
    Busy {
        /// The store.
        path: PathBuf,
        /// What the lock file says of the holder, such as its process id.
        holder: String,
    },
    /// The history is damaged and cannot be completed from its second copy.
    #[error("record {seq} is damaged: {reason}")]
    Corrupt {
        /// The first bad record.
        seq: Seq,
        /// What is wrong with it.
        reason: String,
    },
    /// The store was written by a newer program.
    #[error("the store needs a newer program: {reason}")]
    Newer {
        /// What this program does not know.
        reason: String,
    },
    /// The device has no room.
    #[error("no room left on the device of {}", path.display())]
    Full {
        /// The store.
        path: PathBuf,
    },
    /// The operating system or the storage engine refused.
    #[error("failed to {action}: {reason}")]
    Io {
        /// What was tried.
        action: String,
        /// Why it did not work.
        reason: String,
    },
    /// An earlier write or sync failed: nothing more is accepted until the store is opened again.
    #[error("the journal stopped after a failed write: {reason}")]
    Poisoned {
        /// The first failure.
        reason: String,
    },
    /// A record does not fit the journal: an error of the program that appends.
    #[error("a record was refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
}

/// Called from the journal's own thread whenever more has become durable, or when it failed for good.
pub type Notify = Arc<dyn Fn(&Result<Seq, JournalError>) + Send + Sync>;

/// Whether there is room for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Enough.
    Plenty,
    /// So little that only what is already running should be recorded.
    Low,
}

/// An append-only, totally ordered log of envelopes.
///
/// Appending hands records over and returns at once; they are durable when [`Journal::durable`] has reached
/// them, always in order. Nothing may be told to anybody and no effect started before that.
pub trait Journal: Send {
    /// The last record handed over.
    fn head(&self) -> Seq;

    /// Hands over records with dense sequence numbers from `head + 1`.
    ///
    /// A crash before they are durable keeps some of them, always the first ones: also a part of one batch.
    fn append(&mut self, batch: Vec<Envelope>) -> Result<(), JournalError>;

    /// The last durable record.
    fn durable(&self) -> Result<Seq, JournalError>;

    /// Blocks until `seq` is durable.
    fn wait(&mut self, seq: Seq) -> Result<(), JournalError>;

    /// Sets who is told of progress; replaces the one before.
    fn on_durable(&mut self, notify: Notify);

    /// Visits the durable records from `from` on, in order, until the visitor breaks.
    fn read(&self, from: Seq, visit: &mut dyn FnMut(Envelope) -> ControlFlow<()>)
    -> Result<(), JournalError>;

    /// Keeps a state so that the next opening need not replay what it covers. A cache: losing it loses nothing.
    fn save_snapshot(&mut self, seq: Seq, state: &[u8]) -> Result<(), JournalError>;

    /// The newest usable snapshot, if there is one that covers no more than the durable records.
    fn load_snapshot(&self) -> Result<Option<(Seq, Vec<u8>)>, JournalError>;

    /// Whether the device has room.
    fn room(&self) -> Room;
}
