//! 10,000 DLC jobs in flight: `cargo bench --bench dlc`. Prints figures; asserts nothing about them.
//!
//! The simulator and the controller are processes of their own, the built program both times, so that the figures are
//! the controller's alone. A first controller submits at a pace that no service would allow and is interrupted; the
//! measured one takes the jobs over at the default pace, as after a crash. `docs/measurements/dlc.md` has figures.
//!
//! `RETRIAL_BENCH_JOBS` (10000) and `RETRIAL_BENCH_SECONDS` (120) say how much; `RETRIAL_BENCH_METRIC` is `json`, `log`, or
//! both by default: whether reports are in a file that is read at the end, or in each job's output.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Clock ticks of `/proc` in a second: fixed on Linux.
const TICKS: f64 = 100.0;
/// Calls per second while jobs are submitted.
const RAMP_PACE: &str = "9000";
/// Jobs that end at known moments.
const ENDS: usize = 50;
/// Longest wait for a state of things.
const PATIENCE: Duration = Duration::from_mins(15);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn main() {
    let jobs = usize::try_from(setting("RETRIAL_BENCH_JOBS", 10_000)).unwrap();
    let window = Duration::from_secs(setting("RETRIAL_BENCH_SECONDS", 120));
    let metric = std::env::var("RETRIAL_BENCH_METRIC").ok();
    for kind in ["json", "log"] {
        if metric.as_deref().is_none_or(|wanted| wanted == kind) {
            measure(kind, jobs, window);
        }
    }
}

