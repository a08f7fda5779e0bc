//! Reading a store that another process is writing. Read [`MirrorReader`] first. Takes no lock and changes nothing.

use crate::anchor::Anchor;
use crate::error::{JournalError, on_file};
use crate::format;
use crate::mirror::{self, SegmentFile};
use crate::record::Record;
use crate::recovery::Layout;
use crate::segment::{HEADER_BYTES, Item, Scan};
use crate::snapshot::Snapshots;
use crate::store::is_store;
use crate::tail;
use engine::envelope::Envelope;
use engine::id::Seq;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// Follows the mirror of a store, whoever writes it.
///
/// It may show the last records a moment before they are durable; a power loss in that moment can take them back. Only
/// the process that holds the store knows better. Reading on from where the last reading ended costs no more than the
/// new records. It stays with the history that it began with: when another one has taken its place, reading fails and
/// [`Self::is_overtaken`] tells why.
#[derive(Debug, Clone)]
pub struct MirrorReader {
    layout: Layout,
    /// The mirror's folder when the reader began; none while there was none. While it is open no other folder can be
    /// taken for it.
    folder: Option<Arc<File>>,
    /// Where the record `next` will stand: the segment's first record and the offset in it.
    place: Option<(Seq, u64)>,
    next: Seq,
}

enum Stop {
    /// The visitor broke.
    Broke,
    /// Nothing more is there yet.
    End,
    /// Bytes that are no record, with a record behind them.
    Gap,
}

impl MirrorReader {
    /// A reader of the store in the directory `store`.
    pub fn open(store: &Path) -> Result<Self, JournalError> {
        if !is_store(store) {
            let action = format!("open {}", store.display());
            return Err(JournalError::Io { action, reason: "there is no store".to_owned() });
        }
        format::check_layout(store)?;
        let layout = Layout::of(store);
        let folder = open_folder(&layout.mirror);
        Ok(Self { layout, folder, place: None, next: Seq(1) })
    }

    /// Whether another history has taken the place of the one that is read, as
    /// [`replace_by_another`](crate::SledJournal::replace_by_another) has it done.
    pub fn is_overtaken(&self) -> bool {
        let (Some(folder), Ok(now)) = (&self.folder, self.layout.mirror.metadata()) else { return false };
        folder.metadata().is_ok_and(|then| (then.dev(), then.ino()) != (now.dev(), now.ino()))
    }

