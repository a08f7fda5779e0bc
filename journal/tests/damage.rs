//! Damage of one copy is repaired and reported; damage of both is refused with the first bad record; nothing panics, and
//! nothing acknowledged is lost in silence.
#![expect(clippy::unwrap_used, reason = "tests")]

use engine::id::Seq;
use engine::ports::journal::{Journal, JournalError};
use engine::testing::history::{envelope, envelopes};
use engine::testing::journal::read_all;
use retrial_journal::record::{self, GENESIS};
use retrial_journal::{Durability, OpenOptions, OpenReport, SledJournal, Store, verify};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const RECORDS: u64 = 200;

fn options() -> OpenOptions {
    OpenOptions { durability: Durability::Process, ..OpenOptions::default() }
}

fn open(store: &Path) -> Result<(SledJournal, OpenReport), JournalError> {
    Store::open(store, options())
}

/// A store of some commits of different sizes, closed in order.
fn sample() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), RECORDS));
    dir
}

/// The same store as a kill leaves it: half of the records are in sled, the others still in the tail.
fn killed() -> TempDir {
    let running = tempfile::tempdir().unwrap();
    drop(filled(running.path(), 100));
    let journal = filled(running.path(), RECORDS);
    let dir = copied(running.path());
    drop(journal);
    assert!(!files_of(&dir.path().join("tail")).is_empty());
    dir
}

