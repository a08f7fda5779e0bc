//! Results from elsewhere: a search that begins with what an earlier one has found.

use crate::support::{Lab, experiment, with};
use serde_json::json;

const SQUARE: &str = "awk \"BEGIN {print \\\"score=\\\" 1 - (${x} - 0.3) * (${x} - 0.3)}\"";

#[test]
fn a_search_begins_where_an_exported_one_has_ended() {
    let lab = Lab::new();
    let space = json!({"space": {"kind": null}, "metric": {"stdout": "score=([0-9.]+)"}});
    let earlier = with(experiment(30, SQUARE), space.clone());
    lab.expect(0, &["run", &lab.spec(&earlier)]);
    for file in ["earlier.csv", "earlier.json"] {
        lab.expect(0, &["export", "lab", "-o", lab.file(file).to_str().unwrap()]);
        let later = with(experiment(4, SQUARE), space.clone());
        let later = with(
            later,
            json!({"name": file, "known": file, "sampler": "auto", "budget": {"concurrency": 1}}),
        );
        let result = lab.json(&["run", &lab.spec(&later)]);
        let best = result["best"]["params"]["x"].as_f64().unwrap();
        assert!((best - 0.3).abs() < 0.02, "{file}: {result}");
        assert_eq!(result["trials"]["SUCCEEDED"], 4, "what is known counts as no trial");
        lab.expect(0, &["audit", "resample", file]);
        let known = lab.trials("lab").into_iter().map(|trial| trial["params"]["x"].clone());
        let known: Vec<_> = known.collect();
        assert!(lab.trials(file).iter().all(|trial| !known.contains(&trial["params"]["x"])));
    }
}

#[test]
fn what_is_wrong_with_known_results_is_said_with_its_place() {
    let lab = Lab::new();
    let spec = with(experiment(4, SQUARE), json!({"known": "gone.csv"}));
    let done = lab.expect(2, &["check", &lab.spec(&spec)]);
    assert!(done.err.contains("E0180") && done.err.contains("gone.csv") && done.err.contains('^'), "{done}");
    let known = json!([{"params": {"x": 0.5, "kind": "a"}, "value": 1}, {"params": {"x": 7, "kind": "a"}, "value": "x"}]);
    let done = lab.expect(2, &["check", &lab.spec(&with(spec.clone(), json!({"known": known})))]);
    assert!(done.err.contains("known[1].params.x") || done.err.contains("`x`"), "{done}");
    assert!(!done.err.contains("known[0]"), "{done}");
    lab.write("some.csv", "x,kind,score\n0.5,a,0.9\n0.6,c,0.8\n");
    let done = lab.expect(0, &["check", &lab.spec(&with(spec, json!({"known": "some.csv"})))]);
    assert!(done.err.contains("1 result of `some.csv` left out"), "{done}");
}

#[test]
fn known_results_cannot_change_in_an_experiment() {
    let lab = Lab::new();
    let spec =
        with(experiment(2, SQUARE), json!({"known": [{"params": {"x": 0.5, "kind": "a"}, "value": 1}]}));
    lab.expect(0, &["run", &lab.spec(&spec)]);
    let other = with(spec, json!({"known": [{"params": {"x": 0.5, "kind": "a"}, "value": 2}]}));
    let done = lab.expect(1, &["update", "lab", &lab.spec(&other)]);
    assert!(done.err.contains("known results cannot change"), "{done}");
}
