//! Secrets: kept sealed, named by experiments, and seen nowhere else.

use super::support::{Done, Lab, Running, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use simulators::maxcompute::Simulator;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// The program without the credentials of whoever runs the tests.
pub(super) fn command(lab: &Lab, args: &[&str]) -> Command {
    let mut command = lab.command(args);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_lowercase();
        let cloud = ["alibaba_cloud", "odps_", "pyodps_"].iter().any(|prefix| text.starts_with(prefix));
        if cloud || text.ends_with("proxy") {
            command.env_remove(name);
        }
    }
    command
        .env("HOME", lab.dir())
        .env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
        .env("RETRIAL_LOG", "debug");
    command.env("RETRIAL_POLL_SECONDS", "0.05").env("RETRIAL_CALLS_PER_SECOND", "1000");
    command
}

/// Runs the program with something on its standard input.
pub(super) fn given(lab: &Lab, args: &[&str], input: &str) -> Done {
    let mut child = command(lab, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Done { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

/// The address at which a daemon serves.
pub(super) fn address(daemon: &Running) -> String {
    until("the daemon", || {
        let line = daemon.out().lines().next()?.to_owned();
        let line: Value = serde_json::from_str(&line).ok()?;
        Some(line["listening"].as_str()?.strip_prefix("http://")?.to_owned())
    })
}

/// Asks a daemon; gives all of its answer.
pub(super) fn ask(address: &str, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub(super) fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_else(|_| panic!("{answer}"))
}

/// Every file below a folder that holds the text.
fn holding(dir: &Path, text: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holding(&path, text, found);
        } else if std::fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
        {
            found.push(path.display().to_string());
        }
    }
}

pub(super) fn assert_nowhere(lab: &Lab, planted: &[&str]) {
    for text in planted {
        let mut found = Vec::new();
        holding(&lab.store(), text, &mut found);
        assert_eq!(found, [""; 0], "`{text}` is in the store");
    }
}

#[test]
fn a_secret_is_set_from_standard_input_listed_by_name_and_removed() {
    let lab = Lab::new();
    let done = given(&lab, &["secret", "set", "robot"], "planted-secret\n");
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.out.contains("`secret:robot`") && !done.to_string().contains("planted"), "{done}");
    given(&lab, &["secret", "set", "secret:a-key"], "planted-key");
    let names: Vec<Value> = lab.json(&["secret", "ls"]).as_array().unwrap().clone();
    let names: Vec<&str> = names.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a-key", "robot"]);
    assert_nowhere(&lab, &["planted"]);
    lab.expect(0, &["secret", "rm", "robot"]);
    let gone = lab.expect(1, &["secret", "rm", "robot"]);
    assert!(gone.err.contains("[E0641]"), "{gone}");
    let done = given(&lab, &["secret", "set", "planted secret"], "x");
    assert!(done.code == Some(2) && done.err.contains("[E0640]") && !done.err.contains("planted"), "{done}");
    assert_eq!(given(&lab, &["secret", "set", "empty"], "\n").code, Some(2));
}

/// An experiment on the simulated service.
fn experiment(service: &Simulator, credential: &Value) -> Value {
    json!({
        "name": "lab", "space": {"x": {"uniform": [0, 1]}}, "sampler": "random", "seed": 7,
        "metric": {"table": "SELECT auc FROM m_${exp_id}_${trial_id}_${attempt}", "keys": ["auc"]},
        "objective": {"metric": "auc", "goal": "maximize"},
        "budget": {"trials": 2, "concurrency": 1}, "retry": {"failed": 1, "lost": 1},
        "run": {"maxcompute": {
            "endpoint": service.endpoint(), "project": "simulated_project", "credential": credential,
            "tasks": ["CREATE TABLE m_${exp_id}_${trial_id}_${attempt} AS SELECT ${x} AS auc"],
        }},
    })
}

fn service() -> Simulator {
    let script = json!({
        "life": {"waiting_ms": 0, "running_ms": 0},
        "accounts": [{"access_key_id": "LTAISimulatedKey", "access_key_secret": "planted-simulated-secret"}],
    });
    Simulator::anywhere(serde_json::from_value(script).unwrap()).unwrap()
}

