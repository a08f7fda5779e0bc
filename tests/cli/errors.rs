//! Wrong usage and bad surroundings: a message that names the thing and the cure, and the agreed exit code.

use super::support::{Lab, experiment, with};
use serde_json::json;

#[test]
fn constraints_that_no_point_fulfils_are_refused_and_those_that_few_do_are_met() {
    let lab = Lab::new();
    let space = json!({"x": {"uniform": [0, 1]}, "kind": null, "y": {"uniform": [0, 1]}});
    let constrained = |constraint: &str| {
        let changes = json!({"space": space, "constraints": [constraint]});
        lab.spec(&with(experiment(3, "echo score=${y}"), changes))
    };
    let refused = lab.expect(2, &["check", &constrained("x + y >= 3")]);
    assert!(refused.err.contains("E0309") && refused.err.contains("constraints"), "{refused}");
    let result = lab.json(&["run", &constrained("x + y == 1")]);
    assert_eq!(result["trials"], json!({"SUCCEEDED": 3}));
    for trial in lab.trials("lab") {
        let sum = trial["params"]["x"].as_f64().unwrap() + trial["params"]["y"].as_f64().unwrap();
        assert!((sum - 1.0).abs() < 1e-9, "{trial}");
    }
    lab.expect(0, &["audit", "resample", "lab"]);
}

#[test]
fn commands_that_are_told_name_the_store_that_was_typed() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(1, "echo score=1"));
    lab.expect(0, &["run", &file, "--store", "my store"]);
    let told = lab.expect(1, &["show", "nothing", "--store", "my store"]);
    assert!(told.err.contains("`retrial ls --store 'my store'`"), "{told}");
    let changed = lab.spec(&experiment(2, "echo score=1"));
    let told = lab.expect(2, &["run", &changed, "--store", "my store"]);
    assert!(told.err.contains(" --new --store 'my store'`"), "{told}");
    // The environment is there for the next command as well.
    lab.expect(0, &["run", &file]);
    let told = lab.expect(1, &["show", "nothing"]);
    assert!(told.err.contains("`retrial ls`"), "{told}");
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let lab = Lab::new();
    for args in [&[][..], &["fly"], &["run"], &["trials"], &["retry", "x"], &["audit"], &["ls", "--loud"]] {
        let done = lab.expect(2, args);
        assert!(done.err.contains("Usage") || done.err.contains("usage"), "{args:?}: {done}");
    }
    lab.expect(0, &["--help"]);
    lab.expect(0, &["run", "--help"]);
    assert!(lab.expect(0, &["--version"]).out.starts_with("retrial "));
}

#[test]
fn a_bad_experiment_file_is_exit_code_2_with_every_mistake() {
    let lab = Lab::new();
    let spec = with(experiment(0, ""), json!({"objective": {"goal": "up"}, "naem": 1}));
    let file = lab.spec(&spec);
    for command in ["run", "check"] {
        let done = lab.expect(2, &[command, &file]);
        for part in ["0, not between", "experiment.json:", "naem", "`up`", "^"] {
            assert!(done.err.contains(part), "{part} is missing: {done}");
        }
        let json = lab.expect(2, &[command, &file, "--json"]);
        assert!(json.out.contains("E0"), "{json}");
        json.json();
    }
    assert!(!lab.store().exists(), "nothing was created");
    let missing = lab.expect(2, &["run", "none.yaml"]);
    assert!(missing.err.contains("none.yaml"), "{missing}");
    let unset = lab.expect(2, &["run", &lab.spec(&with(experiment(1, "x"), json!({"run": null})))]);
    assert!(unset.err.contains("ask-tell"), "{unset}");
}

#[test]
fn a_missing_store_is_said_by_every_command_that_needs_one() {
    let lab = Lab::new();
    for args in [
        &["ls"][..],
        &["show", "x"],
        &["stop", "x"],
        &["pause", "x"],
        &["enqueue", "x", "{}"],
        &["rm", "x"],
        &["run", "x"],
        &["audit", "verify"],
        &["audit", "export", "a"],
        &["audit", "resample", "x"],
        &["logs", "x", "0"],
    ] {
        let done = lab.expect(1, args);
        assert!(done.err.contains("E0612") && done.err.contains("retrial run FILE"), "{args:?}: {done}");
    }
    assert!(!lab.store().exists(), "nothing was created");
}

