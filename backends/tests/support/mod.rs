//! What the tests with a `main` of their own share: a runner that speaks like cargo's, and waiting.
#![expect(clippy::print_stdout, unreachable_pub, reason = "tests")]

pub mod orders;

use engine::ports::backend::{Backend, JobHandle, JobState};
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
