//! The native API: experiments and their trials.

use crate::client::Client;
use crate::daemon::Daemon;
use crate::support::{Lab, experiment, until, wait_for, with};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An experiment whose trials clients run.
pub fn by_clients(name: &str, trials: u32) -> Value {
    json!({
        "name": name,
        "space": {"x": {"uniform": [0, 1]}, "kind": {"choice": ["a", "b"]}},
        "objective": {"metric": "score", "goal": "maximize"},
        "sampler": "random",
        "seed": 7,
        "budget": {"trials": trials, "concurrency": trials},
    })
}

/// An experiment whose tasks wait in the lab's folder for the file `gate`.
pub fn gated(lab: &Lab, name: &str, trials: u32, command: &str) -> Value {
    let wait = wait_for("gate").replace("${spec_dir}", &lab.dir().display().to_string());
    with(experiment(trials, &format!("{wait}; {command}")), json!({"name": name}))
}

/// Waits until an experiment has this status; gives how it is shown then.
pub fn until_status(client: &mut Client, id: &str, status: &str) -> Value {
    until(&format!("{status} of {id}"), || {
        Some(client.get(&format!("/v1/experiments/{id}"))).filter(|shown| shown["status"] == status)
    })
}

fn ids(page: &Value) -> Vec<String> {
    let listed = page["experiments"].as_array().unwrap();
    listed.iter().map(|shown| shown["experiment"].as_str().unwrap().to_owned()).collect()
}

