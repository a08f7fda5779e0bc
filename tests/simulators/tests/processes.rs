//! Jobs whose commands are processes of this machine.

#[expect(dead_code, reason = "each test uses a part of it")]
mod support;

use retrial_simulators::dlc::{Script, Simulator};
use retrial_simulators::oss;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use support::{Caller, PATIENCE, body};

fn started(dir: &Path, more: Value) -> (Simulator, Caller) {
    let mut script = more;
    script["processes"] = json!({"dir": dir});
    let script: Script = serde_json::from_value(script).unwrap();
    let simulator = Simulator::anywhere(script).unwrap();
    let caller = Caller::of(&simulator);
    (simulator, caller)
}

fn command(text: &str) -> Value {
    let mut asked = body("a");
    asked["UserCommand"] = json!(text);
    asked
}

fn logs(caller: &Caller, id: &str, pod: &str) -> Value {
    caller.call("GET", &format!("/api/v1/jobs/{id}/pods/{id}-{pod}/logs"), "").json()["Logs"].clone()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_command_runs_and_its_output_is_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (_simulator, caller) = started(dir.path(), json!({}));
    let mut asked =
        command("echo one; echo two >&2; printf 'rank %s of %s %s' $RANK $WORLD_SIZE $LR; touch made");
    asked["Envs"] = json!({"LR": "0.1"});
    let id = caller.create(&asked);
    let job = caller.wait_for(&id, "Succeeded");
    assert_eq!(logs(&caller, &id, "master-0"), json!(["one", "two", "rank 0 of 1 0.1"]));
    assert_eq!(job["Pods"][0]["Status"], "Succeeded");
    assert!(dir.path().join("made").exists());
}

#[test]
fn what_a_command_leaves_behind_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_simulator, caller) = started(dir.path(), json!({}));
    let id = caller.create(&command("sleep 600 & echo $! > left; echo done"));
    caller.wait_for(&id, "Succeeded");
    let left = std::fs::read_to_string(dir.path().join("left")).unwrap();
    let status = format!("/proc/{}/status", left.trim());
    until("it has ended", || {
        std::fs::read_to_string(&status).map_or(true, |text| text.contains("State:\tZ"))
    });
    assert_eq!(logs(&caller, &id, "master-0"), json!(["done"]));
}

#[test]
fn a_failing_command_fails_its_job_and_ends_its_other_pods() {
    let dir = tempfile::tempdir().unwrap();
    let (_simulator, caller) = started(dir.path(), json!({}));
    let mut asked = command("if [ $RANK = 1 ]; then exit 3; fi; echo waits; sleep 600");
    asked["JobSpecs"][0]["PodCount"] = json!(2);
    asked["Settings"]["TerminationGracePeriodSeconds"] = json!(1);
    let id = caller.create(&asked);
    let job = caller.wait_for(&id, "Failed");
    assert_eq!(job["ReasonMessage"], "exit status: 3");
    assert_eq!(job["Pods"][1]["PodId"], format!("{id}-worker-0"));
}

#[test]
fn a_command_is_tried_again_if_its_job_asks_for_that() {
    let dir = tempfile::tempdir().unwrap();
    let (_simulator, caller) = started(dir.path(), json!({}));
    let mut asked = command("echo try; [ -e flag ] || { touch flag; exit 1; }; echo done");
    asked["JobSpecs"][0]["RestartPolicy"] = json!("OnFailure");
    let id = caller.create(&asked);
    let job = caller.wait_for(&id, "Succeeded");
    assert_eq!(job["RestartTimes"], "1/20");
    let pod = &job["Pods"][0];
    assert_eq!(logs(&caller, &id, "master-0"), json!(["try", "done"]));
    let old = pod["HistoryPods"][0]["PodUid"].as_str().unwrap();
    let target = format!("/api/v1/jobs/{id}/pods/{id}-master-0/logs?PodUid={old}");
    assert_eq!(caller.call("GET", &target, "").json()["Logs"], json!(["try"]));
}

#[test]
fn a_stopped_job_ends_its_whole_group_and_one_that_does_not_listen_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (_simulator, caller) = started(dir.path(), json!({}));
    let mut asked =
        command("trap '' TERM; (sleep 600; touch never) & echo started; while :; do sleep 0.05; done");
    asked["Settings"]["TerminationGracePeriodSeconds"] = json!(1);
    let id = caller.create(&asked);
    until("it has started", || logs(&caller, &id, "master-0") == json!(["started"]));
    assert_eq!(caller.call("POST", &format!("/api/v1/jobs/{id}/stop"), "").status, 200);
    assert_eq!(caller.job(&id)["Status"], "Stopping");
    caller.wait_for(&id, "Stopped");
}

#[test]
fn no_process_outlives_its_simulator() {
    let dir = tempfile::tempdir().unwrap();
    let (simulator, caller) = started(dir.path(), json!({}));
    let id = caller.create(&command("echo $$ > leader; sleep 600"));
    let leader = dir.path().join("leader");
    let read = || std::fs::read_to_string(&leader).unwrap_or_default().trim().to_owned();
    until("it has started", || !read().is_empty());
    assert_eq!(caller.job(&id)["Status"], "Running");
    drop(simulator);
    let status = format!("/proc/{}/status", read());
    until("it has ended", || {
        std::fs::read_to_string(&status).map_or(true, |text| text.contains("State:\tZ"))
    });
}

#[test]
fn a_quota_bounds_how_many_commands_run_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (_simulator, caller) = started(dir.path(), json!({"capacity": 1}));
    let text = "mkdir alone || exit 9; sleep 0.2; rmdir alone";
    let ids = [(); 3].map(|()| caller.create(&command(text)));
    for id in ids {
        caller.wait_for(&id, "Succeeded");
    }
}

#[test]
fn a_bucket_is_mounted_where_a_job_asks_for_it_and_its_files_are_objects() {
    let dir = tempfile::tempdir().unwrap();
    let buckets = dir.path().join("buckets");
    std::fs::create_dir_all(buckets.join("metrics")).unwrap();
    let (simulator, caller) = started(dir.path(), json!({"storage": {"folder": buckets}}));
    let storage: oss::Script = serde_json::from_value(json!({"folder": buckets})).unwrap();
    let storage = oss::Simulator::anywhere(&storage).unwrap();
    let path = dir.path().join("mnt/data");
    let mut asked = command(&format!("echo '{{}}' > {}/trial-1.json", path.display()));
    let source = |path: &Path| json!({"Uri": "oss://metrics.oss-cn-hangzhou-internal.aliyuncs.com/runs/", "MountPath": path});
    asked["DataSources"] = json!([source(&path)]);
    for _ in 0..2 {
        let id = caller.create(&asked);
        caller.wait_for(&id, "Succeeded");
    }
    assert_eq!(storage.object("metrics", "runs/trial-1.json"), Some(b"{}\n".to_vec()));

    // What is there already is not replaced.
    let there = dir.path().join("there");
    std::fs::create_dir(&there).unwrap();
    asked["DataSources"] = json!([source(&there)]);
    let id = caller.create(&asked);
    let job = caller.wait_for(&id, "Failed");
    assert!(job["ReasonMessage"].as_str().unwrap().contains("cannot be mounted"), "{job}");
    drop(simulator);
    assert!(!path.exists() && there.is_dir() && buckets.join("metrics/runs/trial-1.json").exists());
}
