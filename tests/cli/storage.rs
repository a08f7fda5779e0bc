//! Metrics that jobs in the cloud leave in a bucket.

use crate::support::{Lab, Running};
use serde_json::{Value, json};
use simulators::{dlc, oss};

/// Event files that the real writer of tensorboardX made: six steps, the fifth with an accuracy of 0.9 and the last with none.
const EVENTS: &[u8] = include_bytes!("../../backends/tests/fixtures/summary/events.out.tfevents.simple");

/// Runs three trials whose metrics are there already, as if their jobs had written them.
fn run(metric: &Value, key: &str, files: &[(&str, &[u8])]) -> Vec<Value> {
    let lab = Lab::new();
    let region = dlc::Simulator::anywhere(dlc::Script::default()).unwrap();
    let bucket = oss::Simulator::anywhere(&oss::Script::default()).unwrap();
    for trial in 0..3 {
        for (name, bytes) in files {
            bucket.put("simulated", &format!("runs/{trial}/{name}"), bytes).unwrap();
        }
    }
    let spec = lab.spec(&json!({
        "name": "cloud",
        "space": {"x": {"uniform": [0, 1]}},
        "objective": {"metric": key, "goal": "maximize"},
        "metric": metric,
        "budget": {"trials": 3, "concurrency": 3},
        "run": {"dlc": {
            "command": "train",
            "endpoint": format!("http://{}", region.address()),
            "region": "cn-hangzhou",
            "oss_endpoint": format!("http://{}", bucket.address()),
            "workspace_id": "10001",
            "JobType": "PyTorchJob",
            "JobSpecs": [{"Type": "Worker", "Image": "image", "EcsSpec": "ecs.g6.large"}],
        }},
    }));
    let mut command = lab.command(&["run", &spec]);
    command.env("RETRIAL_POLL_SECONDS", "0.2").env("RETRIAL_CALLS_PER_SECOND", "1000");
    command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAISimulatedKey");
    command.env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "simulated-secret");
    let done = Running::begin(&lab, command).end();
    assert_eq!(done.code, Some(0), "{done}");
    lab.trials("cloud")
}

#[test]
fn a_json_file_in_a_bucket_is_the_trials_result() {
    let metric = json!({"json": "oss://simulated/runs/${trial_id}/out.json", "key": "test.acc"});
    for trial in run(&metric, "acc", &[("out.json", b"{\"test\": {\"acc\": 0.75}}")]) {
        assert_eq!(
            (trial["status"].as_str(), trial["value"].as_f64()),
            (Some("SUCCEEDED"), Some(0.75)),
            "{trial}"
        );
    }
}

#[test]
fn every_step_of_event_files_in_a_bucket_is_a_report() {
    let metric = json!({"summary": "oss://simulated/runs/${trial_id}", "key": "val/accuracy"});
    for trial in run(&metric, "acc", &[("logs/events.out.tfevents.1.host", EVENTS), ("logs/other", b"x")]) {
        let reports = trial["reports"].as_array().unwrap();
        assert_eq!(reports.len(), 6, "one of them is not finite: {trial}");
        assert!((trial["value"].as_f64().unwrap() - 0.9).abs() < 1e-6, "{trial}");
    }
}
