//! The official SDKs of OSS, run against the simulator: both sides are somebody else's judgement of the protocol.
//!
//! Needs a Python with what `official_sdk/oss_requirements.txt` lists, named by `RETRIAL_OSS_SDK_PYTHON`. Without it the
//! test is skipped, loudly; `RETRIAL_NO_SKIP=1` makes that a failure.

use retrial_simulators::oss::{Script, Simulator};
use serde_json::json;
use std::path::Path;
use std::process::Command;

#[test]
fn the_official_sdks_are_content_with_every_operation() {
    let Some(python) = std::env::var_os("RETRIAL_OSS_SDK_PYTHON") else {
        let text =
            "SKIPPED: the official SDKs of OSS against the simulator; RETRIAL_OSS_SDK_PYTHON names no Python";
        assert!(std::env::var("RETRIAL_NO_SKIP").is_err(), "{text}");
        println!("{text}");
        return;
    };
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
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("official_sdk/oss_operations.py");
    let output = Command::new(python)
        .arg(program)
        .arg(simulator.address().to_string())
        .arg(folder.path())
        // The SDKs take proxies of the environment even for addresses of this machine.
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy")
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    println!("{text}");
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
