//! A store on disk and its journal. Read [`Store::open`] first.

use crate::bounds::LOW_ROOM_BYTES;
use crate::copies::{Copies, Copy};
use crate::error::{JournalError, on_file};
use crate::files;
use crate::format::{self, Format};
use crate::generation;
use crate::lock::Lock;
use crate::record::{self, Hash, Record};
use crate::recovery::{self, Layout, Recovered, Repair};
use crate::snapshot::Snapshots;
use crate::table::Table;
use crate::writer::{Watermark, Writer};
use engine::envelope::Envelope;
use engine::id::Seq;
use engine::ports::journal::{Journal, Notify, Room};
use std::fmt;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What an acknowledged record survives.
#[derive(Debug, Clone, std::marker::Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of this process in any way, not a power loss.
    Process,
    /// A power loss as well: the mirror is synced to the device before anything is acknowledged, the other copy soon
    /// after.
    #[default]
    Disk,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Process => "process",
            Self::Disk => "disk",
        })
    }
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// What an acknowledged record survives.
    pub durability: Durability,
    /// Whether to create the store if there is none.
    pub create: bool,
    /// Compare both copies record by record, whatever their size, rather than only where they end.
    pub compare_all: bool,
    /// The layout of the states given to `save_snapshot`; others are not given back.
    pub snapshot_schema: u32,
    /// What the lock file says of this process, such as a daemon's address.
    pub note: String,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Disk,
            create: true,
            compare_all: false,
            snapshot_schema: 0,
            note: String::new(),
        }
    }
}

/// What opening a store found and did; to be shown.
#[derive(Debug, Clone)]
pub struct OpenReport {
    /// Whether the store was created.
    pub created: bool,
    /// The last record.
    pub head: Seq,
    /// Its hash.
    pub head_hash: Hash,
    /// The level in force.
    pub durability: Durability,
    /// What was put right.
    pub repairs: Vec<Repair>,
    /// How long it took.
    pub elapsed: Duration,
    /// Why nothing can be appended, if so: a newer program has written.
    pub append_refused: Option<JournalError>,
}

/// The way in.
#[derive(Debug, Clone, std::marker::Copy)]
pub struct Store;

impl Store {
    /// Opens the store in the directory `path`, after taking its lock and putting right what a crash left.
    pub fn open(path: &Path, options: OpenOptions) -> Result<(SledJournal, OpenReport), JournalError> {
        let began = Instant::now();
        let OpenOptions { durability, create, compare_all, snapshot_schema, note } = options;
        if !create && !is_store(path) {
            return Err(JournalError::Io {
                action: format!("open {}", path.display()),
                reason: "there is no store".to_owned(),
            });
        }
        // Private experiments and what commands hold are nobody else's on this machine.
        files::create_private_dir(path)?;
        let lock = Lock::acquire(path, &note)?;
        generation::settle(path)?;
        format::check_layout(path)?;
        let layout = Layout::of(path);
        let created = !is_store(path);
        let (format, mended) = Format::open(path, created)?;
        let durable = durability == Durability::Disk;
        let compare_all = compare_all || mended.is_some();
        let Recovered { table, mirror, head, hash, mut repairs, unknown } =
            recovery::recover(&layout, durable, compare_all)?;
        repairs.extend(mended.map(|what| Repair::note(Copy::Both, what)));
        for repair in &repairs {
            tracing::warn!(%repair, "the journal was repaired");
        }
        let refusal = format.may_append().err().or_else(|| {
            unknown.map(|(kind, version)| JournalError::Newer {
                reason: format!(
                    "the journal holds events of kind {kind} version {version}; it cannot be appended to"
                ),
            })
        });
        let table = Arc::new(table);
        let writer = Writer::start(layout.store.clone(), Arc::clone(&table), mirror, head)?;
        let snapshots = Snapshots::new(layout.snapshots.clone(), snapshot_schema);
        let report = OpenReport {
            created,
            head,
            head_hash: hash,
            durability,
            repairs,
            elapsed: began.elapsed(),
            append_refused: refusal.clone(),
        };
        let journal = SledJournal { writer, table, layout, format, refusal, snapshots, head, hash, lock };
        Ok((journal, report))
    }
}

/// Whether a directory holds a store.
pub fn is_store(path: &Path) -> bool {
    ["FORMAT", "db", "mirror"].iter().any(|name| path.join(name).exists())
}

/// The journal of a store: in sled and in the mirror. Dropping it makes durable what was handed over.
pub struct SledJournal {
    // Order matters: the writer ends first, the lock goes last.
    writer: Writer,
    table: Arc<Table>,
    layout: Layout,
    format: Format,
    refusal: Option<JournalError>,
    snapshots: Snapshots,
    head: Seq,
    hash: Hash,
    lock: Lock,
}

