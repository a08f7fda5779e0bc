//! Experiments that ended long ago leave the store for an archive.

use super::support::{Lab, experiment, until, wait_for, with};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

/// A lab with an experiment that has ended, and one that was interrupted while its tasks run.
fn lab() -> Lab {
    let lab = Lab::new();
    let other = with(
        experiment(6, &format!("echo x >> '${{spec_dir}}/started'; {}; echo score=${{x}}", wait_for("gate"))),
        json!({"name": "other"}),
    );
    let other = lab.write("other.json", &other.to_string());
    lab.expect(0, &["run", &lab.spec(&experiment(12, "echo score=${x}"))]);
    let run = lab.start(&["run", &other]);
    lab.until_lines("started", 1);
    run.kill();
    lab
}

/// What an experiment's records say, wherever they stand in the store.
fn told(lab: &Lab, exp: &str, store: &str) -> Vec<Value> {
    let mut events: Vec<Value> = lab
        .expect(0, &["events", exp, "--json", "--store", store])
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for event in &mut events {
        event.as_object_mut().unwrap().retain(|name, _| !["seq", "cause"].contains(&name.as_str()));
    }
    events
}

#[test]
fn what_ended_leaves_and_what_runs_goes_on() {
    let lab = lab();
    let store = lab.store().display().to_string();
    let before = lab.json(&["audit", "verify"]);
    let (told_before, trials) = (told(&lab, "other", &store), lab.json(&["trials", "lab"]));
    let asked = lab.json(&["audit", "archive", "old.archive", "--ended-before", "0s", "--dry-run"]);
    assert_eq!((&asked["experiments"][0]["name"], &asked["archive"]), (&json!("lab"), &Value::Null));
    assert_eq!(
        lab.json(&["audit", "archive", "old.archive", "--ended-before", "1h"])["experiments"],
        json!([])
    );
    assert!(!lab.file("old.archive").exists());
    assert_eq!(lab.json(&["audit", "verify"]), before);

    // Up to the third record of what stays the history was looked at for notifications.
    let third = |lab: &Lab| lab.events("other")[2]["seq"].clone();
    let outbox =
        lab.write("outbox.json", &json!({"cursor": third(&lab), "pending": [], "told": []}).to_string());
    std::fs::create_dir_all(lab.store().join("notify")).unwrap();
    std::fs::rename(outbox, lab.store().join("notify/outbox.json")).unwrap();
    let done = lab.json(&["audit", "archive", "old.archive", "--ended-before", "0s"]);
    let outbox: Value = serde_json::from_str(&lab.text("store/notify/outbox.json")).unwrap();
    assert_eq!(outbox["cursor"], third(&lab));
    assert_eq!(done["experiments"], asked["experiments"]);
    assert_eq!(
        (&done["archive"]["records"], &done["archive"]["head"]),
        (&before["records"], &before["head"])
    );
    let after = lab.json(&["audit", "verify"]);
    assert_eq!(after["records"], done["records"]);
    assert_eq!(after["experiments"].as_array().unwrap().len(), 1);
    let note = after["notes"].to_string();
    assert!(note.contains(before["head"].as_str().unwrap()) && note.contains("1 experiment left"), "{after}");
    assert!(lab.expect(0, &["audit", "verify"]).out.contains("both copies and every digest agree"));
    lab.expect(1, &["show", "lab"]);
    assert_eq!(told(&lab, "other", &store), told_before);

    // The archive is the whole history as it was.
    let copy = lab.file("copy").display().to_string();
    lab.expect(0, &["audit", "import", "old.archive", "--store", &copy]);
    assert_eq!(lab.json(&["audit", "verify", "--store", &copy]), before);
    assert_eq!(lab.json(&["trials", "lab", "--store", &copy]), trials);

    // Tasks that ran all the while are taken over, not run again.
    lab.open_gate("gate");
    lab.expect(0, &["run", "other.json"]);
    assert_eq!(lab.text("started").lines().count(), 6);
    assert_eq!(lab.json(&["audit", "resample", "other"])["checked"], 6);
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);

    // And again, until nothing is left but who was here.
    lab.expect(1, &["audit", "archive", "old.archive", "--ended-before", "0s"]);
    lab.expect(0, &["audit", "archive", "new.archive", "--ended-before", "0s"]);
    assert_eq!(lab.json(&["ls"]), json!([]));
    let last = lab.json(&["audit", "verify"]);
    assert_eq!(last["notes"].as_array().unwrap().len(), 2, "{last}");
    lab.expect(0, &["run", &lab.spec(&experiment(2, "echo score=1")), "--new"]);
    assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
}

