//! What a task writes to its standard streams, in files of bounded size.
//!
//! A stream is kept as segments named by the absolute position of their first byte. The first segment stays (it
//! tells how a task began), and of the others the newest within the limit. Positions are absolute for ever, so a
//! reader that comes late sees that bytes are missing, and never wrong ones.

use engine::ports::backend::{Chunk, ReadError};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Segments into which the limit is divided.
const SEGMENTS: u64 = 8;
/// Bytes at the end of a stream that are remembered for the reason of a failure.
const TAIL_BYTES: usize = 4_096;

fn name(stream: &str, offset: u64) -> String {
    format!("{stream}-{offset}")
}

/// Writes one stream.
#[derive(Debug)]
pub(super) struct LogWriter {
    dir: PathBuf,
    stream: &'static str,
    segment_bytes: u64,
    /// The open segment and its length.
    current: Option<(File, u64)>,
    /// Offsets and lengths of the closed segments that are kept, oldest first.
    closed: Vec<(u64, u64)>,
    offset: u64,
    tail: Vec<u8>,
    /// Bytes for which the disk has no room now; no more than one call of [`Self::write`] brought.
    waiting: Vec<u8>,
    /// Why bytes are missing, if any are.
    lost: Option<String>,
}

impl LogWriter {
    /// A writer that keeps at most `limit` bytes. Files appear with the first byte.
    pub(super) fn new(dir: &Path, stream: &'static str, limit: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            stream,
            segment_bytes: (limit / SEGMENTS).max(1),
            current: None,
            closed: Vec::new(),
            offset: 0,
            tail: Vec::new(),
            waiting: Vec::new(),
            lost: None,
        }
    }

    /// Takes bytes. While the disk is full they wait here, see [`Self::is_blocked`]: a trial's metrics may be among them,
    /// and a result with a hole would be a wrong one. What cannot be written for any other reason is left out.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.remember(bytes);
        self.put(bytes);
    }

    /// Whether bytes wait for room on the disk. Tries once more to write them.
    pub(super) fn is_blocked(&mut self) -> bool {
        if !self.waiting.is_empty() {
            let waiting = std::mem::take(&mut self.waiting);
            self.put(&waiting);
        }
        !self.waiting.is_empty()
    }

    /// Whether bytes waited for room when it was last tried.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Why part of the stream is not kept although it is within the limit.
    pub(super) fn missing(&self) -> Option<&str> {
        let waits = (!self.waiting.is_empty()).then_some("the disk is full");
        self.lost.as_deref().or(waits)
    }

    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.current.as_ref().map_or(0, |(_, length)| self.segment_bytes - length);
            if room == 0 {
                match self.turn() {
                    Ok(()) => continue,
                    Err(error) if is_full(&error) => self.waiting.extend_from_slice(bytes),
                    Err(error) => {
                        self.lost.get_or_insert_with(|| error.to_string());
                        self.offset += bytes.len() as u64;
                    }
                }
                return;
            }
            let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            if let Some((file, length)) = &mut self.current {
                match file.write_all(now) {
                    Ok(()) => *length += now.len() as u64,
                    // How much of it arrived is not known, so none of it counts.
                    Err(error) if file.set_len(*length).is_ok() && is_full(&error) => {
                        self.waiting.extend_from_slice(bytes);
                        return;
                    }
                    Err(error) => {
                        self.lost.get_or_insert_with(|| error.to_string());
                        // What follows begins a segment at its true position.
                        let start = self.offset - *length;
                        let length = *length;
                        self.current = None;
                        self.closed.push((start, length));
                    }
                }
            }
            self.offset += now.len() as u64;
            bytes = later;
        }
    }

    /// The last bytes of the stream.
    pub(super) fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.current.as_ref().map_or(Ok(()), |(file, _)| file.sync_data())
    }

    fn remember(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes.get(bytes.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default());
        if self.tail.len() > 2 * TAIL_BYTES {
            self.tail.drain(..self.tail.len() - TAIL_BYTES);
        }
    }

    /// Closes the full segment, begins the next one, and drops what is too much.
    fn turn(&mut self) -> io::Result<()> {
        if let Some((file, length)) = self.current.take() {
            // Synced here, so that the sync at the end is that of one segment.
            let _ = file.sync_data();
            self.closed.push((self.offset - length, length));
        }
        while self.closed.len() as u64 >= SEGMENTS {
            let (start, _) = self.closed.remove(1);
            let _ = fs::remove_file(self.dir.join(name(self.stream, start)));
        }
        let path = self.dir.join(name(self.stream, self.offset));
        self.current = Some((OpenOptions::new().append(true).create(true).open(path)?, 0));
        Ok(())
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Reads a stream from an absolute position. A stream that has not begun is empty.
pub(super) fn read(dir: &Path, stream: &str, from: u64, limit: usize) -> Result<Chunk, ReadError> {
    let failed = |error: io::Error| ReadError::Failed { what: stream.to_owned(), reason: error.to_string() };
    let mut starts: Vec<u64> = fs::read_dir(dir)
        .map_err(failed)?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix(stream)?.strip_prefix('-')?.parse().ok())
        .collect();
    starts.sort_unstable();
    let mut chunk = Chunk { bytes: Vec::new(), start: from, at_end: true };
    for (at, start) in starts.iter().enumerate() {
        let last = at + 1 == starts.len();
        let path = dir.join(name(stream, *start));
        let end = match fs::metadata(&path) {
            Ok(metadata) => start + metadata.len(),
            // Dropped between the look at the directory and now: the next segment is the answer.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        let position = chunk.start + chunk.bytes.len() as u64;
        if end <= position {
            continue;
        }
        if *start > position {
            // A hole: bytes before it are given first, the rest by the next call.
            if !chunk.bytes.is_empty() {
                chunk.at_end = false;
                return Ok(chunk);
            }
            chunk.start = *start;
        }
        let position = (chunk.start + chunk.bytes.len() as u64).max(*start);
        let want = (limit - chunk.bytes.len()) as u64;
        let taken = read_part(&path, position - start, want, &mut chunk.bytes).map_err(failed)?;
        if chunk.bytes.len() >= limit {
            chunk.at_end = last && position + taken >= end;
            return Ok(chunk);
        }
    }
    Ok(chunk)
}

/// Reads a plain file from a position.
pub(super) fn read_file(path: &Path, what: &str, from: u64, limit: usize) -> Result<Chunk, ReadError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ReadError::Absent(what.to_owned()),
        _ => ReadError::Failed { what: what.to_owned(), reason: error.to_string() },
    };
    let mut bytes = Vec::new();
    read_part(path, from, limit as u64, &mut bytes).map_err(failed)?;
    let length = fs::metadata(path).map_err(failed)?.len();
    Ok(Chunk { at_end: from + bytes.len() as u64 >= length, start: from, bytes })
}

