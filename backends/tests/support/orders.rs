//! Orders, and a runtime to give them to a backend.
#![expect(clippy::unwrap_used, unreachable_pub, reason = "tests")]

use engine::id::SubmissionKey;
use engine::ports::backend::{CommandLine, TaskOrder};
use engine::time::{Span, Timestamp};
use std::collections::BTreeMap;

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
        planned: Timestamp(0),
        timeout: None,
        grace: Span(5_000),
        slot: 0,
        slots: 1,
        resume_from: Vec::new(),
        config: serde_json::Value::Null,
    }
}
