//! Trials for workers: ask, tell, report, renew.

use crate::client::Client;
use crate::daemon::Daemon;
use crate::native::{by_clients, until_status};
use crate::support::{Lab, experiment, until, with};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn ask(client: &mut Client, id: &str, body: &Value) -> Vec<Value> {
    client.post(&format!("/v1/experiments/{id}/ask"), body)["trials"].as_array().unwrap().clone()
}

fn at(id: &str, trial: &Value, deed: &str) -> String {
    format!("/v1/experiments/{id}/trials/{}/{deed}", trial["trial"])
}

/// Waits until a lease has run out and somebody else is given its trial.
fn taken_over(client: &mut Client, id: &str, worker: &str) -> Value {
    until("a trial whose lease has run out", || {
        ask(client, id, &json!({"worker": worker, "lease_seconds": 600})).pop()
    })
}

#[test]
fn workers_ask_and_tell_to_the_end() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let id = Client::of(&daemon).create(&with(by_clients("lab", 60), json!({"budget": {"concurrency": 8}})));
    let told: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let work = || {
            let mut client = Client::of(&daemon);
            let mut own = Vec::new();
            loop {
                let answer = client.post(&format!("/v1/experiments/{id}/ask"), &json!({"worker": "w"}));
                let Some(trial) = answer["trials"].as_array().unwrap().first().cloned() else {
                    if answer["status"] == "FINISHED" {
                        return own;
                    }
                    std::thread::yield_now();
                    continue;
                };
                let number = trial["trial"].as_u64().unwrap();
                let body = if number % 10 == 9 {
                    json!({"attempt": trial["attempt"], "failed": true})
                } else {
                    json!({"attempt": trial["attempt"], "value": trial["params"]["x"]})
                };
                client.post(&at(&id, &trial, "tell"), &body);
                own.push(number);
            }
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut all: Vec<u64> = told.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (0..60).collect::<Vec<_>>(), "each trial was given once");
    let mut client = Client::of(&daemon);
    assert_eq!(until_status(&mut client, &id, "FINISHED")["trials"], json!({"SUCCEEDED": 54, "FAILED": 6}));
}

#[test]
fn a_repeated_request_is_given_the_same_trials_and_a_result_is_told_once() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let id = client.create(&by_clients("lab", 10));
    let request = json!({"count": 3, "request_id": "r1", "worker": "w", "lease_seconds": 600});
    let first = ask(&mut client, &id, &request);
    assert_eq!(first.len(), 3);
    assert_eq!(ask(&mut client, &id, &request), first);
    // At once as well.
    let request = json!({"count": 2, "request_id": "r2", "lease_seconds": 600});
    let at_once: Vec<Vec<Value>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| ask(&mut Client::of(&daemon), &id, &request))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(at_once.iter().all(|given| *given == at_once[0] && given.len() == 2), "{at_once:?}");
    assert_eq!(client.get(&format!("/v1/experiments/{id}"))["trials"], json!({"RUNNING": 5}));

    let (trial, attempt) = (&first[0], &first[0]["attempt"]);
    let tell = json!({"attempt": attempt, "value": 0.5});
    client.post(&at(&id, trial, "tell"), &tell);
    client.post(&at(&id, trial, "tell"), &tell);
    client.refused(409, "POST", &at(&id, trial, "tell"), &json!({"attempt": attempt, "value": 0.6}));
    client.refused(409, "POST", &at(&id, trial, "tell"), &json!({"attempt": attempt, "failed": true}));
    assert_eq!(client.get(&format!("/v1/experiments/{id}/trials/{}", trial["trial"]))["value"], 0.5);
    let ends = lab.events(&id).into_iter().filter(|event| event["kind"] == "TrialEnded").count();
    assert_eq!(ends, 1);
}

