//! The durable journal of Retrial: every event twice, in sled and in plain segment files, chained by hashes.
//!
//! Read [`Store::open`] first; [`SledJournal`] implements the core's `Journal`. [`MemoryStore`] keeps no files,
//! [`SimulatedDisk`] loses what a crash may lose. Nothing in here knows what the events mean.

pub mod bounds;
pub mod codec;
pub mod error;
pub mod export;
pub mod lock;
pub mod memory;
pub mod record;
pub mod simulated;

mod anchor;
mod chunk;
mod contain;
mod copies;
mod files;
mod format;
mod generation;
mod inspect;
mod mirror;
mod reader;
mod recovery;
mod segment;
mod sled;
mod snapshot;
mod store;
mod table;
mod tail;
mod verify;
mod writer;

pub use copies::Copy;
pub use error::JournalError;
pub use export::{ArchiveReport, export, import, read_archive};
pub use memory::{MemoryJournal, MemoryStore};
pub use reader::MirrorReader;
pub use record::{Hash, Record};
pub use recovery::Repair;
pub use simulated::{Fault, SimulatedDisk, SimulatedJournal};
pub use snapshot::Snapshots;
pub use store::{Durability, OpenOptions, OpenReport, SledJournal, Store, is_store};
pub use verify::{Problem, Replay, VerifyReport, verify};
pub use writer::Watermark;
