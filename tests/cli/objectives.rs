//! Several objectives, constraints on outcomes and costs, as people see them.

use crate::support::{Lab, experiment, with};
use serde_json::{Value, json};

/// Prints an accuracy that rises with x, and a latency that rises too.
const TRADE: &str =
    "awk \"BEGIN {print \\\"accuracy=\\\" ${x}; print \\\"latency=\\\" 10 + 40 * ${x} * ${x}}\"";
const PATTERNS: &str = "accuracy=([0-9.]+)";

fn trade(trials: u32, objective: &Value) -> Value {
    let stdout = json!({"accuracy": PATTERNS, "latency": "latency=([0-9.]+)"});
    let changes = json!({
        "space": {"kind": null}, "objective": objective, "metric": {"stdout": stdout, "final": "final"},
        "sampler": "random", "seed": 3,
    });
    with(experiment(trials, TRADE), changes)
}

#[test]
fn several_objectives_end_with_a_front() {
    let lab = Lab::new();
    let goals =
        json!({"metric": null, "goal": null, "goals": {"accuracy": "maximize", "latency": "minimize"}});
    let spec = trade(8, &goals);
    let done = lab.expect(0, &["run", &lab.spec(&spec)]);
    assert!(done.out.contains("front: 8 trials that no other one dominates"), "{done}");
    let result = lab.json(&["run", &lab.spec(&spec)]);
    assert_eq!(result["best"], Value::Null);
    let front = result["front"].as_array().unwrap();
    assert_eq!(front.len(), 8, "more of the one is less of the other: {result}");
    let metrics = &front[0]["metrics"];
    let (accuracy, latency) = (metrics["accuracy"].as_f64().unwrap(), metrics["latency"].as_f64().unwrap());
    assert!((10.0 + 40.0 * accuracy * accuracy - latency).abs() < 0.01, "{metrics}");
    assert_eq!(lab.json(&["best", "lab"])["front"], result["front"]);
    let trials = lab.trials("lab");
    assert!(trials.iter().all(|trial| trial["front"] == true && trial["value"].is_null()), "{trials:?}");
    let table = lab.expect(0, &["trials", "lab"]).out;
    assert!(
        table.contains("ACCURACY") && table.contains("LATENCY") && table.contains("SUCCEEDED *"),
        "{table}"
    );
    assert!(lab.expect(0, &["ls"]).out.contains("front of 8"));
    let shown = lab.expect(0, &["show", "lab"]).out;
    assert!(shown.contains("maximize accuracy, minimize latency") && shown.contains("latency="), "{shown}");
    lab.expect(0, &["audit", "verify"]);
    lab.expect(0, &["audit", "resample", "lab"]);
    lab.expect(0, &["export", "lab", "-o", lab.file("out.csv").to_str().unwrap()]);
    let csv = lab.text("out.csv");
    assert!(csv.starts_with("trial,status,value,metric.accuracy,metric.latency,"), "{csv}");
}

#[test]
fn what_breaks_a_constraint_is_not_the_best() {
    let lab = Lab::new();
    let objective = json!({"metric": "accuracy", "goal": "maximize", "constraints": ["latency <= 20"]});
    let result = lab.json(&["run", &lab.spec(&trade(12, &objective))]);
    let metrics = &result["best"]["metrics"];
    assert!(metrics["latency"].as_f64().unwrap() <= 20.0, "{result}");
    let trials = lab.trials("lab");
    let broken: Vec<&Value> = trials.iter().filter(|trial| trial["feasible"] == false).collect();
    let best = result["best"]["value"].as_f64().unwrap();
    assert!(broken.iter().any(|trial| trial["value"].as_f64().unwrap() > best), "{trials:?}");
    let table = lab.expect(0, &["trials", "lab"]).out;
    assert!(table.contains("> 20)"), "{table}");
    let objective = json!({"metric": "accuracy", "goal": "maximize", "constraints": ["latency <= 5"]});
    let spec = with(trade(3, &objective), json!({"name": "hopeless"}));
    let done = lab.expect(3, &["run", &lab.spec(&spec)]);
    assert!(
        done.out.contains("no successful trial keeps every constraint") && done.out.contains("> 5"),
        "{done}"
    );
    assert!(done.out.contains("FINISHED"), "{done}");
}

