//! The daemon's beginning and end, and the commands of the program beside it.

use crate::client::Client;
use crate::daemon::Daemon;
use crate::native::{by_clients, gated, until_status};
use crate::support::{Lab, experiment, until, wait_for, with};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

fn starts(lab: &Lab) -> Vec<String> {
    lab.text("started").lines().map(str::to_owned).collect()
}

fn noted(lab: &Lab, command: &str) -> String {
    format!("echo $RETRIAL_TRIAL-$RETRIAL_ATTEMPT >> {}; {command}", lab.file("started").display())
}

#[test]
fn an_end_in_order_answers_what_is_under_way_and_the_next_daemon_adopts_the_trials() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let id = client.create(&gated(&lab, "lab", 4, "echo score=1"));
    let gate = wait_for("gate").replace("${spec_dir}", &lab.dir().display().to_string());
    client.json(
        "PUT",
        &format!("/v1/experiments/{id}"),
        &json!({"spec": with(
            experiment(4, &noted(&lab, &format!("{gate}; echo score=1"))), json!({"name": "lab"}),
        )}),
    );
    let asked = client.create(&by_clients("asked", 10_000));
    let tasks = until("running tasks", || {
        let tasks: BTreeSet<i32> = lab.supervisors().into_iter().collect();
        (tasks.len() == 2).then_some(tasks)
    });
    // Requests go on until the daemon takes none.
    let (stop, answered) = (AtomicBool::new(false), AtomicU32::new(0));
    let given: BTreeSet<u64> = std::thread::scope(|scope| {
        let work = || {
            let mut given = BTreeSet::new();
            let mut client = Client::of(&daemon);
            let path = format!("/v1/experiments/{asked}/ask");
            while let Ok(answer) = client.try_send("POST", &path, &[], "{\"lease_seconds\": 600}") {
                assert!(answer.status == 200 || stop.load(Ordering::Relaxed), "{answer:?}");
                if answer.status == 200 {
                    given.insert(answer.json()["trials"][0]["trial"].as_u64().unwrap());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
            given
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        until("answers", || (answered.load(Ordering::Relaxed) > 40).then_some(()));
        stop.store(true, Ordering::Relaxed);
        daemon.running().signal(Signal::SIGTERM);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    daemon.end();
    assert_eq!(lab.supervisors().into_iter().collect::<BTreeSet<_>>(), tasks, "they go on by themselves");

    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let known = client.get(&format!("/v1/experiments/{asked}"))["trials"]["RUNNING"].as_u64().unwrap();
    assert!(known >= given.len() as u64, "{known} of {}", given.len());
    lab.open_gate("gate");
    let ended = until_status(&mut client, &id, "FINISHED");
    assert_eq!(ended["trials"], json!({"SUCCEEDED": 4}));
    let trials = client.get(&format!("/v1/experiments/{id}/trials"))["trials"].clone();
    for trial in trials.as_array().unwrap() {
        assert_eq!(trial["attempts"].as_array().unwrap().len(), 1, "adopted, not run again: {trial}");
    }
    let own = starts(&lab);
    assert_eq!(own.iter().collect::<BTreeSet<_>>().len(), own.len(), "{own:?}");
    client.post(&format!("/v1/experiments/{asked}/stop"), &Value::Null);
    daemon.end();
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
}

#[test]
fn a_request_under_way_is_answered_after_the_signal() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let id = Client::of(&daemon).create(&by_clients("lab", 10));
    let body = "{\"lease_seconds\": 600}";
    let mut client = Client::of(&daemon);
    // All but the last byte of the body is there when the signal comes.
    let length = body.len().to_string();
    let path = format!("/v1/experiments/{id}/ask");
    client.write("POST", &path, &[("Content-Length", &length)], &body[..body.len() - 1]).unwrap();
    let mut other = Client::of(&daemon);
    other.get("/readyz");
    daemon.running().signal(Signal::SIGTERM);
    until("the end of listening", || Client::connect(daemon.address()).is_err().then_some(()));
    client.append(&body[body.len() - 1..]).unwrap();
    let answer = client.read().unwrap();
    assert_eq!((answer.status, answer.json()["trials"].as_array().unwrap().len()), (200, 1));
    daemon.end();
    assert_eq!(lab.trials("lab").len(), 1);
}

#[test]
fn a_second_daemon_is_refused_and_so_is_an_address_that_is_taken() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let second = lab.retrial(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(second.err.contains("E0601"), "{second}");
    let other = Lab::new();
    let taken = other.expect(1, &["serve", "--listen", daemon.address()]);
    assert!(taken.err.contains("E0636"), "{taken}");
    assert_eq!(Client::of(&daemon).get("/healthz")["ok"], true);
}

#[test]
fn run_looks_on_while_the_daemon_runs_the_experiment() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    // To its end.
    let file = lab.spec(&experiment(5, "echo score=${x}"));
    let done = lab.expect(0, &["run", &file, "--json"]);
    let result = done.json();
    let shown = client.get("/v1/experiments/lab");
    assert_eq!((&result["status"], &result["best"]), (&json!("FINISHED"), &shown["best"]));
    assert_eq!(result["experiment"], shown["experiment"]);
    // Mistakes are told as without a daemon.
    let wrong =
        lab.write("wrong.json", &with(experiment(5, "true"), json!({"sampler": "none-such"})).to_string());
    lab.expect(2, &["run", &wrong]);
    // Ctrl-C ends the looking, not the experiment.
    let gated_file = lab.write("gated.json", &gated(&lab, "gated", 2, "echo score=1").to_string());
    let run = lab.start(&["run", &gated_file]);
    lab.until_trials("gated", "RUNNING", 2);
    run.signal(Signal::SIGINT);
    let done = run.end();
    assert_eq!(done.code, Some(130), "{done}");
    assert!(done.err.contains("the daemon goes on with it"), "{done}");
    let id = client.get("/v1/experiments/gated")["experiment"].as_str().unwrap().to_owned();
    assert_eq!(client.get("/v1/experiments/gated")["trials"]["RUNNING"], 2);
    // It is looked at again, by its file, and the same one is meant; the daemon ends meanwhile.
    let run = lab.start(&["run", &gated_file]);
    until("the looking", || (!run.err().is_empty() || !run.out().is_empty()).then_some(()));
    daemon.end();
    let done = run.end();
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.err.contains("the daemon has ended"), "{done}");
    // The same command goes on without it.
    lab.open_gate("gate");
    let done = lab.expect(0, &["run", &gated_file, "--json"]);
    assert_eq!((&done.json()["experiment"], &done.json()["status"]), (&json!(id), &json!("FINISHED")));
    assert_eq!(lab.trials("gated").len(), 2);
}

#[test]
fn every_command_that_acts_is_carried_out_by_the_daemon() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let spec = gated(&lab, "lab", 4, "echo score=1");
    let id = client.create(&spec);
    let shown = |client: &mut Client| client.get(&format!("/v1/experiments/{id}"));
    until("running trials", || (shown(&mut client)["trials"]["RUNNING"] == 2).then_some(()));
    assert_eq!(lab.json(&["pause", "lab"])["status"], "WAITING");
    assert_eq!(shown(&mut client)["paused"], "paused on request");
    lab.json(&["resume", "lab"]);
    assert_eq!(shown(&mut client)["paused"], Value::Null);
    let longer = lab.spec(&with(spec, json!({"budget": {"trials": 6}})));
    lab.json(&["update", "lab", &longer]);
    assert_eq!(shown(&mut client)["budget_trials"], 6);
    lab.json(&["enqueue", "lab", r#"{"x": 0.5, "kind": "b"}"#]);
    lab.json(&["stop", "lab", "0"]);
    until("the stopped trial", || {
        (client.get(&format!("/v1/experiments/{id}/trials/0"))["status"] == "USER_CANCELED").then_some(())
    });
    lab.json(&["retry", "lab", "0"]);
    lab.json(&["clone", "lab", "--name", "other"]);
    until("the clone", || (client.get("/v1/experiments/other")["trials"]["RUNNING"] == 2).then_some(()));
    lab.expect(1, &["rm", "other"]);
    lab.json(&["stop", "other"]);
    until_status(&mut client, "other", "USER_CANCELED");
    lab.json(&["rm", "other"]);
    client.refused(404, "GET", "/v1/experiments/other", &Value::Null);
    lab.open_gate("gate");
    until_status(&mut client, &id, "FINISHED");
    let trials = client.get(&format!("/v1/experiments/{id}/trials"))["trials"].as_array().unwrap().clone();
    assert!(trials.iter().any(|trial| trial["params"] == json!({"x": 0.5, "kind": "b"})));
    assert!(trials.iter().any(|trial| trial["retry_of"] == 0));
    // Who looks sees the same.
    assert_eq!(lab.json(&["trials", "lab"]), json!(trials));
    lab.expect(0, &["watch", "lab"]);
    assert!(lab.expect(0, &["logs", "lab", "1"]).out.contains("score=1"));
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
    daemon.end();
}
