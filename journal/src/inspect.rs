//! Looking at a store that nobody has open, without changing it.
//!
//! sled cannot be opened without writing (it recovers, it takes snapshots), so what is opened is a copy of its files
//! beside them, which is removed again.

use crate::copies::Copies;
use crate::error::{JournalError, on_file};
use crate::files;
use crate::format;
use crate::generation;
use crate::lock::Lock;
use crate::recovery::Layout;
use crate::sled::NotOpened;
use crate::store::is_store;
use crate::table::Table;
use std::fs;
use std::path::{Path, PathBuf};

/// Both copies of a store at rest, as they are.
pub(crate) struct Inspection {
    layout: Layout,
    table: Option<Table>,
    /// Why sled could not be opened.
    pub(crate) sled_reason: Option<String>,
    _scratch: Scratch,
    _lock: Lock,
}

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind only takes room, and the next inspection removes it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Inspection {
    /// Takes the lock of the store and copies sled's files.
    pub(crate) fn of(store: &Path) -> Result<Self, JournalError> {
        if !is_store(store) {
            let action = format!("open {}", store.display());
            return Err(JournalError::Io { action, reason: "there is no store".to_owned() });
        }
        let lock = Lock::acquire(store, "looking at the journal")?;
        generation::settle(store)?;
        format::check_layout(store)?;
        let layout = Layout::of(store);
        generation::let_go(&layout.db.join("db"))?;
        let scratch = Scratch(store.join("inspection"));
        if scratch.0.exists() {
            fs::remove_dir_all(&scratch.0).map_err(|e| on_file(&scratch.0, "remove", &e))?;
        }
        let (copy, tail) = (scratch.0.join("db"), scratch.0.join("tail"));
        files::create_dir(&copy)?;
        files::create_dir(&tail)?;
        let (table, sled_reason) = if layout.db.join("db").exists() {
            copy_files(&layout.db, &copy)?;
            if layout.tail.is_dir() {
                copy_files(&layout.tail, &tail)?;
            }
            match Table::open(&copy, &tail, false) {
                Ok(table) => (Some(table), None),
                Err(NotOpened::Damaged(reason)) => (None, Some(reason)),
                Err(NotOpened::Error(error)) => return Err(error),
            }
        } else {
            (None, Some("its files are missing".to_owned()))
        };
        Ok(Self { layout, table, sled_reason, _scratch: scratch, _lock: lock })
    }

    pub(crate) fn copies(&self, compare: bool) -> Copies<'_> {
        Copies { mirror: &self.layout.mirror, table: self.table.as_ref(), compare }
    }
}

fn copy_files(from: &Path, to: &Path) -> Result<(), JournalError> {
    let entries = fs::read_dir(from).map_err(|e| on_file(from, "list", &e))?;
    for entry in entries {
        let path = entry.map_err(|e| on_file(from, "list", &e))?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            fs::copy(&path, to.join(name)).map_err(|e| on_file(&path, "copy", &e))?;
        }
    }
    Ok(())
}