fn names(page: &Value) -> Vec<String> {
    let listed = page["experiments"].as_array().unwrap();
    listed.iter().map(|shown| shown["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_experiment_is_created_from_every_form_of_a_file() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let native = by_clients("lab", 4);
    let yaml = "name: lab\nspace:\n  x: {uniform: [0, 1]}\nobjective: {metric: score, goal: maximize}\nbudget: {trials: 4}\n";
    let toml = "name = 'lab'\n[space.x]\nuniform = [0, 1]\n[objective]\nmetric = 'score'\ngoal = 'maximize'\n[budget]\ntrials = 4\n";
    let pai = json!({
        "Name": "lab",
        "HpoExperimentConfiguration": {
            "platform_config": {"name": "Local", "cmd": ["echo score=1"]},
            "metric_config": {
                "metric_type": "stdout", "metric_source": ["cmd1"], "final_mode": "final", "metric_dict": {"score=([0-9]+)": 1},
            },
            "search_space": {"${x}": {"_type": "choice", "_value": [1, 2]}},
            "yml_config": {"max_trial_number": 4},
        },
    });
    let nni = json!({
        "experimentName": "lab",
        "searchSpace": {"x": {"_type": "uniform", "_value": [0, 1]}},
        "trialCommand": "echo 1",
        "trialConcurrency": 1,
        "maxTrialNumber": 4,
        "tuner": {"name": "Random", "classArgs": {"optimize_mode": "maximize"}},
        "trainingService": {"platform": "local"},
    });
    let forms = [
        native.clone(),
        json!(native.to_string()),
        json!(yaml),
        json!(toml),
        pai.clone(),
        json!(pai.to_string()),
        nni,
    ];
    for form in forms {
        let answer = client.send("POST", "/v1/experiments", &json!({"spec": form}));
        assert_eq!(answer.status, 201, "{form}: {answer:?}");
        let id = answer.json()["experiment"].as_str().unwrap().to_owned();
        let shown = client.get(&format!("/v1/experiments/{id}"));
        assert_eq!((&shown["name"], &shown["budget_trials"]), (&json!("lab"), &json!(4)), "{shown}");
    }
}

#[test]
fn every_mistake_of_an_experiment_is_told_at_once_and_nothing_is_created() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let wrong = json!({"spec": {
        "name": "", "space": {"x": {"uniform": [2, 1]}}, "objective": {"metric": "score", "goal": "upwards"},
        "budget": {"trials": 0}, "sampler": "none-such", "surplus": 1,
    }});
    let problem = client.refused(422, "POST", "/v1/experiments", &wrong);
    assert_eq!(problem["code"], "E0635");
    let told: BTreeSet<&str> =
        problem["errors"].as_array().unwrap().iter().map(|error| error["path"].as_str().unwrap()).collect();
    for path in ["name", "space.x.uniform", "objective.goal", "budget.trials", "surplus"] {
        assert!(told.iter().any(|told| told.starts_with(path)), "{path} is not told: {problem:#}");
    }
    for wrong in [
        json!({"spec": 5}),
        json!({"spec": []}),
        json!({"spec": ""}),
        json!({"spec": "{"}),
        json!({"spec": null}),
    ] {
        client.refused(422, "POST", "/v1/experiments", &wrong);
    }
    let native = by_clients("lab", 1);
    for wrong in [
        json!([]),
        json!({}),
        json!({"spec": native, "more": 1}),
        json!({"spec": native, "labels": {"a": 1}}),
        json!({"spec": native, "labels": {"retrial.idempotency-key": "a"}}),
    ] {
        client.refused(400, "POST", "/v1/experiments", &wrong);
    }
    for labels in [json!({"": "a"}), json!({"a": "x".repeat(70_000)})] {
        client.refused(409, "POST", "/v1/experiments", &json!({"spec": native, "labels": labels}));
    }
    assert_eq!(client.get("/v1/experiments")["experiments"], json!([]));
}

#[test]
fn a_creation_that_is_repeated_under_its_key_is_the_same_one() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let body = json!({"spec": by_clients("lab", 1)});
    let create = |key: &str, body: &Value| {
        let mut client = Client::of(&daemon);
        client.try_send("POST", "/v1/experiments", &[("Idempotency-Key", key)], &body.to_string()).unwrap()
    };
    let first = create("a", &body);
    assert_eq!(first.status, 201);
    let again = create("a", &body);
    assert_eq!((again.status, again.json()), (200, first.json()));
    assert_eq!(create("a", &json!({"spec": by_clients("lab", 2)})).status, 409);
    assert_ne!(create("b", &body).json(), first.json());
    // Nobody gets a public one who has asked for a private one.
    let private = json!({"spec": by_clients("lab", 1), "labels": {"accessibility": "PRIVATE"}});
    assert_eq!([create("a", &private).status, create("d", &private).status], [409, 201]);
    assert_eq!([create("d", &private).status, create("d", &body).status], [200, 409]);
    let id = first.json()["experiment"].as_str().unwrap().to_owned();
    let mut client = Client::of(&daemon);
    client.post(&format!("/v1/experiments/{id}/stop"), &Value::Null);
    assert_eq!(create("a", &body).status, 200);
    client.json("DELETE", &format!("/v1/experiments/{id}"), &Value::Null);
    let gone = create("a", &body);
    assert!(gone.status == 409 && gone.body.contains("is removed"), "{gone:?}");
    // Those that do not wait for each other's answers are one as well.
    let at_once: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| create("c", &body))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let made: BTreeSet<String> =
        at_once.iter().map(|answer| answer.json()["experiment"].to_string()).collect();
    assert_eq!(made.len(), 1, "{at_once:?}");
    assert_eq!(at_once.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(ids(&Client::of(&daemon).get("/v1/experiments")).len(), 3);
}