/// Appends commits of different sizes up to the record `last`, all durable.
fn filled(store: &Path, last: u64) -> SledJournal {
    let (mut journal, _) = open(store).unwrap();
    let mut first = journal.head().0 + 1;
    for size in [1, 1, 2, 30, 1, 60, 5, 90, 9].into_iter().cycle() {
        let end = (first + size - 1).min(last);
        journal.append(envelopes(first, end)).unwrap();
        journal.wait(Seq(end)).unwrap();
        first = end + 1;
        if end == last {
            break;
        }
    }
    journal.save_snapshot(Seq(100), b"a state").unwrap();
    journal
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn files_of(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_of(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Opens a damaged store that must be whole afterwards, and again, when nothing may be left to repair.
fn assert_whole(store: &Path, what: &str) -> OpenReport {
    assert_whole_after(store, what, false)
}

/// sled may notice damage of its file only at the second opening after it, so `late` allows for a repair then.
fn assert_whole_after(store: &Path, what: &str, late: bool) -> OpenReport {
    let (mut journal, report) = open(store).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(read_all(&journal, Seq(1)), envelopes(1, RECORDS), "{what}");
    journal.append(envelopes(RECORDS + 1, RECORDS + 3)).unwrap();
    journal.wait(Seq(RECORDS + 3)).unwrap();
    drop(journal);
    let mut places = Vec::new();
    for opening in 0..=u32::from(late) {
        let mut opened = open(places.last().map_or(store, TempDir::path));
        if matches!(opened, Err(JournalError::Busy { .. })) {
            // A sled that panicked never lets go of its file in this process.
            places.push(copied(places.last().map_or(store, TempDir::path)));
            opened = open(places.last().unwrap().path());
        }
        let (journal, next) = opened.unwrap();
        assert_eq!(read_all(&journal, Seq(1)), envelopes(1, RECORDS + 3), "{what}");
        assert!(opening < u32::from(late) || next.repairs.is_empty(), "{what}: {:?}", next.repairs);
    }
    report
}

fn copied(store: &Path) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(store, dir.path());
    dir
}

fn with_damage(sample: &Path, file: &Path, damage: impl FnOnce(&mut Vec<u8>)) -> TempDir {
    let dir = copied(sample);
    let target = dir.path().join(file.strip_prefix(sample).unwrap());
    let mut bytes = fs::read(&target).unwrap();
    damage(&mut bytes);
    fs::write(&target, bytes).unwrap();
    dir
}

/// Places worth damaging: the whole beginning, then evenly spread, and the end; zeros that were kept ahead are not.
fn places(file: &Path, count: usize) -> Vec<usize> {
    let bytes = fs::read(file).unwrap();
    let used = bytes.rchunks(512).position(|c| c != [0; 512]).map_or(0, |blocks| bytes.len() - 512 * blocks);
    let length = if used == 0 { bytes.len() } else { used };
    let mut places: Vec<usize> =
        (0..length.min(count)).chain((0..count).map(|n| n * length / count)).collect();
    places.extend(length.checked_sub(1));
    places.sort_unstable();
    places.dedup();
    places
}

#[test]
fn any_damage_of_one_file_is_repaired() {
    damage_each_file(&sample(), 20, false);
}

#[test]
fn any_damage_of_one_file_after_a_kill_is_repaired() {
    damage_each_file(&killed(), 6, true);
}

fn damage_each_file(sample: &TempDir, count: usize, late: bool) {
    for file in files_of(sample.path()) {
        let name = file.strip_prefix(sample.path()).unwrap().display().to_string();
        let length = fs::metadata(&file).unwrap().len() as usize;
        for at in places(&file, count) {
            let store = with_damage(sample.path(), &file, |bytes| bytes[at] ^= 0x41);
            let report = assert_whole_after(store.path(), &format!("{name}: flip at {at} of {length}"), late);
            let reported = !report.repairs.is_empty();
            let must = name.starts_with("mirror") || name == "FORMAT" || name == "anchor";
            assert!(reported || !must, "{name}: the flip at {at} of {length} was not reported");
            let store = with_damage(sample.path(), &file, |bytes| bytes.truncate(at));
            let report = assert_whole_after(store.path(), &format!("{name}: cut at {at} of {length}"), late);
            assert!(!report.repairs.is_empty() || !must, "{name}: the cut at {at} was not reported");
            let store = with_damage(sample.path(), &file, |bytes| {
                let end = (at + 600).min(length);
                bytes[at..end].fill(0xEE);
            });
            assert_whole_after(store.path(), &format!("{name}: smear at {at} of {length}"), late);
        }
    }
}

#[test]
fn any_missing_file_or_folder_is_rebuilt() {
    remove_each(&sample());
}

#[test]
fn any_missing_file_or_folder_after_a_kill_is_rebuilt() {
    remove_each(&killed());
}

fn remove_each(sample: &TempDir) {
    let mut victims = files_of(sample.path());
    victims.extend(["db", "mirror", "snapshots", "tail"].map(|name| sample.path().join(name)));
    for victim in victims {
        let dir = copied(sample.path());
        let target = dir.path().join(victim.strip_prefix(sample.path()).unwrap());
        if target.is_dir() {
            fs::remove_dir_all(&target).unwrap();
        } else {
            fs::remove_file(&target).unwrap();
        }
        assert_whole(dir.path(), &format!("without {}", victim.display()));
    }
}

/// The bytes of one record as the mirror and the tail hold them.
fn record_bytes(seq: u64) -> Vec<u8> {
    let mut previous = GENESIS;
    let mut bytes = Vec::new();
    for n in 1..=seq {
        (bytes, previous) = record::encode(&envelope(Seq(n)), &previous).unwrap();
    }
    bytes
}

/// Flips a byte at each of the places that `find` gives, in the files below `dir`; gives their number.
fn flip(dir: &Path, find: impl Fn(&[u8]) -> Vec<usize>) -> usize {
    let mut hits = 0;
    for file in files_of(dir) {
        let mut bytes = fs::read(&file).unwrap();
        let places = find(&bytes);
        for at in &places {
            bytes[*at] ^= 1;
        }
        hits += places.len();
        fs::write(&file, bytes).unwrap();
    }
    hits
}

/// Damages every occurrence of a record in plain files.
fn damage_plain(dir: &Path, record: &[u8]) -> usize {
    flip(dir, |bytes| {
        let found = bytes.windows(record.len()).enumerate().filter(|(_, w)| *w == record);
        found.map(|(at, _)| at + record.len() / 2).collect()
    })
}

/// Damages every chunk in sled that holds the record.
fn damage_chunks(dir: &Path, seq: u64) -> usize {
    flip(dir, |bytes| {
        let holds = |at: &usize| {
            let first = u64::from_le_bytes(*bytes[at + 4..].first_chunk().unwrap());
            let count = u16::from_le_bytes(*bytes[at + 12..].first_chunk().unwrap());
            (first..first + u64::from(count)).contains(&seq)
        };
        let magics = bytes.windows(4).enumerate().filter(|(_, w)| *w == b"RTC1").map(|(at, _)| at);
        magics.filter(holds).map(|at| at + 20).collect()
    })
}

#[test]
fn the_same_record_damaged_in_both_copies_is_named_and_refused() {
    let sample = sample();
    for seq in [1, 2, 4, 20, 34, 100, 190, 195, 199, 200] {
        let dir = copied(sample.path());
        let bytes = record_bytes(seq);
        assert_eq!(damage_plain(&dir.path().join("mirror"), &bytes), 1);
        assert!(damage_chunks(&dir.path().join("db"), seq) > 0);
        let before = verify(dir.path(), &mut |_| Ok(())).unwrap();
        assert!(!before.ok(), "record {seq}");
        match open(dir.path()) {
            Err(JournalError::Corrupt { seq: named, .. }) => assert_eq!(named, Seq(seq)),
            Err(other) => panic!("record {seq}: {other}"),
            Ok((_, report)) => panic!("record {seq}: opened, {:?}", report.repairs),
        }
        let mut out = Vec::new();
        let named = retrial_journal::export(dir.path(), &mut out, None);
        assert!(matches!(named, Err(JournalError::Corrupt { seq: n, .. }) if n == Seq(seq)), "{named:?}");
        let until = retrial_journal::export(dir.path(), &mut Vec::new(), Some(Seq(seq - 1))).unwrap();
        assert_eq!(until.records, seq - 1, "what lies before it can still be exported");
    }
}

#[test]
fn a_record_damaged_in_the_mirror_and_in_the_tail_is_named_and_refused() {
    let sample = killed();
    for seq in [101, 104, 150, 190] {
        let dir = copied(sample.path());
        let bytes = record_bytes(seq);
        assert_eq!(damage_plain(dir.path(), &bytes), 2, "in the mirror and in the tail, not yet in sled");
        assert!(!verify(dir.path(), &mut |_| Ok(())).unwrap().ok());
        match open(dir.path()) {
            Err(JournalError::Corrupt { seq: named, .. }) => assert_eq!(named, Seq(seq)),
            other => panic!("record {seq}: {:?}", other.map(|(_, report)| report.repairs)),
        }
    }
}

#[test]
fn with_sled_gone_and_the_mirror_damaged_behind_it_the_tail_counts() {
    let sample = killed();
    let dir = copied(sample.path());
    assert_eq!(damage_plain(&dir.path().join("mirror"), &record_bytes(200)), 1);
    assert_eq!(files_of(&dir.path().join("mirror")).len(), 1);
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    assert_whole(dir.path(), "record 200 only in the tail");
}

#[test]
fn verification_names_the_damaged_record_and_changes_nothing() {
    let sample = sample();
    for seq in [1, 50, 200] {
        let dir = copied(sample.path());
        assert_eq!(damage_plain(&dir.path().join("mirror"), &record_bytes(seq)), 1);
        let before: Vec<_> = files_of(dir.path()).iter().map(|f| fs::read(f).unwrap()).collect();
        for _ in 0..2 {
            let report = verify(dir.path(), &mut |_| Ok(())).unwrap();
            assert_eq!(report.first_bad().unwrap().seq, Seq(seq), "{report:?}");
            assert_eq!(report.records, RECORDS, "the other copy has them all");
        }
        let skip_lock = |files: Vec<PathBuf>| files.into_iter().filter(|f| !f.ends_with("lock")).count();
        assert_eq!(skip_lock(files_of(dir.path())) + 1, before.len());
        assert_whole(dir.path(), &format!("record {seq}"));
    }
}

#[test]
fn damage_in_an_old_segment_is_read_around_and_repaired_at_the_next_opening() {
    const MANY: u64 = 190_000;
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path()).unwrap();
    journal.append(envelopes(1, MANY)).unwrap();
    journal.wait(Seq(MANY)).unwrap();
    drop(journal);
    let segments = files_of(&dir.path().join("mirror"));
    assert!(segments.len() > 1);
    let mut bytes = fs::read(&segments[0]).unwrap();
    bytes[5_000..9_000].fill(0);
    fs::write(&segments[0], bytes).unwrap();
    let (journal, report) = open(dir.path()).unwrap();
    assert_eq!(report.repairs, [], "the opening looks at the end only");
    assert_eq!(read_all(&journal, Seq(1)), envelopes(1, MANY));
    drop(journal);
    let (journal, report) = open(dir.path()).unwrap();
    assert!(report.repairs[0].to_string().starts_with("mirror: records "), "{:?}", report.repairs);
    assert_eq!(read_all(&journal, Seq(1)), envelopes(1, MANY));
    drop(journal);
    fs::remove_file(&segments[0]).unwrap();
    let (_, report) = Store::open(dir.path(), OpenOptions { compare_all: true, ..options() }).unwrap();
    assert_eq!(report.repairs.len(), 1, "{:?}", report.repairs);
    assert!(verify(dir.path(), &mut |_| Ok(())).unwrap().ok());
}

#[test]
fn a_newer_layout_or_kind_is_not_written_to() {
    let sample = sample();
    let format = sample.path().join("FORMAT");
    let rewrite = |from: &str, to: &str| {
        let text = fs::read_to_string(&format).unwrap();
        let body = text.split_once("check").unwrap().0.replace(from, to);
        let check = crc32c::crc32c(body.as_bytes());
        fs::write(&format, format!("{body}check {check:08x}\n")).unwrap();
    };
    rewrite(" 60.1", " 60.1 9999.1");
    let (mut journal, report) = open(sample.path()).unwrap();
    assert!(matches!(report.append_refused, Some(JournalError::Newer { .. })));
    assert!(matches!(journal.append(envelopes(201, 201)), Err(JournalError::Newer { .. })));
    assert_eq!(read_all(&journal, Seq(1)), envelopes(1, RECORDS));
    drop(journal);
    rewrite("retrial-store 1", "retrial-store 2");
    assert!(matches!(open(sample.path()), Err(JournalError::Newer { .. })));
}

/// A second after it was acknowledged, a record is not taken for the torn end of a commit, whatever is cut off.
#[test]
fn cutting_the_end_off_both_copies_after_a_kill_is_noticed() {
    let running = tempfile::tempdir().unwrap();
    let options = OpenOptions { durability: Durability::Disk, ..OpenOptions::default() };
    let (mut journal, _) = Store::open(running.path(), options).unwrap();
    journal.append(envelopes(1, 400)).unwrap();
    journal.wait(Seq(400)).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let anchor = |dir: &Path| {
        let bytes = fs::read(dir.join("anchor")).unwrap_or_default();
        bytes.get(8..16).map(|seq| u64::from_le_bytes(seq.try_into().unwrap()))
    };
    while anchor(running.path()) != Some(400) {
        assert!(std::time::Instant::now() < deadline, "the anchor does not follow");
        std::thread::yield_now();
    }
    let dir = copied(running.path());
    drop(journal);
    for name in ["mirror", "tail"] {
        for file in files_of(&dir.path().join(name)) {
            let bytes = fs::read(&file).unwrap();
            fs::write(&file, &bytes[..10_000]).unwrap();
        }
    }
    assert!(!verify(dir.path(), &mut |_| Ok(())).unwrap().ok());
    assert!(matches!(open(dir.path()), Err(JournalError::Corrupt { .. })));
}
