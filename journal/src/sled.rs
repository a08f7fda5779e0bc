//! Records in sled: one tree, key = seq (big-endian), value = a chunk, that record and those behind it. Read
//! [`Tree`].
//!
//! Several records to a value, because sled writes each value about three times before it comes to rest: as a link,
//! and in two or three generations of its leaf. Where chunks overlap after a repair, the one with the greater key
//! counts.
//!
//! sled's flush never reaches the device (it ends in `sync_file_range`), so a sync here is flush + `sync_data` on
//! our own handle of sled's file. sled's panics never leave this file.

use crate::bounds::{
    CHUNK_BYTES, SLED_CACHE_BYTES, SLED_CLEAN_EVERY_MS, SLED_LINGERING_PAUSE, SLED_LINGERING_TRIES,
    SLED_SEGMENT_BYTES,
};
use crate::chunk::Chunk;
use crate::contain::contain;
use crate::error::{JournalError, is_full, on_file};
use crate::files;
use crate::record::{HEADER_BYTES, TRAILER_BYTES};
use engine::id::Seq;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Why sled did not open.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// Its files are damaged: they can be rebuilt from the mirror.
    Damaged(String),
    /// Anything else: rebuilding would not help.
    Error(JournalError),
}

/// The tree of records.
pub(crate) struct Tree {
    dir: PathBuf,
    db: sled::Db,
    events: sled::Tree,
    file: File,
    durable: bool,
    /// The last seq in the tree: nothing behind it needs to be looked for.
    end: AtomicU64,
    /// The chunk read last, since reading mostly goes on in the same one.
    recent: Mutex<Chunk>,
}

/// Records that fit into one chunk at most, hence keys that can lie between a record and the key of its chunk.
const CHUNK_RECORDS: usize = CHUNK_BYTES / (HEADER_BYTES + TRAILER_BYTES);

const fn key(seq: Seq) -> [u8; 8] {
    seq.0.to_be_bytes()
}

fn seq_of(key: &[u8]) -> Option<Seq> {
    key.try_into().ok().map(|bytes| Seq(u64::from_be_bytes(bytes)))
}

/// The chunk under a key. A damaged one counts as one damaged record, so that the tree does not seem to end before it.
fn unpack(first: Seq, value: &[u8]) -> Chunk {
    Chunk::unpack(value).filter(|chunk| chunk.first() == first && chunk.last().is_some()).unwrap_or_else(
        || {
            let mut damaged = Chunk::begin(first);
            damaged.push(value);
            damaged
        },
    )
}