#[test]
fn three_hundred_experiments_are_found_by_every_filter_and_in_pages_without_gap_or_double() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let mut made = Vec::new();
    for number in 0..300_u32 {
        let spec = with(
            by_clients(&format!("search-{}", number % 100), 1),
            json!({"description": if number % 10 == 0 { "About Cats" } else { "" }}),
        );
        let labels = json!({"team": format!("t{}", number % 3), "odd": (number % 2).to_string()});
        let answer = client.post("/v1/experiments", &json!({"spec": spec, "labels": labels}));
        made.push(answer["experiment"].as_str().unwrap().to_owned());
    }
    for id in &made[..30] {
        client.post(&format!("/v1/experiments/{id}/stop"), &Value::Null);
    }
    let all = client.get("/v1/experiments?limit=1000");
    let times: Vec<i64> = all["experiments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|shown| shown["created_ms"].as_i64().unwrap())
        .collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "newest first: {times:?}");
    assert_eq!(ids(&all).into_iter().collect::<BTreeSet<_>>(), made.into_iter().collect());
    let made = ids(&all);
    assert_eq!(all["next"], Value::Null);
    let creator = all["experiments"][0]["creator"].as_str().unwrap().to_owned();
    assert!(all["experiments"][0]["labels"].get("retrial.idempotency-key").is_none());
    for (query, found) in [
        ("name=search-7", 3),
        ("name=search", 0),
        ("status=USER_CANCELED", 30),
        ("status=FINISHED", 0),
        (&*format!("creator={creator}"), 300),
        ("creator=nobody", 0),
        ("q=cats", 30),
        ("q=SEARCH-42", 3),
        ("q=SEARCH-4", 33),
        ("label=team%3Dt1", 100),
        ("label=team=t1", 100),
        ("label=team=none", 0),
        ("label=team=t1&q=cats", 10),
        ("label=odd=1&name=search-7&status=USER_CANCELED", 1),
    ] {
        let page = client.get(&format!("/v1/experiments?limit=1000&{query}"));
        assert_eq!(ids(&page).len(), found, "{query}: {:?}", names(&page));
    }
    // What is made between two pages does not shift those that follow.
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/v1/experiments?limit=7{after}"));
        paged.extend(ids(&page));
        let Some(next) = page["next"].as_str() else { break };
        assert_eq!(ids(&page).len(), 7);
        after = format!("&after={next}");
        client.create(&by_clients("meanwhile", 1));
    }
    assert_eq!(paged, made);
    assert_eq!(ids(&client.get("/v1/experiments")).len(), 50);
    for wrong in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=",
        "limit=-1",
        "limit=1&limit=1",
        "label=team",
        "after=x",
        "after=1-x",
        "status=finished",
        "none=1",
    ] {
        client.refused(400, "GET", &format!("/v1/experiments?{wrong}"), &Value::Null);
    }
}

#[test]
fn an_experiment_is_changed_and_shown_as_it_was() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let spec = gated(&lab, "lab", 4, "echo score=1");
    let id = client.create(&spec);
    let at = |path: &str| format!("/v1/experiments/{id}{path}");
    until("running trials", || (client.get(&at(""))["trials"]["RUNNING"] == 2).then_some(()));
    let paused = client.post(&at("/pause"), &Value::Null);
    assert_eq!((&paused["experiment"], &paused["trials"]["RUNNING"]), (&json!(id), &json!(2)));
    assert_eq!(client.get(&at(""))["paused"], "paused on request");
    assert_eq!(client.post(&at("/pause"), &Value::Null)["status"], "WAITING", "as it was");
    let then = client.get(&at("?at=1000000"));
    client.post(&at("/resume"), &Value::Null);

    let longer = with(spec.clone(), json!({"budget": {"trials": 6}}));
    client.json("PUT", &at(""), &json!({"spec": longer}));
    assert_eq!(client.get(&at(""))["budget_trials"], 6);
    let fixed = with(spec.clone(), json!({"space": {"x": {"uniform": [0, 2]}}}));
    assert_eq!(client.refused(422, "PUT", &at(""), &json!({"spec": fixed}))["code"], "E0411");
    client.refused(422, "PUT", &at(""), &json!({"spec": {"name": "lab"}}));
    let queued = client.post(&at("/queue"), &json!({"params": {"x": 0.5, "kind": "b"}}));
    assert_eq!(queued["experiment"], id.as_str());
    let problem = client.refused(422, "POST", &at("/queue"), &json!({"params": {"x": 7}}));
    assert_eq!(problem["code"], "E0406");
    assert!(problem["errors"].as_array().unwrap().len() >= 2, "{problem}");
    client.refused(409, "DELETE", &at(""), &Value::Null);

    let cloned = client.post(&at("/clone"), &json!({"name": "other"}));
    let other = cloned["experiment"].as_str().unwrap().to_owned();
    assert_eq!(client.get("/v1/experiments/other")["spec"]["space"], client.get(&at(""))["spec"]["space"]);
    let same = client.post(&at("/clone"), &Value::Null)["experiment"].as_str().unwrap().to_owned();
    assert_eq!(client.get(&format!("/v1/experiments/{same}"))["name"], "lab");
    for id in [&other, &same] {
        client.post(&format!("/v1/experiments/{id}/stop"), &Value::Null);
        until_status(&mut client, id, "USER_CANCELED");
        client.json("DELETE", &format!("/v1/experiments/{id}"), &Value::Null);
        assert_eq!(client.get(&format!("/v1/experiments/{id}"))["removed"], true);
    }

    // Single trials are stopped and tried again.
    client.post(&at("/trials/stop"), &json!({"trials": [0]}));
    until("the stopped trial", || (client.get(&at("/trials/0"))["status"] == "USER_CANCELED").then_some(()));
    client.refused(409, "POST", &at("/trials/retry"), &json!({"trials": [1]}));
    client.post(&at("/trials/retry"), &json!({"trials": [0]}));
    client.refused(404, "POST", &at("/trials/stop"), &json!({"trials": [1, 1_000]}));
    lab.open_gate("gate");
    let ended = until_status(&mut client, &id, "FINISHED");
    assert_eq!(ended["trials"]["SUCCEEDED"], 6, "{ended}");
    let trials = client.get(&at("/trials"))["trials"].as_array().unwrap().clone();
    assert!(trials.iter().any(|trial| trial["params"] == json!({"x": 0.5, "kind": "b"})));
    assert!(trials.iter().any(|trial| trial["retry_of"] == 0));
    client.refused(409, "POST", &at("/stop"), &Value::Null);

    // The past is as it was, by its number and by its time.
    assert_eq!((&then["budget_trials"], &then["paused"]), (&json!(4), &json!("paused on request")));
    let seq = then["seq"].as_u64().unwrap();
    let again = client.get(&at(&format!("?at={seq}")));
    assert_eq!(
        (&again["paused"], again["all_trials"].as_array().unwrap().len()),
        (&json!("paused on request"), 2)
    );
    let record = lab.events(&id).into_iter().find(|event| event["seq"] == seq).unwrap();
    let time = jiff::Timestamp::from_millisecond(record["time_ms"].as_i64().unwrap()).unwrap();
    assert_eq!(client.get(&at(&format!("?at={time}")))["paused"], "paused on request");
    client.refused(404, "GET", &at("?at=1"), &Value::Null);
    client.refused(400, "GET", &at("?at=yesterday"), &Value::Null);
    assert_eq!(client.get(&at("?at=18446744073709551615"))["status"], "FINISHED");
}

