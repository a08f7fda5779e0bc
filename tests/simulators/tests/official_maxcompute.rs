//! The official client of `MaxCompute`, run against the simulator: both sides are somebody else's judgement of the protocol.
//!
//! Needs a Python with what `official_sdk/maxcompute_requirements.txt` lists, named by `RETRIAL_MAXCOMPUTE_SDK_PYTHON`.
//! Without it the test is skipped, loudly; `RETRIAL_NO_SKIP=1` makes that a failure.

#[path = "support/official.rs"]
mod official;

use retrial_simulators::maxcompute::{Script, Simulator};
use serde_json::{Value, json};

fn script() -> Script {
    let create = |contains: &str, acts: bool, answer: Value| json!({"operation": "CreateInstance", "contains": contains, "acts": acts, "answer": answer});
    let error = |status: u16, code: &str, wait: Option<u64>| json!({"error": {"status": status, "code": code, "retry_after_s": wait}});
    serde_json::from_value(json!({
        "accounts": [
            {"access_key_id": "plain-key", "access_key_secret": "plain-secret", "bearer_token": "simulated-bearer"},
            {"access_key_id": "temporary-key", "access_key_secret": "temporary-secret",
             "security_token": "Token/with+special=chars=="},
            {"access_key_id": "ended-key", "access_key_secret": "temporary-secret", "security_token": "token",
             "expires_at": "2020-01-01T00:00:00Z"},
            {"access_key_id": "denied-key", "access_key_secret": "s", "denied": ["CreateInstance"]},
        ],
        "region": "cn-hangzhou",
        "life": {"waiting_ms": 20, "running_ms": 40},
        "rules": [
            {"contains": "scripted-failure", "life": {"fails": "ODPS-0010000: System internal error - fuxi job failed"}},
            // It is looked at while it runs, however slow this machine is.
            {"contains": "endless", "life": {"running_ms": 3_600_000}},
            {"contains": "'instant'", "life": {"instant": true}},
        ],
        "faults": [
            create("accepted-and-dropped", true, json!("drop")),
            create("accepted-and-500", true, error(500, "InternalServerError", None)),
            create("conflict-409", true, error(409, "InstanceConflict", Some(1))),
            create("fault-429", false, error(429, "QPSExceeded", Some(1))),
            {"operation": "GetTaskStatus", "times": 1, "answer": error(502, "BadGateway", None)},
        ]
    }))
    .unwrap()
}

#[test]
fn the_official_client_is_content_with_every_flow() {
    let Some(python) = official::python("RETRIAL_MAXCOMPUTE_SDK_PYTHON", "the official client of MaxCompute")
    else {
        return;
    };
    let simulator = Simulator::anywhere(script()).unwrap();
    let address = simulator.address().to_string();
    official::run(&python, "maxcompute_operations.py", &[address.as_ref()]);
    // Nothing that was captured of the client was left out.
    let calls = simulator.calls();
    for operation in [
        "GetLogviewHost",
        "GetTenant",
        "GetProject",
        "PutLogs",
        "GetTunnel",
        "SignBearerToken",
        "CreateInstance",
        "GetInstance",
        "GetInstanceStatus",
        "GetTaskStatus",
        "GetResult",
        "GetSource",
        "GetXflowSource",
        "GetXflowResult",
        "GetProgress",
        "GetSummary",
        "GetDetail",
        "TerminateInstance",
        "ListInstances",
        "CreateDownload",
        "ReadDownload",
        "CreateTableDownload",
        "GetTable",
        "ListTables",
        "ListPartitions",
        "GetOfflineModel",
    ] {
        let done = calls.iter().filter(|call| call.operation == operation && call.outcome == "ok").count();
        assert!(done >= 1, "{operation} was not answered");
    }
    assert_eq!(simulator.duplicates().keys().collect::<Vec<_>>(), ["simulated_project/xflow-twice"]);
}
