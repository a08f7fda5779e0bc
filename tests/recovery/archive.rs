//! kill -9 of `audit archive`, and of a daemon that lets experiments leave by itself: the store has its old history or its new one, whole, and the archive of what has left is whole as well.

use super::kill::{kills, next};
use super::support::{Lab, Running, experiment, until, with};
use crate::client::Client;
use crate::daemon::Daemon;
use nix::sys::signal::Signal;
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

/// The archives in a folder, and what is left of others.
fn archives(folder: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().path().display().to_string()).collect()
}

#[test]
fn a_daemon_that_is_killed_while_experiments_leave_has_one_of_both_histories_and_the_next_one_finishes_it() {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(&experiment(40, "echo score=${x}; echo score=${x}"))]);
    let daemon = Daemon::start(&lab, &[]);
    let spec = json!({
        "name": "other", "space": {"x": {"uniform": [0, 1]}}, "objective": "maximize", "budget": {"trials": 4},
    });
    Client::connect(daemon.address()).unwrap().create(&spec);
    daemon.end();
    let before = lab.json(&["audit", "verify"]);
    let serve = |store: &str, folder: &str| {
        std::fs::create_dir_all(folder).unwrap();
        let policy = ["--archive-ended-before", "0s", "--archive-folder", folder, "--store", store];
        lab.command(&[&["serve", "--listen", "127.0.0.1:0", "--json"][..], &policy].concat())
    };
    let folder = |name: String| lab.file(&name).display().to_string();
    let (whole, began) = (copied(&lab, "whole"), Instant::now());
    Daemon::begin(&lab, serve(&whole, &folder("archives".to_owned()))).end();
    let within = began.elapsed().as_micros() as u64;
    let (mut random, mut old, mut new) = (0x9e37_79b9_7f4a_7c15, 0, 0);
    for kill in 0..kills() {
        let store = copied(&lab, &format!("store-{kill}"));
        let folder = folder(format!("archives-{kill}"));
        let mut run = Running::begin(&lab, serve(&store, &folder));
        let moment = Duration::from_micros(next(&mut random) % within);
        match kill % 3 {
            0 => {
                let exchanging = std::path::Path::new(&store).join("next");
                until("the exchange", || (exchanging.exists() || !run.out().is_empty()).then_some(()));
                std::thread::sleep(moment / 100);
            }
            1 => std::thread::sleep(moment / 4),
            _ => std::thread::sleep(moment),
        }
        assert!(!run.has_ended(), "{}{}", run.out(), run.err());
        if kill % 4 == 3 {
            run.signal(Signal::SIGTERM);
            let done = run.end();
            done.no_panic();
            // Or before it listens to signals.
            assert!(matches!(done.code, Some(0) | None), "{done}");
        } else {
            run.kill();
        }
        let after = lab.json(&["audit", "verify", "--store", &store]);
        assert_eq!(after["ok"], true, "{after}");
        match after["experiments"].as_array().unwrap().len() {
            2 => {
                assert_eq!(after, before);
                old += 1;
            }
            1 => new += 1,
            other => panic!("{other} experiments: {after}"),
        }
        let told = Daemon::begin(&lab, serve(&store, &folder)).end();
        assert!(!told.contains("could not"), "{told}");
        let left = lab.json(&["ls", "--store", &store]);
        assert_eq!((left.as_array().unwrap().len(), &left[0]["name"]), (1, &json!("other")), "{left}");
        let archives = archives(&folder);
        assert_eq!(archives.len(), 1, "{archives:?}");
        let copy = lab.file(&format!("copy-{kill}")).display().to_string();
        lab.expect(0, &["audit", "import", &archives[0], "--store", &copy]);
        assert_eq!(lab.json(&["audit", "verify", "--store", &copy]), before);
        std::fs::remove_dir_all(&store).unwrap();
        std::fs::remove_dir_all(&copy).unwrap();
    }
    println!("{old} times the old history, {new} times the new one");
    assert!(old > 0 && new > 0, "{old} {new}");
}
