//! Power losses: what a process writes and syncs is recorded, the disk is rebuilt as it may have been at many moments, and
//! the store is opened there. Nothing acknowledged may be missing.
//!
//! Three models of what the disk kept: only what was synced; that and a random part of the 512-byte sectors, truncations and
//! names that were not; everything. Needs a C compiler for the recorder and is skipped, loudly, without one;
//! `RETRIAL_NO_SKIP=1` makes that a failure. `RETRIAL_POWER_POINTS` sets the number of moments (default 40).
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "tests")]

use engine::envelope::Envelope;
use engine::event::v1;
use engine::id::{Seq, TrialId};
use engine::ports::journal::Journal;
use engine::testing::history::envelope;
use engine::testing::journal::read_all;
use retrial_journal::{Durability, OpenOptions, Store};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const STORE: &str = "RETRIAL_POWER_STORE";
const LARGE: &str = "RETRIAL_POWER_LARGE";
const UNSYNCED: &str = "RETRIAL_POWER_UNSYNCED";

/// The record `seq` of either scenario.
fn made(seq: u64, large: bool) -> Envelope {
    let plain = envelope(Seq(seq));
    if !large {
        return plain;
    }
    let reason = "x".repeat(60_000);
    let (trial, status) = (TrialId(0), v1::TrialEnd::Failed);
    let event = v1::TrialEnded { trial, status, value: None, metrics: Vec::new(), reason };
    Envelope { event: event.into(), ..plain }
}

fn options(unsynced: bool) -> OpenOptions {
    let durability = if unsynced { Durability::Process } else { Durability::Disk };
    OpenOptions { durability, ..OpenOptions::default() }
}

/// The process that is recorded: opens, appends and closes a few times, and prints what is acknowledged.
#[test]
fn child() {
    let Ok(store) = std::env::var(STORE) else { return };
    let large = std::env::var(LARGE).is_ok();
    let sizes: &[u64] = if large { &[40, 3, 40] } else { &[1, 7, 1, 40, 3, 90] };
    for _ in 0..if large { 1 } else { 3 } {
        let (mut journal, _) = Store::open(store.as_ref(), options(std::env::var(UNSYNCED).is_ok())).unwrap();
        for size in sizes.iter().cycle().take(if large { 12 } else { 30 }) {
            let head = journal.head().0;
            journal.append((head + 1..=head + size).map(|seq| made(seq, large)).collect()).unwrap();
            journal.wait(Seq(head + size)).unwrap();
            println!("acknowledged {}", head + size);
        }
        let head = journal.head();
        journal.save_snapshot(head, b"a state").unwrap();
    }
}

/// One thing that the process did.
struct Entry {
    kind: char,
    number: u32,
    offset: u64,
    path: PathBuf,
    data: Vec<u8>,
}

fn parse(mut log: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    while let Some((head, rest)) = log.split_first_chunk::<21>() {
        let word = |at: usize| u32::from_le_bytes(*head[at..].first_chunk().unwrap());
        let (path, rest) = rest.split_at(word(13) as usize);
        let (data, rest) = rest.split_at(word(17) as usize);
        entries.push(Entry {
            kind: char::from(head[0]),
            number: word(1),
            offset: u64::from_le_bytes(*head[5..].first_chunk().unwrap()),
            path: PathBuf::from(String::from_utf8(path.to_vec()).unwrap()),
            data: data.to_vec(),
        });
        log = rest;
    }
    entries
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => {
                let from = *offset as usize;
                content.resize(content.len().max(from + data.len()), 0);
                content[from..from + data.len()].copy_from_slice(data);
            }
            Self::Cut(length) => content.resize(*length as usize, 0),
        }
    }
}

/// A file or directory: what is on the disk for sure, and what came after.
#[derive(Default, Clone)]
struct Node {
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// Changes that have become durable, to number them for good.
    settled: usize,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    is_dir: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Model {
    Synced,
    Random(u64),
    Everything,
}

struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
    /// By the number of a sync: the node, the changes it covers and the names it covers.
    syncs: BTreeMap<u32, (usize, usize, BTreeMap<String, usize>)>,
    acknowledged: u64,
}

fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

struct Coins(u64);

impl Coins {
    fn flip(&mut self) -> bool {
        self.0 = scramble(self.0);
        self.0 & 1 == 1
    }
}

impl Disk {
    fn new(root: &Path) -> Self {
        let node = Node { is_dir: true, ..Node::default() };
        Self { root: root.to_owned(), nodes: vec![node], syncs: BTreeMap::new(), acknowledged: 0 }
    }

