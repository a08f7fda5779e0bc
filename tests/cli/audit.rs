//! Proof, replay and comparison of histories.

use super::support::{Lab, experiment, wait_for, with};
use serde_json::{Value, json};

/// A lab with one finished experiment.
fn finished() -> Lab {
    let lab = Lab::new();
    let spec = with(
        experiment(12, "echo score=${x}; echo score=$(echo ${x} | cut -c1-4)"),
        json!({"sampler": {"tpe": {"startup": 4}}}),
    );
    lab.expect(0, &["run", &lab.spec(&spec)]);
    lab
}

#[test]
fn a_sound_history_is_verified_also_while_it_is_in_use() {
    let lab = finished();
    let done = lab.expect(0, &["audit", "verify"]);
    assert!(done.out.contains("both copies and every digest agree"), "{done}");
    let command =
        format!("echo $RETRIAL_TRIAL >> '${{spec_dir}}/started'; {}; echo score=1", wait_for("gate"));
    let other = lab.write("other.json", &with(experiment(2, &command), json!({"name": "other"})).to_string());
    let run = lab.start(&["run", &other]);
    lab.until_lines("started", 2);
    let verified = lab.json(&["audit", "verify"]);
    assert_eq!(verified["ok"], true, "{verified}");
    assert!(verified["notes"].to_string().contains("in use"), "{verified}");
    lab.open_gate("gate");
    assert_eq!(run.end().code, Some(0));
}

#[test]
fn every_suggestion_comes_out_again_with_the_same_bits() {
    let lab = finished();
    let resampled = lab.json(&["audit", "resample", "lab"]);
    assert_eq!(resampled, json!({"ok": true, "checked": 12, "other_version": 0, "difference": null}));
}

#[test]
fn the_state_is_shown_as_it_was_at_a_record_and_at_a_time() {
    let lab = finished();
    let events = lab.events("lab");
    let ended: Vec<&Value> = events.iter().filter(|event| event["kind"] == "TrialEnded").collect();
    let third = ended[2];
    let seq = third["seq"].as_u64().unwrap();
    let then = lab.json(&["audit", "replay", "lab", "--at", &seq.to_string()]);
    assert_eq!(then["seq"], json!(seq));
    assert_eq!(then["counts"]["SUCCEEDED"], 3);
    assert_eq!(then["status"], "RUNNING");
    let before = lab.json(&["audit", "replay", "lab", "--at", &(seq - 1).to_string()]);
    assert_eq!(before["counts"]["SUCCEEDED"], 2);
    let now = lab.json(&["audit", "replay", "lab", "--at", "2999-01-01T00:00:00Z"]);
    let verified = lab.json(&["audit", "verify"]);
    assert_eq!(now["digest"], verified["experiments"][0]["digest"]);
    // By the time of the last record, too: to the millisecond.
    let last = events.last().unwrap();
    let time = jiff::Timestamp::from_millisecond(last["time_ms"].as_i64().unwrap()).unwrap().to_string();
    assert_eq!(lab.json(&["audit", "replay", "lab", "--at", &time])["digest"], now["digest"]);
    lab.expect(1, &["audit", "replay", "lab", "--at", "2001-01-01T00:00:00Z"]);
    lab.expect(1, &["audit", "replay", "lab", "--at", "0"]);
    let wrong = lab.expect(2, &["audit", "replay", "lab", "--at", "yesterday"]);
    assert!(wrong.err.contains("2026-"), "{wrong}");
    let text = lab.expect(0, &["audit", "replay", "lab", "--at", &seq.to_string()]);
    assert!(text.out.contains(&format!("as of record {seq}")), "{text}");
}

#[test]
fn the_log_says_who_did_what_and_is_the_same_as_the_events() {
    let lab = finished();
    let log = lab.expect(0, &["audit", "log", "lab"]);
    assert_eq!(log.out, lab.expect(0, &["events", "lab"]).out);
    for part in ["ExperimentCreated", "TrialSuggested", "sampler", "backend", "by tpe v", "MetricReported"] {
        assert!(log.out.contains(part), "{part} is missing: {log}");
    }
    let events = lab.events("lab");
    assert_eq!(events.len(), log.out.lines().count());
    for (place, event) in events.iter().enumerate() {
        assert_eq!(event["position"], json!(place + 1), "dense within the experiment");
    }
}

