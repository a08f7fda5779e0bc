//! A full disk: an error that says so, nothing acknowledged lost, and everything goes on once there is room.
//!
//! Needs the right to mount a small tmpfs and is skipped, loudly, without it; `RETRIAL_NO_SKIP=1` makes that a failure.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use engine::id::Seq;
use engine::ports::journal::{Journal, JournalError, Room};
use engine::testing::history::envelopes;
use engine::testing::journal::read_all;
use retrial_journal::{OpenOptions, Store};
use std::path::Path;
use std::process::Command;

struct Mount(tempfile::TempDir);

impl Mount {
    fn tmpfs(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        let text = "SKIPPED: the full-disk test needs the right to mount a tmpfs";
        assert!(std::env::var("RETRIAL_NO_SKIP").is_err(), "{text}");
        eprintln!("{text}");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Appends until the journal refuses; gives the error and what was acknowledged.
fn append_until_full(store: &Path) -> (JournalError, u64) {
    let (mut journal, report) = Store::open(store, OpenOptions::default()).unwrap();
    assert_eq!(journal.room(), Room::Low, "a small disk is short of room from the start");
    let mut acknowledged = report.head.0;
    loop {
        let outcome = journal
            .append(envelopes(acknowledged + 1, acknowledged + 500))
            .and_then(|()| journal.wait(Seq(acknowledged + 500)));
        if let Err(error) = outcome {
            assert!(journal.append(envelopes(1, 1)).is_err(), "poisoned until it is opened again");
            assert!(journal.durable().is_err());
            return (error, acknowledged);
        }
        acknowledged += 500;
    }
}

#[test]
fn a_full_disk_loses_nothing_and_goes_on_when_there_is_room() {
    let Some(mount) = Mount::tmpfs(48) else { return };
    let store = mount.0.path().join("store");
    for ballast_mb in [0, 9, 17] {
        let _ = std::fs::remove_dir_all(&store);
        let ballast = mount.0.path().join("ballast");
        std::fs::write(&ballast, vec![1; (ballast_mb + 12) << 20]).unwrap();
        let (error, acknowledged) = append_until_full(&store);
        assert!(matches!(error, JournalError::Full { .. }), "{error}");
        assert!(acknowledged > 0);
        match Store::open(&store, OpenOptions::default()) {
            Ok(_) | Err(JournalError::Full { .. }) => {}
            Err(other) => panic!("opening on the full disk: {other}"),
        }
        std::fs::remove_file(&ballast).unwrap();
        let (mut journal, report) = Store::open(&store, OpenOptions::default()).unwrap();
        let head = report.head.0;
        assert!(head >= acknowledged, "{head} of {acknowledged}: {:?}", report.repairs);
        assert_eq!(read_all(&journal, Seq(1)), envelopes(1, head));
        journal.append(envelopes(head + 1, head + 10)).unwrap();
        journal.wait(Seq(head + 10)).unwrap();
        assert!(journal.verify(&mut |_| Ok(())).unwrap().ok());
    }
}