#[test]
fn a_worker_whose_lease_was_taken_over_is_fenced() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let id = client.create(&by_clients("lab", 1));
    let slow = ask(&mut client, &id, &json!({"worker": "slow", "lease_seconds": 1})).remove(0);
    client.post(&at(&id, &slow, "report"), &json!({"attempt": 1, "step": 1, "value": 0.1}));
    // While it lasts nobody else is given the trial.
    assert_eq!(ask(&mut client, &id, &json!({})), Vec::<Value>::new());
    let taken = taken_over(&mut client, &id, "quick");
    assert_eq!(
        (&taken["trial"], &taken["params"], &taken["attempt"]),
        (&slow["trial"], &slow["params"], &json!(2))
    );
    for (deed, body) in [
        ("tell", json!({"attempt": 1, "value": 1.0})),
        ("report", json!({"attempt": 1, "step": 2, "value": 1.0})),
        ("renew", json!({"attempt": 1})),
        ("tell", json!({"attempt": 3, "value": 1.0})),
        ("renew", json!({"attempt": 0})),
    ] {
        let problem = client.refused(409, "POST", &at(&id, &slow, deed), &body);
        assert_eq!(problem["code"], "E0420", "{deed}: {problem}");
    }
    client.post(&at(&id, &taken, "report"), &json!({"attempt": 2, "step": 1, "value": 0.2}));
    client.post(&at(&id, &taken, "tell"), &json!({"attempt": 2, "value": 0.3}));
    let trial = client.get(&format!("/v1/experiments/{id}/trials/0"));
    assert_eq!((&trial["status"], &trial["value"]), (&json!("SUCCEEDED"), &json!(0.3)));
    until_status(&mut client, &id, "FINISHED");
}

#[test]
fn a_lease_is_renewed_and_late_results_count_until_somebody_else_has_the_trial() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let id = client.create(&by_clients("lab", 2));
    let held = ask(&mut client, &id, &json!({"lease_seconds": 1})).remove(0);
    let renewed = client.post(&at(&id, &held, "renew"), &json!({"attempt": 1, "lease_seconds": 600}));
    let until_ms = renewed["lease_until_ms"].as_u64().unwrap();
    assert!(until_ms > held["lease_until_ms"].as_u64().unwrap() + 500_000);
    // A shorter one changes nothing.
    let shorter = client.post(&at(&id, &held, "renew"), &json!({"attempt": 1, "lease_seconds": 1}));
    assert_eq!(shorter["lease_until_ms"], until_ms);
    let late = ask(&mut client, &id, &json!({"lease_seconds": 1})).remove(0);
    let ended = late["lease_until_ms"].as_u64().unwrap();
    until("the end of the lease", || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        (u64::try_from(now.as_millis()).unwrap() > ended).then_some(())
    });
    client.post(&at(&id, &late, "tell"), &json!({"attempt": 1, "value": 0.5}));
    client.post(&at(&id, &held, "tell"), &json!({"attempt": 1, "value": 0.6}));
    client.refused(409, "POST", &at(&id, &held, "renew"), &json!({"attempt": 1}));
    until_status(&mut client, &id, "FINISHED");
}

#[test]
fn reports_at_once_are_all_kept_and_repeated_ones_once() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let id = Client::of(&daemon).create(&by_clients("lab", 1));
    let trial = ask(&mut Client::of(&daemon), &id, &json!({"lease_seconds": 600})).remove(0);
    let path = at(&id, &trial, "report");
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            let (daemon, path) = (&daemon, &path);
            scope.spawn(move || {
                let mut client = Client::of(daemon);
                for step in 0..20_u32 {
                    let body = json!({"attempt": 1, "step": step * 8 + thread, "value": f64::from(thread)});
                    for _ in 0..2 {
                        assert_eq!(client.post(path, &body)["decision"], "continue");
                    }
                }
            });
        }
    });
    let trial = Client::of(&daemon).get(&format!("/v1/experiments/{id}/trials/0"));
    let steps: Vec<u64> =
        trial["reports"].as_array().unwrap().iter().map(|report| report["step"].as_u64().unwrap()).collect();
    assert_eq!(steps.len(), 160, "acknowledged and not kept, or kept twice: {steps:?}");
    assert_eq!(steps.into_iter().collect::<BTreeSet<_>>().len(), 160);
}

