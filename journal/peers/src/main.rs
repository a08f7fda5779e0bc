//! Measures the journal beside its peers on the same disk in the same run.
//!
//! `retrial-journal-peers append DIR [SECONDS]`: durable appends of 300-byte events at 1, 16, 64 and 256 per commit, rounds
//! interleaved, medians of five. `retrial-journal-peers history DIR RECORDS`: writes that many events (300 bytes, then those of trials
//! with ten reports), is killed, opens the store, replays it; bytes on disk, memory.

use engine::envelope::Envelope;
use engine::event::v1;
use engine::id::{Seq, TrialId};
use engine::ports::journal::Journal;
use engine::testing::history::{RECORDS_PER_TRIAL, envelope};
use retrial_journal::{Durability, OpenOptions, SledJournal, Store};
use std::fs::{File, OpenOptions as FileOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

const EVENT_BYTES: usize = 300;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["append", dir] => append(Path::new(dir), 0.6),
        ["append", dir, seconds] => append(Path::new(dir), seconds.parse().unwrap()),
        ["history", dir, records] => history(Path::new(dir), records.parse().unwrap()),
        ["fill", dir, records, kind] => fill(Path::new(dir), records.parse().unwrap(), kind),
        ["open", dir] => open_and_replay(Path::new(dir)),
        _ => println!("retrial-journal-peers append DIR [SECONDS] | history DIR RECORDS"),
    }
}

/// An event whose record takes about 300 bytes.
fn large(seq: u64) -> Envelope {
    let reason = "x".repeat(EVENT_BYTES - 75 - 7);
    let event = v1::TrialEnded {
        trial: TrialId(1),
        status: v1::TrialEnd::Failed,
        value: None,
        metrics: Vec::new(),
        reason,
    };
    Envelope { event: event.into(), ..envelope(Seq(seq)) }
}

fn open(dir: &Path, durability: Durability) -> SledJournal {
    Store::open(dir, OpenOptions { durability, ..OpenOptions::default() }).unwrap().0
}

/// Something that makes `count` events durable in one commit.
type Commit = Box<dyn FnMut(usize)>;

fn raw(path: &Path) -> Commit {
    let mut file = File::create(path).unwrap();
    Box::new(move |count| {
        file.write_all(&vec![7; count * EVENT_BYTES]).unwrap();
        file.sync_data().unwrap();
    })
}

fn zero_filled(path: &Path) -> Commit {
    let file = FileOptions::new().create(true).truncate(true).write(true).open(path).unwrap();
    let bytes: u64 = 64 << 20;
    file.write_all_at(&vec![0; bytes as usize], 0).unwrap();
    file.sync_all().unwrap();
    let mut at = 0;
    Box::new(move |count| {
        let buffer = vec![7; count * EVENT_BYTES];
        file.write_all_at(&buffer, at).unwrap();
        file.sync_data().unwrap();
        at = (at + buffer.len() as u64) % (bytes - (1 << 20));
    })
}

fn sqlite(path: &Path) -> Commit {
    let db = rusqlite::Connection::open(path).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE e (k INTEGER PRIMARY KEY, v BLOB)",
    )
    .unwrap();
    Box::new(move |count| {
        db.execute_batch("BEGIN").unwrap();
        let mut insert = db.prepare_cached("INSERT INTO e (v) VALUES (?)").unwrap();
        for _ in 0..count {
            insert.execute([[7_u8; EVENT_BYTES].as_slice()]).unwrap();
        }
        drop(insert);
        db.execute_batch("COMMIT").unwrap();
    })
}

fn redb(path: &Path) -> Commit {
    const EVENTS: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("e");
    let db = redb::Database::create(path).unwrap();
    let mut next = 0;
    Box::new(move |count| {
        let transaction = db.begin_write().unwrap();
        {
            let mut table = transaction.open_table(EVENTS).unwrap();
            for _ in 0..count {
                table.insert(next, [7_u8; EVENT_BYTES].as_slice()).unwrap();
                next += 1;
            }
        }
        transaction.commit().unwrap();
    })
}

fn ours(dir: &Path, durability: Durability) -> Commit {
    let mut journal = open(dir, durability);
    let mut head = 0;
    Box::new(move |count| {
        let batch = (head + 1..=head + count as u64).map(large).collect();
        head += count as u64;
        journal.append(batch).unwrap();
        journal.wait(Seq(head)).unwrap();
    })
}

fn rate(commit: &mut Commit, count: usize, seconds: f64) -> f64 {
    let limit = Duration::from_secs_f64(seconds);
    let (began, mut events) = (Instant::now(), 0);
    while began.elapsed() < limit {
        commit(count);
        events += count;
    }
    events as f64 / began.elapsed().as_secs_f64()
}

