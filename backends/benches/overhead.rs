//! What one trivial task costs under the local backend, beside `xargs -P 2` in the same run.
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::panic, reason = "a measurement for people")]

use engine::id::{AttemptNo, ExperimentId, SubmissionKey, TaskIndex, TrialId};
use engine::ports::backend::{Backend, CommandLine, JobHandle, JobState, Submitted, TaskOrder};
use engine::testing::backend::order;
use retrial_backends::{LocalBackend, supervise_if_asked, supervisor_command};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Tasks of one measurement, and how many run at once.
const TASKS: u32 = 400;
const SLOTS: usize = 2;
/// Clock ticks of `/proc` in a second: fixed on Linux.
const TICKS: f64 = 100.0;

fn main() -> ExitCode {
    if let Some(code) = supervise_if_asked() {
        return code;
    }
    // One directory, removed at the end: ext4 searches long for a free inode after many were removed.
    let dir = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    for round in 0..4 {
        report("xargs -P 2 true", xargs);
        report("local backend", || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run(&LocalBackend::new(dir.path(), supervisor_command()), round));
        });
    }
    ExitCode::SUCCESS
}

fn report(name: &str, work: impl FnOnce()) {
    let (before, began) = (cpu_ticks(), Instant::now());
    work();
    let (wall, cpu) = (began.elapsed().as_secs_f64(), (cpu_ticks() - before) / TICKS);
    let each = |seconds: f64| 1_000.0 * seconds / f64::from(TASKS);
    println!("{name:20} {:7.2} ms CPU and {:7.2} ms wall per task", each(cpu), each(wall));
}

/// User and system time of this process and of all children that it has reaped.
fn cpu_ticks() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(4);
    fields.map(|field| field.parse::<f64>().unwrap()).sum()
}

fn xargs() {
    let line = format!("seq {TASKS} | xargs -P {SLOTS} -I{{}} true");
    assert!(Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).status().unwrap().success());
}

async fn run(backend: &LocalBackend, round: u64) {
    let mut running: Vec<JobHandle> = Vec::new();
    let mut next = 0;
    while next < TASKS || !running.is_empty() {
        while next < TASKS && running.len() < SLOTS {
            running.push(submit(backend, round, next).await);
            next += 1;
        }
        let _ = tokio::time::timeout(std::time::Duration::from_millis(50), backend.changed()).await;
        let states = backend.poll(&running).await;
        let mut states = states.iter();
        running.retain(|_| !matches!(states.next(), Some(JobState::Ended { .. })));
    }
    // Reap the last ones, so that they count.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    backend.poll(&[]).await;
}

async fn submit(backend: &LocalBackend, round: u64, trial: u32) -> JobHandle {
    let key = SubmissionKey {
        experiment: ExperimentId::from_random(round + 1),
        trial: TrialId(trial),
        attempt: AttemptNo(1),
        task: TaskIndex(0),
    };
    let order = TaskOrder { slots: 2, ..order(key, CommandLine::Args(vec!["true".to_owned()])) };
    match backend.submit(&order).await {
        Submitted::Accepted(handle) => handle,
        other => panic!("{other:?}"),
    }
}
