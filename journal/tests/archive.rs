//! Verification, export and import of whole stores.
#![expect(clippy::unwrap_used, reason = "tests")]

use engine::id::Seq;
use engine::ports::journal::{Journal, JournalError};
use engine::testing::history::envelopes;
use engine::testing::journal::read_all;
use retrial_journal::{Durability, OpenOptions, SledJournal, Store, export, import, read_archive, verify};
use std::path::Path;

fn open(path: &Path) -> SledJournal {
    let options = OpenOptions { durability: Durability::Process, ..OpenOptions::default() };
    Store::open(path, options).unwrap().0
}

fn filled(path: &Path, records: u64) -> SledJournal {
    let mut journal = open(path);
    journal.append(envelopes(1, records)).unwrap();
    journal.wait(Seq(records)).unwrap();
    journal
}

#[test]
fn a_sound_store_verifies_open_and_at_rest() {
    let dir = tempfile::tempdir().unwrap();
    let journal = filled(dir.path(), 300);
    let mut replayed = 0;
    let live = journal
        .verify(&mut |_| {
            replayed += 1;
            Ok(())
        })
        .unwrap();
    assert!(live.ok(), "{live:?}");
    assert_eq!((live.records, live.head, replayed), (300, Seq(300), 300));
    assert_eq!(live.head_hash, journal.head_hash());
    drop(journal);
    let at_rest = verify(dir.path(), &mut |_| Ok(())).unwrap();
    assert_eq!(at_rest, live);
    assert!(!dir.path().join("inspection").exists());
}

#[test]
fn a_replay_that_disagrees_is_a_problem_at_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let journal = filled(dir.path(), 30);
    let disagree = &mut |e: &engine::envelope::Envelope| {
        if e.seq == Seq(17) { Err("another digest".to_owned()) } else { Ok(()) }
    };
    let report = journal.verify(disagree).unwrap();
    assert_eq!(report.first_bad().unwrap().to_string(), "record 17 (both copies): another digest");
}

#[test]
fn an_archive_makes_an_equal_store() {
    let dir = tempfile::tempdir().unwrap();
    let (from, file, to) = (dir.path().join("a"), dir.path().join("a.archive"), dir.path().join("b"));
    let journal = filled(&from, 5_000);
    let live = journal.export(&mut std::fs::File::create(&file).unwrap(), None).unwrap();
    drop(journal);
    let mut bytes = Vec::new();
    assert_eq!(export(&from, &mut bytes, None).unwrap(), live);
    assert_eq!(bytes, std::fs::read(&file).unwrap());
    assert_eq!(import(&file, &to).unwrap(), live);
    assert!(import(&file, &to).is_err(), "never over another store");
    let report = verify(&to, &mut |_| Ok(())).unwrap();
    assert!(report.ok() && report.notes.is_empty(), "{report:?}");
    assert_eq!(report.head_hash, live.head_hash);
    let mut journal = open(&to);
    assert_eq!(read_all(&journal, Seq(1)), envelopes(1, 5_000));
    journal.append(envelopes(5_001, 5_002)).unwrap();
    journal.wait(Seq(5_002)).unwrap();
}

#[test]
fn an_export_can_end_early_and_be_made_while_the_store_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let journal = filled(dir.path(), 50);
    let mut bytes = Vec::new();
    assert_eq!(export(dir.path(), &mut bytes, Some(Seq(20))).unwrap().records, 20);
    let mut seen = 0;
    let report = read_archive(&mut bytes.as_slice(), &mut |_| {
        seen += 1;
        Ok(())
    });
    assert_eq!((report.unwrap().records, seen), (20, 20));
    assert!(matches!(export(dir.path(), &mut Vec::new(), Some(Seq(51))), Err(JournalError::Refused { .. })));
    drop(journal);
}

#[test]
fn no_damaged_archive_is_imported() {
    let dir = tempfile::tempdir().unwrap();
    let journal = filled(&dir.path().join("a"), 12);
    let mut bytes = Vec::new();
    journal.export(&mut bytes, None).unwrap();
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        assert!(read_archive(&mut bad.as_slice(), &mut |_| Ok(())).is_err(), "flip at {at}");
        assert!(read_archive(&mut &bytes[..at], &mut |_| Ok(())).is_err(), "cut at {at}");
    }
    let (file, to) = (dir.path().join("bad"), dir.path().join("b"));
    std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    assert!(import(&file, &to).is_err());
    assert!(!to.exists() && !dir.path().join("b.importing").exists());
}
