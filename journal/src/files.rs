//! File operations that are durable when they return.

use crate::error::{JournalError, on_file};
use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Creates a directory and everything above it, so that a power loss cannot take it away again.
pub(crate) fn create_dir(path: &Path) -> Result<(), JournalError> {
    create_with(path, 0o777)
}

/// The same; only its owner may look into it.
pub(crate) fn create_private_dir(path: &Path) -> Result<(), JournalError> {
    create_with(path, 0o700)
}

fn create_with(path: &Path, mode: u32) -> Result<(), JournalError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_dir(parent)?;
    match DirBuilder::new().mode(mode).create(path) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_its_owner_looks_into_a_private_folder() {
        let place = tempfile::tempdir().unwrap();
        let store = place.path().join("a/store");
        create_private_dir(&store).unwrap();
        create_private_dir(&store).unwrap();
        assert_eq!(fs::metadata(&store).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
