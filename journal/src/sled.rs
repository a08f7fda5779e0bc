//! The copy in sled: one tree, key = seq (big-endian), value = record. Read [`Table`].
//!
//! sled's flush never reaches the device (it ends in `sync_file_range`), so a commit here is flush + `sync_data` on
//! our own handle of sled's file. sled's panics never leave this file.

use crate::bounds::{SLED_CACHE_BYTES, SLED_SEGMENT_BYTES};
use crate::contain::contain;
use crate::error::{JournalError, is_full, on_file};
use crate::files;
use engine::id::Seq;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Why sled did not open.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// Its files are damaged: they can be rebuilt from the mirror.
    Damaged(String),
    /// Anything else: rebuilding would not help.
    Error(JournalError),
}

/// The tree of records.
pub(crate) struct Table {
    dir: PathBuf,
    db: sled::Db,
    tree: sled::Tree,
    file: File,
    durable: bool,
}

const fn key(seq: Seq) -> [u8; 8] {
    seq.0.to_be_bytes()
}

fn seq_of(key: &[u8]) -> Option<Seq> {
    key.try_into().ok().map(|bytes| Seq(u64::from_be_bytes(bytes)))
}

impl Table {
    /// Opens or creates the database in `dir`. Only while the store's lock is held.
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
            .flush_every_ms(None);
        let opened = contain(|| config.open().and_then(|db| db.open_tree("events").map(|tree| (db, tree))));
        let (db, tree) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return Err(classify(dir, error)),
            Err(panic) => return Err(NotOpened::Damaged(panic)),
        };
        let path = dir.join("db");
        let file = File::open(&path).map_err(|e| NotOpened::Error(on_file(&path, "open", &e)))?;
        let table = Self { dir: dir.to_owned(), db, tree, file, durable };
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
        match contain(|| work(&self.tree)) {
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
    pub(crate) fn get(&self, seq: Seq) -> Result<Option<sled::IVec>, JournalError> {
        self.run("read", |tree| tree.get(key(seq)))
    }

    /// The greatest key with its bytes.
    pub(crate) fn last(&self) -> Result<Option<(Seq, sled::IVec)>, JournalError> {
        let last = self.run("read", sled::Tree::last)?;
        Ok(last.and_then(|(key, value)| seq_of(&key).map(|seq| (seq, value))))
    }

    /// Puts dense records from `first` on, and makes them durable.
    pub(crate) fn commit(&self, first: Seq, records: &[Vec<u8>]) -> Result<(), JournalError> {
        let mut batch = sled::Batch::default();
        for (seq, record) in (first.0..).zip(records) {
            batch.insert(&key(Seq(seq)), record.as_slice());
        }
        self.run("append to", |tree| tree.apply_batch(batch))?;
        self.sync()
    }

    /// Puts one record; durable at the next [`Self::sync`].
    pub(crate) fn put(&self, seq: Seq, record: &[u8]) -> Result<(), JournalError> {
        self.run("append to", |tree| tree.insert(key(seq), record).map(|_| ()))
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

impl Drop for Table {
    fn drop(&mut self) {
        // sled flushes when the last handle goes; on a damaged file that may panic, which must stay in here.
        let _ = contain(|| self.db.flush());
    }
}

fn classify(dir: &Path, error: sled::Error) -> NotOpened {
    match error {
        sled::Error::Io(e) if e.to_string().contains("could not acquire lock") => {
            NotOpened::Error(JournalError::Busy {
                path: dir.to_owned(),
                holder: "another process that has its database open".to_owned(),
            })
        }
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
