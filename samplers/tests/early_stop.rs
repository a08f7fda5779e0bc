//! Early stopping rules from the outside: what their arguments may be, and what successive halving saves.

use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::early_stop::{EarlyStop, Verdict};
use engine::ports::sampler::{Problem, TrialResult};
use engine::space::SearchSpace;
use engine::value::Goal;
use retrial_samplers::{codes, early_stop, sampler};
use serde_json::{Value, json};
use std::sync::Arc;

fn mistakes(name: &str, arguments: &Value) -> Vec<SpecError> {
    early_stop(name, arguments, Goal::Maximize, "early_stop").err().unwrap_or_default()
}

fn rule(name: &str, arguments: &Value, goal: Goal) -> Box<dyn EarlyStop> {
    match early_stop(name, arguments, goal, "early_stop") {
        Ok(rule) => rule,
        Err(errors) => unreachable!("{errors:?}"),
    }
}

#[test]
fn what_cannot_work_is_refused_with_its_place() {
    for (name, arguments, code, place) in [
        ("hyperband", json!({}), codes::MISSING_ARGUMENT, "early_stop.max_resource"),
        ("hyperband", json!({"R": "many"}), codes::WRONG_TYPE, "early_stop.R"),
        ("hyperband", json!({"R": 9, "exec_mode": "serial"}), codes::CONTRADICTION, "early_stop.exec_mode"),
        ("hyperband", json!({"R": 9, "min_resource": 9}), codes::CONTRADICTION, "early_stop.max_resource"),
        ("asha", json!({"r": 4, "R": 4}), codes::CONTRADICTION, "early_stop.max_resource"),
        ("pasha", json!({"r": 9, "R": 9}), codes::CONTRADICTION, "early_stop.max_resource"),
        ("asha", json!({"R": 9, "s": 2}), codes::CONTRADICTION, "early_stop.max_resource"),
        ("asha", json!({"eta": 1}), codes::OUT_OF_RANGE, "early_stop.eta"),
        ("asha", json!({"eta": 3, "reduction_factor": 3}), codes::GIVEN_TWICE, "early_stop.eta"),
        (
            "successive_halving",
            json!({"bootstrap_count": 1}),
            codes::UNKNOWN_ARGUMENT,
            "early_stop.bootstrap_count",
        ),
        ("percentile", json!({"percentile": 101}), codes::OUT_OF_RANGE, "early_stop.percentile"),
        ("curve_fitting", json!({}), codes::MISSING_ARGUMENT, "early_stop.epoch_num"),
        ("curve_fitting", json!({"epoch_num": true}), codes::WRONG_TYPE, "early_stop.epoch_num"),
        ("wilcoxon", json!({"p_threshold": 2}), codes::OUT_OF_RANGE, "early_stop.p_threshold"),
        ("asha", json!({"optimize_mode": "minimize"}), codes::CONTRADICTION, "early_stop.optimize_mode"),
    ] {
        let found = mistakes(name, &arguments);
        let told: Vec<_> = found.iter().map(|error| (error.code, error.path.as_str())).collect();
        assert_eq!(told, [(code, place)], "{name} {arguments}: {found:?}");
        assert!(found.iter().all(|error| !error.cure.is_empty()), "{found:?}");
    }
}

#[test]
fn a_rule_that_is_named_as_a_sampler_is_told_where_it_belongs() {
    let problem = Problem {
        seed: 1,
        ..Problem::new(
            Arc::new(SearchSpace::parse(&json!({"x": {"uniform": [0, 1]}}), None, "").unwrap()),
            Goal::Maximize,
        )
    };
    for (name, sampler_name, rule_name) in [
        ("BOHB", "sampler: tpe", "hyperband"),
        ("Hyperband", "sampler: random", "hyperband"),
        ("asha", "sampler: random", "asha"),
    ] {
        let errors = sampler(name, &json!({"R": 60, "eta": 3}), &problem, "sampler").err().unwrap();
        assert_eq!(errors.len(), 1);
        assert_eq!((errors[0].code, errors[0].path.as_str()), (codes::UNKNOWN_SAMPLER, "sampler"));
        let cure = &errors[0].cure;
        assert!(
            cure.contains(sampler_name) && cure.contains(&format!("early_stop: {{{rule_name}:")),
            "{cure}"
        );
    }
}

/// Trials that approach their level from below, some faster than others. The level and the speed of a trial follow from its number.
fn curve(trial: u32, step: u64) -> f64 {
    let level = f64::from(trial * 37 % 101) / 101.0;
    let speed = 1.0 + f64::from(trial * 53 % 7);
    level * (1.0 - libm::exp(-(step as f64) * speed / 20.0))
}

/// Runs 200 trials of 81 steps one after the other: steps spent, and the best level among those that ran to their end.
fn spent(rule: &mut dyn EarlyStop) -> (u64, f64) {
    let (mut steps, mut best) = (0, 0.0f64);
    for trial in 0..200 {
        let mut stopped = false;
        for step in 1..=81 {
            steps += 1;
            rule.reported(TrialId(trial), step, curve(trial, step));
            if matches!(rule.judge(TrialId(trial)), Verdict::Stop { .. }) {
                stopped = true;
                break;
            }
        }
        let value = curve(trial, 81);
        best = if stopped { best } else { best.max(value) };
        let result = if stopped { TrialResult::Stopped(Some(value)) } else { TrialResult::Value(value) };
        rule.ended(TrialId(trial), result);
    }
    (steps, best)
}

#[test]
fn successive_halving_finds_nearly_the_best_at_a_fraction_of_the_cost() {
    let all = 200 * 81;
    for (name, arguments, share) in [
        ("asha", json!({"R": 81}), 0.12),
        ("successive_halving", json!({"R": 81}), 0.10),
        ("pasha", json!({"R": 81}), 0.10),
        ("hyperband", json!({"R": 81}), 0.25),
        ("median", json!({"start_step": 3}), 0.30),
        ("percentile", json!({}), 0.20),
        ("curve_fitting", json!({"epoch_num": 81}), 0.35),
    ] {
        let (steps, best) = spent(rule(name, &arguments, Goal::Maximize).as_mut());
        assert!((steps as f64) < share * f64::from(all), "{name}: {steps} of {all}");
        assert!(best > 0.93, "{name}: {best}");
    }
}
