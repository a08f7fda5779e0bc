//! A store that was used for long: what it takes on disk and in memory, how long it opens, and how quick it still is.

use super::{Client, Daemon, ask_and_tell, at, program, setting};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Trials of each experiment.
const EACH: u64 = 1_000;
/// Clients that fill the store.
const FILLING: u64 = 16;

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Bytes below a path.
fn bytes(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return fs::metadata(path).map_or(0, |file| file.len());
    };
    entries.map(|entry| bytes(&entry.unwrap().path())).sum()
}

/// Experiments whose trials are asked for, report, and are told, until their budgets are used.
fn fill(daemon: &Daemon, experiments: u64, reports: u64) {
    thread::scope(|scope| {
        for first in 0..FILLING {
            scope.spawn(move || {
                let mut client = Client::new(&daemon.address);
                for number in (first..experiments).step_by(FILLING as usize) {
                    let name = format!("full-{number}");
                    let mut made = super::experiment(&name, "random");
                    made["spec"]["budget"] = json!({"trials": EACH});
                    client.call("POST", "/v1/experiments", &made);
                    for _ in 0..EACH {
                        run(&mut client, &name, reports);
                    }
                }
            });
        }
    });
}

fn run(client: &mut Client, name: &str, reports: u64) {
    let given = client.call("POST", &format!("/v1/experiments/{name}/ask"), &json!({"worker": "bench"}));
    let trial = &given["trials"][0];
    let path = format!("/v1/experiments/{name}/trials/{}", trial["trial"]);
    let value = trial["params"]["x0"].as_f64().unwrap();
    for step in 1..=reports {
        let report = json!({"attempt": trial["attempt"], "step": step, "value": value / step as f64});
        client.call("POST", &format!("{path}/report"), &report);
    }
    client.call("POST", &format!("{path}/tell"), &json!({"attempt": trial["attempt"], "value": value}));
}

fn looked(daemon: &Daemon, path: &str) {
    let mut client = Client::new(&daemon.address);
    let mut times: Vec<f64> = (0..50)
        .map(|_| {
            let began = Instant::now();
            client.call("GET", path, &Value::Null);
            milliseconds(began)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "  GET {path}: p50 {:.1} ms, most {:.1} ms, then {:.0} MiB",
        at(&times, 0.5),
        at(&times, 1.0),
        daemon.memory_mib()
    );
}

/// The most memory that a process has had, in MiB, and how long it took, in milliseconds.
fn watched(mut child: Child) -> (f64, f64) {
    let (began, mut peak) = (Instant::now(), 0.0_f64);
    loop {
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success(), "{ended}");
            return (peak, milliseconds(began));
        }
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        if let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            let kib: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
            peak = peak.max(kib / 1024.0);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn commanded(store: &Path, arguments: &[&str]) {
    let child = program().args(arguments).arg("--store").arg(store).stdout(Stdio::null()).spawn().unwrap();
    let (peak, time) = watched(child);
    println!("  retrial {}: {time:.0} ms, at most {peak:.0} MiB", arguments.join(" "));
}

/// Opens the store, and says how long it took until the daemon was ready.
fn opened(store: &Path, after: &str) -> Daemon {
    let began = Instant::now();
    let daemon = Daemon::start(store);
    Client::new(&daemon.address).call("GET", "/readyz", &Value::Null);
    println!("ready {after} after {:.0} ms, {:.0} MiB", milliseconds(began), daemon.memory_mib());
    daemon
}

/// Ends a daemon in good order.
fn end(mut daemon: Daemon) {
    let began = Instant::now();
    let pid = daemon.child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    daemon.child.wait().unwrap();
    println!("ended in {:.0} ms", milliseconds(began));
}

fn on_disk(store: &Path, trials: u64) {
    let parts = ["mirror", "db", "tail", "snapshots"].map(|part| (part, bytes(&store.join(part))));
    let shown: Vec<String> =
        parts.iter().map(|(part, bytes)| format!("{part} {:.1} MiB", *bytes as f64 / 1_048_576.0)).collect();
    let both: u64 = parts.iter().filter(|(part, _)| *part != "snapshots").map(|(_, bytes)| bytes).sum();
    println!("on disk: {}; both copies {} bytes for a trial", shown.join(", "), both / trials);
}

/// Fills a store with so many trials, and measures it.
pub(super) fn measure(store: &Path, trials: u64, clients: u64, seconds: u64) {
    let experiments = trials.div_ceil(EACH);
    let trials = experiments * EACH;
    let daemon = Daemon::start(store);
    let began = Instant::now();
    fill(&daemon, experiments, setting("RETRIAL_BENCH_REPORTS", 10));
    println!(
        "{trials} trials in {experiments} experiments after {:.0} s; {:.0} MiB",
        began.elapsed().as_secs_f64(),
        daemon.memory_mib()
    );
    end(daemon);
    on_disk(store, trials);
    let daemon = opened(store, "after an end in good order");
    drop(daemon);
    drop(opened(store, "after a kill"));
    fs::remove_dir_all(store.join("snapshots")).unwrap();
    let daemon = opened(store, "without a snapshot");
    for path in [
        "/v1/experiments",
        "/v1/experiments?limit=1000",
        "/v1/experiments/full-7",
        "/v1/experiments/full-7/trials",
        "/v1/experiments/full-7/trials?limit=1000",
        "/v1/experiments/full-7/trials/500",
    ] {
        looked(&daemon, path);
    }
    println!("commands while the daemon runs:");
    let commands: [&[&str]; 3] = [&["ls"], &["show", "full-7"], &["trials", "full-7"]];
    for command in commands {
        commanded(store, command);
    }
    ask_and_tell(&daemon, clients, seconds, "random");
    end(daemon);
    println!("commands without a daemon:");
    for command in commands {
        commanded(store, command);
    }
    commanded(store, &["audit", "verify"]);
    let archive = store.with_extension("archive");
    commanded(store, &["audit", "archive", archive.to_str().unwrap(), "--ended-before", "0s"]);
    println!("  the archive has {:.1} MiB", bytes(&archive) as f64 / 1_048_576.0);
    on_disk(store, trials);
    drop(opened(store, "when they have left"));
}
