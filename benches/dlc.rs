//! 10,000 DLC jobs in flight: `cargo bench --bench dlc`. Prints figures; asserts nothing about them.
//! `docs/measurements/dlc.md` has some; what is measured how stands in `flight/mod.rs`.
//!
//! `RETRIAL_BENCH_JOBS` (10000) and `RETRIAL_BENCH_SECONDS` (120) say how much, `RETRIAL_BENCH_AGE` (0) for how many seconds jobs have
//! run before it is measured; `RETRIAL_BENCH_METRIC` is `json`, `log`, or
//! both by default: whether reports are in a file that is read at the end, or in each job's output.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

mod flight;

use flight::{Cloud, Lab, setting};
use serde_json::{Value, json};
use std::thread::sleep;
use std::time::Duration;

/// Jobs that end at known moments.
const ENDS: usize = 50;

const DLC: Cloud = Cloud {
    name: "dlc",
    jobs: "jobs",
    id: "/JobId",
    status: "/Status",
    key: "/Tags/retrial-key",
    success: r#"{"phases": [{"status": "Succeeded"}]}"#,
    list: "ListJobs",
    page: 100,
};

fn main() {
    let jobs = usize::try_from(setting("RETRIAL_BENCH_JOBS", 10_000)).unwrap();
    let window = Duration::from_secs(setting("RETRIAL_BENCH_SECONDS", 120));
    let metric = std::env::var("RETRIAL_BENCH_METRIC").ok();
    for kind in ["json", "log"] {
        if metric.as_deref().is_none_or(|wanted| wanted == kind) {
            measure(kind, jobs, window);
        }
    }
}

/// One experiment of as many jobs, from the first submission to the last figure.
fn measure(kind: &str, jobs: usize, window: Duration) {
    println!("\n{jobs} jobs, metric: {kind}");
    let dir = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let script = json!({"life": {
        "phases": [{"status": "Queuing", "ms": 200}, {"status": "Running"}],
        "log": [{"text": "{\"step\": {n}, \"value\": 0.5}", "times": 1000, "every_ms": 60_000}],
    }});
    let metric = match kind {
        "json" => json!({"json": format!("file://{}/${{trial_id}}.json", dir.path().display())}),
        _ => json!("report"),
    };
    let lab = Lab::new(&DLC, dir.path(), &script, |endpoint| {
        json!({
            "name": "flight", "space": {"x": {"uniform": [0, 1]}},
            "objective": {"metric": "loss", "goal": "minimize"}, "metric": metric,
            "sampler": "random", "budget": {"trials": jobs, "concurrency": jobs},
            "run": {"dlc": {
                "command": "python3 /mnt/data/train.py --x ${x} --out /mnt/data/${trial_id}.json",
                "endpoint": endpoint, "workspace_id": "10001", "JobType": "PyTorchJob",
                "JobSpecs": [{"Type": "Worker", "PodCount": 1, "EcsSpec": "ecs.g6.large",
                    "Image": "registry-vpc.cn-hangzhou.aliyuncs.com/pai-dlc/pytorch-training:2.3"}],
                "DataSources": [{"Uri": "oss://bucket.oss-cn-hangzhou-internal.aliyuncs.com/data/",
                    "MountPath": "/mnt/data"}],
            }},
        })
    });
    let controller = lab.taken_over(jobs);
    sleep(Duration::from_secs(setting("RETRIAL_BENCH_AGE", 0)));
    lab.figures("steady", &controller, || sleep(window));
    let mut at = 0;
    lab.figures("jobs end", &controller, || lab.end_some(&mut at, ENDS, window));

    // Half of what is asked for at this pace.
    lab.control("POST", "rate", &json!({"creates_per_second": 1, "others_per_second": 4, "burst": 4}));
    lab.figures("throttled to 4 calls/s", &controller, || lab.end_some(&mut at, ENDS, window));
    lab.control("POST", "rate", &Value::Null);
    let refusal = json!({"error": {"status": 429, "code": "Throttling.User", "retry_after_ms": 5000}});
    lab.control("POST", "faults", &json!([{"times": 20, "answer": refusal}]));
    lab.figures("20 refusals for 5 s", &controller, || lab.end_some(&mut at, ENDS, window));
    controller.interrupt();
}
