//! `importance`: a table for people, JSON for programs, also while the experiment runs.

use crate::support::{Lab, wait_for};
use serde_json::{Value, json};

fn spec(trials: u32, command: &str) -> Value {
    json!({
        "name": "lab",
        "space": {"x": {"uniform": [0, 1]}, "y": {"uniform": [0, 1]}},
        "objective": {"metric": "score", "goal": "maximize"},
        "metric": {"stdout": "score=([-+.0-9eE]+)"},
        "sampler": {"random": {"seed": 7}},
        "budget": {"trials": trials, "concurrency": 4},
        "run": {"local": {"command": command}},
    })
}

#[test]
fn the_parameter_that_matters_is_shown_first_with_a_bar() {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(&spec(30, "echo score=${x}"))]);
    let table = lab.expect(0, &["importance", "lab"]);
    let rows: Vec<&str> = table.out.lines().collect();
    assert!(
        rows[0].starts_with("lab (") && rows[0].ends_with("the best 10 % apart from all trials"),
        "{table}"
    );
    assert_eq!((rows[1], rows[2]), ("30 trials that ran to their end", ""));
    assert!(
        rows[3].starts_with("PARAMETER") && rows[4].starts_with('x') && rows[4].contains("####"),
        "{table}"
    );
    let told = lab.json(&["importance", "lab", "--method", "fanova"]);
    assert_eq!(
        (&told["method"], &told["trials"], &told["early_stopped"]),
        (&json!("fanova"), &json!(30), &json!(0))
    );
    assert_eq!(told["parameters"][0]["name"], "x");
    assert!(told["parameters"][0]["importance"].as_f64().unwrap() > 0.6, "{told}");
    assert_eq!(told["interactions"][0]["names"], json!(["x", "y"]));
    for how in [&["--space"][..], &["--top", "0.2", "--within", "0.5"], &["--method", "fanova"]] {
        let table = lab.expect(0, &[&["importance", "lab"], how].concat());
        assert!(table.out.lines().any(|line| line.starts_with('x')), "{table}");
    }
    for wrong in [&["--top", "2"][..], &["--space", "--within", "0.5"], &["--method", "fanova", "--space"]] {
        lab.expect(2, &[&["importance", "lab"], wrong].concat());
    }
}

#[test]
fn too_few_trials_are_named_with_what_to_do() {
    let lab = Lab::new();
    lab.expect(0, &["run", &lab.spec(&spec(3, "echo score=${x}"))]);
    let few = lab.expect(1, &["importance", "lab"]);
    assert!(
        few.err.contains("3 trials ran to their end; 10 are needed") && few.err.contains("retrial update"),
        "{few}"
    );
}

#[test]
fn it_works_while_another_process_runs_the_experiment() {
    let lab = Lab::new();
    let command = format!("if [ $RETRIAL_TRIAL -ge 12 ]; then {}; fi; echo score=${{x}}", wait_for("gate"));
    let run = lab.start(&["run", &lab.spec(&spec(14, &command))]);
    lab.until_trials("lab", "SUCCEEDED", 12);
    let told = lab.json(&["importance", "lab"]);
    assert_eq!((told["parameters"][0]["name"].as_str(), told["trials"].as_u64()), (Some("x"), Some(12)));
    lab.open_gate("gate");
    run.end();
}
