//! Commands that act: stop, pause, resume, retry, update, clone, enqueue, rm; with the store at rest and in use.

use super::support::{Lab, experiment, until, wait_for, with};
use serde_json::{Value, json};

/// Tasks that wait until `gate` is there.
fn gated(trials: u32) -> Value {
    let command = format!(
        "echo $RETRIAL_TRIAL-$RETRIAL_ATTEMPT >> '${{spec_dir}}/started'; {}; echo score=${{x}}",
        wait_for("gate")
    );
    experiment(trials, &command)
}

#[test]
fn a_stop_with_nothing_running_ends_what_an_interrupted_run_left() {
    let lab = Lab::new();
    let file = lab.spec(&gated(5));
    let run = lab.start(&["run", &file]);
    lab.until_lines("started", 2);
    run.kill();
    let done = lab.expect(0, &["stop", "lab"]);
    assert!(done.out.contains("USER_CANCELED"), "{done}");
    lab.until_quiet();
    let again = lab.expect(1, &["stop", "lab"]);
    assert!(again.err.contains("USER_CANCELED already"), "{again}");
    assert_eq!(lab.trials("lab")[0]["status"], "SYS_CANCELED");
}

#[test]
fn single_trials_are_stopped_and_the_others_run_on() {
    let lab = Lab::new();
    let file = lab.spec(&gated(4));
    let run = lab.start(&["run", &file]);
    lab.until_lines("started", 2);
    let done = lab.json(&["stop", "lab", "1"]);
    assert_eq!(done["ok"], true);
    lab.open_gate("gate");
    let done = run.end();
    assert_eq!(done.code, Some(0), "{done}");
    let trials = lab.trials("lab");
    assert_eq!(trials[1]["status"], "USER_CANCELED");
    assert_eq!(trials.iter().filter(|trial| trial["status"] == "SUCCEEDED").count(), 3);
    let refused = lab.expect(1, &["stop", "lab", "1"]);
    assert!(refused.err.contains("lab") || refused.err.contains("already"), "{refused}");
    lab.expect(1, &["stop", "lab", "99"]);
}

#[test]
fn an_experiment_is_stopped_while_another_one_of_the_store_is_run() {
    let lab = Lab::new();
    let other = lab.write("other.json", &with(gated(3), json!({"name": "other"})).to_string());
    let run = lab.start(&["run", &other]);
    lab.until_lines("started", 2);
    run.kill();
    let file = lab.spec(&gated(3));
    let run = lab.start(&["run", &file]);
    lab.until_lines("started", 4);
    let done = lab.expect(0, &["stop", "other"]);
    assert!(done.out.contains("USER_CANCELED"), "{done}");
    lab.open_gate("gate");
    let done = run.end();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(lab.trials("other").len(), 2, "nothing of it was started");
    lab.until_quiet();
}

#[test]
fn a_paused_experiment_starts_nothing_until_it_is_resumed() {
    let lab = Lab::new();
    let file = lab.spec(&gated(4));
    let run = lab.start(&["run", &file]);
    lab.until_lines("started", 2);
    assert_eq!(lab.json(&["pause", "lab"])["status"], "WAITING");
    lab.open_gate("gate");
    let done = run.end();
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.err.contains("paused on request"), "{done}");
    assert_eq!(lab.trials("lab").len(), 2);
    assert_eq!(lab.json(&["resume", "lab"])["status"], "RUNNING");
    lab.expect(0, &["run", &file]);
    assert_eq!(lab.trials("lab").len(), 4);
}

#[test]
fn a_stopped_experiment_can_be_resumed_and_run_to_its_end() {
    let lab = Lab::new();
    let file = lab.spec(&gated(3));
    let run = lab.start(&["run", &file]);
    lab.until_lines("started", 2);
    lab.expect(0, &["stop", "lab"]);
    let done = run.end();
    assert_eq!(done.code, Some(3), "{done}");
    lab.open_gate("gate");
    lab.expect(0, &["resume", "lab"]);
    let done = lab.expect(0, &["run", &file]);
    assert!(done.out.contains("FINISHED"), "{done}");
    assert_eq!(lab.trials("lab").iter().filter(|trial| trial["status"] == "SUCCEEDED").count(), 1);
}

