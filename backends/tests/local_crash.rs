//! Controllers of the local backend are killed at random moments; no task is started twice, and none is forgotten.
//!
//! A controller is this program executed again: it submits tasks, one after the other, until it is killed.
//! Then another one finds out, with nothing but the keys, what was started.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use engine::event::v1::Outcome;
use engine::id::SubmissionKey;
use engine::ports::backend::{Backend, Found, JobState, Submitted};
use engine::testing::backend::key;
use retrial_backends::{LocalBackend, supervise_if_asked, supervisor_command};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use support::orders::{block_on, shell};
use support::{ended, run_tests};

/// Rounds of each test: one controller is killed in each.
const ROUNDS: u64 = 40;
/// Tasks of a round.
const TASKS: u32 = 8;

fn main() -> ExitCode {
    if let Some(code) = supervise_if_asked() {
        return code;
    }
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|arg| arg == "__control") {
        control(Path::new(&args[2]));
        return ExitCode::SUCCESS;
    }
    run_tests(&[
        ("a_controller_killed_at_any_moment_starts_no_task_twice", killed_controllers),
        ("controllers_and_supervisors_killed_together_start_no_task_twice", killed_groups),
        ("two_controllers_at_once_start_no_task_twice", two_controllers),
    ])
}

/// Numbers that look random and are the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33) % bound
    }
}

fn backend(dir: &Path) -> LocalBackend {
    LocalBackend::new(dir.join("runs"), supervisor_command())
}

fn order(dir: &Path, key: SubmissionKey) -> engine::ports::backend::TaskOrder {
    // One `write` call appends, so that no start is hidden by another.
    shell(key, &format!("echo {key} >> '{}'", dir.join("starts").display()))
}

fn starts(dir: &Path) -> Vec<String> {
    fs::read_to_string(dir.join("starts")).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Submits every task, and again from the first one, until it is killed.
fn control(dir: &Path) {
    block_on(async {
        let backend = backend(dir);
        fs::write(dir.join("ready"), "").unwrap();
        for trial in 0..TASKS {
            backend.submit(&order(dir, key(trial, 0))).await;
        }
        std::future::pending::<()>().await;
    });
}

fn controller(dir: &Path) -> std::process::Child {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.arg("__control").arg(dir).stdin(Stdio::null());
    let child = command.spawn().unwrap();
    let began = Instant::now();
    while !dir.join("ready").exists() {
        assert!(began.elapsed() < support::PATIENCE, "the controller never began");
        std::thread::yield_now();
    }
    child
}

/// What the runtime does after a crash: looks for each task, submits those that certainly were not started, and
/// waits for their ends. `may_be_lost`: whether supervisors were killed too.
async fn recover(dir: &Path, may_be_lost: bool) {
    let backend = backend(dir);
    for trial in 0..TASKS {
        let order = order(dir, key(trial, 0));
        let handle = match backend.find(&order).await {
            Found::One(handle) => handle,
            Found::NoneForSure => match backend.submit(&order).await {
                Submitted::Accepted(handle) => handle,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        let JobState::Ended { outcome, .. } = ended(&backend, &handle).await else { unreachable!() };
        let count = starts(dir).iter().filter(|line| **line == order.key.to_string()).count();
        match outcome {
            Outcome::Succeeded => assert_eq!(count, 1, "{} succeeded", order.key),
            Outcome::Lost { .. } if may_be_lost => assert!(count <= 1, "{} was lost", order.key),
            // Between fork and exec the task looks like its supervisor, so that the kill can hit it instead.
            Outcome::Failed { signal: Some(9), .. } if may_be_lost => {
                assert!(count <= 1, "{} was killed", order.key);
            }
            other => panic!("{}: {other:?}", order.key),
        }
    }
    // A supervisor that comes too late must find that it has nothing to do; none is left once all is quiet.
    let began = Instant::now();
    while !supervisors(dir).is_empty() {
        assert!(began.elapsed() < support::PATIENCE, "supervisors are left");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut all = starts(dir);
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count, "a task was started twice");
    assert!(may_be_lost || count == usize::try_from(TASKS).unwrap(), "{count} of {TASKS} tasks were started");
}

/// The living supervisors of this directory.
fn supervisors(dir: &Path) -> Vec<i32> {
    let mark = dir.join("runs").display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let found: Vec<i32> = processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            (line.contains("__supervise") && line.contains(&mark)).then_some(pid)
        })
        .collect();
    // The child of a supervisor looks like one until it becomes the task.
    found.iter().copied().filter(|pid| parent(*pid).is_none_or(|parent| !found.contains(&parent))).collect()
}

fn parent(pid: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn spin(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn rounds(seed: u64, each: impl Fn(&mut Draw, PathBuf)) {
    let mut draw = Draw(seed);
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir().unwrap();
        each(&mut draw, dir.path().to_owned());
    }
}

fn killed_controllers() {
    rounds(1, |draw, dir| {
        let mut child = controller(&dir);
        spin(Duration::from_micros(draw.below(30_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        block_on(recover(&dir, false));
    });
}

fn killed_groups() {
    rounds(2, |draw, dir| {
        let mut child = controller(&dir);
        spin(Duration::from_micros(draw.below(30_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        for pid in supervisors(&dir) {
            if draw.below(2) == 0 {
                let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
            }
        }
        block_on(recover(&dir, true));
    });
}

fn two_controllers() {
    rounds(3, |draw, dir| {
        let mut children = [controller(&dir), controller(&dir)];
        spin(Duration::from_micros(draw.below(30_000)));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        block_on(recover(&dir, false));
    });
}
