//! kill -9 of `audit archive`: the store has its old history or its new one, whole, and the archive of what has left is whole as well.

use super::kill::{kills, next};
use super::support::{Lab, experiment, until, with};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A lab with an experiment that has ended, and one that waits, as a template for many stores.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(&experiment(40, "echo score=${x}; echo score=${x}"))]);
    let other = with(experiment(2, "echo score=1"), json!({"name": "other"}));
    let other = lab.write("other.json", &other.to_string());
    lab.expect(0, &["run", &other]);
    lab.write("more.json", &with(experiment(4, "echo score=1"), json!({"name": "other"})).to_string());
    lab.expect(0, &["update", "other", "more.json"]);
    lab
}

fn copied(lab: &Lab, name: &str) -> String {
    let to = lab.file(name);
    assert!(std::process::Command::new("cp").arg("-r").arg(lab.store()).arg(&to).status().unwrap().success());
    to.display().to_string()
}

#[test]
fn a_kill_leaves_one_of_both_histories_whole() {
    let lab = lab();
    let before = lab.json(&["audit", "verify"]);
    let (whole, began) = (copied(&lab, "whole"), Instant::now());
    lab.expect(0, &["audit", "archive", "whole.archive", "--ended-before", "0s", "--store", &whole]);
    let within = began.elapsed().as_micros() as u64;
    let (mut random, mut old, mut new) = (0x2545_f491_4f6c_dd1d, 0, 0);
    for kill in 0..kills() {
        let store = copied(&lab, &format!("store-{kill}"));
        let file = format!("{kill}.archive");
        let archive = ["audit", "archive", &file, "--ended-before", "0s", "--store", &store];
        let mut run = lab.start(&archive);
        let moment = Duration::from_micros(next(&mut random) % within);
        match kill % 3 {
            // While the histories change places, or just after.
            0 => {
                let exchanging = std::path::Path::new(&store).join("next");
                until("the exchange", || (exchanging.exists() || run.has_ended()).then_some(()));
                std::thread::sleep(moment / 100);
            }
            1 => std::thread::sleep(moment / 4),
            _ => std::thread::sleep(moment),
        }
        let ended = run.has_ended();
        run.kill();
        // Reading disturbs nothing, and never sees a half.
        let listed = lab.json(&["ls", "--store", &store]).as_array().unwrap().len();
        let after = lab.json(&["audit", "verify", "--store", &store]);
        assert_eq!(after["ok"], true, "{after}");
        match after["experiments"].as_array().unwrap().len() {
            2 => {
                assert!(!ended && listed == 2, "{listed}");
                assert_eq!(after, before);
                old += 1;
            }
            1 => {
                let copy = lab.file(&format!("copy-{kill}")).display().to_string();
                lab.expect(0, &["audit", "import", &file, "--store", &copy]);
                assert_eq!(lab.json(&["audit", "verify", "--store", &copy]), before);
                new += 1;
            }
            other => panic!("{other} experiments: {after}"),
        }
        // Whoever was interrupted begins again.
        let again =
            lab.json(&["audit", "archive", "again.archive", "--ended-before", "0s", "--store", &store]);
        assert_eq!(again["archive"].is_null(), after["experiments"].as_array().unwrap().len() == 1);
        let _ = std::fs::remove_file(lab.file("again.archive"));
        let left: Vec<Value> = lab.json(&["ls", "--store", &store]).as_array().unwrap().clone();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(left[0]["name"], "other");
        for part in ["next", "next.building", "former"] {
            assert!(!std::path::Path::new(&store).join(part).exists(), "{part}");
        }
        std::fs::remove_dir_all(&store).unwrap();
    }
    println!("{old} times the old history, {new} times the new one");
    assert!(old > 0 && new > 0, "{old} {new}");
}