    fn parts(&self, path: &Path) -> Vec<String> {
        let inside = path.strip_prefix(&self.root).unwrap();
        inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect()
    }

    fn find(&self, path: &Path) -> Option<usize> {
        self.parts(path).iter().try_fold(0, |node, part| self.nodes[node].names.get(part).copied())
    }

    fn parent(&self, path: &Path) -> (usize, String) {
        (self.find(path.parent().unwrap()).unwrap(), path.file_name().unwrap().to_str().unwrap().to_owned())
    }

    fn create(&mut self, path: &Path, is_dir: bool) {
        let (parent, name) = self.parent(path);
        self.nodes.push(Node { is_dir, ..Node::default() });
        let node = self.nodes.len() - 1;
        self.nodes[parent].names.insert(name, node);
    }

    fn step(&mut self, entry: &Entry) {
        match entry.kind {
            'A' => {
                let text = String::from_utf8_lossy(&entry.data);
                for line in text.lines() {
                    if let Some(seq) = line.strip_prefix("acknowledged ") {
                        self.acknowledged = seq.parse().unwrap();
                    }
                }
            }
            'C' => self.create(&entry.path, false),
            'D' => self.create(&entry.path, true),
            'U' => {
                let (parent, name) = self.parent(&entry.path);
                self.nodes[parent].names.remove(&name);
            }
            'R' => {
                let (from, old) = self.parent(&entry.path);
                let node = self.nodes[from].names.remove(&old).unwrap();
                let to = PathBuf::from(String::from_utf8(entry.data.clone()).unwrap());
                let (to, new) = self.parent(&to);
                self.nodes[to].names.insert(new, node);
            }
            'W' | 'T' => {
                let Some(node) = self.find(&entry.path) else { return };
                let change = match entry.kind {
                    'W' => Change::Write(entry.offset, entry.data.clone()),
                    _ => Change::Cut(entry.offset),
                };
                self.nodes[node].pending.push(change);
            }
            'B' => {
                if let Some(id) = self.find(&entry.path) {
                    let node = &self.nodes[id];
                    let covered = node.settled + node.pending.len();
                    self.syncs.insert(entry.number, (id, covered, node.names.clone()));
                }
            }
            'E' => {
                if let Some((id, covered, names)) = self.syncs.remove(&entry.number) {
                    let node = &mut self.nodes[id];
                    let count = covered.saturating_sub(node.settled);
                    for change in node.pending.drain(..count).collect::<Vec<_>>() {
                        change.apply(&mut node.durable);
                    }
                    node.settled += count;
                    node.durable_names = names;
                }
            }
            other => panic!("unknown entry {other}"),
        }
    }

    /// Rebuilds the directory as a power loss now may leave it.
    fn image(&self, model: Model, target: &Path) {
        let mut coins = Coins(if let Model::Random(seed) = model { seed } else { 0 });
        self.write(0, model, &mut coins, target);
    }

    fn write(&self, id: usize, model: Model, coins: &mut Coins, target: &Path) {
        let node = &self.nodes[id];
        if node.is_dir {
            std::fs::create_dir_all(target).unwrap();
            let names = match model {
                Model::Synced => &node.durable_names,
                Model::Random(_) if coins.flip() => &node.durable_names,
                _ => &node.names,
            };
            for (name, child) in names {
                self.write(*child, model, coins, &target.join(name));
            }
            return;
        }
        let mut content = node.durable.clone();
        for change in node.pending.iter().filter(|_| model != Model::Synced) {
            match change {
                Change::Write(offset, data) if model != Model::Everything => {
                    // Sectors of the disk, not of the write.
                    let mut at = 0;
                    while at < data.len() {
                        let absolute = *offset as usize + at;
                        let end = data.len().min(at + 512 - absolute % 512);
                        if coins.flip() {
                            Change::Write(absolute as u64, data[at..end].to_vec()).apply(&mut content);
                        }
                        at = end;
                    }
                }
                Change::Cut(_) if model != Model::Everything && coins.flip() => {}
                change => change.apply(&mut content),
            }
        }
        std::fs::write(target, content).unwrap();
    }
}

