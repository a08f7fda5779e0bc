//! 5,000 `MaxCompute` instances in flight: `cargo bench --bench maxcompute`. Prints figures; asserts nothing about them.
//! `docs/measurements/maxcompute.md` has some; what is measured how stands in `flight/mod.rs`.
//!
//! `RETRIAL_BENCH_JOBS` (5000) and `RETRIAL_BENCH_SECONDS` (120) say how much.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

mod flight;

use flight::{Cloud, Lab, setting};
use serde_json::json;
use std::thread::sleep;
use std::time::Duration;

/// Instances that end one after the other.
const ENDS: usize = 50;
/// Instances that end in the same moment.
const AT_ONCE: usize = 200;
/// An instance runs until it is told to end.
const FOR_EVER_MS: u64 = 1_000_000_000;

const MAX_COMPUTE: Cloud = Cloud {
    name: "maxcompute",
    jobs: "instances",
    id: "/id",
    status: "/status",
    key: "/guid",
    success: r#"{"running_ms": 0}"#,
    list: "ListInstances",
    page: 1_000,
};

fn main() {
    let jobs = usize::try_from(setting("RETRIAL_BENCH_JOBS", 5_000)).unwrap();
    let window = Duration::from_secs(setting("RETRIAL_BENCH_SECONDS", 120));
    println!("\n{jobs} instances");
    let dir = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    // The metric's question is not one of the tasks, and is answered soon.
    let script = json!({
        "life": {"waiting_ms": 50, "running_ms": 100},
        "rules": [{"contains": "CREATE TABLE", "life": {"waiting_ms": 200, "running_ms": FOR_EVER_MS}}],
    });
    let lab = Lab::new(&MAX_COMPUTE, dir.path(), &script, |endpoint| {
        json!({
            "name": "flight", "space": {"x": {"uniform": [0, 1]}},
            "objective": {"metric": "auc", "goal": "maximize"},
            "metric": {"table": "SELECT auc FROM m_${exp_id}_${trial_id}_${attempt}", "keys": ["auc"]},
            "sampler": "random", "budget": {"trials": jobs, "concurrency": jobs},
            "run": {"maxcompute": {
                "tasks": ["CREATE TABLE m_${exp_id}_${trial_id}_${attempt} AS SELECT ${x} AS auc"],
                "endpoint": endpoint, "project": "simulated_project",
            }},
        })
    });
    let controller = lab.taken_over(jobs);
    lab.figures("steady", &controller, || sleep(window));
    let mut at = 0;
    lab.figures("instances end", &controller, || lab.end_some(&mut at, ENDS, window));
    lab.figures("many end at once", &controller, || lab.end_some(&mut at, AT_ONCE, Duration::ZERO));
    controller.interrupt();
}
