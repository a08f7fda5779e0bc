//! The records of an experiment, proofs, and what came of it, over HTTP.

use crate::client::Client;
use crate::daemon::Daemon;
use crate::native::{by_clients, until_status};
use crate::support::{Lab, experiment, with};
use crate::users::{ADMIN, BEN, CARL, VIEWER, with_users};
use serde_json::{Value, json};

/// An experiment that has ended, with twelve trials.
fn ended(client: &mut Client) -> String {
    let id = client.create(&experiment(12, "echo score=${x}"));
    until_status(client, &id, "FINISHED");
    id
}

fn texts(page: &Value) -> Vec<String> {
    page["records"].as_array().unwrap().iter().map(|record| record.as_str().unwrap().to_owned()).collect()
}

#[test]
fn records_come_in_pages_whole_and_of_one_experiment_only() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let mut ben = Client::with_token(&daemon, BEN);
    let (id, other) = (ended(&mut ben), ben.create(&by_clients("other", 1)));
    let path = |id: &str, query: &str| format!("/v1/experiments/{id}/records{query}");
    let whole = ben.get(&path(&id, "?limit=10000"));
    assert_eq!(
        (&whole["experiment"], &whole["more"], &whole["next"]),
        (&json!(id), &json!(false), &whole["head"])
    );
    assert!(whole["actors"].as_object().unwrap().values().any(|name| name == "ben"), "{}", whole["actors"]);
    let (mut pages, mut after, mut count) = (Vec::new(), 0, 0);
    loop {
        let page = ben.get(&path(&id, &format!("?after={after}&limit=7")));
        assert!(texts(&page).len() <= 7);
        pages.extend(texts(&page));
        after = page["next"].as_u64().unwrap();
        count += 1;
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(pages, texts(&whole));
    assert!(count > 5 && pages.len() == lab.events(&id).len(), "{count} pages");
    // Whoever reads on is given what is new, and nothing twice.
    assert_eq!(texts(&ben.get(&path(&id, &format!("?after={after}")))), Vec::<String>::new());
    ben.post(&format!("/v1/experiments/{other}/ask"), &json!({}));
    let quiet = ben.get(&path(&id, &format!("?after={after}")));
    assert_eq!(texts(&quiet), Vec::<String>::new());
    assert!(quiet["next"].as_u64() > Some(after), "what is of others is passed over");
    assert_eq!(texts(&ben.get(&path(&id, "?after=999999999"))), Vec::<String>::new());
    // What somebody may not see is not there.
    let made = ben.post(
        "/v1/experiments",
        &json!({"spec": by_clients("own", 1), "labels": {"accessibility": "PRIVATE"}}),
    );
    let own = made["experiment"].as_str().unwrap();
    assert!(!texts(&ben.get(&path(own, ""))).is_empty());
    for token in [CARL, VIEWER] {
        Client::with_token(&daemon, token).refused(404, "GET", &path(own, ""), &Value::Null);
    }
    assert!(!texts(&Client::with_token(&daemon, VIEWER).get(&path(&id, ""))).is_empty());
    for query in ["?limit=0", "?limit=10001", "?after=-1", "?at=1"] {
        ben.refused(400, "GET", &path(&id, query), &Value::Null);
    }
    daemon.end();
}

#[test]
fn the_history_is_verified_and_every_suggestion_computed_again() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let (mut admin, mut ben) = (Client::with_token(&daemon, ADMIN), Client::with_token(&daemon, BEN));
    let id = ended(&mut ben);
    let verified = admin.post("/v1/audit/verify", &Value::Null);
    assert_eq!(verified, lab.json(&["audit", "verify"]));
    assert_eq!((&verified["ok"], &verified["experiments"][0]["id"]), (&json!(true), &json!(id)));
    ben.refused(403, "POST", "/v1/audit/verify", &Value::Null);
    let resampled = ben.get(&format!("/v1/experiments/{id}/resample"));
    assert_eq!(resampled, json!({"ok": true, "checked": 12, "other_version": 0, "difference": null}));
    assert_eq!(resampled, lab.json(&["audit", "resample", &id]));
    daemon.end();
}

#[test]
fn what_mattered_and_the_trials_are_told_as_by_the_commands() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let id = ended(&mut client);
    let path = |rest: &str| format!("/v1/experiments/{id}/{rest}");
    for (query, options) in [
        ("importance", vec![]),
        ("importance?method=fanova", vec!["--method", "fanova"]),
        ("importance?top=0.5&space=true&metric=score", vec!["--top", "0.5", "--space", "--metric", "score"]),
    ] {
        let told = client.get(&path(query));
        let options: Vec<&str> = ["importance", &id].into_iter().chain(options).collect();
        assert_eq!(told, lab.json(&options), "{query}");
        assert_eq!((&told["trials"], &told["parameters"][0]["name"]), (&json!(12), &json!("x")), "{told}");
    }
    for query in
        ["importance?top=0", "importance?top=1.5", "importance?top=x", "importance?space=true&within=0.5"]
    {
        client.refused(400, "GET", &path(query), &Value::Null);
    }
    client.refused(422, "GET", &path("importance?metric=none"), &Value::Null);
    client.refused(422, "GET", &path("importance?method=fanova&top=0.5"), &Value::Null);
    let young = client.create(&by_clients("young", 1));
    let early = client.refused(409, "GET", &format!("/v1/experiments/{young}/importance"), &Value::Null);
    assert!(early["detail"].as_str().unwrap().contains("10 are needed"), "{early}");
    for (query, kind, file) in [
        ("export", "text/csv; charset=utf-8", "a.csv"),
        ("export?format=csv", "text/csv; charset=utf-8", "b.csv"),
        ("export?format=json", "application/json", "c.json"),
    ] {
        let answer = client.send("GET", &path(query), &Value::Null);
        assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{query}");
        lab.expect(0, &["export", &id, "-o", file]);
        assert_eq!(answer.body, lab.text(file), "{query}");
    }
    client.refused(400, "GET", &path("export?format=xml"), &Value::Null);
    daemon.end();
}

#[test]
fn an_experiment_is_checked_and_nothing_is_created_or_kept() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let mut ben = Client::with_token(&daemon, BEN);
    let head = ben.get("/readyz")["head"].clone();
    let spec = experiment(3, "echo score=${x}");
    let told = ben.post("/v1/check", &json!({"spec": spec}));
    assert_eq!(
        (&told["ok"], &told["name"], told.get("preview")),
        (&json!(true), &json!("lab"), None),
        "{told}"
    );
    let told = ben.post("/v1/check", &json!({"spec": spec, "dry_run": true}));
    assert!(told["preview"].to_string().contains("echo score="), "{told}");
    let wrong = with(spec, json!({"space": {"x": {"uniform": [2, 1]}}, "surplus": 1}));
    for spec in [wrong.clone(), json!(wrong.to_string())] {
        let problem = ben.refused(422, "POST", "/v1/check", &json!({"spec": spec}));
        assert_eq!(
            (&problem["code"], problem["errors"].as_array().unwrap().len()),
            (&json!("E0635"), 2),
            "{problem}"
        );
    }
    ben.refused(400, "POST", "/v1/check", &json!({}));
    Client::with_token(&daemon, VIEWER).refused(403, "POST", "/v1/check", &json!({"spec": wrong}));
    assert_eq!(ben.get("/readyz")["head"], head);
    assert_eq!(ben.get("/v1/experiments")["experiments"], json!([]));
    daemon.end();
}
