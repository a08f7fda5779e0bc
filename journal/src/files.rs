//! File operations that are durable when they return.

use crate::error::{JournalError, on_file};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Creates a directory and everything above it, so that a power loss cannot take it away again.
pub(crate) fn create_dir(path: &Path) -> Result<(), JournalError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_dir(parent)?;
    match fs::create_dir(path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(on_file(path, "create", &e)),
        _ => {}
    }
    sync_dir(parent)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), JournalError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| on_file(path, "sync", &e))
}

/// Makes a file's content durable.
pub(crate) fn sync_file(path: &Path) -> Result<(), JournalError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|e| on_file(path, "sync", &e))
}

/// Replaces a file in one step: after a crash it has the old content or all of the new one.
pub(crate) fn replace(path: &Path, parts: &[&[u8]]) -> Result<(), JournalError> {
    let temporary = path.with_extension("tmp");
    let write = || {
        let mut file = File::create(&temporary)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()
    };
    if let Err(e) = write() {
        // The half-written file only takes room.
        let _ = fs::remove_file(&temporary);
        return Err(on_file(path, "write", &e));
    }
    fs::rename(&temporary, path).map_err(|e| on_file(path, "replace", &e))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Reads a whole file; `None` if it does not exist.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, JournalError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(on_file(path, "read", &e)),
    }
}