#[test]
fn an_archive_makes_a_store_with_equal_digests() {
    let lab = finished();
    let exported = lab.json(&["audit", "export", "history.archive"]);
    let copy = lab.file("copy").display().to_string();
    let imported = lab.json(&["audit", "import", "history.archive", "--store", &copy]);
    assert_eq!(exported["records"], imported["records"]);
    assert_eq!(exported["head"], imported["head"]);
    assert_eq!(lab.json(&["audit", "verify"]), lab.json(&["audit", "verify", "--store", &copy]));
    let store = lab.store().display().to_string();
    assert_eq!(lab.json(&["audit", "diff", &store, &copy])["equal"], true);
    lab.expect(1, &["audit", "import", "history.archive", "--store", &copy]);
    // The copy lives on by itself.
    lab.expect(0, &["rm", "lab", "--store", &copy]);
    let differs = lab.expect(1, &["audit", "diff", &store, &copy, "--json"]).json();
    assert_eq!(differs["equal"], false);
    assert_eq!(differs["a"], Value::Null);
    let text = lab.expect(1, &["audit", "diff", &store, &copy]);
    assert!(text.out.contains("the first difference is record"), "{text}");
}

#[test]
fn an_archive_can_end_at_a_record_and_a_damaged_one_is_refused() {
    let lab = finished();
    let exported = lab.json(&["audit", "export", "part.archive", "--up-to", "20"]);
    assert_eq!(exported["records"], 20);
    lab.expect(1, &["audit", "export", "more.archive", "--up-to", "99999"]);
    assert!(!lab.file("more.archive").exists() && !lab.file("more.archive.part").exists());
    let copy = lab.file("copy").display().to_string();
    lab.expect(0, &["audit", "import", "part.archive", "--store", &copy]);
    assert_eq!(lab.json(&["audit", "verify", "--store", &copy])["records"], 20);
    let mut bytes = std::fs::read(lab.file("part.archive")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(lab.file("bad.archive"), bytes).unwrap();
    let other = lab.file("other").display().to_string();
    lab.expect(4, &["audit", "import", "bad.archive", "--store", &other]);
    assert!(!lab.file("other").exists());
    lab.expect(1, &["audit", "import", "no.archive", "--store", &other]);
}

#[test]
fn an_archive_on_standard_output_is_the_one_in_a_file() {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(&experiment(2, "echo score=1"))]);
    lab.expect(0, &["audit", "export", "archive"]);
    let done = lab.expect(0, &["audit", "export", "-"]);
    let archive = std::fs::read(lab.file("archive")).unwrap();
    assert_eq!(done.out, String::from_utf8_lossy(&archive));
    assert!(done.err.contains("records, head"), "{done}");
    assert!(!lab.file("-").exists());
    let beyond = lab.expect(1, &["audit", "export", "archive", "--up-to", "99999"]);
    assert!(beyond.err.contains("the last is") && !beyond.err.contains("report"), "{beyond}");
}

#[test]
fn a_time_as_it_is_shown_is_its_whole_second_in_utc() {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(&experiment(2, "echo score=1"))]);
    let last = lab.events("lab").pop().unwrap();
    let shown = lab.expect(0, &["audit", "replay", "lab", "--at", &last["seq"].to_string()]).out;
    let time = shown.split_whitespace().find(|word| word.ends_with('Z')).unwrap();
    for at in [time, time.trim_end_matches('Z')] {
        let again = lab.expect(0, &["audit", "replay", "lab", "--at", at]).out;
        // The experiment's last record may not be the store's.
        let state = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(state(&again), state(&shown), "{at}");
    }
    let beyond = lab.expect(1, &["audit", "replay", "lab", "--at", "99999"]);
    assert!(beyond.err.contains("the last is"), "{beyond}");
}