/// Builds the recorder, or says why not.
fn recorder(dir: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power/recorder.c");
    let library = dir.join("recorder.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let built = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .args(["-ldl", "-lpthread"])
        .status();
    if built.is_ok_and(|status| status.success()) {
        return Some(library);
    }
    let text =
        format!("SKIPPED: the power-loss test needs a C compiler ({compiler}) and there is none that works");
    assert!(std::env::var("RETRIAL_NO_SKIP").is_err(), "{text}");
    eprintln!("{text}");
    None
}

fn record(large: bool, unsynced: bool, dir: &Path) -> Option<Vec<Entry>> {
    let library = recorder(dir)?;
    let (root, log) = (dir.join("disk"), dir.join("log"));
    std::fs::create_dir(&root).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env("LD_PRELOAD", library)
        .env("RETRIAL_RECORD_ROOT", &root)
        .env("RETRIAL_RECORD_LOG", &log)
        .env(STORE, root.join("store"));
    if large {
        child.env(LARGE, "1");
    }
    if unsynced {
        child.env(UNSYNCED, "1");
    }
    let output = child.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let entries = parse(&std::fs::read(log).unwrap());
    let syncs = entries.iter().filter(|e| e.kind == 'E').count();
    assert!(unsynced || syncs > 20, "the recorder saw the syncs");
    Some(entries)
}

/// Opens the store as it is after the power loss.
fn check(image: &Path, acknowledged: u64, large: bool, what: &str) -> usize {
    let store = image.join("store");
    if !store.exists() {
        assert_eq!(acknowledged, 0, "{what}: the store is gone");
        return 0;
    }
    let (journal, report) = Store::open(&store, options(true)).unwrap_or_else(|e| panic!("{what}: {e}"));
    let head = report.head.0;
    assert!(
        head >= acknowledged,
        "{what}: {acknowledged} were acknowledged, {head} are there: {:?}",
        report.repairs
    );
    let all = read_all(&journal, Seq(1));
    assert_eq!(all.len() as u64, head, "{what}");
    assert!(all.iter().zip(1..).all(|(read, seq)| *read == made(seq, large)), "{what}");
    let verified = journal.verify(&mut |_| Ok(())).unwrap();
    assert!(verified.ok(), "{what}: {verified:?}");
    report.repairs.len()
}

fn lose_power(large: bool, points: usize) {
    let dir = tempfile::tempdir().unwrap();
    let Some(entries) = record(large, false, dir.path()) else { return };
    let mut disk = Disk::new(&dir.path().join("disk"));
    let mut chosen: Vec<usize> = (0..points as u64)
        .map(|n| (n as usize * entries.len() + scramble(n) as usize % entries.len()) / points)
        .collect();
    chosen.push(entries.len() - 1);
    let (mut images, mut repairs) = (0, 0);
    for (index, entry) in entries.iter().enumerate() {
        disk.step(entry);
        if !chosen.contains(&index) {
            continue;
        }
        for model in
            [Model::Synced, Model::Random(index as u64), Model::Random(index as u64 + 1), Model::Everything]
        {
            let image = dir.path().join("image");
            disk.image(model, &image);
            let name = match model {
                Model::Synced => "only what was synced".to_owned(),
                Model::Random(seed) => format!("random sectors, seed {seed}"),
                Model::Everything => "everything".to_owned(),
            };
            let what = format!("power lost at {index} of {}, {name}", entries.len());
            repairs += check(&image, disk.acknowledged, large, &what);
            std::fs::remove_dir_all(&image).unwrap();
            images += 1;
        }
    }
    println!(
        "{images} disks after a power loss, {repairs} repairs, {} acknowledged at last",
        disk.acknowledged
    );
    assert!(disk.acknowledged > 0);
}

#[test]
fn nothing_acknowledged_is_lost_with_the_power() {
    lose_power(false, std::env::var("RETRIAL_POWER_POINTS").map_or(40, |n| n.parse().unwrap()));
}

#[test]
fn nothing_acknowledged_is_lost_with_the_power_while_segments_change() {
    lose_power(true, 8);
}

/// The test would notice: without the syncs, acknowledged records are lost.
#[test]
fn without_syncs_the_power_takes_acknowledged_records() {
    let dir = tempfile::tempdir().unwrap();
    let Some(entries) = record(false, true, dir.path()) else { return };
    let mut disk = Disk::new(&dir.path().join("disk"));
    let mut lost = 0;
    for (index, entry) in entries.iter().enumerate() {
        disk.step(entry);
        if index % (entries.len() / 10) == 0 && disk.acknowledged > 0 {
            let image = dir.path().join("image");
            disk.image(Model::Synced, &image);
            let opened = Store::open(&image.join("store"), options(true));
            lost += u32::from(opened.map_or(0, |(_, report)| report.head.0) < disk.acknowledged);
            std::fs::remove_dir_all(&image).unwrap();
        }
    }
    assert!(lost > 0);
}
