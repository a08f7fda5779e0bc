//! The second copy of the history: what sled holds, and what it has yet to take. Read [`Table`] for reading, [`Intake`]
//! for appending.
//!
//! A commit that waited for sled would wait for two syncs of the device, one behind the other, and sled would rewrite
//! its leaves for every few records. So a record goes into a tail file at once, which survives the death of the
//! process, and a thread moves whole tail files into sled. A tail file that is not full is synced within a second.

use crate::anchor::Anchor;
use crate::bounds::{TAIL_BYTES, TAIL_SYNC_EVERY_MS, TAILS_WAITING};
use crate::chunk::Chunk;
use crate::error::{JournalError, on_file};
use crate::files;
use crate::record::{Hash, Record};
use crate::sled::{NotOpened, Tree};
use crate::tail::{self, TailFile};
use engine::id::Seq;
use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What sled has yet to take, and whether it still can.
#[derive(Default)]
struct Waiting {
    chunks: VecDeque<Chunk>,
    /// Tail files with bytes that are not synced.
    unsynced: Vec<Arc<File>>,
    failed: Option<JournalError>,
}

/// What there was in the tail files.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    /// Whether sled took any records.
    pub(crate) any: bool,
    /// Whether a later commit stands behind the first missing record, which was therefore acknowledged.
    pub(crate) proof: bool,
}

/// The records in sled and in the tail.
pub(crate) struct Table {
    tree: Tree,
    tail: PathBuf,
    durable: bool,
    waiting: Mutex<Waiting>,
}

impl Table {
    /// Opens or creates the database in `db`, and lets it take what a crash left in `tail`. Only while the store's lock
    /// is held.
    pub(crate) fn open(db: &Path, tail: &Path, durable: bool) -> Result<Self, NotOpened> {
        files::create_dir(tail).map_err(NotOpened::Error)?;
        let tree = Tree::open(db, durable)?;
        let table = Self { tree, tail: tail.to_owned(), durable, waiting: Mutex::default() };
        table.take_tail().map_err(NotOpened::Error)?;
        Ok(table)
    }

    /// Moves into sled what the tail files have behind its end. What does not join its end stays where it is.
    pub(crate) fn take_tail(&self) -> Result<Taken, JournalError> {
        let mut taken = Taken::default();
        // A tree that cannot be asked for its end is damaged, and will be completed from the mirror first.
        let Ok(last) = self.tree.last() else { return Ok(taken) };
        let mut next = last.map_or(Seq(1), |(seq, _)| seq.next());
        let (mut chunk, mut gap) = (Chunk::begin(next), false);
        tail::read(&self.tail, &mut |begins, record| {
            gap |= record.seq() > next;
            taken.proof |= gap && begins;
            if record.seq() != next || gap {
                return Ok(());
            }
            if chunk.is_full_for(record.bytes()) {
                self.tree.put(&std::mem::replace(&mut chunk, Chunk::begin(next)))?;
            }
            chunk.push(record.bytes());
            next = next.next();
            taken.any = true;
            Ok(())
        })?;
        self.tree.put(&chunk)?;
        if taken.any {
            self.sync()?;
        }
        if !gap {
            tail::clear(&self.tail)?;
        }
        Ok(taken)
    }

