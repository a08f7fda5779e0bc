//! Notifications: who is told of what, through failures and crashes, and with nothing of it in the way of the experiment.

use super::secret::{address, ask, assert_nowhere, body, command, given};
use super::support::{Lab, Running, experiment, until, wait_for, with};
use hmac::{Hmac, KeyInit, Mac};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sha2::Sha256;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One request that came in.
#[derive(Debug, Clone)]
struct Told {
    path: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> String {
        let name = format!("{name}: ");
        self.headers.iter().find_map(|line| line.strip_prefix(&name)).unwrap_or_default().to_owned()
    }
}

/// Takes messages, and answers as it is told to.
struct Inbox {
    address: String,
    told: Arc<Mutex<Vec<Told>>>,
    answer: Arc<Mutex<&'static str>>,
}

impl Inbox {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inbox = Self {
            address: listener.local_addr().unwrap().to_string(),
            told: Arc::default(),
            answer: Arc::new(Mutex::new("200 OK")),
        };
        let (told, answer) = (Arc::clone(&inbox.told), Arc::clone(&inbox.answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (told, answer) = (Arc::clone(&told), Arc::clone(&answer));
                std::thread::spawn(move || take(stream, &told, &answer));
            }
        });
        inbox
    }

    /// How it answers from now on.
    fn answers(&self, status: &'static str) {
        *self.answer.lock().unwrap() = status;
    }

    fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// What came in at a path, in order, without repetitions.
    fn events(&self, path: &str) -> Vec<(String, String)> {
        let mut events = Vec::new();
        for told in self.told().iter().filter(|told| told.path.starts_with(path)) {
            let said = told.json();
            let event = (said["event"].as_str().unwrap().to_owned(), said["id"].as_str().unwrap().to_owned());
            if !events.contains(&event) {
                events.push(event);
            }
        }
        events
    }
}

fn take(mut stream: TcpStream, told: &Mutex<Vec<Told>>, answer: &Mutex<&'static str>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            headers.push(line.trim().to_owned());
        }
        let mut one = Told { path, headers, body: Vec::new() };
        one.body = vec![0; one.header("content-length").parse().unwrap_or(0)];
        reader.read_exact(&mut one.body).unwrap();
        told.lock().unwrap().push(one);
        let said = r#"{"errcode":0,"errmsg":"ok"}"#;
        let status = *answer.lock().unwrap();
        if write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{said}", said.len()).is_err() {
            return;
        }
    }
}

fn set(lab: &Lab, name: &str, value: &str) {
    let done = given(lab, &["secret", "set", name], value);
    assert_eq!(done.code, Some(0), "{done}");
}

/// An experiment whose trials score their number.
fn scores(trials: u32, notify: &Value) -> Value {
    let command = "echo score=${trial_id}";
    with(experiment(trials, command), json!({"notify": notify, "budget": {"concurrency": 1}}))
}

