//! Where metrics come from, and how reports become a value.

use super::support::{Lab, experiment, until, wait_for, with};
use serde_json::{Value, json};

/// The trials of an experiment that ran to its end.
fn run(spec: &Value) -> Vec<Value> {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(spec)]);
    let trials = lab.trials("lab");
    lab.expect(0, &["audit", "verify"]);
    trials
}

fn values(trial: &Value) -> Vec<f64> {
    trial["reports"].as_array().unwrap().iter().filter_map(|report| report["value"].as_f64()).collect()
}

const CURVE: &str = "echo score=1; echo score=3; echo score=2";

#[test]
fn the_final_value_is_the_best_the_last_or_the_mean() {
    for (mode, goal, value) in [
        ("best", "maximize", 3.0),
        ("best", "minimize", 1.0),
        ("final", "maximize", 2.0),
        ("avg", "maximize", 2.0),
    ] {
        let spec =
            with(experiment(1, CURVE), json!({"metric": {"final": mode}, "objective": {"goal": goal}}));
        let trials = run(&spec);
        assert_eq!(trials[0]["value"], json!(value), "{mode} {goal}");
        assert_eq!(values(&trials[0]), [1.0, 3.0, 2.0]);
    }
}

#[test]
fn several_expressions_are_weighted() {
    let spec = with(
        experiment(1, "echo auc=0.5 loss=2; echo auc=0.75; echo loss=1"),
        json!({
            "objective": {"metric": null, "metrics": {"auc": 4, "loss": -1}},
            "metric": {"stdout": null},
        }),
    );
    let mut spec = spec;
    spec["metric"] = json!({"stdout": {"auc": "auc=([0-9.]+)", "loss": "loss=([0-9.]+)"}});
    let trials = run(&spec);
    assert_eq!(values(&trials[0]), [0.0, 2.0]);
    assert_eq!(trials[0]["value"], 2.0);
    assert_eq!(trials[0]["metrics"], json!({"auc": 0.75, "loss": 1.0}));
}

#[test]
fn one_task_or_file_of_several_is_read() {
    let mut spec = experiment(1, "");
    spec["run"]["local"] = json!({"tasks": ["echo score=1", "echo score=2"]});
    spec["metric"] = json!({"stdout": "score=([0-9]+)", "task": 1});
    assert_eq!(run(&spec)[0]["value"], 1.0);
    spec["metric"] = json!({"stdout": "score=([0-9]+)"});
    assert_eq!(run(&spec)[0]["value"], 2.0);
    spec["run"]["local"] = json!("echo score=7 > out-${trial_id}.log; echo score=8");
    spec["metric"] = json!({"stdout": "score=([0-9]+)", "file": "out-${trial_id}.log"});
    assert_eq!(run(&spec)[0]["value"], 7.0);
}

#[test]
fn a_json_file_is_read_at_the_end() {
    let mut spec =
        experiment(1, "mkdir r; echo '{\"eval\": {\"score\": 0.5}, \"other\": NaN}' > r/result.json");
    spec["metric"] = json!({"json": "r/result.json", "key": "eval.score"});
    assert_eq!(run(&spec)[0]["value"], 0.5);
}

#[test]
fn lines_of_the_report_file_are_read_beside_any_source() {
    let mut spec = experiment(
        1,
        "echo '{\"step\": 3, \"value\": 0.5}' >> $RETRIAL_REPORT; echo '{\"step\": 5, \"score\": 0.75}' >> $RETRIAL_REPORT; \
         echo nonsense >> $RETRIAL_REPORT; echo '{\"step\": 9, \"value\": 0.25, \"final\": true}' >> $RETRIAL_REPORT",
    );
    for metric in
        [json!("report"), json!({"json": "none.json", "key": "score"}), json!({"stdout": "score=([0-9.]+)"})]
    {
        spec["metric"] = metric.clone();
        let trials = run(&spec);
        assert_eq!(trials[0]["value"], 0.25, "{metric}: the final one counts");
        let steps: Vec<&Value> =
            trials[0]["reports"].as_array().unwrap().iter().map(|report| &report["step"]).collect();
        assert_eq!(steps, [&json!(3), &json!(5), &json!(9)], "{metric}");
    }
}