#[test]
fn trials_are_listed_looked_at_and_read() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let command = "echo \"trial ${trial_id} é\"; echo wrong >&2; echo score=${x}; if [ ${trial_id} = 3 ]; then exit 1; fi";
    let id = client.create(&with(experiment(25, command), json!({"retry": null})));
    let at = |path: &str| format!("/v1/experiments/{id}{path}");
    until_status(&mut client, &id, "FINISHED");
    let all = client.get(&at("/trials"));
    assert_eq!((all["trials"].as_array().unwrap().len(), &all["next"]), (25, &Value::Null));
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(&at(&format!("/trials?limit=4{after}")));
        paged.extend(page["trials"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_u64() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(json!(paged), all["trials"]);
    let failed = client.get(&at("/trials?status=FAILED&limit=1"));
    assert_eq!((&failed["trials"][0]["trial"], &failed["next"]), (&json!(3), &Value::Null));
    assert_eq!(client.get(&at("/trials?after=4294967295"))["trials"], json!([]));
    assert_eq!(client.get(&at("/trials/7")), all["trials"][7]);
    for missing in ["/trials/25", "/trials/x", "/trials/-1", "/trials/99999999999"] {
        client.refused(404, "GET", &at(missing), &Value::Null);
    }

    let values = all["trials"].as_array().unwrap().iter().filter(|trial| trial["status"] == "SUCCEEDED");
    let best =
        values.max_by(|a, b| a["value"].as_f64().unwrap().total_cmp(&b["value"].as_f64().unwrap())).unwrap();
    let told = client.get(&at("/best"));
    assert_eq!((&told["best"]["trial"], &told["best"]["params"]), (&best["trial"], &best["params"]));

    let log = client.get(&at("/trials/7/logs"));
    let text = log["text"].as_str().unwrap();
    assert!(text.starts_with("trial 7 é\nscore=") && log["at_end"] == true, "{log}");
    assert_eq!(client.get(&at("/trials/7/logs?stream=stderr&attempt=1&task=1"))["text"], "wrong\n");
    let part = client.get(&at("/trials/7/logs?from=6&limit=4"));
    assert_eq!((&part["text"], &part["next"]), (&json!("7 é"), &json!(10)));
    let beyond = client.get(&at("/trials/7/logs?from=100000"));
    assert_eq!((&beyond["text"], &beyond["at_end"]), (&json!(""), &json!(true)));
    for missing in ["attempt=2", "task=2"] {
        client.refused(404, "GET", &at(&format!("/trials/7/logs?{missing}")), &Value::Null);
    }
    for wrong in ["stream=none", "attempt=0", "task=70000", "limit=1048577", "limit=3"] {
        client.refused(400, "GET", &at(&format!("/trials/7/logs?{wrong}")), &Value::Null);
    }
}

#[test]
fn a_log_is_read_in_parts_that_cut_no_character() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let id = client.create(&experiment(1, "echo 'é€😀é€😀'; echo score=1"));
    until_status(&mut client, &id, "FINISHED");
    for limit in 4..12 {
        let (mut text, mut from) = (String::new(), 0);
        loop {
            let part = client.get(&format!("/v1/experiments/{id}/trials/0/logs?from={from}&limit={limit}"));
            text += part["text"].as_str().unwrap();
            from = part["next"].as_u64().unwrap();
            if part["text"] == "" {
                break;
            }
        }
        assert_eq!(text, "é€😀é€😀\nscore=1\n", "in parts of {limit} bytes");
    }
}

