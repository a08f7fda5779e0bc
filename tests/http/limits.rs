//! Bounds on what runs at once, as the daemon is told them.

use crate::client::Client;
use crate::daemon::Daemon;
use crate::native::{gated, until_status};
use crate::support::{Lab, until};
use serde_json::{Value, json};

#[test]
fn experiments_share_a_backend_by_turns_and_whoever_waits_is_shown() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &["--limit", "local=2", "--limit-per-user", "50"]);
    let mut client = Client::of(&daemon);
    let log = lab.file("log").display().to_string();
    let note = format!("echo $RETRIAL_EXPERIMENT >> '{log}'; echo score=1");
    let mut spec = gated(&lab, "one", 5, &note);
    spec["budget"]["concurrency"] = json!(5);
    let one = client.create(&spec);
    until("two running trials", || (running(&mut client) == 2).then_some(()));
    spec["name"] = json!("two");
    spec["priority"] = json!(7);
    let two = client.create(&spec);
    let told = until("both to wait", || {
        Some(client.get("/v1/limits")).filter(|told| told["waiting"].as_array().unwrap().len() == 2)
    });
    assert_eq!(told["backends"]["local"], json!({"running": 2, "limit": 2}));
    assert_eq!(told["users"].as_object().unwrap().values().next().unwrap()["limit"], 50);
    let counts = client.send("GET", "/metrics", &Value::Null).body;
    assert!(counts.contains("retrial_experiments_waiting 2\n"), "{counts}");
    assert!(counts.contains("retrial_trials_running{backend=\"local\"} 2\n"), "{counts}");
    lab.write("gate", "");
    for id in [&one, &two] {
        until_status(&mut client, id, "FINISHED");
    }
    let order: Vec<String> = lab.text("log").lines().map(str::to_owned).collect();
    let last_of_two = order.iter().rposition(|id| *id == two).unwrap();
    assert!(order.len() == 10 && last_of_two < 9, "the higher priority comes first: {order:?}");
    assert_eq!(client.get("/v1/limits")["waiting"], json!([]));
}

fn running(client: &mut Client) -> u64 {
    client.get("/v1/limits")["backends"]["local"]["running"].as_u64().unwrap_or(0)
}

#[test]
fn what_is_no_bound_is_told_at_the_start() {
    let lab = Lab::new();
    for (limit, why) in [
        ("local", "write, for example, local=4"),
        ("locl=4", "the backends are local"),
        ("local=0", "a whole number above 0"),
        ("local=x", "a whole number above 0"),
    ] {
        let done = lab.expect(2, &["serve", "--limit", limit]);
        assert!(done.err.contains(why), "{}", done.err);
    }
}