    /// The newest state of this layout that was kept of this history, and the record that it follows.
    pub fn snapshot(&self, schema: u32) -> Option<(Seq, Vec<u8>)> {
        let hash_of = |seq| {
            let mut hash = None;
            let mut see = |record: &Record<'_>| {
                hash = Some(record.hash());
                ControlFlow::Break(())
            };
            self.clone().read_records(seq, &mut see).ok()?;
            hash
        };
        Snapshots::new(self.layout.snapshots.clone(), schema).load(hash_of)
    }

    /// Visits the records from `from` on until there are no more, or the visitor breaks; gives the seq from which to
    /// read on. A mirror that ends before what the anchor or the tail promises is damaged.
    pub fn read(
        &mut self,
        from: Seq,
        visit: &mut dyn FnMut(Envelope) -> ControlFlow<()>,
    ) -> Result<Seq, JournalError> {
        let mut wrong = None;
        let next = self.read_records(from, &mut |record| match record.envelope() {
            Ok(envelope) => visit(envelope),
            Err(unreadable) => {
                wrong = Some(unreadable.at(record.seq()));
                ControlFlow::Break(())
            }
        })?;
        wrong.map_or(Ok(next), Err)
    }

    /// As [`Self::read`], without decoding.
    pub fn read_records(
        &mut self,
        from: Seq,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<Seq, JournalError> {
        if self.folder.is_none() {
            self.folder = open_folder(&self.layout.mirror);
        }
        self.not_overtaken()?;
        // Whatever is found wrong after the exchange is not wrong with either history.
        self.read_on(from, visit).or_else(|error| self.not_overtaken().and(Err(error)))
    }

    fn not_overtaken(&self) -> Result<(), JournalError> {
        if !self.is_overtaken() {
            return Ok(());
        }
        let action = format!("read on in {}", self.layout.store.display());
        let reason = "the store has another history now (`retrial audit archive` ran)".to_owned();
        Err(JournalError::Io { action, reason })
    }

    fn read_on(
        &mut self,
        from: Seq,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<Seq, JournalError> {
        let from = from.max(Seq(1));
        if from != self.next {
            self.place = None;
        }
        let promised = self.promised()?;
        let whole = |next: Seq| if next > promised { Ok(next) } else { Err(cut_off(next, promised)) };
        // The second look is for what was written while the first was taken.
        let mut looks_left = 2;
        loop {
            let segments = mirror::segments(&self.layout.mirror)?;
            let Some(file) = self.locate(&segments, from) else { return whole(from) };
            let before = self.next;
            match self.read_segment(&file, from, visit)? {
                Stop::Broke => return Ok(self.next),
                stop => {
                    if self.next > before {
                        looks_left = 2;
                    }
                    let later = segments.iter().find(|s| s.first > file.first);
                    if later.is_some_and(|l| l.first == self.next) && matches!(stop, Stop::End) {
                        self.place = Some((self.next, HEADER_BYTES as u64));
                        looks_left = 2;
                        continue;
                    }
                    if later.is_none() && matches!(stop, Stop::End) {
                        return whole(self.next);
                    }
                    looks_left -= 1;
                    if looks_left == 0 {
                        let reason = "the mirror is damaged here; opening the store repairs it".to_owned();
                        return Err(JournalError::Corrupt { seq: self.next, reason });
                    }
                }
            }
        }
    }

    /// The last record that must be in the mirror. Asked before the mirror is read, which is written before the anchor
    /// and the tail are. Only the first reading looks at the tail.
    fn promised(&self) -> Result<Seq, JournalError> {
        let mut promised = Anchor::load(&self.layout.store)?.map_or(Seq(0), |anchor| anchor.seq);
        if self.place.is_none() {
            tail::read(&self.layout.tail, &mut |_, record| {
                promised = promised.max(record.seq());
                Ok(())
            })?;
        }
        Ok(promised)
    }

    /// The segment to read, with the place set to where to begin in it.
    fn locate(&mut self, segments: &[SegmentFile], from: Seq) -> Option<SegmentFile> {
        if let Some((first, _)) = self.place
            && let Some(file) = segments.iter().find(|s| s.first == first)
        {
            return Some(file.clone());
        }
        let file = segments.get(mirror::index_of(segments, from))?;
        self.place = Some((file.first, HEADER_BYTES as u64));
        self.next = file.first;
        Some(file.clone())
    }

    fn read_segment(
        &mut self,
        file: &SegmentFile,
        from: Seq,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<Stop, JournalError> {
        let Some((_, offset)) = self.place else { return Ok(Stop::End) };
        let bytes = read_behind(&file.path, offset).map_err(|e| on_file(&file.path, "read", &e))?;
        // While its folder is in its place, the file that was read was in it.
        self.not_overtaken()?;
        let mut scan = Scan::resumed(&bytes, 0, self.next);
        let mut stop = Stop::End;
        while let Some(item) = scan.next() {
            match item {
                Item::Record { record, .. } if record.seq() == self.next => {
                    self.place = Some((file.first, offset + scan.offset() as u64));
                    self.next = record.seq().next();
                    if record.seq() >= from && visit(&record).is_break() {
                        return Ok(Stop::Broke);
                    }
                }
                Item::Record { .. } | Item::Gap => {
                    stop = Stop::Gap;
                    break;
                }
                Item::End { .. } => break,
            }
        }
        Ok(stop)
    }
}

fn cut_off(next: Seq, promised: Seq) -> JournalError {
    let reason = format!(
        "the mirror ends here, and there were {promised} records; opening the store completes it from the other copy"
    );
    JournalError::Corrupt { seq: next, reason }
}

fn open_folder(path: &Path) -> Option<Arc<File>> {
    File::open(path).ok().map(Arc::new)
}

fn read_behind(path: &Path, offset: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Durability, OpenOptions, Store};
    use engine::ports::journal::Journal;
    use engine::testing::history::envelopes;

    fn all(reader: &mut MirrorReader, from: u64) -> Vec<Envelope> {
        let mut seen = Vec::new();
        reader
            .read(Seq(from), &mut |e| {
                seen.push(e);
                ControlFlow::Continue(())
            })
            .unwrap();
        seen
    }

    #[test]
    fn a_reader_follows_a_store_that_is_being_written() {
        let dir = tempfile::tempdir().unwrap();
        assert!(MirrorReader::open(dir.path()).is_err());
        for durability in [Durability::Disk, Durability::Process] {
            let path = dir.path().join(durability.to_string());
            let options = OpenOptions { durability, ..OpenOptions::default() };
            let (mut journal, _) = Store::open(&path, options).unwrap();
            let mut reader = MirrorReader::open(&path).unwrap();
            assert_eq!(all(&mut reader, 1), []);
            for round in 0..20 {
                let (first, last) = (round * 7 + 1, round * 7 + 7);
                journal.append(envelopes(first, last)).unwrap();
                journal.wait(Seq(last)).unwrap();
                assert_eq!(all(&mut reader, first), envelopes(first, last));
            }
            assert_eq!(all(&mut reader, 50), envelopes(50, 140));
            assert_eq!(all(&mut MirrorReader::open(&path).unwrap(), 1), envelopes(1, 140));
        }
    }

    #[test]
    fn a_reader_is_given_the_states_that_were_kept_of_this_history() {
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions { snapshot_schema: 3, ..OpenOptions::default() };
        let (mut journal, _) = Store::open(dir.path(), options).unwrap();
        journal.append(envelopes(1, 40)).unwrap();
        journal.wait(Seq(40)).unwrap();
        let reader = MirrorReader::open(dir.path()).unwrap();
        assert_eq!(reader.snapshot(3), None);
        for seq in [10, 30] {
            journal.save_snapshot(Seq(seq), &[seq as u8]).unwrap();
        }
        assert_eq!(reader.snapshot(3), Some((Seq(30), vec![30])));
        assert_eq!(reader.snapshot(4), None, "another layout");
        let snapshots = dir.path().join("snapshots");
        let other = tempfile::tempdir().unwrap();
        let (mut journal, _) = Store::open(other.path(), OpenOptions::default()).unwrap();
        journal.append(envelopes(1, 20)).unwrap();
        drop(journal);
        std::fs::rename(snapshots, other.path().join("snapshots")).unwrap();
        // The newer one is of records that this history does not have.
        assert_eq!(MirrorReader::open(other.path()).unwrap().snapshot(3), Some((Seq(10), vec![10])));
    }

    #[test]
    fn a_reader_notices_a_mirror_that_has_lost_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Store::open(dir.path(), OpenOptions::default()).unwrap();
        journal.append(envelopes(1, 30)).unwrap();
        drop(journal);
        let mut reader = MirrorReader::open(dir.path()).unwrap();
        assert_eq!(all(&mut reader, 1), envelopes(1, 30));
        let segment = mirror::segments(&dir.path().join("mirror")).unwrap().pop().unwrap().path;
        let whole = std::fs::read(&segment).unwrap();
        for keep in [0, HEADER_BYTES, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&segment, &whole[..keep]).unwrap();
            let mut seen = 0;
            let mut reader = MirrorReader::open(dir.path()).unwrap();
            let error = reader.read(Seq(1), &mut |_| {
                seen += 1;
                ControlFlow::Continue(())
            });
            let Err(JournalError::Corrupt { seq, .. }) = error else { panic!("{keep} bytes: {error:?}") };
            assert_eq!(seq, Seq(seen + 1));
        }
        std::fs::remove_dir_all(dir.path().join("mirror")).unwrap();
        let error = reader.read(Seq(31), &mut |_| ControlFlow::Continue(()));
        assert_eq!(error, Ok(Seq(31)), "nothing is missing of what comes next");
        let mut anew = MirrorReader::open(dir.path()).unwrap();
        assert!(anew.read(Seq(1), &mut |_| ControlFlow::Continue(())).is_err());
    }

    #[test]
    fn a_reader_does_not_take_another_history_for_its_own() {
        let options = || OpenOptions { durability: Durability::Process, ..OpenOptions::default() };
        let see = &mut |_: &Record<'_>| ControlFlow::Continue(());
        // Shorter than what was read, as long, and longer: none is damage, and none is read on.
        for records in [10, 40, 90] {
            let dir = tempfile::tempdir().unwrap();
            let (mut journal, _) = Store::open(dir.path(), options()).unwrap();
            let beginning = MirrorReader::open(dir.path()).unwrap();
            journal.append(envelopes(1, 40)).unwrap();
            journal.wait(Seq(40)).unwrap();
            let mut reader = MirrorReader::open(dir.path()).unwrap();
            for last in [40, records, records] {
                assert_eq!(reader.read_records(Seq(1), see), Ok(Seq(last + 1)));
                let (mut other, _) = Store::open(&journal.place_for_another().unwrap(), options()).unwrap();
                other.append(envelopes(1, records)).unwrap();
                drop(other);
                assert_eq!(reader.read_records(Seq(last + 1), see), Ok(Seq(last + 1)), "not yet");
                journal.replace_by_another().unwrap();
                for (mut reader, from) in
                    [(reader.clone(), last + 1), (reader.clone(), 1), (beginning.clone(), 1)]
                {
                    assert!(reader.is_overtaken());
                    let error = reader.read_records(Seq(from), see).unwrap_err().to_string();
                    assert!(error.contains("another history"), "{error}");
                }
                // Folders that have gone leave their numbers to those that come.
                journal = Store::open(dir.path(), options()).unwrap().0;
                reader = MirrorReader::open(dir.path()).unwrap();
            }
        }
    }

    #[test]
    fn a_reader_goes_on_into_new_segments() {
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions { durability: Durability::Process, ..OpenOptions::default() };
        let (mut journal, _) = Store::open(dir.path(), options).unwrap();
        let mut reader = MirrorReader::open(dir.path()).unwrap();
        let mut next = Seq(1);
        for round in 0..25 {
            let (first, last) = (round * 10_000 + 1, round * 10_000 + 10_000);
            journal.append(envelopes(first, last)).unwrap();
            journal.wait(Seq(last)).unwrap();
            next = reader.read_records(next, &mut |_| ControlFlow::Continue(())).unwrap();
            assert_eq!(next, Seq(last + 1));
        }
        assert!(mirror::segments(&dir.path().join("mirror")).unwrap().len() > 1);
    }
}
