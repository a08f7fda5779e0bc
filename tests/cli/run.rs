//! `run`: begins, goes on, ends, and says so.

use crate::support::{Lab, experiment, until, wait_for, with};
use nix::sys::signal::Signal;
use serde_json::json;

#[test]
fn an_experiment_runs_to_its_end_and_prints_a_line_per_trial_and_the_best_one() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(5, "echo score=${x}"));
    let done = lab.expect(0, &["run", &file]);
    let lines: Vec<&str> = done.out.lines().filter(|line| line.starts_with("trial ")).collect();
    assert_eq!(lines.len(), 5, "{done}");
    assert!(done.out.contains("begins: 5 trials") && done.out.contains("seed 7"), "{done}");
    assert!(done.out.contains("FINISHED") && done.out.contains("best: trial "), "{done}");
    assert!(done.err.is_empty(), "{done}");
    let trials = lab.trials("lab");
    let best = trials.iter().map(|trial| trial["value"].as_f64().unwrap()).fold(0.0, f64::max);
    let said = lab.json(&["best", "lab"]);
    assert_eq!(said["value"], json!(best));
    assert_eq!(said["params"]["x"], json!(best));
}

#[test]
fn a_finished_experiment_prints_its_result_again_and_runs_nothing() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(3, "echo start >> '${spec_dir}/starts'; echo score=${x}"));
    let first = lab.json(&["run", &file]);
    let again = lab.json(&["run", &file]);
    assert_eq!(first, again);
    assert_eq!(lab.text("starts").lines().count(), 3);
    let text = lab.expect(0, &["run", &file]);
    assert!(text.out.contains("FINISHED") && text.out.contains("best: trial"), "{text}");
}

