//! Files with the records that sled has yet to take. Read [`TailFile`] for writing, [`read`] for what a crash left.
//!
//! A tail file is a segment, as those of the mirror. It is written before a record is acknowledged and goes when sled
//! holds its records durably. Nothing relies on it after a power loss: until sled has taken them, the records are
//! durable in the mirror. What it is for is the death of the process: from the first moment, every acknowledged record
//! is in two files.

use crate::error::{JournalError, on_file};
use crate::files;
use crate::mirror;
use crate::record::{Hash, Record};
use crate::segment::{self, Item, Scan};
use engine::id::Seq;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A tail file being written.
pub(crate) struct TailFile {
    path: PathBuf,
    file: Arc<File>,
    bytes: usize,
}

impl TailFile {
    /// Begins the file whose first record is `first`.
    pub(crate) fn begin(dir: &Path, first: Seq, previous: &Hash) -> Result<Self, JournalError> {
        let path = dir.join(segment::file_name(first));
        let header = segment::header(first, previous);
        let create = || {
            let mut file = File::create(&path)?;
            file.write_all(&header)?;
            Ok(file)
        };
        let file = create().map_err(|e| on_file(&path, "create", &e))?;
        Ok(Self { path, file: Arc::new(file), bytes: header.len() })
    }

    /// Appends a framed commit.
    pub(crate) fn append(&mut self, framed: &[u8]) -> Result<(), JournalError> {
        self.bytes += framed.len();
        (&*self.file).write_all(framed).map_err(|e| on_file(&self.path, "append to", &e))
    }

    /// Its bytes so far.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Its place.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A handle for syncing it from another thread.
    pub(crate) fn handle(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }
}

/// Visits the intact records in the tail files of `dir` in order, each with whether it begins a commit; seqs ascend
/// but may jump over what is damaged.
pub(crate) fn read(
    dir: &Path,
    visit: &mut dyn FnMut(bool, &Record<'_>) -> Result<(), JournalError>,
) -> Result<(), JournalError> {
    for file in mirror::segments(dir)? {
        let bytes = file.read()?;
        for item in Scan::new(&bytes, file.first) {
            if let Item::Record { begins, record } = item {
                visit(begins, &record)?;
            }
        }
    }
    Ok(())
}

/// Removes one tail file.
pub(crate) fn remove(path: &Path) -> Result<(), JournalError> {
    fs::remove_file(path).map_err(|e| on_file(path, "remove", &e))
}

/// Removes all tail files, for good.
pub(crate) fn clear(dir: &Path) -> Result<(), JournalError> {
    let files = mirror::segments(dir)?;
    if files.is_empty() {
        return Ok(());
    }
    for file in &files {
        remove(&file.path)?;
    }
    files::sync_dir(dir)
}
