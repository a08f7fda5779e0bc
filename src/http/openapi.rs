//! The OpenAPI 3.1 document, made from the tables of operations. It is checked in as `schemas/openapi.json`.

use super::native::PATTERN;
use super::operation::{Dialect, Kind, Operation, Param};
use super::server::operations;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// Statuses with which every operation may be refused.
const USUAL: &[u16] = &[400, 403, 408, 413, 429, 503];

/// The document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations().filter(|operation| operation.dialect == Dialect::Native) {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(operation.method.as_str().to_owned(), described(operation));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Retrial",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Hyperparameter tuning that never loses a trial. Errors are problem details (RFC 9457).",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Problem": problem()},
        },
    })
}

fn problem() -> Value {
    let text = json!({"type": ["string", "null"]});
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"},
            "code": text, "help": text, "errors": {"type": "array", "items": {"type": "object"}},
        },
    })
}

fn described(operation: &Operation) -> Value {
    let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}}))
        .collect();
    parameters.extend(operation.query.iter().map(parameter));
    let mut responses: Map<String, Value> = Map::new();
    let (status, schema) = operation.answers;
    let good = |schema: Option<fn() -> Value>| {
        let body = schema
            .map_or_else(|| json!({"schema": {"type": "string"}}), |schema| json!({"schema": schema()}));
        let mut content = Map::from_iter([(operation.media.to_owned(), body)]);
        if let Some(schema) = operation.or_json {
            content.insert("application/json".to_owned(), json!({"schema": schema()}));
        }
        json!({"description": "Done", "content": content})
    };
    responses.insert(status.to_string(), good(schema));
    let signed = operation.needs.map(|_| 401);
    for refusal in USUAL.iter().chain(&signed).chain(operation.refusals) {
        let title = StatusCode::from_u16(*refusal)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Refused");
        let told = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
        let answer =
            if *refusal < 300 { good(schema) } else { json!({"description": title, "content": told}) };
        responses.insert(refusal.to_string(), answer);
    }
    let mut described = json!({
        "operationId": operation.name, "summary": operation.about, "parameters": parameters, "responses": responses,
    });
    if let Some(object) = described.as_object_mut() {
        if let Some(schema) = operation.body {
            let schema = schema();
            let required = schema["required"].as_array().is_some_and(|keys| !keys.is_empty());
            let content = json!({"application/json": {"schema": schema}});
            object.insert("requestBody".to_owned(), json!({"required": required, "content": content}));
        }
        if operation.needs.is_some() {
            object.insert("security".to_owned(), json!([{"token": []}, {}]));
        }
    }
    described
}

fn parameter(param: &Param) -> Value {
    let schema = match param.kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Whole(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::Place => json!({"type": "string", "pattern": PATTERN}),
        Kind::Share => json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
        Kind::Word(words) => json!({"enum": words}),
    };
    json!({"name": param.name, "in": "query", "required": false, "description": param.about, "schema": schema})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_that_is_checked_in_is_that_of_the_tables() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/openapi.json");
        let text = format!("{:#}\n", document());
        if std::env::var_os("RETRIAL_BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(known == text, "schemas/openapi.json is not up to date: run this test with RETRIAL_BLESS=1");
    }

    #[test]
    fn every_operation_has_its_own_name_and_place() {
        let mut names = std::collections::BTreeSet::new();
        for operation in operations() {
            // Those of PAI may be had at a second place.
            let own = operation.dialect == Dialect::Pai || names.insert(operation.name.to_owned());
            assert!(
                own && names.insert(format!("{:?} {}", operation.method, operation.path)),
                "{}",
                operation.name
            );
            let reads = operation.method == super::super::operation::Verb::Get;
            assert!(
                reads || operation.needs.is_some(),
                "{} changes something, and everybody may",
                operation.name
            );
        }
    }
}
