//! A place for one test: its own directory and store, the program run in it, and no process left behind.
#![allow(
    dead_code,
    unused_imports,
    clippy::allow_attributes,
    reason = "each test program uses its own part of this"
)]

mod processes;

pub use processes::{alive, mentioning, signal, supervisors};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until there is a value, with a bound.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The directory of one test. Dropping it ends every process that was started in it.
pub struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    /// An empty directory.
    pub fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("retrial-lab-").tempdir().unwrap() }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The store.
    pub fn store(&self) -> PathBuf {
        self.file("store")
    }

    /// Writes a file; gives its path as text.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.file(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Writes an experiment file.
    pub fn spec(&self, spec: &Value) -> String {
        self.write("experiment.json", &spec.to_string())
    }

    /// The text of a file; empty if there is none.
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Lets tasks go on that wait for this file.
    pub fn open_gate(&self, name: &str) {
        fs::write(self.file(name), "").unwrap();
    }

    /// The program with arguments, in this directory and with its store.
    pub fn command(&self, args: &[&str]) -> Command {
        // Another build of the program, such as a released one, can be put to the test.
        let program = std::env::var_os("RETRIAL_PROGRAM");
        let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_retrial").into()));
        let unset =
            ["RETRIAL_LOG", "RETRIAL_EXPERIMENT", "RETRIAL_SERVER", "RETRIAL_TOKEN", "COLUMNS", "NO_COLOR"];
        for name in unset {
            command.env_remove(name);
        }
        command.args(args).current_dir(self.dir.path()).env("RETRIAL_STORE", self.store());
        command.env("RETRIAL_DURABILITY", "process").stdin(Stdio::null());
        command
    }

    /// Starts the program.
    pub fn start(&self, args: &[&str]) -> Running {
        Running::begin(self, self.command(args))
    }

    /// Runs the program to its end.
    pub fn retrial(&self, args: &[&str]) -> Done {
        self.start(args).end()
    }

    /// Runs the program, which must end with this code.
    pub fn expect(&self, code: i32, args: &[&str]) -> Done {
        let done = self.retrial(args);
        assert_eq!(done.code, Some(code), "retrial {}\n{done}", args.join(" "));
        done
    }

    /// Runs the program, which must end well, and reads what it printed as JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let mut args = args.to_vec();
        args.push("--json");
        self.expect(0, &args).json()
    }

    /// The trials of an experiment, as other processes see them. None while there is no such experiment.
    pub fn trials(&self, exp: &str) -> Vec<Value> {
        let done = self.retrial(&["trials", exp, "--json"]);
        if done.code == Some(0) { done.json().as_array().unwrap().clone() } else { Vec::new() }
    }

    /// The lines that `events --json` prints.
    pub fn events(&self, exp: &str) -> Vec<Value> {
        let done = self.expect(0, &["events", exp, "--json"]);
        done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until an experiment has this many trials of a status.
    pub fn until_trials(&self, exp: &str, status: &str, count: usize) -> Vec<Value> {
        until(&format!("{count} trials that are {status}"), || {
            let trials = self.trials(exp);
            (trials.iter().filter(|trial| trial["status"] == status).count() >= count).then_some(trials)
        })
    }

    /// Waits until a file has at least this many lines, and gives them.
    pub fn until_lines(&self, name: &str, count: usize) -> Vec<String> {
        until(&format!("{count} lines in {name}"), || {
            let lines: Vec<String> = self.text(name).lines().map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        })
    }

    /// The living processes that have to do with this directory.
    pub fn processes(&self) -> Vec<i32> {
        mentioning(&self.dir.path().display().to_string())
    }

    /// The supervisors of this directory's tasks.
    pub fn supervisors(&self) -> Vec<i32> {
        supervisors(&self.dir.path().display().to_string())
    }

    /// Waits until no process of this directory is left.
    pub fn until_quiet(&self) {
        until("the end of all processes", || self.processes().is_empty().then_some(()));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let began = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() || began.elapsed() > Duration::from_secs(10) {
                return;
            }
            for pid in left {
                signal(pid, Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The program while it runs. What it prints goes to files, so that it never waits for a reader.
pub struct Running {
    child: Child,
    out: tempfile::NamedTempFile,
    err: tempfile::NamedTempFile,
}

impl Running {
    /// Starts a command.
    pub fn begin(lab: &Lab, mut command: Command) -> Self {
        let file = |what: &str| tempfile::Builder::new().prefix(what).tempfile_in(lab.dir()).unwrap();
        let (out, err) = (file("stdout-"), file("stderr-"));
        let open = |file: &tempfile::NamedTempFile| File::options().append(true).open(file.path()).unwrap();
        command.stdout(open(&out)).stderr(open(&err));
        Self { child: command.spawn().unwrap(), out, err }
    }

    /// What it has printed so far.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.out.path()).unwrap()).into_owned()
    }

    /// What it has printed to standard error so far.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.err.path()).unwrap()).into_owned()
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self::signal(self.pid(), signal);
    }

    /// Kills it, as a power failure would.
    pub fn kill(mut self) -> Done {
        let _ = self.child.kill();
        self.wait()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Done {
        self.wait()
    }

    fn wait(&mut self) -> Done {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end:\n{}\n{}", self.out(), self.err());
            std::thread::sleep(Duration::from_millis(2));
        };
        Done { code: status.code(), out: self.out(), err: self.err() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// How the program ended.
#[derive(Debug)]
pub struct Done {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Done {
    /// The last line of standard output as JSON.
    pub fn json(&self) -> Value {
        let last = self.out.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}:\n{self}"))
    }

    /// Both streams hold no trace of a panic.
    pub fn no_panic(&self) -> &Self {
        assert!(!self.err.contains("panicked") && self.code != Some(101), "{self}");
        self
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "code {:?}\n--- stdout\n{}--- stderr\n{}", self.code, self.out, self.err)
    }
}

/// An experiment of `trials` trials that run a command.
pub fn experiment(trials: u32, command: &str) -> Value {
    json!({
        "name": "lab",
        "space": {"x": {"uniform": [0, 1]}, "kind": {"choice": ["a", "b"]}},
        "objective": {"metric": "score", "goal": "maximize"},
        "metric": {"stdout": "score=([-+0-9.eE]+)"},
        "sampler": "random",
        "seed": 7,
        "budget": {"trials": trials, "concurrency": 2},
        "run": {"local": {"command": command}},
    })
}

/// `spec` with some parts replaced; `null` takes a part away.
pub fn with(mut spec: Value, changes: Value) -> Value {
    merge(&mut spec, changes);
    spec
}

fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                if value.is_null() {
                    into.remove(&key);
                } else if let Some(inner) =
                    into.get_mut(&key).filter(|inner| inner.is_object() && value.is_object())
                {
                    merge(inner, value);
                } else {
                    into.insert(key, value);
                }
            }
        }
        (into, changes) => *into = changes,
    }
}

/// Shell text that waits until a file in the experiment file's folder is there.
pub fn wait_for(gate: &str) -> String {
    format!("while [ ! -e '${{spec_dir}}/{gate}' ]; do sleep 0.02; done")
}