#[test]
fn a_webhook_and_a_robot_are_told_what_they_want_to_hear_and_no_token_is_seen() {
    let (lab, inbox) = (Lab::new(), Inbox::new());
    set(&lab, "hook-key", "planted-hook-key");
    set(&lab, "robot", &format!("http://{}/robot?access_token=plantedtoken", inbox.address));
    set(&lab, "robot-key", "SECplanted");
    let spec = scores(
        3,
        &json!([
            {"webhook": {"url": format!("http://{}/all", inbox.address), "secret": "secret:hook-key"}, "every": "1h"},
            {"webhook": format!("http://{}/failures", inbox.address), "events": "failure"},
            {"dingtalk": {"url": "secret:robot", "secret": "secret:robot-key", "keyword": "monitor", "at_all": true}, "events": ["end"]},
        ]),
    );
    let file = lab.spec(&spec);
    let done = Running::begin(&lab, command(&lab, &["run", &file])).end();
    assert_eq!(done.code, Some(0), "{done}");
    let events: Vec<String> = inbox.events("/all").into_iter().map(|(event, _)| event).collect();
    assert_eq!(events, ["best", "ended"], "of several best trials within `every` one is told");
    assert!(inbox.events("/failures").is_empty());
    let told = inbox.told();
    let end = told.iter().rfind(|told| told.path == "/all").unwrap();
    let said = end.json();
    assert_eq!((&said["status"], &said["trials"]), (&json!("FINISHED"), &json!({"SUCCEEDED": 3})));
    assert_eq!((&said["best"]["value"], &said["name"]), (&json!(2.0), &json!("lab")));
    let mut mac = Hmac::<Sha256>::new_from_slice(b"planted-hook-key").unwrap();
    mac.update(&end.body);
    let sum: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(end.header("retrial-signature"), format!("sha256={sum}"));
    assert_eq!(end.header("retrial-delivery"), said["id"].as_str().unwrap());
    let robot: Vec<&Told> = told.iter().filter(|told| told.path.starts_with("/robot")).collect();
    assert_eq!(robot.len(), 1);
    assert!(robot[0].path.starts_with("/robot?access_token=plantedtoken&timestamp="), "{}", robot[0].path);
    let text = robot[0].json()["markdown"]["text"].as_str().unwrap().to_owned();
    assert!(
        text.contains("has ended") && text.contains("monitor") && text.contains("best: trial 2, value 2"),
        "{text}"
    );
    let mut seen = vec![done.to_string(), std::fs::read_to_string(&file).unwrap()];
    for args in [&["events", "lab"][..], &["show", "lab"], &["audit", "export", "-"]] {
        let output = command(&lab, args).output().unwrap();
        seen.push(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned());
    }
    assert!(seen.iter().all(|text| !text.contains("planted")), "{seen:?}");
    assert_nowhere(&lab, &["planted"]);
}

#[test]
fn a_target_that_is_away_holds_up_nothing_and_the_next_process_tells_it() {
    let (lab, inbox) = (Lab::new(), Inbox::new());
    inbox.answers("503 Service Unavailable");
    set(&lab, "hook", &format!("http://{}/hook/plantedtoken", inbox.address));
    let notify = json!({"webhook": "secret:hook", "events": "end"});
    let done = Running::begin(&lab, command(&lab, &["run", &lab.spec(&scores(1, &notify))])).end();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(
        done.err.contains("503") && done.err.contains("is sent again") && !done.err.contains("planted"),
        "{done}"
    );
    let first = inbox.events("/hook");
    assert_eq!(first.len(), 1, "{first:?}");
    inbox.answers("200 OK");
    let tries = inbox.told().len();
    let next = with(
        scores(2, &json!(null)),
        json!({"name": "next", "run": {"local": {"command": wait_for("gate") + "; echo score=1"}}}),
    );
    let running = Running::begin(&lab, command(&lab, &["run", &lab.spec(&next)]));
    until("the message", || (inbox.told().len() > tries).then_some(()));
    lab.open_gate("gate");
    assert_eq!(running.end().code, Some(0));
    assert_eq!(inbox.events("/hook"), first, "it is the same message");
    assert_eq!(inbox.told().len(), tries + 1, "it is sent until it is taken, and no more");
}

#[test]
fn a_killed_daemon_loses_no_message() {
    let (lab, inbox) = (Lab::new(), Inbox::new());
    inbox.answers("500 Internal Server Error");
    let serve = || Running::begin(&lab, command(&lab, &["serve", "--listen", "127.0.0.1:0", "--json"]));
    let daemon = serve();
    let spec = scores(2, &json!({"webhook": format!("http://{}/hook", inbox.address), "events": "end"}));
    let created = ask(&address(&daemon), "POST", "/v1/experiments", &json!({"spec": spec}).to_string());
    let id = body(&created)["experiment"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
    until("a first try", || (!inbox.told().is_empty()).then_some(()));
    daemon.kill();
    inbox.answers("200 OK");
    let tries = inbox.told().len();
    let daemon = serve();
    until("the message", || (inbox.told().len() > tries).then_some(()));
    let events = inbox.events("/hook");
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].0 == "ended" && events[0].1.starts_with(&id), "{events:?}");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.end().code, Some(0));
}

