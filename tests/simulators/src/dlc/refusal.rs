//! Why a call is refused, in the form of the gateway's error bodies.

use serde_json::{Value, json};

/// A refusal: its HTTP status and what its body says.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The HTTP status, 400 to 599.
    pub status: u16,
    /// The `Code`.
    pub code: String,
    /// The `Message`.
    pub message: String,
    /// The `AccessDeniedDetail`, if a permission is missing.
    pub detail: Option<Value>,
    /// The header `x-acs-retry-after`, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The header `Retry-After`, in seconds.
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    /// A refusal with a status, a code and a message.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            detail: None,
            retry_after_ms: None,
            retry_after_s: None,
        }
    }

    /// A parameter is not what it may be.
    pub fn parameter(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidParameter", message)
    }

    /// There is no such thing.
    pub fn not_found(what: &str) -> Self {
        Self::new(404, "NotFound", format!("{what} not found"))
    }

    /// The error body.
    pub fn body(&self, request_id: &str, host: &str) -> Value {
        let mut body =
            json!({"Code": self.code, "Message": self.message, "RequestId": request_id, "HostId": host});
        if let Some(detail) = &self.detail {
            body["AccessDeniedDetail"] = detail.clone();
        }
        body
    }
}