fn append(dir: &Path, seconds: f64) {
    std::fs::create_dir_all(dir).unwrap();
    let mut stores: Vec<(&str, Commit)> = vec![
        ("raw file + fdatasync", raw(&dir.join("raw"))),
        ("zero-filled file + fdatasync", zero_filled(&dir.join("zero"))),
        ("SQLite WAL FULL", sqlite(&dir.join("sqlite"))),
        ("redb", redb(&dir.join("redb"))),
        ("retrial, disk", ours(&dir.join("ours"), Durability::Disk)),
        ("retrial, process", ours(&dir.join("ours-process"), Durability::Process)),
    ];
    println!("| events/s | 1 per commit | 16 | 64 | 256 |\n|---|---|---|---|---|");
    let mut rates = vec![vec![Vec::new(); 4]; stores.len()];
    for _ in 0..5 {
        for (column, count) in [1, 16, 64, 256].into_iter().enumerate() {
            for ((_, commit), rates) in stores.iter_mut().zip(&mut rates) {
                rates[column].push(rate(commit, count, seconds));
            }
        }
    }
    for ((name, _), columns) in stores.iter().zip(&mut rates) {
        let cells: Vec<String> = columns
            .iter_mut()
            .map(|runs| {
                runs.sort_by(f64::total_cmp);
                format!("{:.0}", runs[runs.len() / 2])
            })
            .collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
}

/// Fills a store in this process and ends as if killed.
fn fill(dir: &Path, records: u64, kind: &str) {
    let make = |seq| if kind == "large" { large(seq) } else { envelope(Seq(seq)) };
    let mut journal = open(dir, Durability::Disk);
    let began = Instant::now();
    let each = if kind == "small" { 4 } else { 256 };
    for first in (1..=records).step_by(each) {
        let last = records.min(first + each as u64 - 1);
        journal.append((first..=last).map(make).collect()).unwrap();
        if kind == "small" {
            journal.wait(Seq(last)).unwrap();
        }
    }
    journal.wait(Seq(records)).unwrap();
    println!(
        "  filled: {:.0} events/s, {} MB resident",
        records as f64 / began.elapsed().as_secs_f64(),
        memory()
    );
    // No destructor runs: as after kill -9.
    std::process::abort();
}

fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn bytes_of(dir: &Path) -> u64 {
    std::fs::read_dir(dir).map_or(0, |entries| entries.map(|e| e.unwrap().metadata().unwrap().len()).sum())
}

fn open_and_replay(dir: &Path) {
    let began = Instant::now();
    let (journal, report) = Store::open(dir, OpenOptions::default()).unwrap();
    println!(
        "  open: {:.3} s, {} repairs, {} MB resident",
        began.elapsed().as_secs_f64(),
        report.repairs.len(),
        memory()
    );
    let records = report.head.0;
    for pass in ["first", "second"] {
        let (began, mut seen) = (Instant::now(), 0);
        let mut count = |_: Envelope| {
            seen += 1;
            ControlFlow::Continue(())
        };
        journal.read(Seq(1), &mut count).unwrap();
        assert_eq!(seen, records);
        println!("  {pass} replay: {:.2} M events/s", records as f64 / began.elapsed().as_secs_f64() / 1e6);
    }
    let began = Instant::now();
    let verified = journal.verify(&mut |_| Ok(())).unwrap();
    assert!(verified.ok());
    println!(
        "  verify: {:.2} M events/s, {} MB resident",
        records as f64 / began.elapsed().as_secs_f64() / 1e6,
        memory()
    );
    let (mirror, sled) = (bytes_of(&dir.join("mirror")), bytes_of(&dir.join("db")));
    let each = |bytes: u64| bytes as f64 / records as f64;
    println!(
        "  on disk: {:.0} bytes per event (mirror {:.0}, sled {:.0}); {:.0} per trial of {RECORDS_PER_TRIAL} events",
        each(mirror + sled),
        each(mirror),
        each(sled),
        each(mirror + sled) * RECORDS_PER_TRIAL as f64
    );
}

fn history(dir: &Path, records: u64) {
    let own = std::env::current_exe().unwrap();
    let kinds = [
        ("large", "300 bytes each", records),
        ("trials", "trials with ten reports", records),
        ("small", "trials with ten reports, four events per commit", records / 5),
    ];
    for (kind, about, records) in kinds {
        let store = dir.join(kind);
        println!("{records} events, {about}:");
        let run = |args: &[&str]| {
            std::process::Command::new(&own).args(args).status().unwrap();
        };
        let (path, records) = (store.to_str().unwrap(), records.to_string());
        run(&["fill", path, &records, kind]);
        run(&["open", path]);
    }
}
