//! Files on the disks of this machine: what `file://` means.

use super::codes;
use super::error::FileError;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How the names of files begin that are being written; lists leave them out.
const UNFINISHED: &str = ".retrial-unfinished-";
/// How deep directories are looked into; links to directories are not followed.
const DEPTH: usize = 64;

/// Bytes from a position, at most so many; none behind the end.
pub(super) fn read(path: &Path, from: u64, limit: usize) -> Result<Vec<u8>, FileError> {
    let read = || {
        let mut file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        file.take(limit as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error| failed(&error))
}

/// The paths of the files below a directory, at most one more than `bound`; none if there is no directory.
pub(super) fn list(dir: &Path, bound: usize) -> Result<Vec<PathBuf>, FileError> {
    let mut found = Vec::new();
    let mut dirs = vec![(dir.to_owned(), DEPTH)];
    while let Some((dir, depth)) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            // Removed between the look at its parent and now, or never there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(&error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| failed(&error))?;
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if depth > 0 {
                    dirs.push((path, depth - 1));
                }
            } else if path.is_file() && !entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                found.push(path);
                if found.len() > bound {
                    return Ok(found);
                }
            }
        }
    }
    Ok(found)
}

/// Replaces a file at once; `new` names it until it is whole. Directories above it are made.
pub(super) fn write(path: &Path, bytes: &[u8], new: &str) -> Result<(), FileError> {
    let dir = path.parent().unwrap_or(path);
    let unfinished = dir.join(format!("{UNFINISHED}{new}"));
    let write = || {
        fs::create_dir_all(dir)?;
        let mut file = File::create_new(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|error| {
        // What is left of it is of no use, and may never have been there.
        let _ = fs::remove_file(&unfinished);
        failed(&error)
    })
}

fn failed(error: &io::Error) -> FileError {
    let words = error.to_string();
    match error.kind() {
        io::ErrorKind::NotFound => FileError::new(codes::ABSENT, "there is no such file", "check the path"),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            let cure = "change the rights of the file, or of the directories above it";
            FileError::new(codes::NO_PERMISSION, words, cure)
        }
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            FileError::new(codes::REFUSED, words, "name a file whose parents are directories")
        }
        _ => FileError::new(codes::REFUSED, words, "check the disk, and whether there is room on it"),
    }
}