    /// Removes the tail files, when sled holds all that is to be kept of them.
    pub(crate) fn clear_tail(&self) -> Result<(), JournalError> {
        tail::clear(&self.tail)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes kept for a seq.
    pub(crate) fn get(&self, seq: Seq) -> Result<Option<Vec<u8>>, JournalError> {
        let waits = self.waiting().chunks.iter().find_map(|chunk| chunk.get(seq).map(<[u8]>::to_vec));
        match waits {
            Some(bytes) => Ok(Some(bytes)),
            None => self.tree.get(seq),
        }
    }

    /// The last record with its seq; bytes that are no record if it is damaged.
    pub(crate) fn last(&self) -> Result<Option<(Seq, Vec<u8>)>, JournalError> {
        let waits = self.waiting().chunks.iter().rev().find_map(Chunk::last);
        match waits {
            Some(seq) => Ok(self.get(seq)?.map(|bytes| (seq, bytes))),
            None => self.tree.last(),
        }
    }

    /// Puts one record into sled, durable at the next [`Self::sync`]. Only for repairs, while nothing waits.
    pub(crate) fn put(&self, seq: Seq, record: &[u8]) -> Result<(), JournalError> {
        let mut chunk = Chunk::begin(seq);
        chunk.push(record);
        self.tree.put(&chunk)
    }

    /// Makes everything that sled holds durable.
    pub(crate) fn sync(&self) -> Result<(), JournalError> {
        self.tree.sync()
    }

    /// Moves the chunks up to the record `upto` into sled and removes their tail file.
    fn take(&self, upto: Seq, file: &Path) -> Result<(), JournalError> {
        let due = |chunk: &Chunk| chunk.last().is_some_and(|last| last <= upto);
        let chunks: Vec<_> = self.waiting().chunks.iter().take_while(|c| due(c)).cloned().collect();
        for chunk in &chunks {
            self.tree.put(chunk)?;
        }
        self.sync()?;
        self.waiting().chunks.drain(..chunks.len());
        tail::remove(file)
    }

    fn sync_tail(&self) -> Result<(), JournalError> {
        let files = std::mem::take(&mut self.waiting().unsynced);
        if files.is_empty() {
            return Ok(());
        }
        for file in files {
            file.sync_data().map_err(|e| on_file(&self.tail, "sync", &e))?;
        }
        files::sync_dir(&self.tail)
    }

    /// What the thread does: takes full tail files; now and then syncs one that is not full yet, and lets the anchor
    /// follow.
    fn follow(&self, store: &Path, full: &Receiver<(Seq, PathBuf)>) -> Result<(), JournalError> {
        let pause = Duration::from_millis(TAIL_SYNC_EVERY_MS);
        let (mut last, mut anchored) = (Instant::now(), Seq(0));
        loop {
            match full.recv_timeout(pause) {
                Ok((upto, file)) => self.take(upto, &file)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            // Without syncs nothing is known to have been durable.
            if self.durable && last.elapsed() >= pause {
                last = Instant::now();
                self.sync_tail()?;
                // Whatever is in here is synced in the mirror.
                let head = self.last()?.filter(|(seq, _)| *seq > anchored);
                if let Some((seq, Ok(record))) =
                    head.as_ref().map(|(seq, bytes)| (*seq, Record::exactly(bytes)))
                {
                    Anchor { seq, hash: record.hash() }.save(store)?;
                    anchored = seq;
                }
            }
        }
    }
}

/// The end of the second copy, for appending.
pub(crate) struct Intake {
    table: Arc<Table>,
    tail: Option<TailFile>,
    last: Seq,
    full: SyncSender<(Seq, PathBuf)>,
    thread: JoinHandle<()>,
}

impl Intake {
    /// Starts the thread that moves records into sled.
    pub(crate) fn start(table: Arc<Table>, store: &Path) -> Result<Self, JournalError> {
        let (full, queue) = sync_channel(TAILS_WAITING);
        let (theirs, store) = (Arc::clone(&table), store.to_owned());
        let thread = crate::writer::spawn("journal-sled", move || {
            if let Err(error) = theirs.follow(&store, &queue) {
                theirs.waiting().failed = Some(error);
            }
        })?;
        Ok(Self { table, tail: None, last: Seq(0), full, thread })
    }

    /// Puts dense records from `first` on where they survive the end of this process. Blocks while sled is far behind.
    pub(crate) fn append(
        &mut self,
        first: Seq,
        previous: &Hash,
        records: &[Vec<u8>],
        framed: &[u8],
    ) -> Result<(), JournalError> {
        let begins = self.tail.is_none();
        let tail = match &mut self.tail {
            Some(tail) => tail,
            none => none.insert(TailFile::begin(&self.table.tail, first, previous)?),
        };
        tail.append(framed)?;
        let mut waiting = self.table.waiting();
        if let Some(error) = &waiting.failed {
            return Err(error.clone());
        }
        for (seq, record) in (first.0..).zip(records) {
            let fresh = begins && seq == first.0;
            match waiting.chunks.back_mut() {
                Some(chunk) if !fresh && !chunk.is_full_for(record) => chunk.push(record),
                _ => {
                    let mut chunk = Chunk::begin(Seq(seq));
                    chunk.push(record);
                    waiting.chunks.push_back(chunk);
                }
            }
            self.last = Seq(seq);
        }
        let handle = tail.handle();
        if self.table.durable && waiting.unsynced.last().is_none_or(|last| !Arc::ptr_eq(last, &handle)) {
            waiting.unsynced.push(handle);
        }
        drop(waiting);
        if tail.bytes() >= TAIL_BYTES { self.hand_over() } else { Ok(()) }
    }

    /// Lets sled take the tail file that was being written.
    fn hand_over(&mut self) -> Result<(), JournalError> {
        let Some(tail) = self.tail.take() else { return Ok(()) };
        let sent = self.full.send((self.last, tail.path().to_owned()));
        // The thread ends early only after a failure.
        sent.map_err(|_| self.table.waiting().failed.clone().unwrap_or_else(gone))
    }

    /// Waits until sled has taken everything.
    pub(crate) fn finish(mut self) -> Result<(), JournalError> {
        self.hand_over()?;
        drop(self.full);
        self.thread.join().map_err(|_| gone())?;
        self.table.waiting().failed.take().map_or(Ok(()), Err)
    }
}

fn gone() -> JournalError {
    JournalError::Io { action: "move records into sled".to_owned(), reason: "its thread is gone".to_owned() }
}