#[test]
fn a_store_that_is_a_file_or_cannot_be_made_is_named() {
    let lab = Lab::new();
    let file = lab.spec(&experiment(1, "echo score=1"));
    let plain = lab.write("plain", "text");
    let below = format!("{plain}/store");
    for (store, named) in
        [(plain.as_str(), plain.as_str()), (&below, &plain), ("/proc/none/store", "/proc/none")]
    {
        let done = lab.expect(1, &["run", &file, "--store", store]);
        assert!(done.err.contains(named) && done.err.contains("help"), "{done}");
        done.no_panic();
        lab.expect(1, &["ls", "--store", store]);
        lab.expect(1, &["ask-tell", "--spec", &file, "--store", store]);
    }
    assert_eq!(lab.text("plain"), "text");
}

#[test]
fn a_command_that_does_not_exist_tells_where_it_was_looked_for() {
    let lab = Lab::new();
    let spec = with(experiment(1, ""), json!({"run": {"local": {"command": ["no-such-program", "${x}"]}}}));
    let done = lab.expect(3, &["run", &lab.spec(&spec)]);
    assert!(done.out.contains("no-such-program") && done.out.contains("${spec_dir}"), "{done}");
    let spec = with(experiment(1, "no-such-program"), json!({"name": "shell"}));
    let done = lab.expect(3, &["run", &lab.spec(&spec)]);
    assert!(done.out.contains("did not find a command"), "{done}");
}

#[test]
fn a_task_that_reports_nothing_fails_with_the_cure() {
    let lab = Lab::new();
    let done = lab.expect(3, &["run", &lab.spec(&experiment(1, "echo nothing of use"))]);
    assert!(done.out.contains("reported no metric"), "{done}");
    let trial = &lab.trials("lab")[0];
    assert_eq!(trial["attempts"][0]["outcome"], "succeeded");
    assert_eq!(trial["status"], "FAILED");
}

#[test]
fn mistakes_of_the_file_its_algorithms_and_its_backend_are_found_in_one_go_at_their_places() {
    let lab = Lab::new();
    let text = "\
name: a
space: {x: {uniform: [0, 1, 2]}}
objective: {metric: score, goal: maximise}
metric: {stdout: 'score=([0-9.]+)'}
sampler: {tpe: {gama: 3}}
early_stop:
- median: {start_step: 1}
- threshold: {lower: 1, uper: 2}
budget: {trials: 3}
run:
  local: {command: train, gpus: many, env: [1]}
";
    let found = lab.expect(2, &["check", &lab.write("a.yaml", text), "--json"]).json();
    let places: Vec<_> = found["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["path"].as_str().unwrap(), error["line"].as_u64(), error["column"].as_u64()))
        .collect();
    assert_eq!(
        places,
        [
            ("space.x.uniform", Some(2), Some(22)),
            ("objective.goal", Some(3), Some(34)),
            ("sampler.tpe.gama", Some(5), Some(17)),
            ("early_stop[1].threshold.uper", Some(8), Some(25)),
            ("run.local.gpus", Some(11), Some(33)),
            ("run.local.env", Some(11), Some(44)),
        ],
        "{found}"
    );
}

#[test]
fn what_depends_on_a_part_with_mistakes_is_not_called_one() {
    let lab = Lab::new();
    let spec = with(experiment(3, "true"), json!({"space": {"x": {"uniform": [1]}}, "sampler": "cma_es"}));
    let found = lab.expect(2, &["check", &lab.spec(&spec), "--json"]).json();
    assert_eq!(found["errors"].as_array().unwrap().len(), 1, "{found}");
}

#[test]
fn what_to_know_of_a_right_file_is_told_to_programs_as_well() {
    let lab = Lab::new();
    let spec = with(experiment(3, "echo score=${x}"), json!({"budget": {"patience": 9}}));
    let found = lab.json(&["check", &lab.spec(&spec)]);
    assert_eq!(found["warnings"][0]["path"], "budget.patience", "{found}");
    let done = lab.expect(0, &["check", &lab.spec(&with(spec, json!({"run": null})))]);
    assert!(done.out.contains("ask-tell") && done.err.contains("patience"), "{done}");
}
