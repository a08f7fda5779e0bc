//! The daemon under load: clients that ask and tell over HTTP with a durable store, followers of events, long lists, memory.
//!
//! ```text
//! cargo bench --bench serve
//! ```
//!
//! The daemon is a process of its own. `RETRIAL_BENCH_CLIENTS` (64), `RETRIAL_BENCH_SECONDS` (15), `RETRIAL_BENCH_FOLLOWERS` (200),
//! `RETRIAL_BENCH_EXPERIMENTS` (10000) and `RETRIAL_BENCH_SAMPLER` (random) change how much, `RETRIAL_BENCH_PROGRAM` names another program. `benches/serve_peer.py` does the same with
//! Optuna.
//!
//! With `RETRIAL_BENCH_FULL=100000` it measures a store that was used for long instead: so many trials in experiments of a thousand, each trial with
//! `RETRIAL_BENCH_REPORTS` (10) reports; see `benches/serve/full.rs`.

#[path = "serve/full.rs"]
mod full;

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The daemon; ends with this value.
struct Daemon {
    child: Child,
    address: String,
}

/// The program that is measured.
fn program() -> Command {
    let other = std::env::var("RETRIAL_BENCH_PROGRAM");
    Command::new(other.as_deref().unwrap_or(env!("CARGO_BIN_EXE_retrial")))
}

/// A folder for stores, on the disk of the working directory.
fn folder() -> tempfile::TempDir {
    let here = std::env::current_dir().unwrap();
    tempfile::Builder::new().prefix("retrial-bench").tempdir_in(here).unwrap()
}