impl Tree {
    /// Opens or creates the database in `dir`.
    pub(crate) fn open(dir: &Path, durable: bool) -> Result<Self, NotOpened> {
        prepare(dir).map_err(NotOpened::Error)?;
        if has_blobs(dir) {
            return Err(NotOpened::Damaged("it holds blob files, which are never synced".to_owned()));
        }
        let fresh = !dir.join("db").exists();
        let config = sled::Config::new()
            .path(dir)
            .segment_size(SLED_SEGMENT_BYTES)
            .cache_capacity(SLED_CACHE_BYTES)
            .flush_every_ms(Some(SLED_CLEAN_EVERY_MS));
        let open =
            || contain(|| config.open().and_then(|db| db.open_tree("events").map(|events| (db, events))));
        let mut opened = open();
        // The store's own lock is ours, so who holds this one is a thread of sled that a database closed just now has left
        // behind, as it does after a failed write: it lets go by itself.
        for _ in 0..SLED_LINGERING_TRIES {
            if !matches!(&opened, Ok(Err(error)) if is_locked(error)) {
                break;
            }
            std::thread::sleep(SLED_LINGERING_PAUSE);
            opened = open();
        }
        let (db, events) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return Err(classify(dir, error)),
            Err(panic) => return Err(NotOpened::Damaged(panic)),
        };
        let path = dir.join("db");
        let file = File::open(&path).map_err(|e| NotOpened::Error(on_file(&path, "open", &e)))?;
        let (end, recent) = (AtomicU64::new(u64::MAX), Mutex::default());
        let table = Self { dir: dir.to_owned(), db, events, file, durable, end, recent };
        // A tree that cannot even be asked for its end is compared record by record anyway.
        let end = table.last().ok().map_or(u64::MAX, |last| last.map_or(0, |(seq, _)| seq.0));
        table.end.store(end, Ordering::Release);
        if fresh && durable {
            table.sync_creation().map_err(NotOpened::Error)?;
        }
        Ok(table)
    }

    fn sync_creation(&self) -> Result<(), JournalError> {
        self.sync()?;
        // sled never syncs these, and without its `conf` the database cannot be opened.
        files::sync_file(&self.dir.join("conf"))?;
        files::sync_dir(&self.dir)?;
        self.dir.parent().map_or(Ok(()), files::sync_dir)
    }

    fn run<T>(
        &self,
        action: &str,
        work: impl FnOnce(&sled::Tree) -> sled::Result<T>,
    ) -> Result<T, JournalError> {
        match contain(|| work(&self.events)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(sled::Error::Io(error))) => Err(on_file(&self.dir, action, &error)),
            Ok(Err(error)) => Err(self.failed(action, error.to_string())),
            Err(panic) => Err(self.failed(action, panic)),
        }
    }

    fn failed(&self, action: &str, reason: String) -> JournalError {
        JournalError::Io { action: format!("{action} {}", self.dir.display()), reason }
    }

    /// The bytes kept for a seq.
    pub(crate) fn get(&self, seq: Seq) -> Result<Option<Vec<u8>>, JournalError> {
        if seq.0 > self.end.load(Ordering::Acquire) {
            return Ok(None);
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = recent.get(seq) {
            return Ok(Some(found.to_vec()));
        }
        self.run("read", |tree| {
            for entry in tree.range(..=key(seq)).rev().take(CHUNK_RECORDS) {
                let (key, value) = entry?;
                let Some(first) = seq_of(&key) else { break };
                let chunk = unpack(first, &value);
                if let Some(found) = chunk.get(seq).map(<[u8]>::to_vec) {
                    *recent = chunk;
                    return Ok(Some(found));
                }
            }
            Ok(None)
        })
    }

    /// The last record with its seq; bytes that are no record if it is damaged.
    pub(crate) fn last(&self) -> Result<Option<(Seq, Vec<u8>)>, JournalError> {
        let last = self.run("read", sled::Tree::last)?;
        let chunk = last.and_then(|(key, value)| seq_of(&key).map(|first| unpack(first, &value)));
        Ok(chunk.and_then(|chunk| {
            let seq = chunk.last()?;
            chunk.get(seq).map(|bytes| (seq, bytes.to_vec()))
        }))
    }

    /// Puts a chunk; durable at the next [`Self::sync`].
    ///
    /// sled's log keeps the order of insertions: whatever a crash leaves of several chunks is dense.
    pub(crate) fn put(&self, chunk: &Chunk) -> Result<(), JournalError> {
        let Some(last) = chunk.last() else { return Ok(()) };
        *self.recent.lock().unwrap_or_else(PoisonError::into_inner) = Chunk::default();
        self.run("append to", |tree| tree.insert(key(chunk.first()), chunk.pack()).map(|_| ()))?;
        let end = self.end.load(Ordering::Acquire);
        self.end.store(if end == u64::MAX { end } else { end.max(last.0) }, Ordering::Release);
        Ok(())
    }

    /// Makes everything put so far durable.
    pub(crate) fn sync(&self) -> Result<(), JournalError> {
        self.run("flush", |tree| tree.flush().map(|_| ()))?;
        if self.durable {
            self.file.sync_data().map_err(|e| on_file(&self.dir, "sync", &e))?;
        }
        Ok(())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // sled flushes when the last handle goes; on a damaged file that may panic, which must stay in here.
        let _ = contain(|| self.db.flush());
    }
}

fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(e) if e.to_string().contains("could not acquire lock"))
}

fn classify(dir: &Path, error: sled::Error) -> NotOpened {
    match error {
        error if is_locked(&error) => NotOpened::Error(JournalError::Busy {
            path: dir.to_owned(),
            holder: "another process that has its database open".to_owned(),
        }),
        sled::Error::Io(e) if is_full(&e) || e.kind() == std::io::ErrorKind::PermissionDenied => {
            NotOpened::Error(on_file(dir, "open", &e))
        }
        error => NotOpened::Damaged(error.to_string()),
    }
}

/// Takes away what sled would stumble over: a snapshot that it was still writing when it was killed.
fn prepare(dir: &Path) -> Result<(), JournalError> {
    files::create_dir(dir)?;
    for path in entries(dir)? {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.starts_with("snap.") && (name.ends_with(".generating") || name.ends_with(".in___motion")) {
            fs::remove_file(&path).map_err(|e| on_file(&path, "remove", &e))?;
        }
    }
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let list = fs::read_dir(dir).map_err(|e| on_file(dir, "list", &e))?;
    list.map(|entry| entry.map(|e| e.path()).map_err(|e| on_file(dir, "list", &e))).collect()
}

fn has_blobs(dir: &Path) -> bool {
    fs::read_dir(dir.join("blobs")).is_ok_and(|mut list| list.next().is_some())
}

/// Removes sled's own snapshots, which it can do without; tells whether there were any.
pub(crate) fn remove_snapshots(dir: &Path) -> Result<bool, JournalError> {
    let mut any = false;
    for path in entries(dir)? {
        if path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("snap.")) {
            fs::remove_file(&path).map_err(|e| on_file(&path, "remove", &e))?;
            any = true;
        }
    }
    Ok(any)
}