/// One experiment of as many jobs, from the first submission to the last figure.
fn measure(kind: &str, jobs: usize, window: Duration) {
    let dir = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let lab = Lab::new(dir.path(), kind, jobs);
    let began = Instant::now();
    let ramp = lab.controller(Some(RAMP_PACE));
    until("all jobs run", || lab.running() == jobs);
    until("all starts are recorded", || lab.recorded("TaskStarted").len() == jobs);
    println!(
        "\n{kind}: {jobs} jobs run after {:.0} s, {:.0} s CPU",
        began.elapsed().as_secs_f64(),
        ramp.cpu_s()
    );
    ramp.interrupt();

    let controller = lab.controller(None);
    let taken_over = Instant::now();
    let fresh = now_ms();
    until("each job was listed", || lab.calls_since(fresh, "ListJobs") >= 2 * jobs.div_ceil(100));
    println!("  two rounds of polls after {:.0} s", taken_over.elapsed().as_secs_f64());
    lab.figures("steady", &controller, || sleep(window));
    let mut at = 0;
    lab.figures("jobs end", &controller, || lab.end_some(&mut at, window));

    // Half of what is asked for at this pace.
    lab.control("POST", "rate", &json!({"creates_per_second": 1, "others_per_second": 4, "burst": 4}));
    lab.figures("throttled to 4 calls/s", &controller, || lab.end_some(&mut at, window));
    lab.control("POST", "rate", &Value::Null);
    let refusal = json!({"error": {"status": 429, "code": "Throttling.User", "retry_after_ms": 5000}});
    lab.control("POST", "faults", &json!([{"times": 20, "answer": refusal}]));
    lab.figures("20 refusals for 5 s", &controller, || lab.end_some(&mut at, window));
    controller.interrupt();
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A process of the program, which ends with it.
struct Program(Child);

impl Program {
    fn start(command: &mut Command, out: File) -> Self {
        let errors = out.try_clone().unwrap();
        Self(command.stdin(Stdio::null()).stdout(out).stderr(errors).spawn().unwrap())
    }

    /// CPU seconds so far.
    fn cpu_s(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
        fields.map(|field| field.parse::<f64>().unwrap()).sum::<f64>() / TICKS
    }

    /// Memory now and at most, in MiB.
    fn memory_mib(&self) -> [f64; 2] {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let of =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
        ["VmRSS:", "VmHWM:"].map(|name| of(name).unwrap().parse::<f64>().unwrap() / 1024.0)
    }

    /// Ends it as a person would; its jobs are left.
    fn interrupt(mut self) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        self.0.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A simulator, an experiment and a store in a folder.
struct Lab<'a> {
    dir: &'a Path,
    address: String,
    environment: BTreeMap<String, String>,
    _simulator: Program,
}

impl<'a> Lab<'a> {
    fn new(dir: &'a Path, kind: &str, jobs: usize) -> Self {
        let script = json!({"life": {
            "phases": [{"status": "Queuing", "ms": 200}, {"status": "Running"}],
            "log": [{"text": "{\"step\": {n}, \"value\": 0.5}", "times": 1000, "every_ms": 60_000}],
        }});
        fs::write(dir.join("script.json"), script.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_retrial"));
        command.args(["simulate", "dlc", "--json", "--script", "script.json"]).current_dir(dir);
        let simulator = Program::start(&mut command, File::create(dir.join("simulator")).unwrap());
        let said = wait("the simulator", || {
            serde_json::from_str::<Value>(fs::read_to_string(dir.join("simulator")).unwrap().trim()).ok()
        });
        let endpoint = said["endpoint"].as_str().unwrap();
        let metric = match kind {
            "json" => json!({"json": format!("file://{}/${{trial_id}}.json", dir.display())}),
            _ => json!("report"),
        };
        let experiment = json!({
            "name": "flight", "space": {"x": {"uniform": [0, 1]}},
            "objective": {"metric": "loss", "goal": "minimize"}, "metric": metric,
            "sampler": "random", "budget": {"trials": jobs, "concurrency": jobs},
            "run": {"dlc": {
                "command": "python3 /mnt/data/train.py --x ${x} --out /mnt/data/${trial_id}.json",
                "endpoint": endpoint, "workspace_id": "10001", "JobType": "PyTorchJob",
                "JobSpecs": [{"Type": "Worker", "PodCount": 1, "EcsSpec": "ecs.g6.large",
                    "Image": "registry-vpc.cn-hangzhou.aliyuncs.com/pai-dlc/pytorch-training:2.3"}],
                "DataSources": [{"Uri": "oss://bucket.oss-cn-hangzhou-internal.aliyuncs.com/data/",
                    "MountPath": "/mnt/data"}],
            }},
        });
        fs::write(dir.join("flight.json"), experiment.to_string()).unwrap();
        Self {
            dir,
            address: endpoint.strip_prefix("http://").unwrap().to_owned(),
            environment: serde_json::from_value(said["environment"].clone()).unwrap(),
            _simulator: simulator,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_retrial"));
        command.args(arguments).args(["--store", "store"]).current_dir(self.dir).envs(&self.environment);
        command
    }

    fn controller(&self, pace: Option<&str>) -> Program {
        let mut command = self.command(&["run", "flight.json"]);
        command.envs(pace.map(|pace| ("RETRIAL_CALLS_PER_SECOND", pace)));
        let log = File::options().create(true).append(true).open(self.dir.join("controller")).unwrap();
        Program::start(&mut command, log)
    }

    /// A call of the simulator's own interface.
    fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        let (address, body) = (&self.address, body.to_string());
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!(
            "{method} /simulator/{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    fn jobs(&self) -> Vec<Value> {
        self.control("GET", "state", &Value::Null)["jobs"].as_array().unwrap().clone()
    }

    fn running(&self) -> usize {
        self.jobs().iter().filter(|job| job["Status"] == "Running").count()
    }

    fn calls(&self, since_ms: i64) -> Vec<Value> {
        let calls = self.control("GET", "calls", &Value::Null);
        let recent = |call: &&Value| call["at_ms"].as_i64().unwrap() >= since_ms;
        calls.as_array().unwrap().iter().filter(recent).cloned().collect()
    }

    fn calls_since(&self, since_ms: i64, operation: &str) -> usize {
        self.calls(since_ms).iter().filter(|call| call["operation"] == operation).count()
    }

    /// When the journal has an event of this kind, by the trial.
    fn recorded(&self, kind: &str) -> BTreeMap<u64, i64> {
        let done = self.command(&["events", "flight", "--json"]).output().unwrap();
        let lines = String::from_utf8(done.stdout).unwrap();
        let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let of_kind = events.filter(|event| event["kind"] == kind);
        of_kind
            .map(|event| (event["event"]["trial"].as_u64().unwrap(), event["time_ms"].as_i64().unwrap()))
            .collect()
    }

    /// Ends some jobs, spread over a time, and waits until the journal has their ends. `at` counts those that were ended.
    fn end_some(&self, at: &mut usize, window: Duration) {
        let jobs = self.jobs();
        let mut ended: BTreeMap<u64, i64> = BTreeMap::new();
        for number in *at..*at + ENDS {
            // Spread over all batches of polls.
            let job = &jobs[number * 97 % jobs.len()];
            let path = format!("jobs/{}", job["JobId"].as_str().unwrap());
            self.control("POST", &path, &json!({"phases": [{"status": "Succeeded"}]}));
            let key = job["Tags"]["retrial-key"].as_str().unwrap();
            ended.insert(key.split('-').nth(1).unwrap().parse().unwrap(), now_ms());
            sleep(window / ENDS as u32);
        }
        *at += ENDS;
        let seen = wait("the ends are recorded", || {
            sleep(Duration::from_secs(5));
            let seen = self.recorded("TaskEnded");
            ended.keys().all(|trial| seen.contains_key(trial)).then_some(seen)
        });
        let mut delays: Vec<i64> = ended.iter().map(|(trial, end)| seen[trial] - end).collect();
        delays.sort_unstable();
        let of = |share: f64| delays[((delays.len() - 1) as f64 * share).round() as usize] as f64 / 1000.0;
        println!("  ends seen after: median {:.1} s, p95 {:.1} s, most {:.1} s", of(0.5), of(0.95), of(1.0));
    }

    /// What the controller and its calls cost while something goes on.
    fn figures(&self, what: &str, controller: &Program, meanwhile: impl FnOnce()) {
        println!("{what}:");
        let (began, cpu, from) = (Instant::now(), controller.cpu_s(), now_ms());
        meanwhile();
        let minutes = began.elapsed().as_secs_f64() / 60.0;
        let used = controller.cpu_s() - cpu;
        let [memory, most] = controller.memory_mib();
        println!(
            "  {:.2} s CPU per minute ({:.2} % of a core), {memory:.0} MiB resident, {most:.0} at most",
            used / minutes,
            used / minutes / 0.6
        );
        let calls = self.calls(from);
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for call in &calls {
            let text = |name: &str| call[name].as_str().unwrap();
            *counts.entry((text("operation"), text("outcome"))).or_default() += 1;
        }
        for ((operation, outcome), count) in counts {
            println!("  {:8.1} calls per minute: {operation} ({outcome})", count as f64 / minutes);
        }
        let early = self.control("GET", "state", &Value::Null)["early_calls"].clone();
        println!("  {early} calls so far came before a time that they were told");
    }
}

fn until(what: &str, condition: impl Fn() -> bool) {
    wait(what, || {
        // The simulator does nothing else while it tells of all jobs.
        sleep(Duration::from_secs(10));
        condition().then_some(())
    });
}

fn wait<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not after {} s", PATIENCE.as_secs());
        sleep(Duration::from_millis(100));
    }
}
