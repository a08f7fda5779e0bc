//! The API of PAI `AutoML` (paiAutoML 2022-08-28), so that its official SDKs are clients of this daemon. Begin with
//! [`operations`]; how it differs from the service is in `docs/pai-api.md`.

mod config;
mod experiment;
mod files;
mod index;
mod list;
mod logs;
mod mask;
mod request;
mod service;
mod table;
mod trial;

#[cfg(test)]
mod config_tests;

pub use index::Index;
pub use table::operations;

use super::problem::Problem;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};

/// A problem in the manner of PAI: one of three codes, and all mistakes in the message, since that is what its clients show.
pub fn refusal(problem: &Problem, request: &str) -> Response<Body> {
    let (status, code) = match problem.status {
        StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            (problem.status, "INVALID_USER_OR_EXP")
        }
        StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
            (StatusCode::BAD_REQUEST, "INVALID_INPUT_PARAMS")
        }
        status if status.is_client_error() => (status, "INVALID_INPUT_PARAMS"),
        StatusCode::SERVICE_UNAVAILABLE => (problem.status, "EXECUTION_FAILURE"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "EXECUTION_FAILURE"),
    };
    let mut message = problem.message.clone();
    let mut detail: Map<String, Value> = Map::new();
    for (place, mistake) in problem.details.iter().enumerate() {
        message += if place == 0 { ": " } else { "; " };
        message += &mistake.message;
        let help = if mistake.cure.is_empty() { String::new() } else { format!("; {}", mistake.cure) };
        // Several may stand at one place.
        let before = detail.get(&mistake.path).and_then(Value::as_str).map(|before| format!("{before}; "));
        let told = format!("{}{}{help} [{}]", before.unwrap_or_default(), mistake.message, mistake.code);
        detail.insert(mistake.path.clone(), json!(told));
    }
    let mut told = json!({"Code": code, "Message": message, "RequestId": request});
    if let (Some(told), false) = (told.as_object_mut(), detail.is_empty()) {
        told.insert("Detail".to_owned(), Value::Object(detail));
    }
    let mut response = problem.response();
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *response.body_mut() = Body::from(told.to_string());
    response
}
