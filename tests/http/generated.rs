//! Thousands of calls that are made up from the daemon's own description: none fails on the daemon's side, and none is answered
//! with a status or a type of which the description does not speak. `RETRIAL_GENERATED_CALLS` says how many
//! of each operation at least.
//!
//! Needs a Python with what `generated_requirements.txt` lists, named by `RETRIAL_SCHEMATHESIS_PYTHON`. Without it the test is
//! skipped, loudly; `RETRIAL_NO_SKIP=1` makes that a failure.

use crate::client::Client;
use crate::native::by_clients;
use crate::official;
use crate::support::Lab;
use crate::users::{ADMIN, with_users};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[test]
fn calls_that_are_made_up_from_the_description_are_answered_as_it_says() {
    let Some(python) = official::python("RETRIAL_SCHEMATHESIS_PYTHON", "calls made up by Schemathesis")
    else {
        return;
    };
    let lab = Lab::new();
    let daemon = with_users(&lab, "error");
    let mut admin = Client::with_token(&daemon, ADMIN);
    let experiments: Vec<String> = (0..20).map(|_| admin.create(&by_clients("lab", 1_000))).collect();
    for id in &experiments {
        admin.post(&format!("/v1/experiments/{id}/ask"), &json!({"count": 3, "lease_seconds": 600}));
    }
    let calls = std::env::var("RETRIAL_GENERATED_CALLS").unwrap_or_else(|_| "40".to_owned());
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/generated.py");
    for mode in ["known", "alone"] {
        let mut arguments = vec![mode, daemon.address(), ADMIN, &calls];
        arguments.extend(experiments.iter().map(String::as_str));
        let arguments: Vec<&std::ffi::OsStr> = arguments.into_iter().map(AsRef::as_ref).collect();
        official::run(&python, program, &arguments);
    }
    let metrics = admin.send("GET", "/metrics", &Value::Null).body;
    let mut good: BTreeMap<String, u64> = BTreeMap::new();
    let mut all = 0;
    for line in metrics.lines().filter(|line| line.starts_with("retrial_http_requests_total{")) {
        let part = |name: &str| line.split_once(name).unwrap().1.split_once('"').unwrap().0.to_owned();
        let count: u64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
        let status = part("status=\"");
        assert!(!status.starts_with('5'), "{line}");
        all += count;
        *good.entry(part("operation=\"")).or_default() += if status.starts_with('2') { count } else { 0 };
    }
    println!("{all} calls were answered, with success: {good:?}");
    assert!(all > 2_000, "only {all} calls were made");
    // No log is there to be read where clients run the trials; the lease of a trial that is not stopped yet is met by chance only.
    // Nor have trials ended from which it could be told what mattered, nor has a backend anything to be cleaned up.
    for chance in ["readLog", "tell", "report", "renew", "getImportance", "cleanExperiment"] {
        good.remove(chance);
    }
    let never: Vec<&String> = good.iter().filter(|(_, count)| **count == 0).map(|(name, _)| name).collect();
    assert!(good.len() > 18 && never.is_empty(), "never with success: {never:?}");
    let log = daemon.end();
    assert!(log.is_empty(), "{log}");
}