impl Daemon {
    fn start(store: &Path) -> Self {
        let mut child = program()
            .args(["serve", "--listen", "127.0.0.1:0", "--json", "--store"])
            .arg(store)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let address = said["listening"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        Self { child, address }
    }

    /// Resident memory, in MiB.
    fn memory_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// CPU seconds so far; clock ticks are hundredths on Linux.
    fn cpu_s(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
        fields.map(|field| field.parse::<f64>().unwrap()).sum::<f64>() / 100.0
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection that is kept.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    fn send(&mut self, method: &str, path: &str, body: &str) {
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn call(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, &text);
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let status: u16 = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).unwrap();
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }
}

fn experiment(name: &str, sampler: &str) -> Value {
    let mut space = serde_json::Map::new();
    for axis in 0..6 {
        space.insert(format!("x{axis}"), json!({"uniform": [0, 1]}));
    }
    space.insert("lr".to_owned(), json!({"loguniform": [1e-5, 1.0]}));
    space.insert("n".to_owned(), json!({"randint": [1, 100]}));
    space.insert("a".to_owned(), json!({"choice": ["a", "b", "c"]}));
    space.insert("b".to_owned(), json!({"choice": [1, 2, 4, 8]}));
    json!({"spec": {"name": name, "space": space, "objective": "minimize", "sampler": sampler, "budget": {"trials": 10_000_000}}})
}

fn at(sorted: &[f64], share: f64) -> f64 {
    sorted
        .get(((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// So many clients ask and tell for a time.
fn ask_and_tell(daemon: &Daemon, clients: u64, seconds: u64, sampler: &str) {
    let name = format!("{sampler}-{clients}");
    Client::new(&daemon.address).call("POST", "/v1/experiments", &experiment(&name, sampler));
    let end = Instant::now() + Duration::from_secs(seconds);
    let cpu = daemon.cpu_s();
    let (mut asks, mut tells) = (Vec::new(), Vec::new());
    let work = {
        |number: u64| {
            let mut client = Client::new(&daemon.address);
            let (mut asks, mut tells) = (Vec::new(), Vec::new());
            while Instant::now() < end {
                let began = Instant::now();
                let given = client.call(
                    "POST",
                    &format!("/v1/experiments/{name}/ask"),
                    &json!({"worker": number.to_string()}),
                );
                asks.push(began.elapsed().as_secs_f64() * 1e3);
                let trial = &given["trials"][0];
                let value = trial["params"]["x0"].as_f64().unwrap();
                let began = Instant::now();
                let path = format!("/v1/experiments/{name}/trials/{}/tell", trial["trial"]);
                client.call("POST", &path, &json!({"attempt": trial["attempt"], "value": value}));
                tells.push(began.elapsed().as_secs_f64() * 1e3);
            }
            (asks, tells)
        }
    };
    let work = &work;
    thread::scope(|scope| {
        let running: Vec<_> = (0..clients).map(|number| scope.spawn(move || work(number))).collect();
        for thread in running {
            let (ask, tell) = thread.join().unwrap();
            asks.extend(ask);
            tells.extend(tell);
        }
    });
    let cpu = daemon.cpu_s() - cpu;
    asks.sort_by(f64::total_cmp);
    tells.sort_by(f64::total_cmp);
    println!(
        "{clients} clients, {sampler}: {:.0} trials/s; ask p50 {:.2} ms, p99 {:.2} ms; tell p50 {:.2} ms, p99 {:.2} ms; daemon \
         {:.0} % of a core, {:.0} MiB",
        tells.len() as f64 / seconds as f64,
        at(&asks, 0.5),
        at(&asks, 0.99),
        at(&tells, 0.5),
        at(&tells, 0.99),
        cpu / seconds as f64 * 100.0,
        daemon.memory_mib(),
    );
}

/// Followers of a path count the events that they are told of while clients ask and tell.
fn followed(daemon: &Daemon, path: &str, followers: u64, clients: u64, seconds: u64) {
    let (stop, heard) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..followers {
            scope.spawn(|| {
                let mut client = Client::new(&daemon.address);
                client.send("GET", path, "");
                client.stream.get_ref().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
                let mut bytes = vec![0; 1 << 16];
                while !stop.load(Ordering::Relaxed) {
                    let Ok(read) = client.stream.read(&mut bytes) else { continue };
                    let ids = bytes[..read].windows(4).filter(|window| window == b"\nid:").count();
                    heard.fetch_add(ids as u64, Ordering::Relaxed);
                }
            });
        }
        thread::sleep(Duration::from_secs(1));
        println!("with {followers} followers of {path}:");
        ask_and_tell(daemon, clients, seconds, "random");
        thread::sleep(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
    });
    println!("  events told: {:.0}/s", heard.load(Ordering::Relaxed) as f64 / seconds as f64);
}

/// Many experiments, and how long a page of them takes.
fn listed(daemon: &Daemon, experiments: u64) {
    let began = Instant::now();
    thread::scope(|scope| {
        for thread in 0..16 {
            scope.spawn(move || {
                let mut client = Client::new(&daemon.address);
                for number in (thread..experiments).step_by(16) {
                    client.call("POST", "/v1/experiments", &experiment(&format!("e{number}"), "random"));
                }
            });
        }
    });
    println!(
        "{experiments} experiments created: {:.0}/s",
        experiments as f64 / began.elapsed().as_secs_f64()
    );
    let mut client = Client::new(&daemon.address);
    for path in ["/v1/experiments", "/v1/experiments?q=e99", "/v1/experiments?limit=1000"] {
        let mut times: Vec<f64> = (0..50)
            .map(|_| {
                let began = Instant::now();
                client.call("GET", path, &Value::Null);
                began.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("  GET {path}: p50 {:.1} ms, most {:.1} ms", at(&times, 0.5), at(&times, 1.0));
    }
    println!("  {:.0} MiB", daemon.memory_mib());
}

fn main() {
    // `cargo test --benches` runs it as well, without wanting a measurement.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let clients = setting("RETRIAL_BENCH_CLIENTS", 64);
    let seconds = setting("RETRIAL_BENCH_SECONDS", 15);
    let sampler = std::env::var("RETRIAL_BENCH_SAMPLER").unwrap_or_else(|_| "random".to_owned());
    let folder = folder();
    if let trials @ 1.. = setting("RETRIAL_BENCH_FULL", 0) {
        return full::measure(&folder.path().join("full"), trials, clients, seconds);
    }
    let daemon = Daemon::start(&folder.path().join("clients"));
    println!("idle: {:.0} MiB", daemon.memory_mib());
    // The experiment that is followed later has this name.
    ask_and_tell(&daemon, 1, seconds, "random");
    ask_and_tell(&daemon, clients, seconds, &sampler);
    let followers = setting("RETRIAL_BENCH_FOLLOWERS", 200);
    // Of an experiment in which nothing happens, and of everything.
    for path in ["/v1/experiments/random-1/events", "/v1/events"] {
        followed(&daemon, path, followers, clients, seconds);
    }
    drop(daemon);
    listed(&Daemon::start(&folder.path().join("listed")), setting("RETRIAL_BENCH_EXPERIMENTS", 10_000));
}
