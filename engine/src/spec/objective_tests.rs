//! Several objectives, constraints on outcomes and costs, as they are written.

use super::{FinalMode, OutcomeConstraint, Spec, codes};
use crate::value::Goal;
use serde_json::{Value as Json, json};

fn document(changes: &Json) -> Json {
    let mut document =
        json!({"space": {"x": {"uniform": [0, 1]}}, "objective": "max", "budget": {"trials": 9}});
    for (key, value) in changes.as_object().unwrap() {
        document[key] = value.clone();
    }
    document
}

fn parsed(changes: &Json) -> Spec {
    let (spec, warnings) = Spec::parse(&document(changes), "").unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(warnings, vec![]);
    let again = Spec::parse(&spec.canonical(), "").unwrap().0;
    assert_eq!(again, spec, "{}", spec.canonical());
    spec
}

fn names(spec: &Spec) -> Vec<(&str, f64)> {
    spec.objective.metrics.iter().map(|metric| (metric.name.as_str(), metric.weight)).collect()
}

#[test]
fn objectives_are_a_map_or_a_list() {
    for form in [
        json!({"goals": {"accuracy": "maximize", "latency": "min"}}),
        json!({"goals": [{"metric": "accuracy", "goal": "max"}, {"metric": "latency", "goal": "min"}]}),
        json!([{"metric": "accuracy", "goal": "max"}, {"metric": "latency", "goal": "min"}]),
    ] {
        let spec = parsed(&json!({"objective": form}));
        assert_eq!(spec.objective.outcomes.goals, [Goal::Maximize, Goal::Minimize]);
        assert_eq!(names(&spec), [("accuracy", 1.0), ("latency", 0.0)]);
        assert_eq!((spec.objective.goal, spec.metric.final_mode), (Goal::Maximize, FinalMode::Final));
    }
    let one = parsed(&json!({"objective": {"goals": {"loss": "min"}, "noisy": true}}));
    assert!(!one.objective.outcomes.is_multi() && one.objective.noisy, "one goal is a plain objective");
    assert_eq!((names(&one), one.objective.goal), (vec![("loss", 1.0)], Goal::Minimize));
}

