//! `ask-tell`: a sampler over standard input and output.

use super::support::{Lab, until};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A client of the program.
struct Client {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Client {
    fn start(lab: &Lab, spec: &Value, more: &[&str]) -> Self {
        let file = lab.spec(spec);
        let store = lab.store().display().to_string();
        Self::begin(lab.command(&[&["ask-tell", "--spec", &file, "--store", &store], more].concat()))
    }

    fn begin(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { requests: child.stdin.take(), answers, child }
    }

    fn send(&mut self, line: &str) {
        writeln!(self.requests.as_mut().unwrap(), "{line}").unwrap();
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn line(&mut self, line: &str) -> Value {
        self.send(line);
        self.answer()
    }

    fn ask(&mut self, count: u32) -> Vec<Value> {
        self.line(&json!({"ask": {"count": count}}).to_string())["trials"].as_array().unwrap().clone()
    }

    fn tell(&mut self, id: &Value, value: f64) -> Value {
        self.line(&json!({"tell": {"id": id, "value": value}}).to_string())
    }

    /// Ends its input and waits for its end.
    fn end(mut self) -> Option<i32> {
        self.requests.take();
        let status = until("the end of ask-tell", || self.child.try_wait().unwrap());
        status.code()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn spec() -> Value {
    json!({
        "name": "client",
        "space": {"x": {"uniform": [0, 1]}},
        "objective": {"goal": "minimize"},
        "sampler": {"tpe": {"seed": 3}},
        "budget": {"trials": 5, "concurrency": 2},
    })
}

#[test]
fn the_agreed_requests_get_the_agreed_answers() {
    let lab = Lab::new();
    let mut client = Client::start(&lab, &spec(), &[]);
    let trials = client.line(r#"{"ask":{"count":2}}"#);
    assert_eq!(trials["trials"].as_array().unwrap().len(), 2);
    let first = trials["trials"][0].clone();
    assert_eq!(first["id"], 0);
    assert!((0.0..=1.0).contains(&first["params"]["x"].as_f64().unwrap()));
    assert_eq!(client.line(r#"{"tell":{"id":0,"value":0.5}}"#), json!({"ok": true}));
    assert_eq!(client.line(r#"{"tell":{"id":1,"failed":true}}"#), json!({"ok": true}));
    assert_eq!(client.ask(1)[0]["id"], 2);
    assert_eq!(client.line(r#"{"report":{"id":2,"step":1,"value":0.25}}"#), json!({"decision": "continue"}));
    assert_eq!(client.tell(&json!(2), 0.25), json!({"ok": true}));
    let best = client.line(r#"{"best":{}}"#);
    assert_eq!((&best["id"], &best["value"]), (&json!(2), &json!(0.25)));
    assert_eq!(client.end(), Some(0));
}

#[test]
fn a_bad_line_gets_one_error_and_the_stream_goes_on() {
    let lab = Lab::new();
    let mut client = Client::start(&lab, &spec(), &[]);
    client.ask(1);
    for line in [
        "nonsense",
        "{",
        "[]",
        r#"{"guess":{}}"#,
        r#"{"ask":{"number":1}}"#,
        r#"{"tell":{"id":0}}"#,
        r#"{"tell":{"id":0,"value":1,"failed":true}}"#,
        r#"{"tell":{"id":0,"value":1e999}}"#,
        r#"{"tell":{"id":-1,"value":1}}"#,
        r#"{"tell":{"id":77,"value":1}}"#,
        r#"{"report":{"id":77,"step":1,"value":1}}"#,
        r#"{"enqueue":{"params":{"x":9}}}"#,
        "\u{1F600}",
    ] {
        let answer = client.line(line);
        let error = &answer["error"];
        assert!(error["code"].is_string() && error["message"].is_string(), "{line}: {answer}");
    }
    // Longer than any line may be: one error, whatever its end looks like.
    let long = format!(r#"{{"ask":{{"count":1}},"pad":"{}"}}"#, "y".repeat(3 << 20));
    let answer = client.line(&long);
    assert!(answer["error"]["message"].as_str().unwrap().contains("bytes"), "{answer}");
    assert_eq!(client.line(r#"{"best":{}}"#)["error"]["message"], "no trial has a value yet");
    client.send("");
    assert_eq!(client.tell(&json!(0), 1.0), json!({"ok": true}));
    let twice = client.tell(&json!(0), 2.0);
    assert!(twice["error"]["message"].as_str().unwrap().contains("SUCCEEDED"), "{twice}");
    assert_eq!(client.end(), Some(0));
}

#[test]
fn many_lines_sent_before_an_answer_is_read_are_answered_in_order() {
    let lab = Lab::new();
    let mut spec = spec();
    spec["budget"]["trials"] = json!(100);
    let mut client = Client::start(&lab, &spec, &[]);
    for id in 0..100 {
        client.send(r#"{"ask":{}}"#);
        client.send(&json!({"tell": {"id": id, "value": id}}).to_string());
    }
    for id in 0..100 {
        assert_eq!(client.answer()["trials"][0]["id"], id);
        assert_eq!(client.answer(), json!({"ok": true}));
    }
    assert_eq!(client.line(r#"{"best":{}}"#)["id"], 0);
}

#[test]
fn a_hopeless_trial_is_told_to_stop() {
    let lab = Lab::new();
    let mut spec = spec();
    spec["early_stop"] = json!({"threshold": {"upper": 10}});
    let mut client = Client::start(&lab, &spec, &[]);
    client.ask(1);
    let report =
        |step: u64, value: f64| json!({"report": {"id": 0, "step": step, "value": value}}).to_string();
    assert_eq!(client.line(&report(1, 5.0)), json!({"decision": "continue"}));
    assert_eq!(client.line(&report(2, 50.0)), json!({"decision": "stop"}));
    assert_eq!(client.line(&report(3, 60.0)), json!({"decision": "stop"}));
    assert_eq!(client.tell(&json!(0), 50.0), json!({"ok": true}));
    assert_eq!(client.end(), Some(0));
    assert_eq!(lab.trials("client")[0]["status"], "EARLY_STOPPED");
}

#[test]
fn after_the_budget_there_are_no_further_trials_and_the_best_one_is_known() {
    let lab = Lab::new();
    let mut client = Client::start(&lab, &spec(), &[]);
    let trials = client.ask(9);
    assert_eq!(trials.len(), 5);
    for (place, trial) in trials.iter().enumerate() {
        assert_eq!(client.tell(&trial["id"], 1.0 - place as f64 / 10.0), json!({"ok": true}));
    }
    assert!(client.ask(1).is_empty());
    assert_eq!(client.line(r#"{"best":{}}"#)["id"], 4);
    assert_eq!(client.end(), Some(0));
    assert_eq!(lab.json(&["show", "client"])["status"], "FINISHED");
    // A client that was started once more finds the end, and no second experiment.
    let mut client = Client::start(&lab, &spec(), &[]);
    assert!(client.ask(1).is_empty());
    assert_eq!(client.line(r#"{"best":{}}"#)["id"], 4);
    assert_eq!(client.end(), Some(0));
    assert_eq!(lab.json(&["ls"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_killed_sampler_goes_on_and_takes_the_results_of_pending_trials() {
    let lab = Lab::new();
    let mut client = Client::start(&lab, &spec(), &[]);
    let before = client.ask(2);
    client.tell(&before[0]["id"], 0.5);
    client.kill();
    let mut client = Client::start(&lab, &spec(), &[]);
    let pending = client.line(r#"{"pending":{}}"#);
    assert_eq!(pending["trials"], json!([before[1]]));
    assert_eq!(client.tell(&before[1]["id"], 0.25), json!({"ok": true}));
    assert_eq!(client.ask(1)[0]["id"], 2);
    assert_eq!(client.line(r#"{"best":{}}"#)["id"], 1);
    assert_eq!(client.end(), Some(0));
    lab.expect(0, &["audit", "resample", "client"]);
}

#[test]
fn the_same_seed_gives_the_same_points_in_memory_and_in_a_store() {
    let lab = Lab::new();
    let mut spec = spec();
    spec["sampler"] = json!("tpe");
    let points = |client: &mut Client| -> Vec<Value> {
        (0..5)
            .map(|_| {
                let trial = client.ask(1)[0].clone();
                client.tell(&trial["id"], trial["params"]["x"].as_f64().unwrap());
                trial["params"].clone()
            })
            .collect()
    };
    let mut stored = Client::start(&lab, &spec, &["--seed", "11"]);
    let file = lab.spec(&spec);
    let mut command = lab.command(&["ask-tell", "--spec", &file, "--seed", "11"]);
    command.env("RETRIAL_STORE", lab.file("other"));
    let mut memory = Client::begin(command);
    assert_eq!(points(&mut stored), points(&mut memory));
    assert_eq!((stored.end(), memory.end()), (Some(0), Some(0)));
    assert!(!lab.file(".retrial").exists(), "without --store nothing is written");
    assert!(!lab.file("other").exists(), "the variable is for other commands");
}

#[test]
fn the_seed_that_is_typed_comes_before_the_one_of_the_file() {
    let lab = Lab::new();
    let first = |seed: Option<u64>, more: &[&str]| -> Value {
        let mut spec = spec();
        spec["sampler"] = seed.map_or(json!("random"), |seed| json!({"random": {"seed": seed}}));
        let mut client = Client::start(&lab, &spec, more);
        let params = client.ask(1)[0]["params"].clone();
        assert_eq!(client.end(), Some(0));
        params
    };
    let typed = first(Some(3), &["--seed", "11"]);
    let experiments = || lab.json(&["ls"]).as_array().unwrap().len();
    first(None, &["--seed", "11"]);
    assert_eq!(experiments(), 1, "what is typed and what the file says is the same");
    assert_ne!(first(Some(3), &[]), typed);
    assert_eq!(experiments(), 2);
}

#[test]
fn several_metrics_are_told_by_name_and_weighed() {
    let lab = Lab::new();
    let mut spec = spec();
    spec["objective"] = json!({"goal": "maximize", "metrics": {"auc": 1.0, "cost": -2.0}});
    let mut client = Client::start(&lab, &spec, &[]);
    client.ask(2);
    for line in [
        r#"{"tell":{"id":0,"value":1}}"#,
        r#"{"tell":{"id":0,"metrics":{"auc":1}}}"#,
        r#"{"tell":{"id":0,"metrics":{"auc":1,"loss":2}}}"#,
        r#"{"tell":{"id":0,"value":1,"metrics":{"auc":1,"cost":2}}}"#,
        r#"{"report":{"id":0,"step":1,"value":1}}"#,
        r#"{"report":{"id":0,"step":1}}"#,
    ] {
        assert!(client.line(line)["error"]["message"].is_string(), "{line}");
    }
    let report = client.line(r#"{"report":{"id":0,"step":1,"metrics":{"cost":0.25,"auc":0.5}}}"#);
    assert_eq!(report, json!({"decision": "continue"}));
    let told = client.line(r#"{"tell":{"id":0,"metrics":{"cost":0.25,"auc":0.75}}}"#);
    assert_eq!(told, json!({"ok": true}));
    assert_eq!(client.line(r#"{"best":{}}"#)["value"], 0.25);
    assert_eq!(client.end(), Some(0));
    let trial = &lab.trials("client")[0];
    assert_eq!((&trial["value"], &trial["reports"][0]["value"]), (&json!(0.25), &json!(0.0)));
}

#[test]
fn a_store_that_is_named_like_the_default_one_is_used() {
    let lab = Lab::new();
    let file = lab.spec(&spec());
    let mut command = lab.command(&["ask-tell", "--spec", &file, "--store", ".retrial"]);
    command.env_remove("RETRIAL_STORE");
    let mut client = Client::begin(command);
    client.ask(1);
    client.kill();
    assert_eq!(lab.json(&["trials", "client", "--store", ".retrial"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_store_in_use_is_busy_for_a_second_sampler() {
    let lab = Lab::new();
    let mut client = Client::start(&lab, &spec(), &[]);
    client.ask(1);
    let file = lab.spec(&spec());
    let store = lab.store().display().to_string();
    lab.expect(75, &["ask-tell", "--spec", &file, "--store", &store]);
    assert_eq!(lab.trials("client").len(), 1);
    assert_eq!(client.end(), Some(0));
}

#[test]
fn a_reader_that_goes_away_ends_the_sampler() {
    let lab = Lab::new();
    let mut client = Client::start(&lab, &spec(), &[]);
    client.ask(1);
    let Client { mut child, requests, answers } = client;
    drop(answers);
    let mut requests = requests.unwrap();
    let status = until("the end of ask-tell", || {
        // Again and again: another test's child may hold the reading end for a moment before it becomes a program.
        let _ = writeln!(requests, r#"{{"best":{{}}}}"#);
        child.try_wait().unwrap()
    });
    assert!(status.code().is_some(), "{status}");
    assert_ne!(status.code(), Some(101));
}

#[test]
fn more_than_the_bound_at_once_is_refused_with_the_bound() {
    let lab = Lab::new();
    let mut client = Client::start(&lab, &spec(), &[]);
    let answer = client.line(r#"{"ask":{"count":10001}}"#);
    assert_eq!(answer["error"]["code"], "E0611", "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("at most 10000"), "{answer}");
    assert_eq!(client.ask(1).len(), 1, "the stream goes on");
    assert_eq!(client.end(), Some(0));
}
