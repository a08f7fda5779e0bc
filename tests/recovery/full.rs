//! A full disk in the middle of a run: an error that says so, nothing acknowledged lost, and the same command goes on once
//! there is room. And one on which nothing can leave for an archive: the daemon works all the same.
//!
//! Needs the right to mount a small tmpfs and is skipped, loudly, without it; `RETRIAL_NO_SKIP=1` makes that a failure.

use super::support::{Lab, experiment, until, with};
use crate::client::Client;
use crate::daemon::Daemon;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system below the lab's directory.
struct Mount(PathBuf);

impl Mount {
    fn tmpfs(at: PathBuf, megabytes: u32) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at));
        }
        let text = "SKIPPED: the full-disk test needs the right to mount a tmpfs";
        assert!(std::env::var("RETRIAL_NO_SKIP").is_err(), "{text}");
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("{text}");
        }
        None
    }

    fn free(&self) -> u64 {
        let stat = nix::sys::statvfs::statvfs(&self.0).unwrap();
        stat.blocks_available() as u64 * stat.fragment_size() as u64
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_run_on_a_full_disk_says_so_loses_nothing_and_goes_on_when_there_is_room() {
    let lab = Lab::new();
    let Some(mount) = Mount::tmpfs(lab.file("disk"), 64) else { return };
    let command = "i=0; while [ $i -lt 400 ]; do echo score=$i.${trial_id}; i=$((i+1)); done";
    let spec = with(experiment(60, command), json!({"retry": {"lost": 100}}));
    lab.expect(0, &["run", &lab.spec(&with(experiment(1, "echo score=1"), json!({"name": "seed"})))]);
    for left_kb in [400, 1_000, 1_800] {
        // A new experiment is refused where there is little room, so one that exists is brought to the small disk.
        let name = format!("full-{left_kb}");
        let file = lab.spec(&with(spec.clone(), json!({"name": name})));
        let run = lab.start(&["run", &file]);
        lab.until_trials(&name, "SUCCEEDED", 1);
        run.kill();
        lab.expect(0, &["stop", &name]);
        lab.expect(0, &["resume", &name]);
        let store = mount.0.join(&name);
        copy(&lab.store(), &store);
        let ballast = mount.0.join("ballast");
        fs::write(&ballast, vec![1_u8; usize::try_from(mount.free() - left_kb * 1_024).unwrap()]).unwrap();
        let at = store.display().to_string();
        let mut run = lab.start(&["run", &file, "--store", &at, "--durability", "disk"]);
        // Either its journal has no room, and it ends; or its tasks have none, and it waits.
        until("the disk to be full", || (run.has_ended() || mount.free() < 40_000).then_some(()));
        let said =
            run.out().lines().filter(|line| line.starts_with("trial ") && line.contains(" ok ")).count();
        let events = lab.retrial(&["events", &name, "--store", &at]).out;
        fs::remove_file(&ballast).unwrap();
        let done = run.end();
        done.no_panic();
        if done.code == Some(0) {
            assert!(done.err.contains("little room left"), "{done}");
        } else {
            assert_eq!(done.code, Some(1), "{done}");
            assert!(done.err.contains("E0604") && done.err.contains("make room"), "{done}");
            let trials = lab.json(&["trials", &name, "--store", &at]);
            let all = trials.as_array().unwrap();
            let succeeded = all.iter().filter(|trial| trial["status"] == "SUCCEEDED").count();
            assert!(succeeded > said, "{said} were shown as ended, and one before them: {trials}");
        }
        let done = lab.expect(0, &["run", &file, "--store", &at, "--durability", "disk"]);
        assert!(done.out.contains("FINISHED"), "{done}");
        let all = lab.expect(0, &["events", &name, "--store", &at]).out;
        assert!(all.starts_with(&events), "what was there has changed");
        let trials = lab.json(&["trials", &name, "--store", &at]);
        for trial in trials.as_array().unwrap() {
            // Some were stopped before the store was brought here.
            let whole = trial["status"] == "SUCCEEDED" && trial["value"].as_f64().unwrap() >= 399.0;
            assert!(whole || trial["status"] == "SYS_CANCELED", "{trial}");
        }
        lab.expect(0, &["audit", "verify", "--store", &at]);
        lab.expect(0, &["audit", "resample", &name, "--store", &at]);
        fs::remove_dir_all(&store).unwrap();
    }
}

#[test]
fn a_daemon_without_room_for_an_archive_or_for_another_history_serves_the_store_as_it_was() {
    let lab = Lab::new();
    let Some(mount) = Mount::tmpfs(lab.file("disk"), 64) else { return };
    let command = "i=0; while [ $i -lt 400 ]; do echo score=$i.${trial_id}; i=$((i+1)); done";
    lab.expect(0, &["run", &lab.spec(&experiment(30, command))]);
    let (there, here) = (mount.0.join("archives"), lab.file("archives"));
    let store = mount.0.join("store");
    for folder in [&there, &here] {
        fs::create_dir(folder).unwrap();
    }
    copy(&lab.store(), &store);
    let ballast = mount.0.join("ballast");
    // Once the archive has no room, and once the other history: a store opens, and there is no room for a second one.
    for (store, folder, left_kb) in [(lab.store(), &there, 150), (store.clone(), &here, 11 * 1_024)] {
        let at = store.display().to_string();
        let before = lab.json(&["audit", "verify", "--store", &at])["experiments"].clone();
        let folder = folder.display().to_string();
        let serve = || {
            let policy = ["--archive-ended-before", "0s", "--archive-folder", &folder, "--store", &at];
            let serve = ["serve", "--listen", "127.0.0.1:0", "--json"];
            Daemon::begin(&lab, lab.command(&[&serve[..], &policy].concat()))
        };
        fs::write(&ballast, vec![1_u8; usize::try_from(mount.free() - left_kb * 1_024).unwrap()]).unwrap();
        let daemon = serve();
        let listed = Client::connect(daemon.address()).unwrap().get("/v1/experiments");
        assert_eq!(listed["experiments"].as_array().unwrap().len(), 1, "{listed}");
        let told = daemon.end();
        assert!(told.contains("could not leave for an archive") && told.contains("room"), "{told}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_file(&ballast).unwrap();
        let after = lab.json(&["audit", "verify", "--store", &at]);
        assert_eq!((&after["ok"], &after["experiments"]), (&json!(true), &before), "{after}");
        let told = serve().end();
        assert!(told.contains("has left for"), "{told}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        let after = lab.json(&["audit", "verify", "--store", &at]);
        assert_eq!((&after["ok"], &after["experiments"]), (&json!(true), &json!([])), "{after}");
    }
}