fn read_part(path: &Path, from: u64, want: u64, into: &mut Vec<u8>) -> io::Result<u64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    file.take(want).read_to_end(into).map(|taken| taken as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(dir: &Path, mut from: u64, limit: usize) -> (u64, Vec<u8>) {
        let first = read(dir, "stdout", from, limit).unwrap();
        let start = first.start;
        let mut bytes = Vec::new();
        from = start;
        loop {
            let chunk = read(dir, "stdout", from, limit).unwrap();
            assert_eq!(chunk.start, from, "a hole in the middle");
            assert!(chunk.bytes.len() <= limit);
            bytes.extend_from_slice(&chunk.bytes);
            from += chunk.bytes.len() as u64;
            if chunk.at_end {
                return (start, bytes);
            }
            assert!(!chunk.bytes.is_empty(), "neither bytes nor the end");
        }
    }

    #[test]
    fn a_stream_within_its_limit_is_read_back_whole_at_any_position_and_size() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::new(dir.path(), "stdout", 8 * 10);
        let text: Vec<u8> = (0..75_u8).collect();
        for part in text.chunks(7) {
            writer.write(part);
        }
        for limit in [1, 3, 10, 11, 100] {
            for from in 0..text.len() {
                let (start, bytes) = all(dir.path(), from as u64, limit);
                assert_eq!((start, &bytes[..]), (from as u64, &text[from..]));
            }
        }
        assert!(read(dir.path(), "stdout", 75, 10).unwrap().at_end);
    }

    #[test]
    fn beyond_the_limit_the_first_segment_and_the_newest_are_kept_at_their_positions() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::new(dir.path(), "stdout", 8 * 10);
        let text: Vec<u8> = (0..1_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        for part in text.chunks(33) {
            writer.write(part);
            let kept: u64 =
                fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
            assert!(kept <= 80);
        }
        let first = read(dir.path(), "stdout", 0, 100).unwrap();
        assert_eq!((first.start, &first.bytes[..], first.at_end), (0, &text[..10], false));
        let (start, rest) = all(dir.path(), 10, 100);
        assert_eq!(&rest[..], &text[usize::try_from(start).unwrap()..]);
        assert!(rest.len() >= 60, "{} bytes", rest.len());
        assert!(text.ends_with(writer.tail()));
    }

    #[test]
    fn a_stream_that_has_not_begun_is_empty_and_a_missing_file_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        let chunk = read(dir.path(), "stderr", 0, 10).unwrap();
        assert_eq!(chunk, Chunk { bytes: Vec::new(), start: 0, at_end: true });
        assert!(matches!(read_file(&dir.path().join("x"), "x", 0, 1), Err(ReadError::Absent(_))));
    }
}