#[test]
fn a_cost_ends_the_experiment_when_it_is_spent() {
    let lab = Lab::new();
    let objective = json!({"metric": "accuracy", "goal": "maximize", "cost": "latency"});
    let spec = with(trade(50, &objective), json!({"budget": {"trials": 50, "cost": 100, "concurrency": 1}}));
    let result = lab.json(&["run", &lab.spec(&spec)]);
    let spent = result["spent"].as_f64().unwrap();
    assert!((100.0..150.0).contains(&spent), "{result}");
    assert_eq!(result["status"], "FINISHED");
    let shown = lab.expect(0, &["show", "lab"]).out;
    assert!(
        shown.contains("its trials have cost what the budget allows") && shown.contains("of 100 latency"),
        "{shown}"
    );
}

#[test]
fn a_sampler_for_one_objective_is_refused() {
    let lab = Lab::new();
    let goals =
        json!({"metric": null, "goal": null, "goals": {"accuracy": "maximize", "latency": "minimize"}});
    let spec = with(trade(8, &goals), json!({"sampler": "anneal"}));
    let done = lab.expect(2, &["check", &lab.spec(&spec)]);
    assert!(done.err.contains("E0109") && done.err.contains("several"), "{done}");
}

#[test]
fn the_only_metric_may_be_bounded_and_paid() {
    let lab = Lab::new();
    let objective =
        json!({"metric": "score", "goal": "maximize", "constraints": ["score <= 0.7"], "cost": "score"});
    let command = "awk \"BEGIN {print \\\"score=\\\" 0.4 + 0.2 * (${trial_id} % 3)}\"";
    let changes = json!({"objective": objective, "budget": {"trials": 20, "cost": 3, "concurrency": 1}});
    let result = lab.json(&["run", &lab.spec(&with(experiment(20, command), changes))]);
    assert_eq!(result["best"]["value"], 0.6, "{result}");
    assert!((3.0..3.9).contains(&result["spent"].as_f64().unwrap()), "{result}");
}

#[test]
fn what_breaks_a_constraint_sets_no_standard_for_early_stopping() {
    let lab = Lab::new();
    let command = "for step in 1 2 3 4; do if [ ${trial_id} -lt 4 ]; then v='\"acc\":10,\"lat\":9'; \
                   else v='\"acc\":1,\"lat\":1'; fi; \
                   echo '{\"step\":'$step',\"metrics\":{'$v'}}' >> \"$RETRIAL_REPORT\"; sleep 0.05; done";
    let objective = json!({"metric": "acc", "goal": "maximize", "constraints": ["lat <= 2"]});
    for rule in [json!({"median": {"start_step": 2}}), json!({"asha": {"min_resource": 1}})] {
        let name = rule.as_object().unwrap().keys().next().unwrap().clone();
        let changes = json!({
            "name": name, "objective": objective, "metric": null, "early_stop": rule,
            "budget": {"concurrency": 1},
        });
        let result = lab.json(&["run", &lab.spec(&with(experiment(8, command), changes))]);
        assert_eq!(result["best"]["value"], 1.0, "{name}: {result}");
    }
}

#[test]
fn what_running_trials_have_cost_counts() {
    let lab = Lab::new();
    let command =
        "echo '{\"step\":1,\"metrics\":{\"score\":1,\"gpu\":1000}}' >> \"$RETRIAL_REPORT\"; sleep 60";
    let objective = json!({"metric": "score", "goal": "maximize", "cost": "gpu"});
    let changes = json!({
        "objective": objective, "metric": null,
        "budget": {"trials": 4, "cost": 50, "concurrency": 1, "grace": "1s"},
    });
    let done = lab.expect(3, &["run", &lab.spec(&with(experiment(4, command), changes))]);
    assert!(done.out.contains("its trials have cost what the budget allows"), "{done}");
    assert_eq!(lab.json(&["show", "lab"])["spent"], 1000.0);
}

#[test]
fn a_trial_without_one_of_several_metrics_says_so() {
    let lab = Lab::new();
    let goals =
        json!({"metric": null, "goal": null, "goals": {"accuracy": "maximize", "latency": "minimize"}});
    let spec = with(
        trade(2, &goals),
        json!({"run": {"local": {"command": "echo accuracy=0.5"}}, "first_failures": 0}),
    );
    lab.expect(3, &["run", &lab.spec(&spec)]);
    let reason = lab.trials("lab")[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("no report with every metric, which are accuracy, latency"), "{reason}");
}