#[test]
fn an_experiment_goes_on_where_a_killed_run_left_it_and_adopts_what_runs() {
    let lab = Lab::new();
    let command =
        format!("echo $RETRIAL_TRIAL >> '${{spec_dir}}/starts'; {}; echo score=${{x}}", wait_for("gate"));
    let file = lab.spec(&experiment(4, &command));
    let run = lab.start(&["run", &file]);
    lab.until_lines("starts", 2);
    lab.until_trials("lab", "RUNNING", 2);
    run.kill();
    assert_eq!(lab.trials("lab").len(), 2);
    lab.open_gate("gate");
    let done = lab.expect(0, &["run", &file]);
    assert!(done.out.contains("goes on at trial 0"), "{done}");
    let mut starts: Vec<String> = lab.text("starts").lines().map(str::to_owned).collect();
    starts.sort();
    assert_eq!(starts, ["0", "1", "2", "3"]);
    assert_eq!(lab.json(&["ls"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_run_can_go_on_by_the_name_or_id_of_its_experiment() {
    let lab = Lab::new();
    let command = format!("{}; echo score=${{x}}", wait_for("gate"));
    let file = lab.spec(&experiment(2, &command));
    let run = lab.start(&["run", &file]);
    let id = until("the experiment", || {
        let done = lab.retrial(&["ls", "--json"]);
        (done.code == Some(0)).then(|| done.json()[0]["experiment"].as_str().map(str::to_owned)).flatten()
    });
    run.kill();
    lab.expect(0, &["pause", &id[..4]]);
    lab.open_gate("gate");
    let done = lab.expect(0, &["run", &id]);
    assert!(done.out.contains("FINISHED"), "{done}");
    lab.expect(0, &["run", "lab"]);
}

#[test]
fn a_changed_file_is_an_error_that_shows_the_difference() {
    let lab = Lab::new();
    let spec = experiment(2, "echo score=${x}");
    let file = lab.spec(&spec);
    lab.expect(0, &["run", &file]);
    lab.spec(&with(spec, json!({"budget": {"trials": 9}, "space": {"x": {"uniform": [0, 2]}}})));
    let done = lab.expect(2, &["run", &file]);
    for part in ["budget.trials", "9", "space.x", "--new", "retrial update"] {
        assert!(done.err.contains(part), "{part} is missing: {done}");
    }
    let json = lab.expect(2, &["run", &file, "--json"]);
    assert!(json.json()["error"]["code"].as_str().unwrap().starts_with('E'), "{json}");
    let new = lab.json(&["run", &file, "--new"]);
    assert_eq!(new["trials"]["SUCCEEDED"], 9);
    assert_eq!(lab.json(&["ls"]).as_array().unwrap().len(), 2);
}

#[test]
fn new_starts_another_experiment_of_the_same_name_which_the_name_then_means() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(2, "echo score=${x}"));
    let first = lab.json(&["run", &file]);
    let second = lab.json(&["run", &file, "--new"]);
    assert_ne!(first["experiment"], second["experiment"]);
    assert_eq!(lab.json(&["show", "lab"])["experiment"], second["experiment"]);
    // The same seed and the same order of results.
    let id = first["experiment"].as_str().unwrap();
    let params = |exp: &str| lab.trials(exp).iter().map(|trial| trial["params"].clone()).collect::<Vec<_>>();
    assert_eq!(params(id), params("lab"));
}

#[test]
fn of_several_experiments_of_a_name_the_one_that_asks_for_the_same_is_gone_on_with() {
    let lab = Lab::new();
    let line = format!("echo x >> '${{spec_dir}}/starts'; {}; echo score=1", wait_for("gate"));
    let one = lab.spec(&experiment(2, &line));
    let run = lab.start(&["run", &one]);
    lab.until_lines("starts", 2);
    run.kill();
    lab.open_gate("gate");
    // A newer one of the name, which asks for something else and has ended.
    let other = lab.write("other.json", &experiment(1, "echo score=2").to_string());
    let ended = lab.json(&["run", &other, "--new"]);
    let first = lab.json(&["run", &one]);
    assert_ne!(first["experiment"], ended["experiment"]);
    assert_eq!(first["trials"], json!({"SUCCEEDED": 2}));
    assert_eq!(lab.text("starts").lines().count(), 2, "its trials were taken over");
    // Each file still means its own.
    assert_eq!(lab.json(&["run", &other])["experiment"], ended["experiment"]);
    assert_eq!(lab.json(&["run", &one])["experiment"], first["experiment"]);
    // An unfinished one comes before an ended one that asks for the same.
    lab.expect(0, &["clone", ended["experiment"].as_str().unwrap(), "--name", "lab"]);
    let again = lab.json(&["run", &other]);
    assert_ne!(again["experiment"], ended["experiment"]);
    assert_eq!(lab.json(&["ls"]).as_array().unwrap().len(), 3);
}

#[test]
fn an_experiment_without_a_successful_trial_ends_with_code_3_and_the_cause() {
    let lab = Lab::new();
    let spec = with(experiment(3, "echo no such data >&2; exit 9"), json!({"first_failures": 0}));
    let file = lab.spec(&spec);
    let done = lab.expect(3, &["run", &file]);
    for part in ["FAILED", "no trial has succeeded", "exit code 9", "no such data"] {
        assert!(done.out.contains(part), "{part} is missing: {done}");
    }
    let json = lab.expect(3, &["run", &file, "--json"]);
    assert_eq!(json.json()["best"], json!(null));
    assert_eq!(json.json()["trials"], json!({"FAILED": 3}));
    lab.expect(3, &["best", "lab"]);
}

#[test]
fn three_equal_first_failures_pause_the_experiment_and_show_the_log() {
    let lab = Lab::new();
    let command = "if [ -e '${spec_dir}/mended' ]; then echo score=1; else echo boom line; exit 4; fi";
    let spec = with(experiment(10, command), json!({"budget": {"concurrency": 1}}));
    let file = lab.spec(&spec);
    let done = lab.expect(1, &["run", &file]);
    assert!(done.err.contains("paused") && done.err.contains("exit code 4"), "{done}");
    assert!(done.err.contains("boom line"), "{done}");
    assert_eq!(lab.trials("lab").len(), 3);
    let shown = lab.json(&["show", "lab"]);
    assert_eq!(shown["status"], "WAITING");
    lab.open_gate("mended");
    for again in [file.as_str(), "lab"] {
        let held = lab.expect(1, &["run", again]);
        assert!(held.err.contains("paused") && held.err.contains("retrial resume "), "{held}");
    }
    assert_eq!(lab.trials("lab").len(), 3, "a repeated run does not lift the brake");
    lab.expect(0, &["resume", "lab"]);
    let done = lab.expect(0, &["run", &file]);
    assert!(done.out.contains("FINISHED"), "{done}");
    assert_eq!(lab.trials("lab").len(), 10);
}

#[test]
fn the_last_line_of_a_paused_run_is_its_result_as_json() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(10, "exit 4"));
    let done = lab.expect(1, &["run", &file, "--json"]);
    let result = done.json();
    assert_eq!(result["status"], "WAITING", "{done}");
    assert!(done.err.contains("paused"), "{done}");
}

