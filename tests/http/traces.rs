//! Spans for a collector of `OpenTelemetry`: a collector on loopback takes them, is slow, or is away.

use super::daemon::Daemon;
use super::support::{Lab, experiment, until, with};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

/// Takes spans as a collector does; gives each request's head and body.
fn collector() -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, taken) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                loop {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if stream.read_line(&mut head).unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    head = head.to_lowercase();
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                    let mut body = vec![0; length.trim().parse().unwrap()];
                    stream.read_exact(&mut body).unwrap();
                    // Whoever looks may have seen enough.
                    let _ = sender.send((head, body));
                    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                }
            });
        }
    });
    (address, taken)
}

/// The fields of a message in the wire form of protocol buffers, as far as spans need it.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut place) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << place;
            place += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = match key & 7 {
            0 => varint(&mut bytes).to_be_bytes().to_vec(),
            form => {
                let length = if form == 1 { 8 } else { usize::try_from(varint(&mut bytes)).unwrap() };
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                value.to_vec()
            }
        };
        found.push((key >> 3, value));
    }
    found
}

fn inner(message: &[u8], field: u64) -> Vec<Vec<u8>> {
    fields(message).into_iter().filter(|(number, _)| *number == field).map(|(_, value)| value).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a span says: its own parts and its attributes by their names.
type Told = BTreeMap<String, String>;

fn spans(body: &[u8]) -> Vec<Told> {
    let mut all = Vec::new();
    for span in inner(&inner(&inner(body, 1)[0], 2)[0], 2) {
        let mut told = BTreeMap::new();
        for (field, value) in fields(&span) {
            match field {
                1 => told.insert("trace".to_owned(), hex(&value)),
                2 => told.insert("span".to_owned(), hex(&value)),
                4 => told.insert("parent".to_owned(), hex(&value)),
                5 => told.insert("name".to_owned(), String::from_utf8(value).unwrap()),
                9 => {
                    let name = String::from_utf8(inner(&value, 1).remove(0)).unwrap();
                    let (kind, value) = fields(&inner(&value, 2)[0]).remove(0);
                    let number = || u64::from_be_bytes(value.clone().try_into().unwrap()).to_string();
                    told.insert(name, if kind == 3 { number() } else { String::from_utf8(value).unwrap() })
                }
                _ => None,
            };
        }
        all.push(told);
    }
    all
}

fn started(lab: &Lab, collector: &str) -> Daemon {
    let mut command = lab.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "Api-Key=planted%20key")
        .env("OTEL_BSP_SCHEDULE_DELAY", "20")
        .env("NO_PROXY", "127.0.0.1");
    Daemon::begin(lab, command)
}

#[test]
fn a_collector_is_told_of_requests_calls_suggestions_and_commits_and_of_no_secret() {
    let lab = Lab::new();
    let (address, taken) = collector();
    let daemon = started(&lab, &address);
    let spec = experiment(2, "echo planted; echo score=${x}");
    let made = daemon.json("POST", "/v1/experiments", &json!({"spec": spec, "labels": {"l": "planted"}}));
    let experiment = made["experiment"].as_str().unwrap();
    let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let parent = format!("00-{trace}-{span}-01");
    let headers = [("traceparent", parent.as_str()), ("X-Secret", "planted")];
    let answer = daemon.send("GET", "/v1/experiments?q=planted", &headers, "");
    assert_eq!(answer.status, 200);
    let unsampled = parent.replace("-01", "-00");
    daemon.send("GET", "/v1/me", &[("traceparent", &unsampled)], "");
    lab.until_trials("lab", "SUCCEEDED", 2);
    let mut told: Vec<Told> = Vec::new();
    let wanted =
        ["GET /v1/experiments", "POST /v1/experiments", "local submit", "local poll", "suggest", "commit"];
    until("the spans", || {
        while let Ok((head, body)) = taken.try_recv() {
            assert!(head.starts_with("post /v1/traces ") && head.contains("api-key: planted key"), "{head}");
            assert!(head.contains("content-type: application/x-protobuf"), "{head}");
            assert!(!String::from_utf8_lossy(&body).contains("planted"));
            told.extend(spans(&body));
        }
        wanted.iter().all(|name| told.iter().any(|one| one["name"] == *name)).then_some(())
    });
    let one = |name: &str| told.iter().find(|one| one["name"] == name).unwrap();
    let request = one("GET /v1/experiments");
    assert_eq!((&*request["trace"], &*request["parent"]), (trace, span));
    assert_eq!(request["retrial.request"], answer.header("x-request-id"));
    assert_eq!(
        (&*request["retrial.operation"], &*request["http.response.status_code"]),
        ("listExperiments", "200")
    );
    let submit = one("local submit");
    assert_eq!((&*submit["retrial.experiment"], &*submit["retrial.outcome"]), (experiment, "ok"));
    assert!(!submit.contains_key("parent"));
    assert_eq!(one("suggest")["retrial.sampler"], "random");
    assert!(one("commit").contains_key("retrial.records"));
    assert!(!told.iter().any(|one| one["name"] == "GET /v1/me"), "the caller did not want it");
    let said = daemon.end();
    assert!(!said.contains("planted") && !said.contains("collector"), "{said}");
}

#[test]
fn a_collector_that_is_away_or_silent_changes_nothing() {
    // It takes connections, as the system does for it, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (address, warns) in [(silent.local_addr().unwrap().to_string(), 0), (gone, 1)] {
        let lab = Lab::new();
        let daemon = started(&lab, &address);
        let spec = with(experiment(4_000, "unused"), json!({"run": Value::Null, "metric": Value::Null}));
        daemon.json("POST", "/v1/experiments", &json!({"spec": spec}));
        // More spans than find room.
        for _ in 0..60 {
            let given = daemon.json("POST", "/v1/experiments/lab/ask", &json!({"count": 50}));
            assert_eq!(given["trials"].as_array().unwrap().len(), 50);
        }
        let said = daemon.end();
        let warned = said.matches("the collector takes no traces").count();
        assert!((warns..=1).contains(&warned), "{said}");
    }
}
