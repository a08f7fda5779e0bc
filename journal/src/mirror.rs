//! The mirror: the same records as in sled, in plain segment files. Read [`Mirror`] for writing, [`segments`] for
//! reading. Never deletes a record.

use crate::bounds::{RESERVE_BYTES, SEGMENT_BYTES};
use crate::error::{JournalError, on_file};
use crate::files;
use crate::record::Hash;
use crate::segment;
use engine::id::Seq;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A segment file by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentFile {
    /// The seq of its first record.
    pub(crate) first: Seq,
    /// Where it is.
    pub(crate) path: PathBuf,
}

impl SegmentFile {
    /// All its bytes; empty if it is gone.
    pub(crate) fn read(&self) -> Result<Vec<u8>, JournalError> {
        files::read(&self.path).map(Option::unwrap_or_default)
    }
}

/// The segments of a mirror, in order. A missing directory is an empty mirror.
pub(crate) fn segments(dir: &Path) -> Result<Vec<SegmentFile>, JournalError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(on_file(dir, "list", &e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| on_file(dir, "list", &e))?;
        if let Some(first) = entry.file_name().to_str().and_then(segment::first_of_name) {
            found.push(SegmentFile { first, path: entry.path() });
        }
    }
    found.sort_by_key(|s| s.first);
    Ok(found)
}

/// Index of the segment that holds `seq`, if any begins at or before it.
pub(crate) fn index_of(segments: &[SegmentFile], seq: Seq) -> usize {
    segments.partition_point(|s| s.first <= seq).saturating_sub(1)
}

/// The end of the mirror, for appending.
pub(crate) struct Mirror {
    dir: PathBuf,
    durable: bool,
    active: Option<Active>,
}

struct Active {
    path: PathBuf,
    file: File,
    /// Bytes up to the last record's end.
    used: u64,
    /// Bytes up to which the file is zeros behind the records.
    reserved: u64,
}

impl Mirror {
    /// Continues the segment `last`, whose records end at the offset `used`; whatever lies behind is cut off.
    pub(crate) fn open(
        dir: &Path,
        durable: bool,
        last: Option<(SegmentFile, u64)>,
    ) -> Result<Self, JournalError> {
        let active = match last {
            None => None,
            Some((SegmentFile { path, .. }, used)) => {
                let open = || {
                    let file = OpenOptions::new().read(true).write(true).open(&path)?;
                    file.set_len(used)?;
                    if durable {
                        file.sync_all()?;
                    }
                    Ok(file)
                };
                let file = open().map_err(|e| on_file(&path, "open", &e))?;
                Some(Active { path, file, used, reserved: used })
            }
        };
        Ok(Self { dir: dir.to_owned(), durable, active })
    }

    /// Appends a framed commit that begins with the record `first`, and makes it durable.
    pub(crate) fn append(&mut self, first: Seq, previous: &Hash, framed: &[u8]) -> Result<(), JournalError> {
        let more = framed.len() as u64;
        let full = self.active.as_ref().is_none_or(|a| a.used + more > SEGMENT_BYTES);
        if full {
            self.seal()?;
            self.active = Some(self.begin(first, previous)?);
        }
        let Some(active) = self.active.as_mut() else { return Ok(()) };
        let durable = self.durable;
        active.write(framed, durable).map_err(|e| on_file(&active.path, "append to", &e))
    }

    /// Cuts the zeros off the active segment and makes it durable.
    pub(crate) fn seal(&mut self) -> Result<(), JournalError> {
        let Some(active) = self.active.take() else { return Ok(()) };
        let seal = || {
            if active.reserved > active.used {
                active.file.set_len(active.used)?;
            }
            active.file.sync_all()
        };
        seal().map_err(|e| on_file(&active.path, "seal", &e))
    }

    fn begin(&self, first: Seq, previous: &Hash) -> Result<Active, JournalError> {
        let path = self.dir.join(segment::file_name(first));
        let header = segment::header(first, previous);
        let create = || {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
            file.write_all_at(&header, 0)?;
            file.sync_all()?;
            Ok(file)
        };
        let file = create().map_err(|e| on_file(&path, "create", &e))?;
        files::sync_dir(&self.dir)?;
        let used = header.len() as u64;
        Ok(Active { path, file, used, reserved: used })
    }
}

impl Active {
    fn write(&mut self, framed: &[u8], durable: bool) -> std::io::Result<()> {
        self.file.write_all_at(framed, self.used)?;
        self.used += framed.len() as u64;
        if durable {
            if self.used > self.reserved {
                let target = (self.used + RESERVE_BYTES).min(SEGMENT_BYTES).max(self.used);
                let zeros = vec![0; usize::try_from(target - self.used).unwrap_or(0)];
                self.file.write_all_at(&zeros, self.used)?;
                self.reserved = target;
            }
            self.file.sync_data()?;
        }
        Ok(())
    }
}

/// Writes a segment anew, in one step.
pub(crate) fn rewrite(dir: &Path, first: Seq, previous: &Hash, framed: &[u8]) -> Result<(), JournalError> {
    files::replace(&dir.join(segment::file_name(first)), &[&segment::header(first, previous), framed])
}
