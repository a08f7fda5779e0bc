//! How a request to MaxCompute looks on the wire. Begin with [`Odps`].

use crate::cloud::client::{Call, Protocol};
use crate::cloud::credentials::Credentials;
use crate::cloud::encode::percent;
use crate::cloud::fault::{Fault, Meaning};
use crate::cloud::http::{Answer, Request};
use crate::cloud::retry::Repeat;
use crate::maxcompute::account::is_bearer;
use crate::maxcompute::endpoint::Endpoint;
use crate::maxcompute::fault::meaning;
use crate::maxcompute::signature::{AppAccount, authorization, canonical, date_text, is_v4};
use engine::time::Timestamp;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most bytes of a request: the SQL text, which may have 2 MiB, doubly escaped, and what goes around it.
pub const REQUEST_BOUND: usize = 5 << 20;
/// The version of the tunnel's protocol.
const TUNNEL_VERSION: &str = "6";

/// Requests for one project at one endpoint.
#[derive(Debug)]
pub struct Odps {
    endpoint: Endpoint,
    project: String,
    user_agent: String,
    app: Option<AppAccount>,
    tunnel: bool,
    /// Whether the endpoint has refused the newer signature.
    only_v2: AtomicBool,
}

impl Odps {
    /// For this endpoint and project, under this name in `User-Agent`.
    pub fn new(endpoint: Endpoint, project: impl Into<String>, user_agent: impl Into<String>) -> Self {
        Self {
            endpoint,
            project: project.into(),
            user_agent: user_agent.into(),
            app: None,
            tunnel: false,
            only_v2: AtomicBool::new(false),
        }
    }

    /// On behalf of an application.
    #[must_use]
    pub fn with_app(mut self, app: Option<AppAccount>) -> Self {
        self.app = app;
        self
    }

    /// For the tunnel, which results are downloaded through.
    #[must_use]
    pub fn for_tunnel(mut self) -> Self {
        self.tunnel = true;
        self
    }

    /// The query, percent-encoded, with what every request says. A key without a value stands alone.
    fn query(&self, call: &Call) -> String {
        let own = call.query.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let all = own.chain([("curr_project", self.project.as_str())]);
        let parts: Vec<String> =
            all.map(|(key, value)| {
                if value.is_empty() { percent(key) } else { format!("{}={}", percent(key), percent(value)) }
            })
            .collect();
        parts.join("&")
    }
}

impl Protocol for Odps {
    fn service(&self) -> &str {
        &self.endpoint.host
    }

    fn request(&self, call: &Call, credentials: &Credentials, at: Timestamp, nonce: &str) -> Request {
        let target = format!("{}?{}", call.path, self.query(call));
        let mut headers = vec![
            ("user-agent", self.user_agent.clone()),
            ("x-odps-user-agent", self.user_agent.clone()),
            ("date", date_text(at)),
        ];
        if let Some(first) = call.body.first() {
            // Bodies are XML, but for the policy of a token.
            let kind = if *first == b'{' { "application/json" } else { "application/xml" };
            headers.push(("content-type", kind.to_owned()));
        } else if call.method == "POST" {
            headers.push(("content-length", "0".to_owned()));
        }
        if self.tunnel {
            headers.push(("x-odps-tunnel-version", TUNNEL_VERSION.to_owned()));
            headers.push(("odps-tunnel-retry-trace-id", nonce.to_owned()));
            headers.push(("odps-tunnel-retry-index", "0".to_owned()));
        }
        let token = credentials.security_token.as_ref().map(|token| token.expose().clone());
        if is_bearer(credentials) {
            headers.extend(token.map(|token| ("x-odps-bearer-token", token)));
        } else {
            let region = self.endpoint.region.as_deref().filter(|_| !self.only_v2.load(Ordering::Relaxed));
            let text =
                canonical(call.method, &target, headers.iter().map(|(name, value)| (*name, value.as_str())));
            let Credentials { access_key_id, access_key_secret, .. } = credentials;
            let authorization = authorization(&text, access_key_id, access_key_secret, region, at);
            let app = self.app.as_ref().map(|app| app.authentication(&authorization));
            headers.push(("authorization", authorization));
            headers.extend(app.map(|app| ("application-authentication", app)));
            // Not signed.
            headers.extend(token.map(|token| ("authorization-sts-token", token)));
        }
        Request {
            method: call.method,
            url: format!("{}{target}", self.endpoint.address()),
            headers,
            body: call.body.clone(),
            new_connection: call.repeat == Repeat::Never,
            timeout: None,
        }
    }

    fn request_bound(&self) -> usize {
        REQUEST_BOUND
    }

    fn fault(&self, request: &Request, answer: &Answer, now: Timestamp) -> Fault {
        let mut fault = Fault::read(answer, now);
        let newer = request.headers.iter().any(|(name, value)| *name == "authorization" && is_v4(value));
        let path = request.url.split('?').next().unwrap_or_default();
        let creates = request.method == "POST" && path.ends_with("/instances");
        fault.meaning = meaning(&fault, creates, newer);
        if fault.meaning == Meaning::OtherSignature && !self.only_v2.swap(true, Ordering::Relaxed) {
            tracing::info!(endpoint = self.endpoint.host, "the older signature is used from now on");
        }
        fault
    }
}
