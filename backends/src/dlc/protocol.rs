//! How a request to DLC looks on the wire.

use crate::cloud::client::{Call, Protocol};
use crate::cloud::credentials::Credentials;
use crate::cloud::encode::percent;
use crate::cloud::http::Request;
use crate::cloud::retry::Repeat;
use crate::dlc::endpoint::Endpoint;
use crate::dlc::signature::{Subject, sign};
use engine::time::Timestamp;

/// The version of the interface.
pub const VERSION: &str = "2020-12-03";
/// Most bytes of a request, all parameters and headers included; documented by the service.
pub const REQUEST_BOUND: usize = 65_536;

/// Requests signed by ACS3 to one endpoint.
#[derive(Debug)]
pub struct Acs3 {
    endpoint: Endpoint,
    user_agent: String,
}

impl Acs3 {
    /// For this endpoint, under this name in `User-Agent`.
    pub fn new(endpoint: Endpoint, user_agent: impl Into<String>) -> Self {
        Self { endpoint, user_agent: user_agent.into() }
    }
}

impl Protocol for Acs3 {
    fn service(&self) -> &str {
        &self.endpoint.host
    }

    fn request(&self, call: &Call, credentials: &Credentials, at: Timestamp, nonce: &str) -> Request {
        let subject = Subject {
            method: call.method,
            path: &call.path,
            query: &call.query,
            host: &self.endpoint.host,
            action: call.action,
            version: VERSION,
            body: &call.body,
        };
        let query: Vec<String> =
            call.query.iter().map(|(key, value)| format!("{key}={}", percent(value))).collect();
        let question = if query.is_empty() { "" } else { "?" };
        let Endpoint { scheme, host } = &self.endpoint;
        Request {
            method: call.method,
            url: format!("{scheme}://{host}{}{question}{}", call.path, query.join("&")),
            headers: sign(&subject, &self.user_agent, credentials, at, nonce),
            body: call.body.clone(),
            new_connection: call.repeat == Repeat::Never,
            timeout: None,
        }
    }

    fn request_bound(&self) -> usize {
        REQUEST_BOUND
    }
}
