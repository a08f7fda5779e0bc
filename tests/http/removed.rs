//! Removed experiments: out of the way, and still to be looked at by those who could have removed them.

use crate::client::{Client, Followed};
use crate::daemon::Daemon;
use crate::native::by_clients;
use crate::support::{Lab, Running};
use crate::users::{ADMIN, BEN, CARL, VIEWER, with_users};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An ended experiment of somebody, called `old`.
fn ended(client: &mut Client, accessibility: &str) -> String {
    let body = json!({"spec": by_clients("old", 2), "labels": {"accessibility": accessibility}});
    let id = client.post("/v1/experiments", &body)["experiment"].as_str().unwrap().to_owned();
    let path = format!("/v1/experiments/{id}");
    let given = client.post(&format!("{path}/ask"), &json!({}))["trials"][0].take();
    let told = json!({"attempt": given["attempt"], "value": 0.5});
    client.post(&format!("{path}/trials/{}/tell", given["trial"]), &told);
    client.post(&format!("{path}/stop"), &Value::Null);
    id
}

fn remove(client: &mut Client, id: &str) {
    client.json("DELETE", &format!("/v1/experiments/{id}"), &Value::Null);
}

/// The experiments of which it is heard that they were removed, before this one is created.
fn heard(events: &mut Followed, last: &str) -> Vec<String> {
    let mut removed = Vec::new();
    loop {
        let event = events.next().unwrap();
        let id = event.data["experiment"].as_str().unwrap().to_owned();
        match event.kind.as_str() {
            "ExperimentRemoved" => removed.push(id),
            "ExperimentCreated" if id == last => return removed,
            _ => {}
        }
    }
}

#[test]
fn a_removed_experiment_is_seen_by_its_creator_and_by_admins() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let with_token = |token: &str| Client::with_token(&daemon, token);
    let mut ben = with_token(BEN);
    let (public, private) = (ended(&mut ben, "PUBLIC"), ended(&mut ben, "PRIVATE"));
    let head = ben.get("/readyz")["head"].clone();
    let people = [(ADMIN, true), (BEN, true), (CARL, false), (VIEWER, false)];
    let mut followed = people.map(|(token, _)| with_token(token).follow("/v1/events", Some(0)));
    remove(&mut ben, &public);
    remove(&mut ben, &private);
    let last = ben.create(&by_clients("last", 1));
    for ((token, sees), events) in people.into_iter().zip(&mut followed) {
        let mut client = with_token(token);
        let in_order = if sees { vec![public.clone(), private.clone()] } else { Vec::new() };
        let mut listed = |query: &str| {
            let page = client.get(&format!("/v1/experiments?name=old{query}"));
            let listed = page["experiments"].as_array().unwrap().clone();
            assert!(listed.iter().all(|one| one["removed"] == true), "{page}");
            listed.iter().map(|one| one["experiment"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
        };
        assert_eq!(listed("&removed=true"), in_order.iter().cloned().collect(), "{token}");
        assert!(listed("").is_empty() && listed("&removed=false").is_empty(), "{token}");
        for id in [&public, &private] {
            let path = format!("/v1/experiments/{id}");
            let past = format!("?at={head}");
            for part in ["", &past, "/trials", "/trials/0", "/best", "/records", "/export", "/resample"] {
                let status = client.send("GET", &format!("{path}{part}"), &Value::Null).status;
                assert_eq!(status, if sees { 200 } else { 404 }, "{token} {part}");
            }
            client.refused(404, "GET", &format!("/v1/experiments/{}", &id[..6]), &Value::Null);
            if token != VIEWER {
                // To others it is as if it had never been.
                let told = client.refused(404, "DELETE", &path, &Value::Null).to_string();
                let absent =
                    client.refused(404, "DELETE", "/v1/experiments/aaaaaaaa", &Value::Null).to_string();
                assert_eq!(told.contains("is removed"), sees, "{told}");
                assert_eq!(told == absent.replace("aaaaaaaa", id), !sees, "{told}");
            }
        }
        client.refused(404, "GET", "/v1/experiments/old", &Value::Null);
        assert_eq!(heard(events, &last), in_order, "{token}");
    }
    daemon.end();
}

#[test]
fn a_removed_experiment_is_looked_at_and_copied_and_nothing_else() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let id = ended(&mut client, "PUBLIC");
    remove(&mut client, &id);
    let path = format!("/v1/experiments/{id}");
    let told = format!("the experiment {id} is removed");
    for (method, part, body) in [
        ("DELETE", "", Value::Null),
        ("PUT", "", json!({"spec": by_clients("old", 3)})),
        ("POST", "/resume", Value::Null),
        ("POST", "/labels", json!({"labels": {"accessibility": "PRIVATE"}})),
        ("POST", "/ask", json!({})),
        ("POST", "/trials/retry", json!({"trials": [0]})),
    ] {
        let problem = client.refused(404, method, &format!("{path}{part}"), &body);
        assert_eq!(
            (&problem["code"], &problem["detail"]),
            (&json!("E0400"), &json!(told)),
            "{method} {part}"
        );
    }
    // There is none of it for clients of PAI.
    let pai = format!("/api/automl/v1/hpo/experiment/{id}");
    assert_eq!(client.send("GET", &pai, &Value::Null).status, 404);
    let listed = client.get("/api/automl/v1/hpo/experiments");
    assert_eq!(listed["Experiments"], json!([]));
    // From another machine as on the daemon's own.
    let far = |args: &[&str]| {
        let mut command = lab.command(args);
        command.env_remove("RETRIAL_STORE");
        command.env("RETRIAL_SERVER", format!("http://{}", daemon.address()));
        Running::begin(&lab, command).end()
    };
    for args in [&["ls", "--all"][..], &["show", &id], &["trials", &id], &["events", &id], &["best", &id]] {
        for json in [false, true] {
            let args: Vec<&str> = args.iter().copied().chain(json.then_some("--json")).collect();
            let (here, there) = (lab.expect(0, &args), far(&args));
            assert_eq!((there.code, &there.out), (Some(0), &here.out), "{args:?}\n{there}");
        }
    }
    assert!(far(&["show", &id]).out.contains("\nremoved     "));
    for args in [&["rm", &id][..], &["resume", &id], &["show", "old"], &["show", &id[..6]]] {
        assert_eq!((far(args).code, lab.retrial(args).code), (Some(1), Some(1)), "{args:?}");
    }
    let copy = client.post(&format!("{path}/clone"), &json!({}))["experiment"].as_str().unwrap().to_owned();
    assert_eq!(client.get("/v1/experiments/old")["experiment"], copy.as_str());
    daemon.end();
}