#[test]
fn metrics_that_are_only_bounded_or_paid_come_after_the_objective() {
    let constraints = json!(["latency <= 20", "memory>=-1.5e3", "accuracy >= 0.5"]);
    let spec = parsed(&json!({"objective": {
        "metric": "accuracy", "goal": "max", "constraints": constraints, "cost": "hours",
    }}));
    let expected = [("accuracy", 1.0), ("latency", 0.0), ("memory", 0.0), ("hours", 0.0)];
    assert_eq!(names(&spec), expected);
    let at = |metric, bound, at_most| OutcomeConstraint { metric, bound, at_most };
    let expected = [at(1, 20.0, true), at(2, -1500.0, false), at(0, 0.5, false)];
    assert_eq!(spec.objective.outcomes.constraints, expected);
    assert_eq!(spec.objective.outcomes.cost, Some(3));
    let one = parsed(&json!({"objective": {"goal": "min", "constraints": "memory <= 8"}}));
    assert_eq!(names(&one), [("value", 1.0), ("memory", 0.0)]);
    let pattern = json!({"stdout": {"accuracy": "acc=(.*)", "latency": "ms=(.*)"}});
    let read = parsed(&json!({
        "objective": {"metric": "accuracy", "goal": "max", "constraints": ["latency <= 20"]}, "metric": pattern,
    }));
    assert_eq!(names(&read), [("accuracy", 1.0), ("latency", 0.0)]);
}

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    let several = json!({"goals": {"a": "max", "b": "min"}});
    let constrained = json!({"metric": "a", "goal": "max", "constraints": ["b <= 1"]});
    let known = json!([{"params": {"x": 0.5}, "value": 1}]);
    let many: serde_json::Map<String, Json> = (0..9).map(|n| (format!("m{n}"), json!("max"))).collect();
    for (changes, code, path) in [
        (json!({"objective": [{"goal": "max"}]}), codes::MISSING_KEY, "objective[0]"),
        (json!({"objective": []}), codes::EMPTY, "objective"),
        (json!({"objective": {"goals": {"a": "up"}}}), codes::UNKNOWN_WORD, "objective.goals.a"),
        (json!({"objective": {"goals": many}}), codes::TOO_MANY, "objective.goals"),
        (json!({"objective": {"goals": {"a": "max"}, "goal": "max"}}), codes::CONFLICT, "objective.goal"),
        (
            json!({"objective": [{"metric": "a", "goal": "max"}, {"metric": "a", "goal": "min"}]}),
            codes::CONFLICT,
            "objective[1]",
        ),
        (
            json!({"objective": {"goal": "max", "constraints": ["a < 3"]}}),
            codes::OUTCOME_CONSTRAINT,
            "objective.constraints[0]",
        ),
        (
            json!({"objective": {"goal": "max", "constraints": "3 >= a"}}),
            codes::OUTCOME_CONSTRAINT,
            "objective.constraints",
        ),
        (
            json!({"objective": {"goal": "max", "constraints": ["1 <= a <= 3"]}}),
            codes::OUTCOME_CONSTRAINT,
            "objective.constraints[0]",
        ),
        (
            json!({"objective": {"goal": "max", "constraints": ["a <= 1", "a >= 2"]}}),
            codes::CONFLICT,
            "objective.constraints[1]",
        ),
        (
            json!({"objective": {"goal": "max", "constraints": ["<= 3"]}}),
            codes::OUTCOME_CONSTRAINT,
            "objective.constraints[0]",
        ),
        (
            json!({"objective": several, "budget": {"trials": 9, "target": 1}}),
            codes::CONFLICT,
            "budget.target",
        ),
        (json!({"objective": several, "budget": {"trials": 9, "gain": 1}}), codes::CONFLICT, "budget.gain"),
        (json!({"objective": several, "early_stop": "median"}), codes::CONFLICT, "early_stop"),
        (json!({"objective": several, "metric": {"final": "best"}}), codes::CONFLICT, "metric.final"),
        (json!({"objective": several, "known": known}), codes::CONFLICT, "known"),
        (json!({"objective": constrained, "known": known}), codes::CONFLICT, "known"),
        (json!({"budget": {"trials": 9, "cost": 5}}), codes::CONFLICT, "budget.cost"),
        (json!({"budget": {"trials": 9, "gain": -1}}), codes::OUT_OF_BOUNDS, "budget.gain"),
    ] {
        let errors = Spec::parse(&document(&changes), "").expect_err("a mistake");
        let found: Vec<_> = errors.iter().map(|error| (error.code, error.path.as_str())).collect();
        assert_eq!(found, [(code, path)], "{changes}: {errors:?}");
        let helped =
            |error: &crate::error::SpecError| error.code == codes::UNKNOWN_WORD || !error.cure.is_empty();
        assert!(errors.iter().all(helped), "{errors:?}");
    }
}

#[test]
fn replicates_make_an_objective_noisy() {
    let spec = parsed(&json!({"objective": {"goal": "max", "replicates": 3}}));
    assert_eq!((spec.objective.replicates, spec.objective.noisy), (3, true));
    let spec = parsed(&json!({"objective": {"goal": "max", "noisy": false, "replicates": 1}}));
    assert_eq!((spec.objective.replicates, spec.objective.noisy), (1, false));
    let found = |changes: Json| -> Vec<(u16, String)> {
        let errors = Spec::parse(&document(&changes), "").unwrap_err();
        errors.into_iter().map(|error| (error.code.0, error.path)).collect()
    };
    let at = |code: crate::error::Code, path: &str| vec![(code.0, path.to_owned())];
    let place = "objective.replicates";
    for (objective, expected) in [
        (json!({"goal": "max", "noisy": false, "replicates": 2}), at(codes::CONFLICT, place)),
        (json!({"goal": "max", "replicates": 0}), at(codes::OUT_OF_BOUNDS, place)),
        (json!({"goals": {"a": "max", "b": "min"}, "replicates": 2}), at(codes::NOT_SUPPORTED, place)),
        (json!({"goal": "max", "replicates": 10}), at(codes::OUT_OF_BOUNDS, "budget.trials")),
    ] {
        assert_eq!(found(json!({"objective": objective})), expected, "{objective}");
    }
}