#[test]
fn a_message_keeps_its_id_and_no_other_gets_it_when_records_get_other_numbers() {
    let (lab, inbox) = (Lab::new(), Inbox::new());
    inbox.answers("503 Service Unavailable");
    lab.expect(0, &["run", &lab.spec(&with(experiment(3, "echo score=1"), json!({"name": "old"})))]);
    let notify = json!({"webhook": format!("http://{}/hook", inbox.address), "events": "end"});
    let command = format!("test ${{trial_id}} = 0 || {{ {}; }}; echo score=1", wait_for("gate"));
    let spec = with(scores(1, &notify), json!({"run": {"local": {"command": command}}}));
    lab.expect(0, &["run", &lab.spec(&spec)]);
    let first = inbox.events("/hook");
    assert_eq!(first.len(), 1, "{first:?}");
    let more = lab.spec(&with(spec, json!({"budget": {"trials": 2}})));
    lab.expect(0, &["update", "lab", &more]);
    let left = lab.json(&["audit", "archive", "old.archive", "--ended-before", "0s"]);
    assert_eq!(left["experiments"].as_array().unwrap().len(), 1, "{left}");
    inbox.answers("200 OK");
    let tries = inbox.told().len();
    let run = lab.start(&["run", &more]);
    until("the message that waited", || (inbox.told().len() > tries).then_some(()));
    lab.open_gate("gate");
    assert_eq!(run.end().code, Some(0));
    assert_eq!(inbox.told()[tries].json()["id"], first[0].1.as_str());
    let ends = lab.events("lab").into_iter().filter(|event| event["kind"] == "ExperimentEnded");
    let ids = ends.map(|end| format!("{}-event-{}", end["experiment"].as_str().unwrap(), end["position"]));
    assert_eq!(
        inbox.events("/hook").into_iter().map(|(_, id)| id).collect::<Vec<_>>(),
        ids.collect::<Vec<_>>()
    );
}

#[test]
fn a_pause_by_the_brake_and_a_failure_are_told_with_their_cause() {
    let (lab, inbox) = (Lab::new(), Inbox::new());
    let url = format!("http://{}/hook", inbox.address);
    let spec =
        with(experiment(9, "exit 7"), json!({"notify": {"webhook": url, "events": ["pause", "failure"]}}));
    let done = Running::begin(&lab, command(&lab, &["run", &lab.spec(&spec)])).end();
    assert_eq!(done.code, Some(1), "{done}");
    let spec = with(spec, json!({"name": "other", "first_failures": 0, "budget": {"trials": 2}}));
    let done = Running::begin(&lab, command(&lab, &["run", &lab.spec(&spec)])).end();
    assert_eq!(done.code, Some(3), "{done}");
    let told = inbox.told();
    let said: Vec<Value> = told.iter().map(Told::json).collect();
    let events: Vec<&str> = said.iter().map(|said| said["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["paused", "failed"]);
    assert!(said[0]["reason"].as_str().unwrap().contains("failed alike"), "{}", said[0]);
    assert_eq!((&said[1]["status"], &said[1]["best"]), (&json!("FAILED"), &Value::Null));
}

#[test]
fn an_address_with_a_token_is_refused_and_not_shown() {
    let lab = Lab::new();
    let urls = [
        "https://oapi.dingtalk.com/robot/send?access_token=plantedtoken",
        "https://hooks.example.com/T0/plantedtoken12345",
    ];
    for url in urls {
        let text = format!(
            "space: {{x: {{uniform: [0, 1]}}}}\nobjective: maximize\nbudget: {{trials: 1}}\nnotify:\n  webhook: {url}\n"
        );
        let file = lab.write("experiment.yaml", &text);
        let done = lab.expect(2, &["check", &file]);
        assert!(done.err.contains("[E0133]") && !done.to_string().contains("plantedtoken"), "{done}");
    }
}
