//! The official SDKs of OSS, run against the simulator: both sides are somebody else's judgement of the protocol.
//!
//! Needs a Python with what `official_sdk/oss_requirements.txt` lists, named by `RETRIAL_OSS_SDK_PYTHON`. Without it the
//! test is skipped, loudly; `RETRIAL_NO_SKIP=1` makes that a failure.

#[path = "support/official.rs"]
mod official;

use retrial_simulators::oss::{Script, Simulator};
use serde_json::json;

#[test]
fn the_official_sdks_are_content_with_every_operation() {
    let Some(python) = official::python("RETRIAL_OSS_SDK_PYTHON", "the official SDKs of OSS") else { return };
    let folder = tempfile::tempdir().unwrap();
    let every = |times: u32, contains: &str, answer: serde_json::Value| json!({"operation": "GetObject", "contains": contains, "times": times, "answer": answer});
    let script: Script = serde_json::from_value(json!({
        "accounts": [
            {"access_key_id": "plain-key", "access_key_secret": "plain-secret"},
            {"access_key_id": "temporary-key", "access_key_secret": "temporary-secret",
             "security_token": "Token/with+special=chars=="},
            {"access_key_id": "ended-key", "access_key_secret": "s", "security_token": "token",
             "expires_at": "2020-01-01T00:00:00Z"},
            {"access_key_id": "denied-key", "access_key_secret": "s", "denied": ["PutObject"]},
        ],
        "buckets": [{"name": "memory"}, {"name": "folder", "folder": folder.path()}],
        "faults": [
            every(0, "fault-503", json!({"error": {"status": 503, "code": "ServiceUnavailable"}})),
            every(0, "fault-drop", json!("drop")),
        ]
    }))
    .unwrap();
    let simulator = Simulator::anywhere(&script).unwrap();
    let address = simulator.address().to_string();
    official::run(&python, "oss_operations.py", &[address.as_ref(), folder.path().as_ref()]);
    let calls = simulator.calls();
    for operation in [
        "PutObject",
        "GetObject",
        "HeadObject",
        "GetObjectMeta",
        "DeleteObject",
        "AppendObject",
        "ListObjects",
        "ListObjectsV2",
        "GetBucketInfo",
        "GetBucketLocation",
    ] {
        for signed in ["OSS", "OSS4-HMAC-SHA256"] {
            let done = calls
                .iter()
                .filter(|call| call.operation == operation && call.outcome == "ok" && call.signed == signed)
                .count();
            assert!(done >= 1, "{operation} was not answered under {signed}");
        }
    }
}
