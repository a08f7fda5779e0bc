//! JSON Schemas of what the native API takes and gives.

use super::act::MAX_BULK;
use super::ask::{MAX_COUNT, MAX_LEASE_SECONDS, MAX_REQUEST_CHARS};
use serde_json::{Value, json};

fn closed(properties: &Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn open(properties: &Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

pub(super) fn object() -> Value {
    json!({"type": "object"})
}

pub(super) fn experiments() -> Value {
    open(
        &json!({"experiments": {"type": "array", "items": object()}, "next": {"type": ["string", "null"]}}),
        &["experiments", "next"],
    )
}

pub(super) fn experiment() -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    let trouble = open(
        &json!({
            "backend": {"type": ["string", "null"], "description": "null if it is the search"},
            "work": {"enum": ["submit", "find", "poll", "read", "stop", "suggest"]},
            "what": text("the same in words"), "reason": text("why, as it was last said: to admins in full, to its creator what a service answered, to others nothing"),
            "since_ms": {"type": "integer"}, "tasks": {"type": "integer", "description": "how many of its tasks wait for it"},
        }),
        &["backend", "work", "what", "reason", "since_ms", "tasks"],
    );
    let troubles = json!({
        "type": "array", "items": trouble, "description": "what keeps it from going on now; absent with `at`",
    });
    open(&json!({"experiment": {"type": "string"}, "troubles": troubles}), &["experiment"])
}

fn spec() -> Value {
    json!({"type": ["object", "string"], "description": "as an object, or as the text of an experiment file in any of its forms"})
}

pub(super) fn creation() -> Value {
    let labels = json!({"type": "object", "additionalProperties": {"type": "string"}});
    closed(&json!({"spec": spec(), "labels": labels}), &["spec"])
}

pub(super) fn created() -> Value {
    open(&json!({"experiment": {"type": "string"}}), &["experiment"])
}

pub(super) fn update() -> Value {
    closed(&json!({"spec": spec()}), &["spec"])
}

pub(super) fn labels() -> Value {
    let about = "what is null is taken away; what is not named stays. `accessibility` is `PRIVATE` (seen by its creator and admins) or `PUBLIC`";
    let labels =
        json!({"type": "object", "additionalProperties": {"type": ["string", "null"]}, "description": about});
    closed(&json!({"labels": labels}), &[])
}

pub(super) fn naming() -> Value {
    closed(&json!({"name": {"type": ["string", "null"]}}), &[])
}

pub(super) fn clean() -> Value {
    let all = json!({"type": "boolean", "description": "also what belongs to the best trial"});
    let dry_run = json!({"type": "boolean", "description": "only tell the commands"});
    closed(&json!({"all": all, "dry_run": dry_run}), &[])
}

pub(super) fn cleaned() -> Value {
    let texts = json!({"type": "array", "items": {"type": "string"}});
    open(
        &json!({"ok": {"type": "boolean"}, "commands": texts, "failures": texts}),
        &["ok", "commands", "failures"],
    )
}

pub(super) fn point() -> Value {
    closed(&json!({"params": object()}), &["params"])
}

pub(super) fn standing() -> Value {
    open(
        &json!({"experiment": {"type": "string"}, "status": {"type": "string"}, "trials": object()}),
        &["experiment", "status", "trials"],
    )
}

pub(super) fn trials() -> Value {
    open(
        &json!({"trials": {"type": "array", "items": object()}, "next": {"type": ["integer", "null"]}}),
        &["trials", "next"],
    )
}

pub(super) fn numbers() -> Value {
    closed(
        &json!({"trials": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": u32::MAX}}}),
        &["trials"],
    )
}

pub(super) fn log() -> Value {
    open(
        &json!({
            "text": {"type": "string"}, "start": {"type": "integer", "description": "later than `from` where bytes are missing"},
            "next": {"type": "integer"}, "at_end": {"type": "boolean"},
        }),
        &["text", "start", "next", "at_end"],
    )
}

fn lease() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": MAX_LEASE_SECONDS, "description": "seconds; 60 if absent"})
}

fn attempt() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": u32::MAX, "description": "as it was given with the trial"})
}

pub(super) fn asking() -> Value {
    closed(
        &json!({
            "count": {"type": "integer", "minimum": 1, "maximum": MAX_COUNT},
            "worker": {"type": ["string", "null"], "maxLength": 128},
            "request_id": {"type": "string", "maxLength": MAX_REQUEST_CHARS, "description": "a repeated request is given the same trials"},
            "lease_seconds": lease(),
        }),
        &[],
    )
}

pub(super) fn given() -> Value {
    let trial = open(
        &json!({
            "trial": {"type": "integer"}, "params": object(), "attempt": {"type": "integer"}, "lease_until_ms": {"type": "integer"},
        }),
        &["trial", "params", "attempt", "lease_until_ms"],
    );
    open(&json!({"trials": {"type": "array", "items": trial}}), &["trials"])
}

pub(super) fn telling() -> Value {
    closed(
        &json!({
            "attempt": attempt(), "value": {"type": ["number", "null"]}, "failed": {"type": "boolean"},
            "values": {"type": ["object", "null"], "additionalProperties": {"type": "number"}},
        }),
        &["attempt"],
    )
}

pub(super) fn reporting() -> Value {
    closed(
        &json!({
            "attempt": attempt(), "step": {"type": "integer", "minimum": 0, "maximum": i64::MAX}, "value": {"type": ["number", "null"]},
            "values": {"type": ["object", "null"], "additionalProperties": {"type": "number"}},
        }),
        &["attempt", "step"],
    )
}

pub(super) fn decision() -> Value {
    let kept = "Whether the report was kept: a trial keeps 100,000 of them.";
    let decision = json!({"enum": ["continue", "stop"]});
    open(&json!({"decision": decision, "kept": {"type": "boolean", "description": kept}}), &["decision"])
}

pub(super) fn renewing() -> Value {
    closed(&json!({"attempt": attempt(), "lease_seconds": lease()}), &["attempt"])
}

pub(super) fn records() -> Value {
    open(
        &json!({
            "experiment": {"type": "string"}, "records": {"type": "array", "items": {"type": "string"}},
            "history": {
                "type": ["string", "null"],
                "description": "the history that the numbers of records belong to; another one has other numbers: begin anew",
            },
            "actors": {"type": "object", "additionalProperties": {"type": "string"}, "description": "what the actors of these records are called"},
            "next": {"type": "integer", "description": "the record up to which the history was looked at"},
            "more": {"type": "boolean"}, "head": {"type": "integer", "description": "the last record that there is"},
        }),
        &["experiment", "history", "records", "actors", "next", "more", "head"],
    )
}

pub(super) fn importance() -> Value {
    let parameter =
        open(&json!({"name": {"type": "string"}, "importance": {"type": "number"}}), &["name", "importance"]);
    let names = json!({"type": "array", "items": {"type": "string"}});
    let pair = open(&json!({"names": names, "importance": {"type": "number"}}), &["names", "importance"]);
    open(
        &json!({
            "experiment": {"type": "string"}, "method": {"type": "string"}, "trials": {"type": "integer"},
            "early_stopped": {"type": "integer"}, "parameters": {"type": "array", "items": parameter},
            "interactions": {"type": "array", "items": pair},
        }),
        &["experiment", "method", "trials", "early_stopped", "parameters", "interactions"],
    )
}

pub(super) fn resampled() -> Value {
    open(
        &json!({
            "ok": {"type": "boolean"}, "checked": {"type": "integer"}, "other_version": {"type": "integer"},
            "difference": {"type": ["string", "null"]},
        }),
        &["ok", "checked", "other_version", "difference"],
    )
}

pub(super) fn verified() -> Value {
    open(&json!({"ok": {"type": "boolean"}}), &["ok"])
}

pub(super) fn check() -> Value {
    let dry_run =
        json!({"type": "boolean", "description": "show the first trial's task as its backend would get it"});
    closed(&json!({"spec": spec(), "dry_run": dry_run}), &["spec"])
}

pub(super) fn checked() -> Value {
    open(
        &json!({"ok": {"const": true}, "name": {"type": "string"}, "spec": object(), "warnings": {"type": "array", "items": object()}}),
        &["ok", "name", "spec", "warnings"],
    )
}

pub(super) fn bulk() -> Value {
    closed(
        &json!({
            "do": {"enum": ["stop", "pause", "resume", "remove"]},
            "experiments": {"type": "array", "maxItems": MAX_BULK, "items": {"type": "string"}},
        }),
        &["do", "experiments"],
    )
}
