//! Ctrl-C once leaves running trials to the next run; twice ends them. Meanwhile other commands act on the store.

use super::support::{Lab, Running, experiment, until, wait_for, with};
use nix::sys::signal::Signal;
use serde_json::json;

fn counted() -> String {
    let mark = "echo $RETRIAL_TRIAL-$RETRIAL_ATTEMPT >> '${spec_dir}/started'";
    format!("{mark}; {}; echo score=${{x}}", wait_for("gate"))
}

#[test]
fn one_interruption_leaves_running_trials_and_the_next_run_takes_them_over() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(4, &counted()));
    let run = lab.start(&["run", &file]);
    lab.until_lines("started", 2);
    run.signal(Signal::SIGINT);
    let done = run.end();
    assert_eq!(done.code, Some(130), "{done}");
    assert!(done.err.contains("takes them over"), "{done}");
    lab.open_gate("gate");
    let done = lab.expect(0, &["run", &file]);
    assert!(done.out.contains("FINISHED"), "{done}");
    let mut started: Vec<String> = lab.text("started").lines().map(str::to_owned).collect();
    started.sort();
    assert_eq!(started, ["0-1", "1-1", "2-1", "3-1"], "each trial was started once");
    lab.until_quiet();
}

#[test]
fn a_request_to_end_leaves_running_trials_as_well() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(2, &counted()));
    let run = lab.start(&["run", &file]);
    lab.until_lines("started", 2);
    run.signal(Signal::SIGTERM);
    assert_eq!(run.end().code, Some(130));
    assert_eq!(lab.trials("lab").len(), 2);
    lab.expect(0, &["stop", "lab"]);
    assert_eq!(lab.json(&["show", "lab"])["status"], "USER_CANCELED");
    lab.until_quiet();
}

#[test]
fn a_second_run_finds_the_store_in_use_while_other_commands_act_on_it() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(4, &counted()));
    let run = lab.start(&["run", &file]);
    lab.until_lines("started", 2);
    let busy = lab.expect(75, &["run", &file]);
    assert!(busy.err.contains("E0601"), "{busy}");
    assert_eq!(lab.json(&["ls"]).as_array().unwrap().len(), 1);
    lab.expect(0, &["enqueue", "lab", r#"{"x": 0.25, "kind": "b"}"#]);
    lab.expect(0, &["pause", "lab"]);
    lab.expect(0, &["resume", "lab"]);
    lab.expect(0, &["stop", "lab", "0"]);
    lab.open_gate("gate");
    let done = run.end();
    assert_eq!(done.code, Some(0), "{done}");
    let trials = lab.trials("lab");
    assert_eq!(trials[0]["status"], "USER_CANCELED");
    assert!(trials.iter().any(|trial| trial["params"]["x"] == 0.25), "the queued point was tried");
    lab.until_quiet();
}

#[test]
fn an_interruption_that_is_delivered_twice_is_one() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(2, &counted()));
    let run = lab.start(&["run", &file]);
    lab.until_lines("started", 2);
    run.signal(Signal::SIGINT);
    until("the answer to it", || run.err().contains("interrupted").then_some(()));
    run.signal(Signal::SIGINT);
    let done = run.end();
    assert_eq!(done.code, Some(130), "{done}");
    assert!(!done.err.contains("ending"), "{done}");
    assert!(lab.trials("lab").iter().all(|trial| trial["status"] == "RUNNING"));
    lab.open_gate("gate");
    lab.expect(0, &["run", &file]);
}

#[test]
fn a_second_interruption_ends_the_running_trials() {
    let lab = Lab::new();
    let file = lab.spec(&with(experiment(4, &counted()), json!({"budget": {"grace": "200ms"}})));
    let run = lab.start(&["run", &file]);
    lab.until_lines("started", 2);
    run.signal(Signal::SIGINT);
    until("the offer to end them", || run.err().contains("Ctrl-C again").then_some(()));
    run.signal(Signal::SIGINT);
    let done = run.end();
    assert_eq!(done.code, Some(130), "{done}");
    lab.until_quiet();
    let trials = lab.trials("lab");
    assert_eq!(trials.len(), 2, "no further trial was started");
    assert!(trials.iter().all(|trial| trial["status"] == "USER_CANCELED"), "{trials:?}");
    lab.open_gate("gate");
    let result = lab.json(&["run", &file]);
    assert_eq!(result["trials"], json!({"SUCCEEDED": 2, "USER_CANCELED": 2}));
}

#[test]
fn a_second_interruption_ends_the_others_where_one_has_ended_meanwhile() {
    let lab = Lab::new();
    let line = format!("echo x >> '${{spec_dir}}/started'; {}; echo score=1", wait_for("gate-${trial_id}"));
    let file = lab.spec(&with(experiment(4, &line), json!({"budget": {"grace": "200ms"}})));
    let run = lab.start(&["run", &file]);
    lab.until_lines("started", 2);
    run.signal(Signal::SIGINT);
    until("the offer to end them", || run.err().contains("Ctrl-C again").then_some(()));
    lab.open_gate("gate-0");
    lab.until_trials("lab", "SUCCEEDED", 1);
    run.signal(Signal::SIGINT);
    let done = run.end();
    assert_eq!(done.code, Some(130), "{done}");
    assert!(done.err.contains("ended 1 trial."), "{done}");
    lab.until_quiet();
    let statuses: Vec<_> = lab.trials("lab").iter().map(|trial| trial["status"].clone()).collect();
    assert_eq!(statuses, ["SUCCEEDED", "USER_CANCELED"]);
}

#[test]
fn an_interruption_ends_at_once_when_nothing_runs_any_more() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(4, &counted()));
    let run = lab.start(&["run", &file]);
    lab.until_lines("started", 2);
    run.signal(Signal::SIGINT);
    until("the offer to end them", || run.err().contains("Ctrl-C again").then_some(()));
    lab.open_gate("gate");
    assert_eq!(run.end().code, Some(130));
    assert_eq!(lab.trials("lab").iter().filter(|trial| trial["status"] == "SUCCEEDED").count(), 2);
}

#[test]
fn an_interruption_of_the_whole_group_reaches_no_task() {
    use std::os::unix::process::CommandExt;
    let lab = Lab::new();
    let file = lab.spec(&experiment(2, &counted()));
    let mut command = lab.command(&["run", &file]);
    command.process_group(0);
    let run = Running::begin(&lab, command);
    lab.until_lines("started", 2);
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(run.pid()), Signal::SIGINT).unwrap();
    assert_eq!(run.end().code, Some(130));
    lab.open_gate("gate");
    let result = lab.json(&["run", &file]);
    assert_eq!(result["trials"], json!({"SUCCEEDED": 2}));
    assert_eq!(lab.text("started").lines().count(), 2);
}
