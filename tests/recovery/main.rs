//! kill -9 of the controller at random moments, through a whole run with running tasks. `RETRIAL_KILLS` says how often;
//! thousands are a matter of patience.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn retrial(store: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retrial"));
    command.args(arguments).arg("--store").arg(store).stdin(Stdio::null());
    command
}

fn output(store: &Path, arguments: &[&str]) -> Output {
    retrial(store, arguments).output().unwrap()
}

fn json(store: &Path, arguments: &[&str]) -> Value {
    let output = output(store, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The numbers of the records that a reader sees.
fn records(store: &Path) -> usize {
    let output = output(store, &["events", "kill", "--json"]);
    String::from_utf8_lossy(&output.stdout).lines().count()
}

/// A small generator: the moments only need to differ.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// Processes of this machine that belong to the experiment.
fn left_over(experiment: &str) -> Vec<String> {
    let mark = format!("RETRIAL_EXPERIMENT={experiment}");
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .filter(|entry| {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_run_survives_its_controller_being_killed_at_any_moment() {
    let kills: u32 = std::env::var("RETRIAL_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let dir = tempfile::tempdir().unwrap();
    let (store, log, file) = (dir.path().join("store"), dir.path().join("log"), dir.path().join("kill.json"));
    let trials = 10 + kills * 2;
    let log_text = log.display();
    let command = format!(
        "echo start $RETRIAL_TRIAL-$RETRIAL_ATTEMPT >> {log_text}; sleep 0.2; echo 'y='${{x}}; sleep 0.1; \
         echo end $RETRIAL_TRIAL-$RETRIAL_ATTEMPT >> {log_text}"
    );
    let spec = serde_json::json!({
        "name": "kill",
        "space": {"x": {"uniform": [-1, 1]}, "k": {"choice": ["a", "b"]}},
        "objective": {"metric": "y", "goal": "minimize"},
        "metric": {"stdout": "y=([-0-9.e]+)", "final": "best"},
        "sampler": {"tpe": {"seed": 3}},
        "budget": {"trials": trials, "concurrency": 3},
        "run": {"local": {"command": command}},
    });
    fs::write(&file, spec.to_string()).unwrap();
    let file = file.to_str().unwrap();

    let (mut seed, mut killed, mut seen) = (0x9e37_79b9_7f4a_7c15_u64, 0, 0);
    let deadline = Instant::now() + Duration::from_secs(120 + u64::from(kills) * 10);
    loop {
        assert!(Instant::now() < deadline, "the run does not come to its end");
        let mut controller = retrial(&store, &["run", file, "--json"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moment =
            if killed < kills { Duration::from_millis(30 + next(&mut seed) % 700) } else { Duration::MAX };
        let began = Instant::now();
        let ended = loop {
            if let Some(status) = controller.try_wait().unwrap() {
                break Some(status);
            }
            if began.elapsed() >= moment || Instant::now() > deadline {
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        if let Some(status) = ended {
            assert!(status.success(), "{status}");
            break;
        }
        controller.kill().unwrap();
        controller.wait().unwrap();
        killed += 1;
        // What any reader has seen once must stay.
        let now = records(&store);
        assert!(now >= seen, "{seen} records were seen, and now there are {now}");
        seen = now;
    }

    let all = json(&store, &["trials", "kill", "--json"]);
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), trials as usize);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for line in fs::read_to_string(&log).unwrap().lines() {
        *counts.entry(line.to_owned()).or_insert(0) += 1;
    }
    for trial in all {
        assert_eq!(trial["status"], "SUCCEEDED", "{trial}");
        for attempt in trial["attempts"].as_array().unwrap() {
            for word in ["start", "end"] {
                let line = format!("{word} {}-{}", trial["trial"], attempt["attempt"]);
                assert_eq!(counts.get(&line), Some(&1), "{line} of {killed} kills");
            }
        }
    }
    let attempts: usize = all.iter().map(|trial| trial["attempts"].as_array().unwrap().len()).sum();
    assert_eq!(counts.len(), attempts * 2, "something ran that is not recorded");
    let verified = json(&store, &["audit", "verify", "--json"]);
    assert_eq!(verified["ok"], true, "{verified}");
    let again = json(&store, &["audit", "resample", "kill", "--json"]);
    assert_eq!(again["ok"], true, "{again}");
    let shown = json(&store, &["show", "kill", "--json"]);
    assert_eq!(left_over(shown["experiment"].as_str().unwrap()), Vec::<String>::new());
}

#[test]
fn every_answer_of_ask_tell_survives_kill_9() {
    use std::io::{BufRead, BufReader, Write};
    let dir = tempfile::tempdir().unwrap();
    let (store, file) = (dir.path().join("store"), dir.path().join("spec.json"));
    let spec = serde_json::json!({
        "space": {"x": {"uniform": [0, 1]}},
        "objective": {"goal": "minimize"},
        "sampler": "random",
        "seed": 5,
        "budget": {"trials": 1000, "concurrency": 1},
    });
    fs::write(&file, spec.to_string()).unwrap();
    let mut told = 0;
    for round in 0..3_u64 {
        let mut client = retrial(&store, &["ask-tell", "--spec", file.to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut requests = client.stdin.take().unwrap();
        let mut answers = BufReader::new(client.stdout.take().unwrap());
        let mut ask = |request: &Value| -> Value {
            writeln!(requests, "{request}").unwrap();
            let mut line = String::new();
            answers.read_line(&mut line).unwrap();
            serde_json::from_str(&line).unwrap()
        };
        for _ in 0..20 + round * 7 {
            let trials = ask(&serde_json::json!({"ask": {"count": 1}}));
            let id = trials["trials"][0]["id"].clone();
            let value = f64::from(told);
            let ok = ask(&serde_json::json!({"tell": {"id": id, "value": value}}));
            assert_eq!(ok["ok"], true, "{ok}");
            told += 1;
        }
        client.kill().unwrap();
        client.wait().unwrap();
        let trials = json(&store, &["trials", "unnamed", "--json"]);
        let done = trials.as_array().unwrap().iter().filter(|trial| trial["status"] == "SUCCEEDED").count();
        assert_eq!(done, usize::try_from(told).unwrap());
    }
}
