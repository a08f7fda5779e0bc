//! Damaged stores: what is whole in one copy is put right; what is lost is named, with exit code 4.

use super::support::{Lab, experiment, wait_for};
use std::fs;
use std::path::{Path, PathBuf};

fn finished() -> Lab {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(&experiment(8, "echo score=${x}"))]);
    lab
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() { found.extend(files(&entry.path())) } else { found.push(entry.path()) }
    }
    found.sort();
    found
}

/// Flips a bit in the largest file below a folder of the store.
fn flip(lab: &Lab, folder: &str) {
    let all = files(&lab.store().join(folder));
    let largest = all.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(largest).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[used / 2] ^= 0x10;
    fs::write(largest, bytes).unwrap();
}

#[test]
fn a_flipped_bit_in_the_mirror_is_found_and_repaired_by_the_next_command_that_writes() {
    let lab = finished();
    let before = lab.json(&["audit", "verify"]);
    flip(&lab, "mirror");
    let found = lab.expect(4, &["audit", "verify", "--json"]).json();
    assert_eq!(found["ok"], false);
    assert!(found["first_bad"]["seq"].as_u64().unwrap() > 1, "{found}");
    assert_eq!(found["first_bad"]["copy"], "mirror", "{found}");
    assert_eq!(lab.expect(4, &["audit", "verify", "--json"]).json(), found, "verification changes nothing");
    lab.expect(0, &["audit", "export", "saved.archive"]);
    let done = lab.expect(0, &["rm", "lab"]);
    assert!(done.err.contains("repaired"), "the repair is told: {done}");
    let after = lab.json(&["audit", "verify"]);
    assert_eq!(before["experiments"][0]["id"], after["experiments"][0]["id"]);
}

#[test]
fn readers_see_the_whole_history_of_a_store_with_one_damaged_copy() {
    for command in [
        &["trials", "lab"][..],
        &["events", "lab"],
        &["logs", "lab", "3"],
        &["watch", "lab"],
        &["audit", "log", "lab"],
        &["audit", "resample", "lab"],
        &["audit", "replay", "lab", "--at", "40"],
        &["export", "lab", "-o", "trials.csv"],
    ] {
        let lab = finished();
        flip(&lab, "mirror");
        lab.expect(0, command);
        lab.expect(0, &["audit", "verify"]);
    }
}

/// Takes the second half of what the mirror holds.
fn cut(lab: &Lab) {
    let all = files(&lab.store().join("mirror"));
    let last = all.last().unwrap();
    let bytes = fs::read(last).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    fs::write(last, &bytes[..used / 2]).unwrap();
}

fn without_mirror(lab: &Lab) {
    fs::remove_dir_all(lab.store().join("mirror")).unwrap();
}

#[test]
fn readers_never_show_a_part_of_the_history_as_if_it_were_all() {
    for harm in [cut, without_mirror] {
        for command in [
            &["ls", "--json"][..],
            &["trials", "lab"],
            &["events", "lab"],
            &["audit", "replay", "lab", "--at", "40"],
        ] {
            let lab = finished();
            let whole = lab.expect(0, command).out;
            harm(&lab);
            let done = lab.expect(0, command);
            assert_eq!(done.out, whole, "{command:?}");
            assert!(done.err.contains("repaired"), "{command:?}: the repair is told: {done}");
        }
    }
}

#[test]
fn readers_of_a_store_in_use_say_that_its_mirror_has_lost_records() {
    for harm in [cut, without_mirror] {
        let lab = Lab::new();
        let task = format!("echo score=${{x}}; {}", wait_for("gate"));
        let run = lab.start(&["run", &lab.spec(&experiment(2, &task))]);
        lab.until_trials("lab", "RUNNING", 2);
        harm(&lab);
        for command in [&["ls"][..], &["trials", "lab"], &["audit", "verify"]] {
            let done = lab.expect(4, command);
            let all = format!("{}{}", done.out, done.err);
            assert!(all.contains("mirror"), "{command:?}: {done}");
            assert!(command[0] == "audit" || all.contains("in use by"), "{command:?}: {done}");
        }
        lab.open_gate("gate");
        run.end().no_panic();
    }
}

#[test]
fn a_lost_mirror_is_written_anew() {
    let lab = finished();
    let before = lab.json(&["audit", "verify"]);
    fs::remove_dir_all(lab.store().join("mirror")).unwrap();
    lab.expect(4, &["audit", "verify"]);
    lab.expect(0, &["run", &lab.file("experiment.json").display().to_string()]);
    assert_eq!(lab.json(&["audit", "verify"])["experiments"], before["experiments"]);
}

#[test]
fn damage_in_both_copies_is_exit_code_4_with_the_first_bad_record_and_what_is_before_it_is_saved() {
    let lab = finished();
    flip(&lab, "mirror");
    let first = lab.expect(4, &["audit", "verify", "--json"]).json()["first_bad"]["seq"].as_u64().unwrap();
    fs::remove_dir_all(lab.store().join("db")).unwrap();
    let found = lab.expect(4, &["audit", "verify", "--json"]).json();
    assert_eq!(found["ok"], false);
    assert!(found["first_bad"]["seq"].as_u64().unwrap() <= first, "{found}");
    assert!(found["problems"].to_string().contains(&format!("record {first} (both copies)")), "{found}");
    let text = lab.expect(4, &["audit", "verify"]);
    assert!(text.err.contains("--up-to"), "{text}");
    for command in [&["trials", "lab"][..], &["ls"], &["rm", "lab"], &["run", "lab"], &["events", "lab"]] {
        let done = lab.expect(4, command);
        assert!(done.err.contains(&format!("{first}")), "{command:?}: {done}");
    }
    let up_to = (first - 1).to_string();
    lab.expect(4, &["audit", "export", "all.archive"]);
    let saved = lab.json(&["audit", "export", "saved.archive", "--up-to", &up_to]);
    assert_eq!(saved["records"], first - 1);
    let copy = lab.file("copy").display().to_string();
    lab.expect(0, &["audit", "import", "saved.archive", "--store", &copy]);
    assert_eq!(lab.json(&["audit", "verify", "--store", &copy])["ok"], true);
}
