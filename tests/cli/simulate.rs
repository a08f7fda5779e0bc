//! `simulate` says where it is and with which keys, answers, and ends when it is told to.

use super::support::{Lab, until};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

/// An answer of the simulator's own interface.
fn state(endpoint: &str) -> Value {
    let address = endpoint.strip_prefix("http://").unwrap().trim_end_matches("/api");
    let mut stream = TcpStream::connect(address).unwrap();
    let text = format!("GET /simulator/state HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

#[test]
fn it_serves_until_it_is_told_to_end_and_its_keys_are_private() {
    let lab = Lab::new();
    let keys = lab.file("keys");
    let run = lab.start(&["simulate", "dlc", "--run", "--json", "--env-file", keys.to_str().unwrap()]);
    let said: Value = until("the address", || serde_json::from_str(run.out().lines().next()?).ok());
    assert!(state(said["endpoint"].as_str().unwrap())["jobs"].as_array().unwrap().is_empty());
    let secret = said["environment"]["ALIBABA_CLOUD_ACCESS_KEY_SECRET"].as_str().unwrap();
    assert_eq!(secret.len(), 32);
    let storage = said["environment"]["OSS_ENDPOINT"].as_str().unwrap().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(storage).unwrap();
    let text = format!("GET /simulated/x HTTP/1.1\r\nhost: {storage}\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("AccessDenied"), "{answer}");
    let line = format!("export ALIBABA_CLOUD_ACCESS_KEY_SECRET='{secret}'\n");
    assert!(lab.text("keys").contains(&line));
    assert_eq!(keys.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    run.signal(Signal::SIGTERM);
    assert_eq!(run.end().code, Some(0));
}

#[test]
fn what_it_cannot_do_it_says() {
    let lab = Lab::new();
    let said = lab.expect(1, &["simulate", "dlc", "--listen", "0.0.0.0:0"]);
    assert!(said.err.contains("[E0620]") && said.err.contains("of this machine alone"), "{said}");
    let script = lab.write("script.json", r#"{"faults": [{"operatoin": "GetJob"}]}"#);
    let said = lab.expect(1, &["simulate", "dlc", "--script", &script]);
    assert!(said.err.contains("[E0620]") && said.err.contains("operatoin"), "{said}");
    lab.expect(1, &["simulate", "dlc", "--script", "none.json"]);
}

#[test]
fn a_warehouse_begins_with_the_tables_of_files() {
    let lab = Lab::new();
    let file = lab.write("points.csv", "x,label\n1.5,a\n2,b\n");
    let keys = lab.file("keys");
    let data = format!("{file}=points");
    let arguments =
        ["simulate", "maxcompute", "--json", "--data", &data, "--env-file", keys.to_str().unwrap()];
    let run = lab.start(&arguments);
    let said: Value = until("the address", || serde_json::from_str(run.out().lines().next()?).ok());
    assert_eq!(said["environment"]["ODPS_PROJECT_NAME"], "simulated_project");
    assert_eq!(said["environment"]["ODPS_ENDPOINT"], said["endpoint"]);
    assert!(state(said["endpoint"].as_str().unwrap())["instances"].as_array().unwrap().is_empty());
    assert!(lab.text("keys").contains("export ODPS_PROJECT_NAME='simulated_project'\n"));
    run.signal(Signal::SIGINT);
    assert_eq!(run.end().code, Some(0));

    for (data, says) in [("points.csv", "not FILE.csv=TABLE"), ("none.csv=t", "none.csv as a table")] {
        let said = lab.expect(1, &["simulate", "maxcompute", "--data", data]);
        assert!(said.err.contains("[E0620]") && said.err.contains(says), "{said}");
    }
}
