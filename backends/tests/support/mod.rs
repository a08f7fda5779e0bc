//! What the tests with a `main` of their own share: a runner that speaks like cargo's, and tasks.
#![expect(clippy::unwrap_used, clippy::print_stdout, unreachable_pub, reason = "tests")]

use engine::id::SubmissionKey;
use engine::ports::backend::{Backend, CommandLine, JobHandle, JobState, TaskOrder};
use engine::time::Span;
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Longest wait for anything to happen.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Runs the tests whose names contain the first argument that is no flag.
pub fn run_tests(tests: &[(&str, fn())]) -> ExitCode {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in tests.iter().filter(|(name, _)| name.contains(&filter)) {
        let ok = catch_unwind(test).is_ok();
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
        *(if ok { &mut passed } else { &mut failed }) += 1;
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    let others = tests.len() - passed - failed;
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {others} filtered out"
    );
    ExitCode::from(u8::from(failed > 0))
}

/// A single-threaded runtime for one test.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// An order for a line of the shell.
pub fn shell(key: SubmissionKey, line: &str) -> TaskOrder {
    TaskOrder {
        key,
        command: CommandLine::Shell(line.to_owned()),
        env: BTreeMap::new(),
        params: serde_json::Map::new(),
        bindings: Vec::new(),
        templates: Vec::new(),
        timeout: None,
        grace: Span(5_000),
        slot: 0,
        slots: 1,
        resume_from: None,
        config: serde_json::Value::Null,
    }
}

/// Waits for the end of a job.
pub async fn ended(backend: &dyn Backend, handle: &JobHandle) -> JobState {
    let began = Instant::now();
    loop {
        let state = backend.poll(std::slice::from_ref(handle)).await.remove(0);
        if matches!(state, JobState::Ended { .. }) {
            return state;
        }
        assert!(began.elapsed() < PATIENCE, "{handle:?} stayed {state:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
