//! Population based training: trials that go on from the checkpoints of others.

use crate::support::{Lab, experiment, until, with};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Counts the intervals of a training in its checkpoint; `x` is what an interval adds.
const TRAIN: &str = "set -e; from=${RETRIAL_RESUME_FROM-}; n=0; s=0; \
    if [ -n \"$from\" ]; then n=$(cat \"$from/n\"); s=$(cat \"$from/s\"); fi; \
    n=$((n + 1)); s=$(awk \"BEGIN {print $s + ${x}}\"); \
    echo $n > \"$RETRIAL_CHECKPOINT_DIR/n\"; echo $s > \"$RETRIAL_CHECKPOINT_DIR/s\"; \
    echo n=$n >> \"$RETRIAL_CHECKPOINT_DIR/../said\"; echo score=$s";

fn population(trials: u32) -> Value {
    let sampler = json!({"pbt": {"population_size": 4, "fraction": 0.25}});
    with(experiment(trials, TRAIN), json!({"sampler": sampler, "space": {"kind": null}}))
}

/// The sum of `x` along the way by which a trial came about, and how many intervals that are.
fn trained(trials: &BTreeMap<u64, Value>, trial: u64) -> (f64, usize) {
    let known = &trials[&trial];
    let (sum, intervals) = match known["parent"].as_u64() {
        Some(parent) => trained(trials, parent),
        None => (0.0, 0),
    };
    (sum + known["params"]["x"].as_f64().unwrap(), intervals + 1)
}

fn check(lab: &Lab) {
    let trials = lab.trials("lab").into_iter().map(|trial| (trial["trial"].as_u64().unwrap(), trial));
    let trials: BTreeMap<u64, Value> = trials.collect();
    let mut longest = 0;
    for (number, trial) in &trials {
        let (sum, intervals) = trained(&trials, *number);
        let value = trial["value"].as_f64().unwrap();
        assert!((value - sum).abs() < 1e-3, "trial {number}: {value} and {sum}");
        longest = longest.max(intervals);
    }
    assert_eq!(longest, trials.len() / 4, "four members train side by side");
    let own = |trial: &Value| trials.get(&trial["parent"].as_u64()?).map(|parent| parent["params"].clone());
    let changed = trials.values().filter(|trial| own(trial).is_some_and(|params| params != trial["params"]));
    assert!(changed.count() >= 3, "the worst of each generation got other parameters");
    lab.expect(0, &["audit", "resample", "lab"]);
    lab.expect(0, &["audit", "verify"]);
}

#[test]
fn members_go_on_from_checkpoints_and_the_worst_from_those_of_the_best() {
    let lab = Lab::new();
    let result = lab.json(&["run", &lab.spec(&population(20))]);
    assert_eq!(result["trials"]["SUCCEEDED"], 20);
    check(&lab);
    let log = lab.expect(0, &["audit", "log", "lab"]);
    assert!(log.out.contains("on from trial"), "{log}");
}

#[test]
fn a_population_survives_the_death_of_its_controller() {
    let lab = Lab::new();
    let spec = lab.spec(&population(24));
    for wanted in [3, 9, 15] {
        let run = lab.start(&["run", &spec]);
        until("some trials", || {
            let done = lab.retrial(&["trials", "lab", "--json"]);
            let trials: Vec<Value> = serde_json::from_str(&done.out).ok()?;
            (trials.iter().filter(|trial| trial["status"] == "SUCCEEDED").count() >= wanted).then_some(())
        });
        run.kill();
    }
    let result = lab.json(&["run", &spec]);
    assert_eq!(result["trials"]["SUCCEEDED"], 24);
    check(&lab);
}

#[test]
fn a_population_is_not_judged_by_early_stopping() {
    let lab = Lab::new();
    let spec = with(population(4), json!({"early_stop": "median"}));
    let done = lab.expect(2, &["check", &lab.spec(&spec)]);
    assert!(done.err.contains("E0109") && done.err.contains("leave early_stop out"), "{done}");
}