#[test]
fn an_experiment_uses_a_key_that_it_names_and_nobody_else_sees_it() {
    let (lab, service) = (Lab::new(), service());
    let file = lab.spec(&experiment(&service, &json!("secret:warehouse")));
    let run = || Running::begin(&lab, command(&lab, &["run", &file])).end();
    let missing = run();
    assert!(missing.code == Some(1) && missing.err.contains("there is no secret `warehouse`"), "{missing}");
    let set = |value: &str| assert_eq!(given(&lab, &["secret", "set", "warehouse"], value).code, Some(0));
    set("planted-but-no-key");
    let wrong = run();
    assert!(wrong.code == Some(1) && wrong.err.contains("holds no access key"), "{wrong}");
    assert!(!wrong.to_string().contains("planted"), "{wrong}");
    set(r#"{"access_key_id": "LTAISimulatedKey", "access_key_secret": "planted-simulated-secret"}"#);
    let done = run();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(!format!("{done}").contains("planted"), "{done}");
    assert_nowhere(&lab, &["planted"]);
}

#[test]
fn the_secrets_of_a_configuration_of_pai_are_in_no_journal_log_answer_export_or_figure() {
    let (lab, service) = (Lab::new(), service());
    let daemon =
        Running::begin(&lab, command(&lab, &["serve", "--listen", "127.0.0.1:0", "--json", "--verbose"]));
    let address = address(&daemon);
    let configuration = json!({"Name": "lab", "HpoExperimentConfiguration": {
        "platform_config": {"name": "MaxCompute", "cmd": ["CREATE TABLE m_${exp_id}_${trial_id} AS SELECT ${x} AS auc"]},
        "metric_config": {
            "metric_type": "table", "metric_source": ["SELECT auc FROM m_${exp_id}_${trial_id}"],
            "final_mode": "best", "metric_dict": {"auc": 1},
        },
        "search_space": {"${x}": {"_type": "choice", "_value": [1, 2, 3]}},
        "yml_config": {"trial_concurrency": 1, "max_trial_number": 2, "tuner": {"name": "Random"}},
        "odps_config": {
            "access_id": "LTAISimulatedKey", "access_key": "planted-simulated-secret",
            "project_name": "simulated_project", "end_point": service.endpoint(),
        },
        // Nobody takes what is told there: complaints hold no token either.
        "monitor_config": {"url": "http://127.0.0.1:9/robot/send?access_token=plantedtoken", "keyword": "monitor"},
    }});
    let mut seen = Vec::new();
    let created = ask(&address, "POST", "/v1/experiments", &json!({"spec": configuration}).to_string());
    let id = body(&created)["experiment"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
    seen.push(created);
    // The same again, as a text, and once with a mistake beside the key.
    seen.push(ask(
        &address,
        "POST",
        "/v1/experiments",
        &json!({"spec": configuration.to_string()}).to_string(),
    ));
    let mut wrong = configuration.clone();
    wrong["HpoExperimentConfiguration"]["metric_config"]["metric_type"] = json!("nonsense");
    let refused = ask(&address, "POST", "/v1/experiments", &json!({"spec": wrong}).to_string());
    assert!(refused.starts_with("HTTP/1.1 422"), "{refused}");
    seen.push(refused);
    until("the end of the experiment", || {
        let shown = body(&ask(&address, "GET", &format!("/v1/experiments/{id}"), ""));
        assert_ne!(shown["status"], "FAILED", "{shown}");
        (shown["status"] == "FINISHED").then_some(())
    });
    until("a complaint about the robot", || {
        daemon.err().contains("the robot: nothing was sent").then_some(())
    });
    for path in ["", "/trials", "/best"] {
        seen.push(ask(&address, "GET", &format!("/v1/experiments/{id}{path}"), ""));
    }
    seen.push(ask(&address, "GET", "/metrics", ""));
    seen.push(ask(&address, "GET", "/v1/experiments", ""));
    daemon.signal(Signal::SIGTERM);
    seen.push(daemon.end().to_string());
    let export = lab.file("export.json");
    lab.expect(0, &["export", &id, "-o", export.to_str().unwrap()]);
    seen.push(std::fs::read_to_string(&export).unwrap());
    for args in [&["events", &id][..], &["audit", "log", &id], &["show", &id], &["audit", "export", "-"]] {
        let mut shown = command(&lab, args);
        let output = shown.output().unwrap();
        assert!(output.status.success(), "{args:?}");
        seen.push(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned());
    }
    for text in &seen {
        assert!(!text.contains("planted") && !text.contains("LTAISimulatedKey"), "{text}");
    }
    assert!(seen.iter().any(|text| text.contains("secret:pai-")), "the name is to be seen");
    assert_nowhere(&lab, &["planted", "LTAISimulatedKey"]);
    let kept = lab.json(&["secret", "ls"]);
    assert_eq!(kept.as_array().map(Vec::len), Some(2), "the same key and address are kept once: {kept}");
}
