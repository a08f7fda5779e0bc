//! Released histories replay to their recorded digests for ever.
//!
//! Each archive was written once, with every kind of event in it that there was, and is never written again: whoever changes
//! how an old event is read or what it does sees it here. `v2.archive` came with labels and leases, `v3.archive` with
//! windows, `v4.archive` with archived histories. A new fixture (`v5.archive`, for kinds that come later) is written by
//! `RETRIAL_WRITE_FIXTURE=v5 cargo test --test replay`, which refuses to replace one.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod history;

use engine::event::KINDS;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use support::Lab;

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay").join(name)
}

/// The fixtures, by name without an ending.
fn fixtures() -> Vec<String> {
    let names = fs::read_dir(here("")).unwrap().flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> =
        names.filter_map(|name| name.to_str()?.strip_suffix(".archive").map(str::to_owned)).collect();
    names.sort();
    names
}

/// What an imported archive says of itself.
fn examined(archive: &Path) -> Value {
    let lab = Lab::new();
    let imported = lab.json(&["audit", "import", &archive.display().to_string()]);
    let verified = lab.json(&["audit", "verify"]);
    assert_eq!(verified["ok"], true);
    assert_eq!(imported["head"], verified["head"]);
    json!({
        "records": verified["records"],
        "head": verified["head"],
        "digest": verified["digest"],
        "experiments": verified["experiments"],
    })
}

#[test]
fn every_released_history_replays_to_its_recorded_digests() {
    let fixtures = fixtures();
    assert!(fixtures.len() > 1 && fixtures.contains(&"v1".to_owned()));
    for name in fixtures {
        let expected: Value =
            serde_json::from_str(&fs::read_to_string(here(&format!("{name}.json"))).unwrap()).unwrap();
        assert_eq!(examined(&here(&format!("{name}.archive"))), expected, "{name}");
    }
}

#[test]
fn an_old_history_is_shown_exported_and_gone_on_with() {
    let lab = Lab::new();
    lab.expect(0, &["audit", "import", &here("v1.archive").display().to_string()]);
    for experiment in lab.json(&["ls", "--all"]).as_array().unwrap() {
        let id = experiment["experiment"].as_str().unwrap();
        for command in ["show", "trials", "events", "best"] {
            let done = lab.retrial(&[command, id, "--json"]);
            assert!(done.code == Some(0) || (command == "best" && done.code == Some(3)), "{command}: {done}");
        }
        lab.expect(0, &["audit", "resample", id]);
    }
    lab.expect(0, &["audit", "export", "again.archive"]);
    assert_eq!(fs::read(lab.file("again.archive")).unwrap(), fs::read(here("v1.archive")).unwrap());
    lab.expect(0, &["clone", "everything", "--name", "more"]);
    lab.expect(0, &["audit", "verify"]);
}

#[test]
fn the_made_up_history_holds_every_kind_of_event_with_every_ending() {
    let history = history::History::of_everything();
    let kinds: BTreeSet<u16> = history.records.iter().map(|envelope| envelope.event.info().kind).collect();
    assert_eq!(kinds, KINDS.iter().map(|kind| kind.kind).collect::<BTreeSet<_>>());
    let text = format!("{:?}", history.records);
    for word in [
        "Sampled {",
        "Queued {",
        "Early {",
        "Asked",
        "Timeout",
        "Experiment }",
        "Brake {",
        "TimedOut",
        "Preempted {",
        "Refused {",
        "Lost {",
        "Stopped",
        "UserCanceled",
        "SysCanceled",
        "EarlyStopped",
        "NoMoreTrial",
        "Exhausted",
        "last: true",
        "values: []",
        "extra: true",
    ] {
        assert!(text.contains(word), "{word} is missing");
    }
}

#[test]
fn a_new_fixture_is_written_on_request_only() {
    let Ok(name) = std::env::var("RETRIAL_WRITE_FIXTURE") else { return };
    let (archive, digests) = (here(&format!("{name}.archive")), here(&format!("{name}.json")));
    assert!(!archive.exists(), "{} is for ever", archive.display());
    let dir = tempfile::tempdir().unwrap();
    history::History::of_everything().write(dir.path(), &archive);
    let mut text = serde_json::to_string_pretty(&examined(&archive)).unwrap();
    text.push('\n');
    fs::write(digests, text).unwrap();
}