#[test]
fn a_hopeless_trial_is_told_to_stop() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let rule = json!({"early_stop": {"median": {"start_step": 1}}});
    let id = client.create(&with(by_clients("lab", 4), rule));
    for _ in 0..3 {
        let good = ask(&mut client, &id, &json!({})).remove(0);
        for step in 1..4 {
            client.post(&at(&id, &good, "report"), &json!({"attempt": 1, "step": step, "value": 0.9}));
        }
        client.post(&at(&id, &good, "tell"), &json!({"attempt": 1, "value": 0.9}));
    }
    let bad = ask(&mut client, &id, &json!({})).remove(0);
    let stopped = (1..10).any(|step| {
        let body = json!({"attempt": 1, "step": step, "value": 0.1});
        client.post(&at(&id, &bad, "report"), &body)["decision"] == "stop"
    });
    assert!(stopped, "{}", client.get(&format!("/v1/experiments/{id}/trials/3")));
    client.post(&at(&id, &bad, "tell"), &json!({"attempt": 1, "value": 0.1}));
    assert_eq!(client.get(&format!("/v1/experiments/{id}/trials/3"))["status"], "EARLY_STOPPED");
}

#[test]
fn what_workers_may_not_say_is_refused() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let run = client.create(&experiment(1, "echo score=1"));
    let problem = client.refused(409, "POST", &format!("/v1/experiments/{run}/ask"), &json!({}));
    assert_eq!(problem["code"], "E0412");
    client.refused(
        409,
        "POST",
        &format!("/v1/experiments/{run}/trials/0/tell"),
        &json!({"attempt": 1, "value": 1}),
    );

    let id = client.create(&by_clients("lab", 4));
    for wrong in [
        json!({"count": 0}),
        json!({"count": 1_001}),
        json!({"count": -1}),
        json!({"lease_seconds": 0}),
        json!({"lease_seconds": 700_000}),
        json!({"request_id": "x".repeat(101)}),
        json!({"worker": "x".repeat(129)}),
        json!({"more": 1}),
        json!([]),
    ] {
        client.refused(400, "POST", &format!("/v1/experiments/{id}/ask"), &wrong);
    }
    let trial = ask(&mut client, &id, &json!({})).remove(0);
    let tell = at(&id, &trial, "tell");
    for (status, wrong) in [
        (400, json!({"value": 1})),
        (400, json!({"attempt": 1, "value": "1"})),
        (400, json!({"attempt": 1, "value": 1, "failed": true})),
        (422, json!({"attempt": 1})),
        (422, json!({"attempt": 1, "value": 1, "values": {"score": 1}})),
        (422, json!({"attempt": 1, "values": {"other": 1}})),
        (422, json!({"attempt": 1, "values": {}})),
    ] {
        client.refused(status, "POST", &tell, &wrong);
    }
    for text in [r#"{"attempt": 1, "value": 1e999}"#, r#"{"attempt": 1, "value": NaN}"#, "", "{"] {
        assert_eq!(client.try_send("POST", &tell, &[], text).unwrap().status, 400, "{text}");
    }
    client.refused(
        404,
        "POST",
        &format!("/v1/experiments/{id}/trials/9/tell"),
        &json!({"attempt": 1, "value": 1}),
    );
    client.post(&tell, &json!({"attempt": 1, "values": {"score": 1}}));
}

#[test]
fn several_metrics_are_told_by_name() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let objectives = json!({"objective": {"metric": null, "goal": null, "goals": {"loss": "minimize", "gain": "maximize"}}});
    let id = client.create(&with(by_clients("lab", 2), objectives));
    let trial = ask(&mut client, &id, &json!({})).remove(0);
    client.refused(422, "POST", &at(&id, &trial, "tell"), &json!({"attempt": 1, "value": 1}));
    client.refused(422, "POST", &at(&id, &trial, "tell"), &json!({"attempt": 1, "values": {"loss": 1}}));
    let values = json!({"gain": 2.0, "loss": 1.0});
    client.post(&at(&id, &trial, "report"), &json!({"attempt": 1, "step": 0, "values": values}));
    client.post(&at(&id, &trial, "tell"), &json!({"attempt": 1, "values": values}));
    let shown = client.get(&format!("/v1/experiments/{id}/trials/0"));
    assert_eq!(shown["metrics"], json!({"loss": 1.0, "gain": 2.0}));
    assert_eq!(client.get(&format!("/v1/experiments/{id}/best"))["front"][0]["trial"], 0);
}
