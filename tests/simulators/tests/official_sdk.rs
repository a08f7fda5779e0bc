//! The service's official SDK, run against the simulator: both sides are somebody else's judgement of the protocol.
//!
//! Needs a Python with what `official_sdk/requirements.txt` lists, named by `RETRIAL_DLC_SDK_PYTHON`. Without it the
//! test is skipped, loudly; `RETRIAL_NO_SKIP=1` makes that a failure.

#[path = "support/official.rs"]
mod official;

use retrial_simulators::dlc::{Script, Simulator};
use serde_json::json;
use std::path::Path;

/// One fault for each of the four ways in which the operations are called.
fn fault(name: &str, answer: &serde_json::Value) -> serde_json::Value {
    json!({"operation": "CreateJob", "contains": name, "times": 4, "answer": answer})
}

#[test]
fn the_official_sdk_is_content_with_every_operation() {
    let Some(python) = official::python("RETRIAL_DLC_SDK_PYTHON", "the official SDK") else { return };
    let error = |status: u16, code: &str, wait: Option<u64>| json!({"error": {"status": status, "code": code, "retry_after_ms": wait}});
    let html =
        json!({"raw": {"status": 502, "content_type": "text/html", "body": "<html>bad gateway</html>"}});
    let script: Script = serde_json::from_value(json!({
        "accounts": [
            {"access_key_id": "plain-key", "access_key_secret": "plain-secret"},
            {"access_key_id": "temporary-key", "access_key_secret": "temporary-secret",
             "security_token": "Token/with+special=chars=="},
            {"access_key_id": "ended-key", "access_key_secret": "s", "security_token": "token",
             "expires_at": "2020-01-01T00:00:00Z"},
            {"access_key_id": "denied-key", "access_key_secret": "s", "denied": ["ListJobs"]},
        ],
        "life": {
            "phases": [
                {"status": "Creating", "ms": 300}, {"status": "Queuing", "ms": 100},
                {"status": "EnvPreparing", "ms": 100}, {"status": "Running", "ms": 1500}, {"status": "Succeeded"}
            ],
            "log": [{"text": "loss {n} 中文 é", "times": 2, "every_ms": 100}]
        },
        // These are looked at while they are in one state, however slow this machine is.
        "rules": [
            {"display_name": "stop", "life": {"phases": [{"status": "Running"}]}},
            {"display_name": "metrics", "life": {"phases": [{"status": "Running"}]}},
            {"display_name": "update", "life": {"phases": [{"status": "Creating"}]}},
            {"display_name": "without-quota", "life": {"phases": [{"status": "Creating"}]}},
        ],
        "faults": [
            fault("fault-500", &error(500, "InternalError", None)),
            fault("fault-429", &error(429, "Throttling.User", None)),
            fault("fault-wait", &error(429, "Throttling.Api", Some(50))),
            fault("fault-html", &html),
            fault("fault-drop", &json!("drop")),
            {"operation": "CreateJob", "contains": "accepted-and-dropped", "acts": true, "answer": "drop"}
        ]
    }))
    .unwrap();
    let simulator = Simulator::anywhere(script).unwrap();
    let address = simulator.address().to_string();
    official::run(&python, "operations.py", &[address.as_ref()]);
    // Nothing that was captured of the SDK was left out.
    let captures =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../backends/tests/vectors/dlc/sdk_captures.json");
    let captures: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(captures).unwrap()).unwrap();
    let calls = simulator.calls();
    for capture in captures.as_object().unwrap().values().filter_map(|value| value.as_array()).flatten() {
        let operation = capture["operation"].as_str().unwrap();
        let done = calls.iter().filter(|call| call.operation == operation && call.outcome == "ok").count();
        assert!(done >= 4, "{operation} was answered {done} times");
    }
}
