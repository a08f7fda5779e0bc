//! The published schema names the keys and the bounds that the reader knows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use engine::limits;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

fn schema() -> Json {
    serde_json::from_str(include_str!("../../schemas/experiment.schema.json")).unwrap()
}

fn names(value: Option<&Json>) -> BTreeSet<String> {
    value.and_then(Json::as_object).unwrap().keys().cloned().collect()
}

/// The keys that the reader lists where it finds one that it does not know.
fn known_keys(document: &str, path: &str) -> BTreeSet<String> {
    let loaded = read_text("x.json", document, "").unwrap();
    let error = loaded.errors(loaded.spec().unwrap_err());
    let finding = error.0.iter().find(|finding| finding.path == path).unwrap();
    let list = finding.help.strip_prefix("the keys are ").unwrap();
    list.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_schema_has_the_keys_of_the_reader() {
    let schema = schema();
    for (pointer, document, path) in [
        ("/properties", json!({"zzzzzzzz": 1}), "zzzzzzzz"),
        (
            "/properties/objective/anyOf/1/properties",
            json!({"objective": {"zzzzzzzz": 1}}),
            "objective.zzzzzzzz",
        ),
        ("/properties/metric/anyOf/1/properties", json!({"metric": {"zzzzzzzz": 1}}), "metric.zzzzzzzz"),
        ("/properties/budget/properties", json!({"budget": {"zzzzzzzz": 1}}), "budget.zzzzzzzz"),
        ("/properties/retry/properties", json!({"retry": {"zzzzzzzz": 1}}), "retry.zzzzzzzz"),
        (
            "/properties/schedule/properties",
            json!({"schedule": {"from": "1:00", "to": "2:00", "zzzzzzzz": 1}}),
            "schedule.zzzzzzzz",
        ),
        ("/$defs/notify/properties", json!({"notify": {"zzzzzzzz": 1}}), "notify.zzzzzzzz"),
        (
            "/$defs/notify/properties/webhook/anyOf/1/properties",
            json!({"notify": {"webhook": {"zzzzzzzz": 1}}}),
            "notify.webhook.zzzzzzzz",
        ),
        (
            "/$defs/notify/properties/dingtalk/anyOf/1/properties",
            json!({"notify": {"dingtalk": {"zzzzzzzz": 1}}}),
            "notify.dingtalk.zzzzzzzz",
        ),
    ] {
        let known = known_keys(&document.to_string(), path);
        assert_eq!(names(schema.pointer(pointer)), known, "{pointer}");
    }
}

#[test]
fn the_schema_has_the_bounds_of_the_reader() {
    let schema = schema();
    for (pointer, bound) in [
        ("/properties/name/maxLength", limits::MAX_NAME_CHARS as u64),
        ("/properties/budget/properties/trials/maximum", limits::MAX_TRIALS.into()),
        ("/properties/budget/properties/concurrency/maximum", limits::MAX_CONCURRENCY.into()),
        ("/properties/retry/properties/attempts/maximum", limits::MAX_ATTEMPTS.into()),
        ("/properties/objective/anyOf/1/properties/metrics/maxProperties", limits::MAX_METRICS as u64),
        ("/$defs/goals/maxItems", limits::MAX_OBJECTIVES as u64),
        ("/properties/objective/anyOf/1/properties/replicates/maximum", limits::MAX_REPLICATES.into()),
        ("/properties/priority/maximum", limits::MAX_PRIORITY.into()),
        ("/properties/known/anyOf/1/maxItems", limits::MAX_KNOWN as u64),
        ("/properties/constraints/anyOf/1/maxItems", limits::MAX_CONSTRAINTS as u64),
        ("/properties/notify/anyOf/1/maxItems", limits::MAX_NOTIFY as u64),
        ("/$defs/called/anyOf/1/maxItems", limits::MAX_AT as u64),
        ("/$defs/tasks/maxItems", limits::MAX_TASKS as u64),
        ("/$defs/domain/anyOf/0/maxItems", limits::MAX_OPTIONS as u64),
    ] {
        assert_eq!(schema.pointer(pointer).and_then(Json::as_u64), Some(bound), "{pointer}");
    }
}

#[test]
fn the_schema_has_the_backends_of_the_reader() {
    let schema = schema();
    let mut run = names(schema.pointer("/properties/run/properties"));
    run.remove("model_path");
    for backend in run {
        let document = json!({"objective": "max", "space": {"x": [1]}, "run": {backend.clone(): "train"}});
        let loaded = read_text("x.json", &document.to_string(), "").unwrap();
        assert!(loaded.spec().is_ok(), "{backend}");
    }
}
