//! The API of PAI `AutoML` (paiAutoML 2022-08-28), so that its official SDKs are clients of this daemon.

use super::operation::Operation;
use super::problem::Problem;
use axum::body::Body;
use axum::http::Response;
use serde_json::json;

static OPERATIONS: &[Operation] = &[];

/// The operations of PAI's API.
pub fn operations() -> &'static [Operation] {
    OPERATIONS
}

/// A problem in the manner of PAI.
pub fn refusal(problem: &Problem, request: &str) -> Response<Body> {
    let code = match problem.status.as_u16() {
        404 | 401 | 403 => "INVALID_USER_OR_EXP",
        400..=499 => "INVALID_INPUT_PARAMS",
        _ => "EXECUTION_FAILURE",
    };
    let told = json!({"Code": code, "Message": problem.message, "RequestId": request});
    let mut response = problem.response();
    *response.body_mut() = Body::from(told.to_string());
    response
}
