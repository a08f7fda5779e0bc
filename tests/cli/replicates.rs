//! Points that are tried several times, and expected good values, as people see them.

use crate::support::{Lab, experiment, with};
use serde_json::json;

#[test]
fn the_best_point_is_that_with_the_best_mean() {
    let lab = Lab::new();
    // Of the three trials of a point one is lucky and one is not.
    let noisy = "awk \"BEGIN {print \\\"value=\\\" ${x} + ${trial_id} % 3 - 1}\"";
    let changes = json!({
        "space": {"kind": null}, "sampler": "random", "seed": 3, "budget": {"concurrency": 2},
        "objective": {"metric": null, "goal": "minimize", "replicates": 3}, "prior": {"x": 0.25},
        "metric": {"stdout": "value=(-?[0-9.]+)", "final": "final"},
    });
    let spec = with(experiment(12, noisy), changes);
    let done = lab.expect(0, &["run", &lab.spec(&spec)]);
    assert!(done.out.contains("(mean of 3 trials, deviation 1)"), "{done}");
    let trials = lab.trials("lab");
    assert_eq!(trials[0]["params"]["x"], 0.25, "what is expected comes first");
    let best = lab.json(&["best", "lab"]);
    assert_eq!(best["replicates"]["trials"], 3, "{best}");
    let points: Vec<f64> = trials.iter().map(|trial| trial["params"]["x"].as_f64().unwrap()).collect();
    assert!(points.chunks(3).all(|point| point[0] == point[1] && point[1] == point[2]), "{points:?}");
    let least = points.iter().copied().fold(f64::INFINITY, f64::min);
    assert!((best["value"].as_f64().unwrap() - least).abs() < 1e-4, "{best} {points:?}");
    assert!(lab.expect(0, &["show", "lab"]).out.contains("(mean of 3 trials"));
    assert!(lab.expect(0, &["best", "lab"]).out.contains("(mean of 3 trials"));
    lab.expect(0, &["audit", "verify"]);
    lab.expect(0, &["audit", "resample", "lab"]);
}

#[test]
fn a_population_is_not_replicated() {
    let lab = Lab::new();
    let changes = json!({"objective": {"replicates": 2}, "sampler": "pbt"});
    let refused = lab.expect(2, &["run", &lab.spec(&with(experiment(4, "echo value=1"), changes))]);
    assert!(refused.err.contains("population based training"), "{refused}");
}

#[test]
fn where_values_vary_the_answer_is_what_a_model_expects_and_not_a_stroke_of_luck() {
    let lab = Lab::new();
    // A good region around 0.3, and one trial far off that is lucky.
    let command = "awk \"BEGIN {x=${x}; n=${trial_id}; l=(n==5)?0.7:0; \
                   print \\\"score=\\\" 1-4*(x-0.3)*(x-0.3)+0.25*sin(97*n)+l}\"";
    let spec = with(
        experiment(40, command),
        json!({"space": {"kind": null}, "objective": {"noisy": true}, "budget": {"concurrency": 1}}),
    );
    let result = lab.json(&["run", &lab.spec(&spec)]);
    let best = &result["best"];
    assert!((best["params"]["x"].as_f64().unwrap() - 0.3).abs() < 0.15, "{result}");
    let lucky = lab.trials("lab")[5]["value"].as_f64().unwrap();
    assert!(best["value"].as_f64().unwrap() < lucky && lucky > 1.2, "{result} {lucky}");
    assert!((best["expected"]["value"].as_f64().unwrap() - 1.0).abs() < 0.3, "{result}");
    let done = lab.expect(0, &["best", "lab"]);
    assert!(done.out.contains("a model of all trials expects") && done.out.contains("trial 5 had"), "{done}");
}
