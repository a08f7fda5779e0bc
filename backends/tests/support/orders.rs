//! Orders, and a runtime to give them to a backend.
#![expect(clippy::unwrap_used, unreachable_pub, reason = "tests")]

use engine::id::SubmissionKey;
use engine::ports::backend::{CommandLine, TaskOrder};
use engine::testing::backend::order;

/// A single-threaded runtime for one test.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// An order for a line of the shell.
pub fn shell(key: SubmissionKey, line: &str) -> TaskOrder {
    order(key, CommandLine::Shell(line.to_owned()))
}
