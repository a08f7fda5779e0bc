//! The JSON that programs rely on, field by field.

use crate::support::{Lab, experiment};
use serde_json::{Value, json};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_result_of_a_run_has_the_agreed_fields_only() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(2, "echo score=${x}"));
    let done = lab.expect(0, &["run", &file, "--json"]);
    let result = done.json();
    assert_eq!(keys(&result), ["experiment", "status", "best", "trials"]);
    assert_eq!(keys(&result["best"]), ["trial", "value", "params"]);
    assert_eq!(result["trials"], json!({"SUCCEEDED": 2}));
    assert_eq!(result["status"], "FINISHED");
    assert_eq!(result["experiment"].as_str().unwrap().len(), 8);
    assert_eq!(done.out.lines().count(), 1, "{done}");
}

#[test]
fn a_trial_has_the_agreed_fields() {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(&experiment(1, "echo score=0.5; echo score=0.75"))]);
    let trials = lab.trials("lab");
    let trial = &trials[0];
    for key in ["trial", "status", "params", "value", "reports", "attempts"] {
        assert!(!trial[key].is_null(), "{key} is missing: {trial}");
    }
    let reports = trial["reports"].as_array().unwrap();
    let seen: Vec<Value> = reports.iter().map(|report| json!([report["step"], report["value"]])).collect();
    assert_eq!(seen, [json!([1, 0.5]), json!([2, 0.75])]);
    let attempt = &trial["attempts"][0];
    assert_eq!(attempt["attempt"], 1);
    assert_eq!(attempt["outcome"], "succeeded");
    assert!(attempt["job"].as_str().unwrap().contains("-0-1-0"));
    assert!(attempt["started_ms"].as_i64().unwrap() <= attempt["ended_ms"].as_i64().unwrap());
}

#[test]
fn a_verification_has_the_agreed_fields() {
    let lab = Lab::new();
    let result = lab.json(&["run", &lab.spec(&experiment(1, "echo score=1"))]);
    let verified = lab.json(&["audit", "verify"]);
    assert_eq!(verified["ok"], true);
    assert!(verified["records"].as_u64().unwrap() > 5);
    assert_eq!(verified["head"].as_str().unwrap().len(), 64);
    assert_eq!(verified["experiments"][0]["id"], result["experiment"]);
    assert_eq!(verified["experiments"][0]["digest"].as_str().unwrap().len(), 64);
}

#[test]
fn every_reading_command_prints_json_and_nothing_else() {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(&experiment(2, "echo score=${x}"))]);
    for command in [
        &["ls"][..],
        &["show", "lab"],
        &["trials", "lab"],
        &["best", "lab"],
        &["events", "lab"],
        &["watch", "lab"],
        &["audit", "verify"],
        &["audit", "log", "lab"],
        &["audit", "replay", "lab", "--at", "8"],
        &["audit", "resample", "lab"],
        &["doctor"],
        &["check", "experiment.json"],
    ] {
        let done = lab.expect(0, &[command, &["--json"]].concat());
        assert!(done.err.is_empty(), "{command:?}: {done}");
        for line in done.out.lines() {
            serde_json::from_str::<Value>(line)
                .unwrap_or_else(|error| panic!("{command:?}: {error}: {line}"));
        }
    }
}

#[test]
fn an_error_is_json_as_well_when_asked_for() {
    let lab = Lab::new();
    let done = lab.expect(1, &["show", "nothing", "--json"]);
    let error = &done.json()["error"];
    assert_eq!(error["code"], "E0612", "{done}");
    assert!(error["message"].as_str().unwrap().contains("no store"), "{done}");
    assert!(done.err.is_empty(), "{done}");
}