#[test]
fn the_same_is_done_to_many_at_once() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let mut ids: Vec<String> = (0..5).map(|_| client.create(&by_clients("lab", 1))).collect();
    client.post(&format!("/v1/experiments/{}/stop", ids[1]), &Value::Null);
    ids.push("none-such".to_owned());
    let results = client.post("/v1/bulk", &json!({"do": "pause", "experiments": ids}))["results"].clone();
    let told: Vec<bool> =
        results.as_array().unwrap().iter().map(|result| result["ok"].as_bool().unwrap()).collect();
    assert_eq!(told, [true, false, true, true, true, false], "{results}");
    assert_eq!(
        (&results[1]["problem"]["status"], &results[5]["problem"]["status"]),
        (&json!(409), &json!(404))
    );
    for (deed, done) in [("resume", 5), ("remove", 0), ("stop", 5), ("stop", 0), ("remove", 5)] {
        let results = client.post("/v1/bulk", &json!({"do": deed, "experiments": ids}))["results"].clone();
        let count = results.as_array().unwrap().iter().filter(|result| result["ok"] == true).count();
        assert_eq!(count, done, "{deed}: {results}");
    }
    assert_eq!(client.get("/v1/experiments")["experiments"], json!([]));
    let many: Vec<&str> = vec!["x"; 1_001];
    client.refused(400, "POST", "/v1/bulk", &json!({"do": "stop", "experiments": many}));
    client.refused(400, "POST", "/v1/bulk", &json!({"do": "burn", "experiments": []}));
}

#[test]
fn what_is_not_there_is_refused_as_a_problem_with_the_headers_of_every_answer() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    for (status, method, path) in [
        (404, "GET", "/"),
        (404, "GET", "/v2/experiments"),
        (405, "PATCH", "/v1/experiments"),
        (405, "DELETE", "/v1/me"),
        (404, "GET", "/v1/experiments/none"),
        (404, "GET", "/v1/experiments/%2e%2e"),
        (400, "GET", "/v1/experiments/%FF"),
        (404, "GET", "/v1/experiments/%00"),
    ] {
        let answer = client.send(method, path, &Value::Null);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{method} {path}");
        assert_eq!(
            (answer.header("x-content-type-options"), answer.header("cache-control")),
            ("nosniff", "no-store")
        );
        assert!(answer.json()["detail"].is_string());
    }
    assert_eq!(client.get("/healthz")["ok"], true);
    assert_eq!(client.get("/readyz")["ok"], true);
    let metrics = client.send("GET", "/metrics", &Value::Null);
    assert!(
        metrics.body.contains("retrial_http_requests_total{operation=\"health\",status=\"200\"} 1\n"),
        "{metrics:?}"
    );
}