#[test]
fn a_failed_trial_is_tried_again_beyond_the_budget_with_the_same_parameters() {
    let lab = Lab::new();
    let command =
        "if [ -e '${spec_dir}/mended' ] || [ $RETRIAL_TRIAL != 1 ]; then echo score=1; else exit 5; fi";
    let file = lab.spec(&experiment(3, command));
    lab.expect(0, &["run", &file]);
    assert_eq!(lab.trials("lab")[1]["status"], "FAILED");
    let refused = lab.expect(1, &["retry", "lab", "0"]);
    assert!(refused.err.contains("succeeded"), "{refused}");
    lab.open_gate("mended");
    lab.expect(0, &["retry", "lab", "1"]);
    lab.expect(0, &["run", &file]);
    let trials = lab.trials("lab");
    assert_eq!(trials.len(), 4);
    assert_eq!(trials[3]["status"], "SUCCEEDED");
    assert_eq!(trials[3]["params"], trials[1]["params"]);
    assert_eq!(trials[3]["retry_of"], 1);
    lab.expect(0, &["audit", "resample", "lab"]);
}

#[test]
fn a_larger_budget_lets_a_finished_experiment_go_on() {
    let lab = Lab::new();
    let spec = experiment(2, "echo score=${x}");
    let file = lab.spec(&spec);
    lab.expect(0, &["run", &file]);
    lab.spec(&with(spec.clone(), json!({"budget": {"trials": 5}})));
    assert_eq!(lab.json(&["update", "lab", &file])["status"], "RUNNING");
    let result = lab.json(&["run", &file]);
    assert_eq!(result["trials"], json!({"SUCCEEDED": 5}));
    lab.expect(0, &["audit", "resample", "lab"]);
    lab.spec(&with(spec, json!({"space": {"x": {"uniform": [0, 2]}}})));
    let refused = lab.expect(1, &["update", "lab", &file]);
    assert!(refused.err.contains("space"), "{refused}");
}

#[test]
fn an_update_reaches_an_experiment_that_runs_and_its_refusal_tells_why() {
    let lab = Lab::new();
    let spec = gated(2);
    let file = lab.spec(&spec);
    let run = lab.start(&["run", &file]);
    lab.until_lines("started", 2);
    lab.spec(&with(spec.clone(), json!({"space": {"x": {"uniform": [0, 2]}}})));
    let refused = lab.expect(1, &["update", "lab", &file]);
    assert!(refused.err.contains("`space"), "{refused}");
    lab.spec(&with(spec, json!({"budget": {"trials": 4, "concurrency": 4}})));
    lab.expect(0, &["update", "lab", &file]);
    lab.until_lines("started", 4);
    lab.open_gate("gate");
    assert_eq!(run.end().code, Some(0));
    assert_eq!(lab.trials("lab").len(), 4);
}

#[test]
fn an_update_keeps_the_seed_and_refuses_another() {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(&experiment(2, "echo score=${x}"))]);
    let seed = || lab.expect(0, &["show", "lab"]).out.contains("(seed 7)");
    let file = |seed: Value| lab.spec(&with(experiment(3, "echo score=${x}"), json!({"seed": seed})));
    let refused = lab.expect(1, &["update", "lab", &file(json!(8))]);
    assert!(refused.err.contains("`seed`") && refused.err.contains("write 7"), "{refused}");
    assert_eq!(lab.json(&["show", "lab"])["status"], "FINISHED");
    for same in [json!(7), Value::Null] {
        lab.expect(0, &["update", "lab", &file(same)]);
        assert!(seed());
    }
}

#[test]
fn a_clone_is_a_new_experiment_with_the_same_specification() {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(&experiment(2, "echo score=${x}"))]);
    let done = lab.expect(0, &["clone", "lab", "--name", "copy"]);
    assert!(done.err.contains("retrial run "), "{done}");
    let shown = lab.json(&["show", "copy"]);
    assert_eq!(shown["status"], "CREATED");
    lab.expect(0, &["run", "copy"]);
    let params =
        |name: &str| lab.trials(name).iter().map(|trial| trial["params"].clone()).collect::<Vec<_>>();
    assert_eq!(params("copy"), params("lab"));
}

