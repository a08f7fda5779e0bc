//! kill -9 of `ask-tell` under load: every answer that a client has read is there afterwards.

use super::kill::{kills, next};
use super::support::Lab;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::Duration;

/// Requests that are sent ahead of their answers.
const AHEAD: usize = 64;

/// What a client was told: the points of trials, and which results were taken.
#[derive(Default)]
struct Acknowledged {
    points: BTreeMap<u64, Value>,
    told: BTreeMap<u64, f64>,
}

/// Asks and tells as fast as it can until the sampler is killed, which happens `moment` after it was started or, if
/// `busy`, after its first answer.
fn drive(lab: &Lab, file: &str, moment: Duration, busy: bool, known: &mut Acknowledged) {
    let store = lab.store().display().to_string();
    let mut command = lab.command(&["ask-tell", "--spec", file, "--durability", "disk", "--store", &store]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut requests = child.stdin.take().unwrap();
    let answers = BufReader::new(child.stdout.take().unwrap());
    let (begun, first) = channel::<()>();
    let killer = std::thread::spawn(move || {
        if busy {
            // An error says that there will be none.
            let _ = first.recv();
        }
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
    });
    let mut open: std::collections::VecDeque<Option<(u64, f64)>> = std::collections::VecDeque::new();
    let mut lines = answers.lines();
    loop {
        while open.len() < AHEAD {
            if writeln!(requests, r#"{{"ask":{{"count":1}}}}"#).is_err() {
                break;
            }
            open.push_back(None);
        }
        let Some(Ok(line)) = lines.next() else { break };
        // Who does not wait for it does not listen.
        let _ = begun.send(());
        // The last line may be cut off: it was not acknowledged.
        let Ok(answer) = serde_json::from_str::<Value>(&line) else { break };
        match open.pop_front() {
            Some(Some((id, value))) => {
                assert_eq!(answer["ok"], true, "{answer}");
                known.told.insert(id, value);
            }
            Some(None) => {
                let trial = &answer["trials"][0];
                let id = trial["id"].as_u64().unwrap();
                let value = trial["params"]["x"].as_f64().unwrap();
                known.points.insert(id, trial["params"].clone());
                let tell = json!({"tell": {"id": id, "value": value}});
                if writeln!(requests, "{tell}").is_ok() {
                    open.push_back(Some((id, value)));
                }
            }
            None => break,
        }
    }
    drop(begun);
    killer.join().unwrap();
}

#[test]
fn every_answer_of_ask_tell_survives_kill_9_under_load() {
    let lab = Lab::new();
    let file = lab.spec(&json!({
        "name": "load",
        "space": {"x": {"uniform": [0, 1]}},
        "objective": {"goal": "minimize"},
        "sampler": "random",
        "seed": 5,
        "budget": {"trials": 1_000_000, "concurrency": 1_000},
    }));
    let (mut known, mut seed) = (Acknowledged::default(), 0xda94_2042_e4dd_58b5);
    for round in 0..kills() {
        let moment = Duration::from_millis(20 + next(&mut seed) % 200);
        drive(&lab, &file, moment, round % 2 == 0, &mut known);
        if known.points.is_empty() {
            // Killed before there was an experiment.
            continue;
        }
        let trials: BTreeMap<u64, Value> =
            lab.trials("load").into_iter().map(|trial| (trial["trial"].as_u64().unwrap(), trial)).collect();
        for (id, params) in &known.points {
            assert_eq!(&trials[id]["params"], params, "trial {id}");
        }
        for (id, value) in &known.told {
            assert_eq!(trials[id]["status"], "SUCCEEDED", "trial {id}");
            assert_eq!(trials[id]["value"].as_f64(), Some(*value), "trial {id}");
        }
    }
    assert!(known.told.len() > 100, "only {} results were taken", known.told.len());
    assert_eq!(lab.json(&["ls"]).as_array().unwrap().len(), 1);
    lab.expect(0, &["audit", "verify"]);
    lab.expect(0, &["audit", "resample", "load"]);
}
