//! A history as one portable file. Read [`export`] and [`import`] first.
//!
//! An archive is: magic; records, each behind the byte 1; the byte 0; their count; the hash of the last one; BLAKE3 of
//! everything before. The records are the journal's own, so an imported store has the same hashes.

use crate::anchor::Anchor;
use crate::copies::Copies;
use crate::error::{JournalError, on_file};
use crate::files;
use crate::format::Format;
use crate::inspect::Inspection;
use crate::mirror::Mirror;
use crate::reader::MirrorReader;
use crate::record::{GENESIS, HEADER_BYTES, Hash, Record, TRAILER_BYTES};
use crate::recovery::Layout;
use crate::sled::NotOpened;
use crate::store::SledJournal;
use crate::table::Table;
use crate::writer::Ends;
use engine::id::Seq;
use engine::limits::{MAX_COMMIT_BYTES, MAX_COMMIT_RECORDS};
use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

const MAGIC: [u8; 8] = *b"RTRLARC1";
const RECORD: u8 = 1;
const END: u8 = 0;

/// What an archive holds.
#[derive(Debug, Clone, std::marker::Copy, PartialEq, Eq)]
pub struct ArchiveReport {
    /// Its records.
    pub records: u64,
    /// The last one's hash.
    pub head_hash: Hash,
}

/// Writes the history of a store as an archive, up to and including `up_to`.
///
/// A store at rest is read from both copies; one that another process has open, from its mirror. If a record is in
/// neither copy, the error names it, and everything before it can still be exported.
pub fn export(store: &Path, out: &mut dyn Write, up_to: Option<Seq>) -> Result<ArchiveReport, JournalError> {
    match Inspection::of(store) {
        Ok(inspection) => {
            let promised = Anchor::load(store)?.map_or(Seq(0), |anchor| anchor.seq);
            export_copies(&inspection.copies(false), promised, out, up_to)
        }
        Err(JournalError::Busy { .. }) => {
            let mut writer = ArchiveWriter::begin(out)?;
            let mut reader = MirrorReader::open(store)?;
            let mut wrong = None;
            let next = reader.read_records(Seq(1), &mut |record| writer.until(record, up_to, &mut wrong))?;
            wrong.map_or(Ok(()), Err)?;
            reached(next, up_to)?;
            writer.end()
        }
        Err(error) => Err(error),
    }
}

impl SledJournal {
    /// Writes the durable history as an archive, up to and including `up_to`.
    pub fn export(&self, out: &mut dyn Write, up_to: Option<Seq>) -> Result<ArchiveReport, JournalError> {
        let durable = self.watermark().get();
        let up_to = up_to.map_or(durable, |seq| seq.min(durable));
        export_copies(&self.copies(false), durable, out, Some(up_to))
    }
}

/// Exports what lies in either copy; records up to `promised` are known to have been durable.
fn export_copies(
    copies: &Copies<'_>,
    promised: Seq,
    out: &mut dyn Write,
    up_to: Option<Seq>,
) -> Result<ArchiveReport, JournalError> {
    let mut writer = ArchiveWriter::begin(out)?;
    if up_to == Some(Seq(0)) {
        return writer.end();
    }
    let mut wrong = None;
    let ending = copies.walk(Seq(1), up_to.unwrap_or(Seq(u64::MAX)), &mut |step| {
        writer.until(&step.record, up_to, &mut wrong)
    })?;
    wrong.map_or(Ok(()), Err)?;
    let wanted = up_to.is_none_or(|seq| seq >= ending.next);
    if wanted && (ending.beyond || promised >= ending.next) {
        let reason = if ending.reason.is_empty() { "neither copy has it".to_owned() } else { ending.reason };
        return Err(JournalError::Corrupt { seq: ending.next, reason });
    }
    reached(ending.next, up_to)?;
    writer.end()
}

fn reached(next: Seq, up_to: Option<Seq>) -> Result<(), JournalError> {
    match up_to {
        Some(seq) if seq >= next => Err(JournalError::Refused {
            reason: format!("record {seq} does not exist; the last is {}", next.0 - 1),
        }),
        _ => Ok(()),
    }
}

struct ArchiveWriter<'w> {
    out: &'w mut dyn Write,
    digest: blake3::Hasher,
    records: u64,
    hash: Hash,
}

impl<'w> ArchiveWriter<'w> {
    fn begin(out: &'w mut dyn Write) -> Result<Self, JournalError> {
        let mut writer = Self { out, digest: blake3::Hasher::new(), records: 0, hash: GENESIS };
        writer.put(&MAGIC)?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        self.digest.update(bytes);
        self.out.write_all(bytes).map_err(|e| on_file(Path::new("the archive"), "write", &e))
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), JournalError> {
        if record.header().previous != self.hash {
            let reason = "it does not follow the record before it".to_owned();
            return Err(JournalError::Corrupt { seq: record.seq(), reason });
        }
        self.put(&[RECORD])?;
        self.put(record.bytes())?;
        self.records += 1;
        self.hash = record.hash();
        Ok(())
    }

