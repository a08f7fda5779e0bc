//! Why a call is refused, in the forms of the service's error bodies.

use super::xml::escape;
use serde_json::json;

/// A refusal: its HTTP status and what its body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status, 400 to 599.
    pub status: u16,
    /// The `Code`: the name of a class of errors, such as `NoSuchObject`.
    pub code: String,
    /// The `Message`; it begins with `ODPS-` and seven digits where the service's documents give them.
    pub message: String,
    /// The header `Retry-After`, in seconds.
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    /// A refusal with a status, a code and a message.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), retry_after_s: None }
    }

    /// A parameter is not what it may be.
    pub fn parameter(message: &str) -> Self {
        let message = format!("ODPS-0420061: Invalid parameter in HTTP request - {message}");
        Self::new(400, "InvalidParameter", message)
    }

    /// The body is not what it may be.
    pub fn body(message: &str) -> Self {
        let message = format!("ODPS-0420031: Invalid xml in HTTP request body - {message}");
        Self::new(400, "MalformedXML", message)
    }

    /// There is no such thing.
    pub fn not_found(what: &str, name: &str) -> Self {
        Self::new(404, "NoSuchObject", format!("ODPS-0420111: {what} not found - '{name}'"))
    }

    /// The body in XML.
    pub fn xml(&self, request_id: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>{}</Code><Message>{}</Message><RequestId>{request_id}</RequestId>\
             <HostId>localhost</HostId></Error>",
            escape(&self.code),
            escape(&self.message)
        )
    }

    /// The body in JSON.
    pub fn json(&self, request_id: &str) -> String {
        json!({"Code": self.code, "Message": self.message, "RequestId": request_id, "HostId": "localhost"})
            .to_string()
    }
}
