//! What signals the tasks of the local backend see, and how long they may take to end.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use engine::event::v1::Outcome;
use engine::ports::backend::{Backend, JobState, Source, Submitted, TaskOrder};
use engine::testing::backend::key;
use engine::time::Span;
use retrial_backends::{self as backends, LocalBackend};
use std::path::Path;
use std::process::ExitCode;
use support::orders::{block_on, shell};
use support::{ended, run_tests};

fn main() -> ExitCode {
    if let Some(code) = backends::supervise_if_asked() {
        return code;
    }
    run_tests(&[
        ("a_task_begins_with_no_signal_ignored_or_blocked", a_task_begins_with_no_signal_ignored_or_blocked),
        ("a_task_under_a_deaf_controller_ends_on_request", a_task_under_a_deaf_controller_ends_on_request),
        (
            "what_cleans_up_after_its_shell_has_the_whole_grace",
            what_cleans_up_after_its_shell_has_the_whole_grace,
        ),
        ("what_outlives_the_grace_is_killed", what_outlives_the_grace_is_killed),
    ])
}

/// A backend as a controller has it that ignores signals, as under `nohup` or in the background of a script.
fn deaf(dir: &Path) -> LocalBackend {
    let line = "trap '' HUP INT QUIT TERM USR1 USR2 TSTP CHLD; exec \"$0\" __supervise \"$1\"";
    let program = std::env::current_exe().unwrap();
    let command = vec!["sh".into(), "-c".into(), line.into(), program.into()];
    LocalBackend::new(dir.join("runs"), command)
}

/// Runs a task, asks for its end once it has printed a line, and gives its end with all that it printed.
async fn stopped(backend: &LocalBackend, order: &TaskOrder) -> (Outcome, u64, String) {
    let Submitted::Accepted(handle) = backend.submit(order).await else { panic!("{order:?}") };
    while backend.read(&handle, &Source::Stdout, 0, 1).await.map_or(true, |chunk| chunk.bytes.is_empty()) {
        tokio::task::yield_now().await;
    }
    backend.stop(&handle).await.unwrap();
    let JobState::Ended { outcome, started, ended } = ended(backend, &handle).await else { unreachable!() };
    let bytes = backend.read(&handle, &Source::Stdout, 0, 1 << 20).await.unwrap().bytes;
    (outcome, ended.since(started.unwrap()).0, String::from_utf8(bytes).unwrap())
}

fn a_task_begins_with_no_signal_ignored_or_blocked() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let backend = deaf(dir.path());
        let order = shell(key(1, 0), "exec grep -E '^Sig(Blk|Ign)' /proc/self/status");
        let Submitted::Accepted(handle) = backend.submit(&order).await else { panic!("not accepted") };
        let state = ended(&backend, &handle).await;
        assert!(matches!(state, JobState::Ended { outcome: Outcome::Succeeded, .. }), "{state:?}");
        let bytes = backend.read(&handle, &Source::Stdout, 0, 1 << 20).await.unwrap().bytes;
        let text = String::from_utf8(bytes).unwrap();
        for name in ["SigBlk:", "SigIgn:"] {
            let mask = text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
            // Only those that have a name; what the C library uses for itself is its own affair.
            assert_eq!(u64::from_str_radix(mask, 16).unwrap() & 0x7fff_ffff, 0, "{text}");
        }
    });
}

fn a_task_under_a_deaf_controller_ends_on_request() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let mut order = shell(key(1, 0), "echo ready; exec sleep 300");
        order.grace = Span(600_000);
        let (outcome, ..) = stopped(&deaf(dir.path()), &order).await;
        assert_eq!(outcome, Outcome::Stopped);
    });
}

fn what_cleans_up_after_its_shell_has_the_whole_grace() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let backend = LocalBackend::new(dir.path().join("runs"), backends::supervisor_command());
        // The shell ends at once; its child takes longer than what is left behind by a task that ended by itself.
        let line = "(trap 'echo cleaning; sleep 2.5; echo cleaned; exit' TERM; echo ready; while :; do sleep 0.05; done) & \
                    wait";
        let mut order = shell(key(1, 0), line);
        order.grace = Span(60_000);
        let (outcome, took, printed) = stopped(&backend, &order).await;
        assert_eq!((outcome, printed.as_str()), (Outcome::Stopped, "ready\ncleaning\ncleaned\n"));
        assert!(took < 30_000, "it waits for what lives, not for the clock: {took} ms");
    });
}

fn what_outlives_the_grace_is_killed() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let backend = LocalBackend::new(dir.path().join("runs"), backends::supervisor_command());
        let line = "(trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done) & wait";
        let mut order = shell(key(1, 0), line);
        order.grace = Span(300);
        let (outcome, took, printed) = stopped(&backend, &order).await;
        assert_eq!((outcome, printed.as_str()), (Outcome::Stopped, "ready\nasked\n"));
        assert!(took >= 300, "{took} ms");
    });
}
