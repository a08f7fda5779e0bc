//! What durability and history cost: `cargo bench --bench engine`. Prints a table; asserts nothing about time.
//!
//! Sizes are small by default; `RETRIAL_BENCH_TRIALS=10000,100000` measures others. The store is made in the folder
//! named by `RETRIAL_BENCH_DIR`, otherwise in a temporary one: give a folder on the device that matters.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use engine::command::Command;
use engine::id::{ActorId, ExperimentId, TrialId};
use engine::spec::Spec;
use engine::state::{SNAPSHOT_VERSION, State};
use journal::{MemoryStore, OpenOptions, SledJournal, Store};
use retrial::runtime::dispatcher::{Dispatcher, SnapshotCodec};
use retrial::runtime::shell::{Runtime, now};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

struct Codec;

impl SnapshotCodec for Codec {
    fn encode(&self, state: &State) -> Option<Vec<u8>> {
        journal::codec::encode(state).ok()
    }

    fn decode(&self, bytes: &[u8]) -> Option<State> {
        journal::codec::decode(bytes).ok()
    }
}

fn spec(trials: u32) -> String {
    let document = json!({
        "name": "bench",
        "space": {
            "x0": {"uniform": [-5, 5]}, "x1": {"uniform": [-5, 5]}, "x2": {"uniform": [0, 10]},
            "lr": {"loguniform": [1e-6, 0.1]}, "wd": {"loguniform": [1e-8, 0.01]}, "n": {"randint": [1, 65]},
            "width": {"qloguniform": [8, 2048, 1]}, "drop": {"quniform": [0, 0.9, 0.05]},
            "ca": {"choice": ["a", "b", "c"]}, "cb": {"choice": ["p", "q", "r", "s"]}
        },
        "objective": {"goal": "minimize"},
        "sampler": "random",
        "budget": {"trials": trials, "concurrency": 64}
    });
    Spec::parse(&document, "").unwrap().0.canonical().to_string()
}

const ID: ExperimentId = ExperimentId::from_random(7);

fn open(dir: &Path) -> SledJournal {
    let options = OpenOptions { snapshot_schema: SNAPSHOT_VERSION, ..OpenOptions::default() };
    Store::open(dir, options).unwrap().0
}

fn cpu() -> Duration {
    // Fields 14 and 15 are user and system time in ticks of 10 ms.
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn memory_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn size(dir: &Path) -> u64 {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                size(&entry.path())
            } else {
                std::os::unix::fs::MetadataExt::blocks(&meta) * 512
            }
        })
        .sum()
}

/// Asks for and tells `count` trials, `batch` to a commit.
fn work(dispatcher: &mut Dispatcher, count: u32, batch: u32) {
    let mut left = count;
    while left > 0 {
        let round = batch.min(left);
        let trials: Vec<TrialId> = (0..round).map(|_| dispatcher.ask(ID, now()).unwrap().unwrap()).collect();
        for trial in trials {
            let values = Some(vec![f64::from(trial.0 % 1_000)]);
            let command = Command::TellTrial { experiment: ID, trial, lease: None, values };
            dispatcher.execute(&command, ActorId::CLIENT, now()).unwrap();
        }
        dispatcher.settle(now()).unwrap();
        dispatcher.sync().unwrap();
        left -= round;
    }
}

fn create(dispatcher: &mut Dispatcher, trials: u32) {
    let command =
        Command::CreateExperiment { experiment: ID, spec: spec(trials), seed: 1, labels: BTreeMap::new() };
    dispatcher.execute(&command, ActorId::CLIENT, now()).unwrap();
}