#[test]
fn a_target_ends_the_experiment_and_stops_what_runs() {
    let lab = Lab::new();
    let command = format!("echo score=1; if [ $RETRIAL_TRIAL != 0 ]; then {}; fi", wait_for("never"));
    let spec = with(experiment(50, &command), json!({"budget": {"target": 0.5, "grace": 1}}));
    let done = lab.expect(0, &["run", &lab.spec(&spec)]);
    assert!(done.out.contains("target"), "{done}");
    let trials = lab.trials("lab");
    assert_eq!(trials[0]["status"], "SUCCEEDED");
    assert_eq!(trials[1]["status"], "SYS_CANCELED");
    lab.until_quiet();
}

#[test]
fn patience_ends_an_experiment_that_no_longer_improves() {
    let lab = Lab::new();
    let spec = with(
        experiment(50, "echo score=$((100 - RETRIAL_TRIAL))"),
        json!({"budget": {"patience": 4, "concurrency": 1}}),
    );
    let result = lab.json(&["run", &lab.spec(&spec)]);
    assert_eq!(result["status"], "EARLY_STOPPED");
    assert_eq!(result["best"]["trial"], 0);
    assert_eq!(result["trials"], json!({"SUCCEEDED": 5}));
}

#[test]
fn the_time_of_the_budget_ends_the_experiment() {
    let lab = Lab::new();
    let command = format!("echo score=1; if [ $RETRIAL_TRIAL != 0 ]; then {}; fi", wait_for("never"));
    let spec =
        with(experiment(50, &command), json!({"budget": {"trials": null, "duration": "1s", "grace": 1}}));
    let done = lab.expect(0, &["run", &lab.spec(&spec)]);
    assert!(done.out.contains("the time of the budget is over"), "{done}");
    lab.until_quiet();
}

#[test]
fn a_finite_space_is_exhausted_without_trying_a_point_twice() {
    let lab = Lab::new();
    let spec = with(
        experiment(50, "echo score=${n}"),
        json!({"space": {"x": null, "kind": {"choice": ["a", "b", "c"]}, "n": {"randint": [0, 2]}}}),
    );
    let result = lab.json(&["run", &lab.spec(&spec)]);
    assert_eq!(result["status"], "NO_MORE_TRIAL");
    let mut points: Vec<String> = lab.trials("lab").iter().map(|trial| trial["params"].to_string()).collect();
    let all = points.len();
    points.sort();
    points.dedup();
    assert_eq!(points.len(), all);
    lab.expect(0, &["audit", "resample", "lab"]);
}

#[test]
fn a_closed_pipe_neither_ends_the_run_nor_its_tasks() {
    use std::io::BufRead;
    let lab = Lab::new();
    let command = format!("{}; echo score=${{x}}", wait_for("gate"));
    let file = lab.spec(&experiment(4, &command));
    let mut command = lab.command(&["run", &file]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("begins"), "{first}");
    lab.open_gate("gate");
    until("the end of the run", || child.try_wait().unwrap().is_some().then_some(()));
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(lab.until_trials("lab", "SUCCEEDED", 4).len(), 4);
}

#[test]
fn a_run_of_one_experiment_leaves_the_others_of_the_store_alone() {
    let lab = Lab::new();
    let command =
        format!("echo $RETRIAL_TRIAL >> '${{spec_dir}}/starts'; {}; echo score=1", wait_for("gate"));
    let one = lab.write("one.json", &with(experiment(3, &command), json!({"name": "one"})).to_string());
    let two = lab.write("two.json", &with(experiment(2, "echo score=2"), json!({"name": "two"})).to_string());
    let run = lab.start(&["run", &one]);
    lab.until_lines("starts", 2);
    lab.until_trials("one", "RUNNING", 2);
    run.signal(Signal::SIGKILL);
    run.end();
    lab.expect(0, &["run", &two]);
    assert_eq!(lab.trials("one").len(), 2);
    lab.open_gate("gate");
    lab.expect(0, &["run", &one]);
    assert_eq!(lab.text("starts").lines().count(), 3);
}