#[test]
fn a_queued_point_is_tried_next_and_one_outside_the_space_is_refused() {
    let lab = Lab::new();
    let file = lab.spec(&gated(4));
    let run = lab.start(&["run", &file]);
    lab.until_lines("started", 2);
    lab.expect(0, &["enqueue", "lab", r#"{"x": 0.125, "kind": "b"}"#]);
    let refused = lab.expect(2, &["enqueue", "lab", r#"{"x": 7, "kind": "z"}"#]);
    for part in ["x", "kind", "outside the search space"] {
        assert!(refused.err.contains(part), "{refused}");
    }
    lab.expect(2, &["enqueue", "lab", "x=1"]);
    lab.open_gate("gate");
    assert_eq!(run.end().code, Some(0));
    assert_eq!(lab.trials("lab")[2]["params"], json!({"x": 0.125, "kind": "b"}));
    let late = lab.expect(1, &["enqueue", "lab", r#"{"x": 0.5, "kind": "b"}"#]);
    assert!(late.err.contains("FINISHED"), "{late}");
    lab.expect(0, &["audit", "resample", "lab"]);
}

#[test]
fn a_removed_experiment_is_hidden_and_its_name_is_free_again() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(1, "echo score=1"));
    let id = lab.json(&["run", &file])["experiment"].as_str().unwrap().to_owned();
    lab.expect(0, &["rm", "lab"]);
    assert_eq!(lab.json(&["ls"]), json!([]));
    assert_eq!(lab.json(&["ls", "--all"])[0]["removed"], true);
    assert!(lab.expect(0, &["ls", "--all"]).out.contains("FINISHED, removed"));
    lab.expect(1, &["show", "lab"]);
    assert_eq!(lab.json(&["show", &id])["status"], "FINISHED");
    assert!(lab.expect(0, &["show", &id]).out.contains("\nremoved     "));
    assert_ne!(lab.json(&["run", &file])["experiment"], json!(id));
}

#[test]
fn every_action_works_through_the_process_that_holds_a_store_with_a_long_path() {
    let lab = Lab::new();
    let deep = lab.file(&"deep".repeat(50)).join("store");
    std::fs::create_dir_all(deep.parent().unwrap()).unwrap();
    let store = deep.display().to_string();
    let file = lab.spec(&gated(2));
    let run = lab.start(&["run", &file, "--store", &store]);
    lab.until_lines("started", 2);
    lab.expect(0, &["pause", "lab", "--store", &store]);
    lab.expect(0, &["resume", "lab", "--store", &store]);
    lab.open_gate("gate");
    let done = run.end();
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.err.is_empty(), "{done}");
}

#[test]
fn acting_is_recorded_with_who_did_it() {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(&experiment(1, "echo score=1"))]);
    lab.expect(0, &["rm", "lab"]);
    let id = lab.json(&["ls", "--all"])[0]["experiment"].as_str().unwrap().to_owned();
    let events = until("the removal", || {
        let events = lab.events(&id);
        events.iter().any(|event| event["kind"] == "ExperimentRemoved").then_some(events)
    });
    let removed = events.iter().find(|event| event["kind"] == "ExperimentRemoved").unwrap();
    assert!(removed["actor"].as_str().unwrap().contains('@'), "{removed}");
}

#[test]
fn who_sees_an_experiment_is_said_when_it_is_run_and_changed_afterwards() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(2, &format!("{}; echo score=${{x}}", wait_for("gate"))));
    let accessibility = || lab.json(&["show", "lab"])["labels"]["accessibility"].take();
    let run = lab.start(&["run", "--private", &file]);
    lab.until_trials("lab", "RUNNING", 2);
    assert_eq!(accessibility(), "PRIVATE");
    assert!(lab.expect(0, &["show", "lab"]).out.contains("\nseen by     its creator and admins only\n"));
    let copy = lab.json(&["clone", "lab", "--name", "copy"])["experiment"].take();
    assert_eq!(lab.json(&["show", copy.as_str().unwrap()])["labels"]["accessibility"], "PRIVATE");
    // By the process that runs it, and without one.
    let refused = lab.expect(2, &["update", "lab"]);
    assert!(["FILE", "--private", "--public"].iter().all(|name| refused.err.contains(name)), "{refused}");
    lab.expect(0, &["update", "lab", "--public"]);
    assert_eq!(accessibility(), "PUBLIC");
    lab.open_gate("gate");
    assert_eq!(run.end().code, Some(0));
    lab.expect(0, &["update", "lab", "--private"]);
    assert_eq!(accessibility(), "PRIVATE");
    lab.expect(0, &["update", "lab", "--public", &file]);
    lab.expect(0, &["run", &file]);
    assert_eq!(accessibility(), "PUBLIC");
    let events = lab.events("lab").len();
    for _ in 0..2 {
        lab.expect(0, &["run", &file, "--private"]);
        assert_eq!((accessibility(), lab.events("lab").len()), (json!("PRIVATE"), events + 1));
    }
    for wrong in [&["update", "lab"][..], &["update", "lab", "--private", "--public"]] {
        lab.expect(2, wrong);
    }
}