#[test]
fn whoever_looks_on_meanwhile_goes_on_with_the_other_history() {
    let lab = lab();
    let watch = lab.start(&["watch", "other"]);
    let events = lab.start(&["events", "other", "-f", "--json"]);
    until("what it prints first", || watch.out().contains("goes on").then_some(()));
    until("what it prints first", || events.out().contains("ExperimentCreated").then_some(()));
    lab.expect(0, &["audit", "archive", "old.archive", "--ended-before", "0s"]);
    for follower in [&watch, &events] {
        until("the note", || follower.err().contains("records have new numbers").then_some(()));
    }
    lab.open_gate("gate");
    lab.expect(0, &["run", "other.json"]);
    let (watch, events) = (watch.end(), events.end());
    for done in [&watch, &events] {
        assert_eq!(done.code, Some(0), "{done}");
        assert!(!done.err.contains("damaged"), "{done}");
    }
    // Each event once, in the order of the experiment.
    let position = |line: &str| serde_json::from_str::<Value>(line).unwrap()["position"].as_u64().unwrap();
    let positions: Vec<u64> = events.out.lines().map(position).collect();
    assert_eq!(positions, (1..=lab.events("other").len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_store_that_is_in_use_is_left_alone() {
    let lab = Lab::new();
    let command = format!("echo x >> '${{spec_dir}}/started'; {}; echo score=1", wait_for("gate"));
    lab.expect(0, &["run", &lab.spec(&experiment(2, "echo score=1"))]);
    let other = lab.write("other.json", &with(experiment(2, &command), json!({"name": "other"})).to_string());
    let run = lab.start(&["run", &other]);
    lab.until_lines("started", 2);
    lab.expect(75, &["audit", "archive", "old.archive", "--ended-before", "0s"]);
    assert!(!lab.file("old.archive").exists());
    lab.open_gate("gate");
    assert_eq!(run.end().code, Some(0));
}

#[test]
fn an_archive_that_cannot_be_written_changes_nothing() {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(&experiment(2, "echo score=1"))]);
    let before = lab.json(&["audit", "verify"]);
    let failed = lab.expect(1, &["audit", "archive", "nowhere/old.archive", "--ended-before", "0s"]);
    assert!(failed.err.contains("failed to write"), "{failed}");
    let wrong = lab.expect(2, &["audit", "archive", "old.archive", "--ended-before", "30"]);
    assert!(wrong.err.contains("has no unit"), "{wrong}");
    let taken = lab.write("taken.archive", "something else");
    let refused = lab.expect(1, &["audit", "archive", &taken, "--ended-before", "0s"]);
    assert!(refused.err.contains("name a new file"), "{refused}");
    assert_eq!(lab.text("taken.archive"), "something else");
    // What lies there would go with the history.
    for within in ["store/mirror/old.archive", "store/old.archive", "store/db"] {
        for more in [&[][..], &["--dry-run"]] {
            let archive = ["audit", "archive", within, "--ended-before", "0s"];
            let refused = lab.expect(2, &[&archive[..], more].concat());
            assert!(refused.err.contains("E0654") && refused.err.contains("outside of it"), "{refused}");
        }
    }
    assert_eq!(lab.json(&["audit", "verify"]), before);
}

#[test]
fn what_a_killed_command_has_left_of_a_file_is_no_archive_and_in_nobodys_way() {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(&experiment(2, "echo score=1"))]);
    let before = lab.json(&["audit", "verify"]);
    // What it finds out too late leaves nothing that looks like an archive.
    let outbox = lab.file("store/notify/outbox.json");
    let _ = std::fs::remove_file(&outbox);
    std::fs::create_dir_all(&outbox).unwrap();
    lab.expect(1, &["audit", "archive", "old.archive", "--ended-before", "0s"]);
    std::fs::remove_dir(outbox).unwrap();
    assert!(!lab.file("old.archive").exists() && !lab.file("old.archive.part").exists());
    assert_eq!(lab.json(&["audit", "verify"]), before);
    for command in
        [&["audit", "export", "old"][..], &["audit", "archive", "old.archive", "--ended-before", "0s"]]
    {
        let part = lab.write(&format!("{}.part", command[2]), &"half of it".repeat(100_000));
        lab.expect(0, command);
        assert!(!std::path::Path::new(&part).exists());
        let copy = lab.file(&format!("copy of {}", command[2])).display().to_string();
        lab.expect(0, &["audit", "import", command[2], "--store", &copy]);
        assert_eq!(lab.json(&["audit", "verify", "--store", &copy]), before);
        // Whoever may not look into the store may not read the whole of it there either.
        let mode = std::fs::metadata(lab.file(command[2])).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", command[2]);
    }
}
