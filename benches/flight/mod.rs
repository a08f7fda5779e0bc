//! What measurements of many jobs in flight have in common: a simulator and controllers as processes of their own, the
//! built program both times, so that the figures are the controller's alone. Begin with [`Lab`].
//!
//! A first controller submits at a pace that no service would allow and is interrupted; the measured one takes the jobs
//! over at the default pace, as after a crash.

use serde_json::Value;
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
/// Longest wait for a state of things.
const PATIENCE: Duration = Duration::from_mins(15);

/// What differs between simulated clouds.
pub struct Cloud {
    /// What `retrial simulate` calls it.
    pub name: &'static str,
    /// What its simulator calls jobs, in its state and in the path of one.
    pub jobs: &'static str,
    /// Where in a job its id is: a JSON pointer, as the next two.
    pub id: &'static str,
    /// Where its state is, which is `Running` while it runs.
    pub status: &'static str,
    /// Where a text is that ends with the key of its submission. What has none is no job of ours.
    pub key: &'static str,
    /// The JSON that, posted to a job, lets it succeed at once.
    pub success: &'static str,
    /// The operation that polls.
    pub list: &'static str,
    /// The jobs that one such call can show.
    pub page: usize,
}

/// A number from the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A process of the program, which ends with it.
pub struct Program(Child);

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
    pub fn interrupt(mut self) {
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
pub struct Lab<'a> {
    cloud: &'static Cloud,
    dir: &'a Path,
    address: String,
    environment: BTreeMap<String, String>,
    _simulator: Program,
}

impl<'a> Lab<'a> {
    /// Starts a simulator with a script. `experiment` is told its endpoint.
    pub fn new(
        cloud: &'static Cloud,
        dir: &'a Path,
        script: &Value,
        experiment: impl FnOnce(&str) -> Value,
    ) -> Self {
        fs::write(dir.join("script.json"), script.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_retrial"));
        command.args(["simulate", cloud.name, "--json", "--script", "script.json"]).current_dir(dir);
        let simulator = Program::start(&mut command, File::create(dir.join("simulator")).unwrap());
        let said = wait("the simulator", || {
            serde_json::from_str::<Value>(fs::read_to_string(dir.join("simulator")).unwrap().trim()).ok()
        });
        let endpoint = said["endpoint"].as_str().unwrap();
        fs::write(dir.join("flight.json"), experiment(endpoint).to_string()).unwrap();
        let address = endpoint.strip_prefix("http://").unwrap().split('/').next().unwrap();
        Self {
            cloud,
            dir,
            address: address.to_owned(),
            environment: serde_json::from_value(said["environment"].clone()).unwrap(),
            _simulator: simulator,
        }
    }

    /// Lets a first controller submit all jobs, and gives the one that has taken them over and polled each twice.
    pub fn taken_over(&self, jobs: usize) -> Program {
        let ramp = self.controller(Some(RAMP_PACE));
        self.figures("jobs are submitted", &ramp, || {
            until("all jobs run", || self.running() == jobs);
            until("all starts are recorded", || self.recorded("TaskStarted").len() == jobs);
        });
        ramp.interrupt();

        let controller = self.controller(None);
        let (taken_over, fresh) = (Instant::now(), now_ms());
        let Cloud { list, page, .. } = self.cloud;
        until("each job was listed", || self.calls_since(fresh, list) >= 2 * jobs.div_ceil(*page));
        println!("two rounds of polls after {:.0} s", taken_over.elapsed().as_secs_f64());
        controller
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
    pub fn control(&self, method: &str, path: &str, body: &Value) -> Value {
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
        let state = self.control("GET", "state", &Value::Null);
        let mut jobs = state[self.cloud.jobs].as_array().unwrap().clone();
        jobs.retain(|job| job.pointer(self.cloud.key).is_some_and(Value::is_string));
        jobs
    }

    fn running(&self) -> usize {
        let runs = |job: &&Value| job.pointer(self.cloud.status).is_some_and(|status| status == "Running");
        self.jobs().iter().filter(runs).count()
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

    /// Ends so many jobs, spread over a time, and waits until the journal has their ends. `at` counts those that were ended.
    pub fn end_some(&self, at: &mut usize, count: usize, window: Duration) {
        let (jobs, success) = (self.jobs(), serde_json::from_str(self.cloud.success).unwrap());
        let mut ended: BTreeMap<u64, i64> = BTreeMap::new();
        for number in *at..*at + count {
            // Spread over all batches of polls.
            let job = &jobs[number * 97 % jobs.len()];
            let text = |pointer| job.pointer(pointer).and_then(Value::as_str).unwrap();
            self.control("POST", &format!("{}/{}", self.cloud.jobs, text(self.cloud.id)), &success);
            // A key ends with the trial, the attempt and the task.
            let trial = text(self.cloud.key).rsplit('-').nth(2).unwrap();
            ended.insert(trial.parse().unwrap(), now_ms());
            sleep(window / count as u32);
        }
        *at += count;
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
    pub fn figures(&self, what: &str, controller: &Program, meanwhile: impl FnOnce()) {
        println!("{what}:");
        let (began, cpu, from) = (Instant::now(), controller.cpu_s(), now_ms());
        meanwhile();
        let minutes = began.elapsed().as_secs_f64() / 60.0;
        let used = controller.cpu_s() - cpu;
        let [memory, most] = controller.memory_mib();
        println!(
            "  in {:.0} s: {:.2} s CPU per minute ({:.2} % of a core), {memory:.0} MiB resident, {most:.0} at most",
            minutes * 60.0,
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
