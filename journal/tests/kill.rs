//! kill -9 at random moments, while opening and while appending: nothing acknowledged is lost.
//!
//! `RETRIAL_KILLS` sets how often (default 20).
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use engine::id::Seq;
use engine::ports::journal::Journal;
use engine::testing::history::envelopes;
use engine::testing::journal::read_all;
use retrial_journal::{Durability, OpenOptions, Store};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const STORE: &str = "RETRIAL_KILL_STORE";

fn options() -> OpenOptions {
    OpenOptions { durability: Durability::Process, ..OpenOptions::default() }
}

/// The process that is killed: appends for ever and prints what is acknowledged.
#[test]
fn child() {
    let Ok(store) = std::env::var(STORE) else { return };
    let (mut journal, _) = Store::open(store.as_ref(), options()).unwrap();
    let mut out = std::io::stdout();
    for size in [1, 7, 1, 40, 3, 300].into_iter().cycle() {
        let head = journal.head().0;
        journal.append(envelopes(head + 1, head + size)).unwrap();
        journal.wait(Seq(head + size)).unwrap();
        writeln!(out, "acknowledged {}", head + size).unwrap();
        out.flush().unwrap();
    }
}

/// Either copy has everything acknowledged, from the first moment after a kill.
fn each_copy_alone(store: &Path, acknowledged: u64) {
    for gone in [["mirror", "mirror"], ["db", "tail"]] {
        let dir = tempfile::tempdir().unwrap();
        let copied = Command::new("cp").arg("-r").arg(store).arg(dir.path()).status().unwrap();
        assert!(copied.success());
        let copy = dir.path().join("store");
        for name in gone {
            let _ = std::fs::remove_dir_all(copy.join(name));
        }
        let (journal, report) = Store::open(&copy, options()).unwrap();
        assert!(report.head.0 >= acknowledged, "{} of {acknowledged} without {gone:?}", report.head);
        assert_eq!(read_all(&journal, Seq(1)), envelopes(1, report.head.0));
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_nine() {
    let kills = std::env::var("RETRIAL_KILLS").map_or(20, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let mut acknowledged = 0;
    for round in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(STORE, &store)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            let number = |line: String| line.strip_prefix("acknowledged ").and_then(|n| n.parse().ok());
            lines.map_while(Result::ok).filter_map(number).last()
        });
        // Some die while they open, some after a few commits, some after many.
        std::thread::sleep(Duration::from_millis([3, 11, 25, 60, 140, 7, 18][round % 7] + round as u64 % 5));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = reader.join().unwrap().unwrap_or(acknowledged).max(acknowledged);
        if round % 5 == 0 && store.exists() {
            each_copy_alone(&store, acknowledged);
        }
        if round % 3 == 0 {
            let (journal, report) = Store::open(&store, options()).unwrap();
            let head = report.head.0;
            assert!(head >= acknowledged, "{head} of {acknowledged} after round {round}");
            assert_eq!(read_all(&journal, Seq(1)), envelopes(1, head));
            assert!(journal.verify(&mut |_| Ok(())).unwrap().ok());
        }
    }
    let (_, report) = Store::open(&store, options()).unwrap();
    println!("{kills} kills, {} records, {acknowledged} acknowledged", report.head);
    assert!(report.head.0 >= acknowledged && acknowledged > 0);
}