    fn until(
        &mut self,
        record: &Record<'_>,
        up_to: Option<Seq>,
        wrong: &mut Option<JournalError>,
    ) -> ControlFlow<()> {
        if up_to.is_some_and(|last| record.seq() > last) {
            return ControlFlow::Break(());
        }
        match self.record(record) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                *wrong = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn end(mut self) -> Result<ArchiveReport, JournalError> {
        let (records, head_hash) = (self.records, self.hash);
        self.put(&[END])?;
        self.put(&records.to_le_bytes())?;
        self.put(&head_hash)?;
        let digest = *self.digest.finalize().as_bytes();
        self.put(&digest)?;
        self.out.flush().map_err(|e| on_file(Path::new("the archive"), "write", &e))?;
        Ok(ArchiveReport { records, head_hash })
    }
}

/// Called with each record of an archive.
pub type VisitRecord<'a> = &'a mut dyn FnMut(&Record<'_>) -> Result<(), JournalError>;

/// Reads an archive: every record in order, checked one by one and, at the end, as a whole. Do not act for good on what
/// is visited before this returns.
pub fn read_archive(archive: &mut dyn Read, visit: VisitRecord<'_>) -> Result<ArchiveReport, JournalError> {
    let mut source = Source { archive, digest: blake3::Hasher::new(), next: Seq(1) };
    let mut magic = [0; 8];
    source.fill(&mut magic)?;
    if magic != MAGIC {
        return Err(source.corrupt("the file is not an archive of this format"));
    }
    let (mut hash, mut record) = (GENESIS, Vec::new());
    loop {
        let mut mark = [0];
        source.fill(&mut mark)?;
        match mark {
            [RECORD] => {}
            [END] => break,
            _ => return Err(source.corrupt("what follows is neither a record nor the end")),
        }
        record.clear();
        record.resize(HEADER_BYTES, 0);
        source.fill(&mut record)?;
        let length = record.get(4..6).and_then(|l| l.first_chunk()).map_or(0, |l| u16::from_le_bytes(*l));
        record.resize(HEADER_BYTES + usize::from(length) + TRAILER_BYTES, 0);
        source.fill(record.get_mut(HEADER_BYTES..).unwrap_or_default())?;
        let parsed = Record::exactly(&record).map_err(|damage| source.corrupt(&damage.to_string()))?;
        if parsed.seq() != source.next || parsed.header().previous != hash {
            return Err(source.corrupt("it does not follow the record before it"));
        }
        visit(&parsed)?;
        hash = parsed.hash();
        source.next = source.next.next();
    }
    let (mut count, mut head_hash, mut digest) = ([0; 8], GENESIS, GENESIS);
    source.fill(&mut count)?;
    source.fill(&mut head_hash)?;
    let expected = *source.digest.finalize().as_bytes();
    source.fill(&mut digest)?;
    let records = source.next.0 - 1;
    if u64::from_le_bytes(count) != records || head_hash != hash || digest != expected {
        return Err(source.corrupt("the archive's end does not match its records"));
    }
    Ok(ArchiveReport { records, head_hash })
}

struct Source<'r> {
    archive: &'r mut dyn Read,
    digest: blake3::Hasher,
    next: Seq,
}

impl Source<'_> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), JournalError> {
        self.archive.read_exact(bytes).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => self.corrupt("the archive is cut short"),
            _ => on_file(Path::new("the archive"), "read", &e),
        })?;
        self.digest.update(bytes);
        Ok(())
    }

    fn corrupt(&self, reason: &str) -> JournalError {
        JournalError::Corrupt { seq: self.next, reason: reason.to_owned() }
    }
}

/// Makes a new store of an archive. The store appears only when everything is checked and on the disk.
pub fn import(archive: &Path, store: &Path) -> Result<ArchiveReport, JournalError> {
    let occupied = fs::read_dir(store).is_ok_and(|mut entries| entries.next().is_some()) || store.is_file();
    if occupied {
        let action = format!("import into {}", store.display());
        return Err(JournalError::Io { action, reason: "something is there already".to_owned() });
    }
    let file = File::open(archive).map_err(|e| on_file(archive, "open", &e))?;
    let mut name = store.file_name().unwrap_or_default().to_owned();
    name.push(".importing");
    let building = store.with_file_name(name);
    if building.exists() {
        fs::remove_dir_all(&building).map_err(|e| on_file(&building, "remove", &e))?;
    }
    let built = build(&mut BufReader::with_capacity(1 << 20, file), &building);
    let report = match built {
        Ok(report) => report,
        Err(error) => {
            // A half-built store only takes room.
            let _ = fs::remove_dir_all(&building);
            return Err(error);
        }
    };
    fs::rename(&building, store).map_err(|e| on_file(store, "create", &e))?;
    let parent = store.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    files::sync_dir(parent)?;
    Ok(report)
}

fn build(archive: &mut dyn Read, store: &Path) -> Result<ArchiveReport, JournalError> {
    let layout = Layout::of(store);
    files::create_dir(&layout.mirror)?;
    let (mut format, _) = Format::open(store, true)?;
    let table = Table::open(&layout.db, &layout.tail, true).map_err(|e| match e {
        NotOpened::Error(error) => error,
        NotOpened::Damaged(reason) => {
            JournalError::Io { action: format!("create {}", layout.db.display()), reason }
        }
    })?;
    let mut ends = Ends::new(&Arc::new(table), Mirror::open(&layout.mirror, true, None)?, store)?;
    let (mut first, mut bytes) = (Seq(1), 0);
    let mut records: Vec<Vec<u8>> = Vec::new();
    let report = read_archive(archive, &mut |record| {
        let (size, header) = (record.bytes().len(), record.header());
        format.announce(header.kind, header.version)?;
        if records.len() == MAX_COMMIT_RECORDS || bytes + size > MAX_COMMIT_BYTES {
            ends.append(first, &records)?;
            records.clear();
            bytes = 0;
        }
        if records.is_empty() {
            first = record.seq();
        }
        records.push(record.bytes().to_vec());
        bytes += size;
        Ok(())
    })?;
    ends.append(first, &records)?;
    ends.finish()?;
    Anchor { seq: Seq(report.records), hash: report.head_hash }.save(store)?;
    Ok(report)
}