#[test]
fn a_run_that_takes_a_trial_over_records_each_report_of_every_source_once() {
    let lab = Lab::new();
    let report = |step: u32| format!("echo '{{\"step\": {step}, \"value\": 0.5}}' >> $RETRIAL_REPORT");
    // By turns on both sources, so that the order of arrival differs from the order in which they are read again.
    let command = format!(
        "{}; sleep 0.3; echo score=1; sleep 0.3; {}; sleep 0.3; echo score=2; {}; {}; {}; {}; echo score=3",
        report(101),
        report(102),
        wait_for("killed"),
        report(103),
        report(104),
        wait_for("gate"),
    );
    let file = lab.spec(&experiment(1, &command));
    let run = lab.start(&["run", &file]);
    let seen = |count: usize| {
        until(&format!("{count} reports"), || {
            let trials = lab.trials("lab");
            trials.first().filter(|trial| trial["reports"].as_array().unwrap().len() >= count).cloned()
        })
    };
    seen(4);
    run.kill();
    lab.open_gate("killed");
    let run = lab.start(&["run", &file]);
    seen(6);
    lab.open_gate("gate");
    assert_eq!(run.end().code, Some(0));
    let trial = seen(7);
    let mut all: Vec<String> = trial["reports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|report| format!("{} {}", report["step"], report["value"]))
        .collect();
    all.sort();
    assert_eq!(all, ["1 1.0", "101 0.5", "102 0.5", "103 0.5", "104 0.5", "2 2.0", "3 3.0"]);
    lab.expect(0, &["audit", "verify"]);
}

#[test]
fn a_report_that_is_no_number_is_kept_as_such() {
    let trials = run(&with(
        experiment(1, "echo score=nan; echo score=1"),
        json!({"metric": {"stdout": "score=(.+)"}}),
    ));
    assert_eq!(trials[0]["reports"][0]["value"], Value::Null);
    assert_eq!(trials[0]["value"], 1.0);
}

#[test]
fn event_files_are_read_as_they_grow() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("backends/tests/fixtures/summary");
    let known = std::fs::read_dir(&fixtures).unwrap().flatten();
    let file =
        known.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains("tfevents")).unwrap();
    let mut spec = experiment(1, &format!("mkdir -p logs; cp '{}' logs/", file.display()));
    spec["objective"] = json!({"metric": "score", "goal": "maximize"});
    spec["metric"] = json!({"summary": "logs", "key": "val/accuracy"});
    let trials = run(&spec);
    assert!(!values(&trials[0]).is_empty(), "{}", trials[0]);
}

#[test]
fn a_report_is_seen_by_other_processes_while_the_trial_runs() {
    let lab = Lab::new();
    let command = format!("echo score=0.5; {}; echo score=0.75", wait_for("gate"));
    let run = lab.start(&["run", &lab.spec(&experiment(1, &command))]);
    let trial = until("the first report", || {
        let trials = lab.trials("lab");
        trials.first().filter(|trial| !values(trial).is_empty()).cloned()
    });
    assert_eq!((&trial["status"], values(&trial)), (&json!("RUNNING"), vec![0.5]));
    assert_eq!(trial["attempts"][0]["outcome"], Value::Null);
    lab.open_gate("gate");
    assert_eq!(run.end().code, Some(0));
}

#[test]
fn a_hopeless_trial_is_stopped_early_and_keeps_what_it_reached() {
    let lab = Lab::new();
    let command =
        format!("echo score=1; if [ $RETRIAL_TRIAL = 1 ]; then echo score=-5; {}; fi", wait_for("never"));
    let spec = with(
        experiment(3, &command),
        json!({"early_stop": {"threshold": {"lower": 0}}, "budget": {"grace": 1}}),
    );
    let result = lab.json(&["run", &lab.spec(&spec)]);
    assert_eq!(result["trials"], json!({"SUCCEEDED": 2, "EARLY_STOPPED": 1}));
    let trial = &lab.trials("lab")[1];
    assert!(trial["reason"].as_str().unwrap().contains("threshold"), "{trial}");
    assert_eq!(trial["value"], 1.0);
    lab.until_quiet();
    lab.expect(0, &["audit", "resample", "lab"]);
}