impl fmt::Debug for SledJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledJournal")
            .field("store", &self.layout.store)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl SledJournal {
    /// The store's directory.
    pub fn path(&self) -> &Path {
        &self.layout.store
    }

    /// The hash of the last record handed over.
    pub const fn head_hash(&self) -> Hash {
        self.hash
    }

    /// How far the history is durable, for other threads.
    pub fn watermark(&self) -> Watermark {
        self.writer.watermark()
    }

    /// The snapshots, so that another thread can save one.
    pub fn snapshots(&self) -> Snapshots {
        self.snapshots.clone()
    }

    /// Replaces what the lock file says of this process.
    pub fn set_note(&mut self, note: &str) -> Result<(), JournalError> {
        self.lock.set_note(note)
    }

    /// The hash of a durable record.
    pub fn hash_of(&self, seq: Seq) -> Result<Hash, JournalError> {
        let absent = || JournalError::Refused { reason: format!("record {seq} is not durable") };
        if seq > self.watermark().get() {
            return Err(absent());
        }
        let bytes = self.copies(false).one(seq)?.ok_or_else(absent)?;
        Record::exactly(&bytes)
            .map(|r| r.hash())
            .map_err(|damage| JournalError::Corrupt { seq, reason: damage.to_string() })
    }

    /// Closes both copies, and keeps the lock.
    pub(crate) fn into_closed(self) -> (Layout, Lock) {
        let Self { writer, table, layout, lock, .. } = self;
        drop(writer);
        drop(table);
        (layout, lock)
    }

    pub(crate) fn copies(&self, compare: bool) -> Copies<'_> {
        Copies { mirror: &self.layout.mirror, table: Some(&self.table), compare }
    }

    /// Visits durable records as they are stored, from `from` on.
    pub fn read_records(
        &self,
        from: Seq,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), JournalError> {
        let durable = self.watermark().get();
        let from = from.max(Seq(1));
        if from > durable {
            return Ok(());
        }
        let (mut healed, mut broke) = (None, false);
        let ending = self.copies(false).walk(from, durable, &mut |step| {
            if step.mirror.is_bad() && healed.is_none() {
                healed = Some(step.record.seq());
            }
            let flow = visit(&step.record);
            broke = flow.is_break();
            flow
        })?;
        if let Some(seq) = healed {
            tracing::warn!(%seq, "the mirror is damaged; read from sled, repaired when the store is opened next");
            fs::write(&self.layout.suspect, b"compare both copies\n")
                .map_err(|e| on_file(&self.layout.suspect, "write", &e))?;
        }
        if !broke && ending.next <= durable {
            return Err(JournalError::Corrupt { seq: ending.next, reason: ending.reason });
        }
        Ok(())
    }
}

impl Journal for SledJournal {
    fn head(&self) -> Seq {
        self.head
    }

    fn append(&mut self, batch: Vec<Envelope>) -> Result<(), JournalError> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let (records, head, hash) = encode_batch(&batch, self.head, self.hash)?;
        for envelope in &batch {
            let info = envelope.event.info();
            self.format.announce(info.kind, info.version)?;
        }
        self.writer.push(records)?;
        (self.head, self.hash) = (head, hash);
        Ok(())
    }

    fn durable(&self) -> Result<Seq, JournalError> {
        self.writer.durable()
    }

    fn wait(&mut self, seq: Seq) -> Result<(), JournalError> {
        if seq > self.head {
            return Err(JournalError::Refused { reason: format!("record {seq} was never handed over") });
        }
        self.writer.wait(seq)
    }

    fn on_durable(&mut self, notify: Notify) {
        self.writer.on_durable(notify);
    }

    fn read(
        &self,
        from: Seq,
        visit: &mut dyn FnMut(Envelope) -> ControlFlow<()>,
    ) -> Result<(), JournalError> {
        let mut wrong = None;
        self.read_records(from, &mut |record| match record.envelope() {
            Ok(envelope) => visit(envelope),
            Err(unreadable) => {
                wrong = Some(unreadable.at(record.seq()));
                ControlFlow::Break(())
            }
        })?;
        wrong.map_or(Ok(()), Err)
    }

    fn save_snapshot(&mut self, seq: Seq, state: &[u8]) -> Result<(), JournalError> {
        let hash = self.hash_of(seq)?;
        self.snapshots.save(seq, &hash, state)
    }

    fn load_snapshot(&self) -> Result<Option<(Seq, Vec<u8>)>, JournalError> {
        Ok(self.snapshots.load(|seq| self.hash_of(seq).ok()))
    }

    fn room(&self) -> Room {
        room(&self.layout.store)
    }
}

/// Encodes records that must follow `head`; nothing is changed if one is refused.
pub(crate) fn encode_batch(
    batch: &[Envelope],
    head: Seq,
    hash: Hash,
) -> Result<(Vec<Vec<u8>>, Seq, Hash), JournalError> {
    let (mut head, mut hash) = (head, hash);
    let mut records = Vec::with_capacity(batch.len());
    for envelope in batch {
        if envelope.seq != head.next() {
            let reason = format!("record {} was handed over where {} is due", envelope.seq, head.next());
            return Err(JournalError::Refused { reason });
        }
        let (bytes, of_this) = record::encode(envelope, &hash)?;
        records.push(bytes);
        (head, hash) = (envelope.seq, of_this);
    }
    Ok((records, head, hash))
}

/// Whether the device of `path` has room; a device that cannot be asked counts as roomy, since the write itself tells.
pub(crate) fn room(path: &Path) -> Room {
    let free = nix::sys::statvfs::statvfs(path)
        .map_or(u64::MAX, |s| s.blocks_available().saturating_mul(s.fragment_size()));
    if free < LOW_ROOM_BYTES { Room::Low } else { Room::Plenty }
}
