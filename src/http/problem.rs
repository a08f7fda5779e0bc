//! What a client is told when something cannot be done: problem details (RFC 9457) with the codes of `docs/errors`.

use crate::error::{Failure, exit};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use engine::error::{Code, SpecError};
use serde_json::{Value, json};

/// Why a request was not carried out.
#[derive(Debug)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// The error number, such as `E0608`, if there is one.
    pub code: Option<String>,
    /// What went wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub cure: String,
    /// Single mistakes.
    pub details: Vec<SpecError>,
    /// Seconds after which it may be tried again.
    pub retry_after: Option<u32>,
}

impl Problem {
    /// A problem without a number.
    pub fn new(status: StatusCode, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            status,
            code: None,
            message: message.into(),
            cure: cure.into(),
            details: Vec::new(),
            retry_after: None,
        }
    }

    /// A problem with a number.
    pub fn coded(
        status: StatusCode,
        code: Code,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { code: Some(code.to_string()), ..Self::new(status, message, cure) }
    }

    /// Something in the request that is not as it has to be.
    pub fn bad_request(message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::coded(StatusCode::BAD_REQUEST, crate::codes::BAD_HTTP_REQUEST, message, cure)
    }

    /// The document that says so.
    pub fn json(&self) -> Value {
        let errors: Vec<Value> = self.details.iter().map(detail).collect();
        json!({
            "type": self.code.as_ref().map_or("about:blank".to_owned(), |code| format!("urn:retrial:error:{code}")),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.message,
            "code": self.code,
            "help": self.cure,
            "errors": errors,
        })
    }

    /// The answer.
    pub fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.json().to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A single mistake.
pub fn detail(error: &SpecError) -> Value {
    json!({"code": error.code.to_string(), "path": error.path, "detail": error.message, "help": error.cure})
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let code = failure.code.as_deref();
        let is = |known: Code| code == Some(known.to_string().as_str());
        let status = if is(crate::codes::WHICH_EXPERIMENT) || is(engine::decide::codes::UNKNOWN_TRIAL) {
            StatusCode::NOT_FOUND
        } else if is(crate::codes::NO_ROOM) || is(crate::codes::STORE_FULL) {
            StatusCode::INSUFFICIENT_STORAGE
        } else if failure.exit == exit::USAGE || !failure.details.is_empty() {
            StatusCode::UNPROCESSABLE_ENTITY
        } else if code.is_some_and(|code| code.starts_with("E06")) {
            StatusCode::INTERNAL_SERVER_ERROR
        } else if code.is_some() {
            // The request is understood, and what it asks for does not go with how things stand.
            StatusCode::CONFLICT
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        Self {
            status,
            code: failure.code,
            message: failure.message,
            cure: failure.cure,
            details: failure.details,
            retry_after: None,
        }
    }
}

impl From<crate::runtime::shell::Gone> for Problem {
    fn from(_: crate::runtime::shell::Gone) -> Self {
        Self {
            retry_after: Some(5),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the daemon is ending",
                "try again when it has started anew",
            )
        }
    }
}

impl From<crate::runtime::dispatcher::Refused> for Problem {
    fn from(refused: crate::runtime::dispatcher::Refused) -> Self {
        Failure::from(refused).into()
    }
}