fn resume(dir: &Path, trials: u32) {
    let store = dir.join(format!("resume-{trials}"));
    let mut dispatcher = Dispatcher::open(Box::new(open(&store)), Box::new(Codec)).unwrap();
    create(&mut dispatcher, trials + 1_000);
    work(&mut dispatcher, trials, 1_000);
    dispatcher.close(now()).unwrap();
    drop(dispatcher);
    for snapshot in [true, false] {
        if !snapshot {
            let _ = fs::remove_dir_all(store.join("snapshots"));
        }
        let began = Instant::now();
        let journal = open(&store);
        let opened = began.elapsed();
        let mut dispatcher = Dispatcher::open(Box::new(journal), Box::new(Codec)).unwrap();
        let recovered = began.elapsed();
        dispatcher.ask(ID, now()).unwrap();
        dispatcher.sync().unwrap();
        let asked = began.elapsed();
        println!(
            "resume {trials:>7} trials, {}: store open {:>6.1} ms, state ready {:>7.1} ms, next trial durable {:>7.1} ms; {} bytes/trial on disk, {} MiB resident",
            if snapshot { "snapshot" } else { "replay  " },
            opened.as_secs_f64() * 1e3,
            recovered.as_secs_f64() * 1e3,
            asked.as_secs_f64() * 1e3,
            size(&store) / u64::from(trials),
            memory_mib(),
        );
    }
}

fn event_cost(trials: u32) {
    let memory = MemoryStore::default();
    let mut dispatcher = Dispatcher::open(Box::new(memory.open()), Box::new(Codec)).unwrap();
    create(&mut dispatcher, trials + 40_000);
    work(&mut dispatcher, trials, 1_000);
    let (before, head) = (cpu(), dispatcher.state().head());
    work(&mut dispatcher, 40_000, 1);
    let events = dispatcher.state().head().0 - head.0;
    let used = cpu().checked_sub(before).unwrap();
    println!(
        "after {trials:>7} trials: {:>5.2} us CPU per event (random sampler, memory journal, one trial at a time)",
        used.as_secs_f64() * 1e6 / events as f64
    );
}

fn probe(dir: &Path) -> f64 {
    let path = dir.join("probe");
    let mut file = fs::File::create(&path).unwrap();
    let began = Instant::now();
    for _ in 0..200 {
        file.write_all(&[b'.'; 300]).unwrap();
        file.sync_data().unwrap();
    }
    let rate = 200.0 / began.elapsed().as_secs_f64();
    fs::remove_file(path).unwrap();
    rate
}

fn clients(dir: &Path, clients: usize, trials: u32) {
    let store = dir.join(format!("clients-{clients}"));
    let mut dispatcher = Dispatcher::open(Box::new(open(&store)), Box::new(Codec)).unwrap();
    create(&mut dispatcher, trials);
    dispatcher.sync().unwrap();
    let syncs = probe(dir);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let took = runtime.block_on(async {
        let (engine, handle) = Runtime::new(dispatcher, std::collections::BTreeMap::new());
        let engine = tokio::spawn(engine.run());
        let began = Instant::now();
        let mut tasks = Vec::new();
        for _ in 0..clients {
            let handle = handle.clone();
            tasks.push(tokio::spawn(async move {
                let ask = async || handle.with(|engine| Ok(engine.ask(ID, now()).unwrap())).await.unwrap();
                while let Some(trial) = ask().await {
                    let command =
                        Command::TellTrial { experiment: ID, trial, lease: None, values: Some(vec![1.0]) };
                    handle.execute(command, None).await.unwrap().unwrap();
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let took = began.elapsed();
        handle.close().await;
        engine.await.unwrap().unwrap();
        took
    });
    println!(
        "{clients:>3} clients in process: {:>8.0} durable trials/s (each asked and told, synced twice); fdatasync probe of the same disk {syncs:.0}/s",
        f64::from(trials) / took.as_secs_f64()
    );
}

fn main() {
    let sizes: Vec<u32> = std::env::var("RETRIAL_BENCH_TRIALS")
        .unwrap_or_else(|_| "100,10000".to_owned())
        .split(',')
        .map(|size| size.trim().parse().unwrap())
        .collect();
    let temporary = std::env::temp_dir().join(format!("retrial-bench-{}", std::process::id()));
    let dir =
        std::env::var_os("RETRIAL_BENCH_DIR").map_or(temporary, |dir| Path::new(&dir).join("retrial-bench"));
    fs::create_dir_all(&dir).unwrap();
    for size in &sizes {
        event_cost(*size);
    }
    for size in &sizes {
        resume(&dir, *size);
    }
    for (count, trials) in [(1, 500), (64, 20_000)] {
        clients(&dir, count, trials);
    }
    fs::remove_dir_all(&dir).unwrap();
}
