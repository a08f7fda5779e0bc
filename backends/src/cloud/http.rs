//! One HTTP client for all clouds: with time limits, without redirects, and with bounded answers.
//!
//! It tells "nothing was sent" from "no answer came", which decides whether a submission may be repeated. It follows
//! no redirect, since that would send the authorization on. Begin with [`Http::send`].

use crate::cloud::codes;
use crate::cloud::proxy::ProxySettings;
use engine::error::Code;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use std::error::Error;
use std::time::Duration;

/// Bounds of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Until a connection is made, TLS included.
    pub connect_timeout: Duration,
    /// From the first byte of the request to the last of the answer.
    pub timeout: Duration,
    /// Most bytes of an answer's body.
    pub answer_bound: usize,
    /// Proxies.
    pub proxy: ProxySettings,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
            answer_bound: 32 << 20,
            proxy: ProxySettings::default(),
        }
    }
}

/// A request, ready to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Such as `GET`.
    pub method: &'static str,
    /// Scheme, host, path and query, percent-encoded.
    pub url: String,
    /// All headers but those of the connection itself.
    pub headers: Vec<(&'static str, String)>,
    /// Empty for none.
    pub body: Vec<u8>,
    /// Whether a new connection is made for it. A kept connection may be closed by the other side at the very moment
    /// of writing, which leaves the request in doubt: a submission should not risk that.
    pub new_connection: bool,
    /// Instead of [`HttpSettings::timeout`].
    pub timeout: Option<Duration>,
}

impl Request {
    /// Bytes of all that the request says: the address, the headers and the body.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        self.url.len() + headers + self.body.len()
    }
}

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// All of the body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer. Says nothing of headers, query or body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No byte of the request was written.
    #[error("nothing was sent: {0}")]
    NotSent(String),
    /// The request was written, in part or whole, and no whole answer came.
    #[error("no answer came: {0}")]
    NoAnswer(String),
    /// The answer is larger than its bound, in bytes.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
}

/// Why there is no client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: requests cannot be sent from here: {message}")]
pub struct HttpError {
    /// The kind of mistake.
    pub code: Code,
    /// What is wrong.
    pub message: String,
}

/// The client.
#[derive(Debug, Clone)]
pub struct Http {
    kept: reqwest::Client,
    new: reqwest::Client,
    answer_bound: usize,
}

impl Http {
    /// A client with these bounds.
    pub fn new(settings: &HttpSettings) -> Result<Self, HttpError> {
        let idle_connections = 8;
        Ok(Self {
            kept: client(settings, idle_connections)?,
            new: client(settings, 0)?,
            answer_bound: settings.answer_bound,
        })
    }

    /// Sends a request once.
    pub async fn send(&self, request: &Request) -> Result<Answer, SendError> {
        let client = if request.new_connection { &self.new } else { &self.kept };
        let built = build(client, request).map_err(SendError::NotSent)?;
        self.execute(client, built).await
    }

    /// Sends once, over a kept connection if there is one, what somebody else has built.
    pub async fn forward(&self, request: reqwest::Request) -> Result<Answer, SendError> {
        self.execute(&self.kept, request).await
    }

    async fn execute(
        &self,
        client: &reqwest::Client,
        request: reqwest::Request,
    ) -> Result<Answer, SendError> {
        let mut response = client.execute(request).await.map_err(|error| {
            // A builder's error is found before anything is sent, too.
            if error.is_connect() || error.is_builder() {
                SendError::NotSent(reason(error))
            } else {
                SendError::NoAnswer(reason(error))
            }
        })?;
        let status = response.status().as_u16();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers =
            response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > self.answer_bound => {
                    return Err(SendError::TooLarge(self.answer_bound));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(Answer { status, headers, body }),
                Err(error) => return Err(SendError::NoAnswer(reason(error))),
            }
        }
    }
}

fn client(settings: &HttpSettings, idle_connections: usize) -> Result<reqwest::Client, HttpError> {
    let fail = |message: String| HttpError { code: codes::NO_CLIENT, message };
    // Whoever comes first in this process decides; it is always the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.timeout)
        .pool_max_idle_per_host(idle_connections)
        .pool_idle_timeout(Duration::from_secs(30))
        .tcp_nodelay(true)
        .no_proxy();
    let direct = reqwest::NoProxy::from_string(&settings.proxy.direct);
    let proxies = [
        (
            &settings.proxy.https,
            reqwest::Proxy::https as fn(String) -> reqwest::Result<reqwest::Proxy>,
            "https",
        ),
        (&settings.proxy.http, reqwest::Proxy::http, "http"),
    ];
    for (address, make, scheme) in proxies {
        if let Some(address) = address {
            // The reason is left out: it may repeat the address, which may hold a password.
            let proxy = make(address.expose().clone())
                .map_err(|_| fail(format!("the address of the proxy for {scheme} is not one")))?;
            builder = builder.proxy(proxy.no_proxy(direct.clone()));
        }
    }
    builder.build().map_err(|error| fail(reason(error)))
}

fn build(client: &reqwest::Client, request: &Request) -> Result<reqwest::Request, String> {
    let method: reqwest::Method =
        request.method.parse().map_err(|_| format!("`{}` is not a method", request.method))?;
    let mut builder = client.request(method, &request.url);
    for (name, value) in &request.headers {
        let bad = |_| format!("the header {name} holds what a header cannot");
        let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(bad)?;
        value.set_sensitive(name.contains("auth") || name.contains("token") || name.contains("key"));
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is not a header"))?;
        builder = builder.header(name, value);
    }
    if let Some(timeout) = request.timeout {
        builder = builder.timeout(timeout);
    }
    if !request.body.is_empty() {
        builder = builder.body(request.body.clone());
    }
    builder.build().map_err(reason)
}

/// An error and its causes, without the address, whose query may say more than a log should.
fn reason(error: reqwest::Error) -> String {
    let timed_out = error.is_timeout();
    let error = error.without_url();
    let mut text = if timed_out { "the time ran out".to_owned() } else { String::new() };
    let mut cause: Option<&dyn Error> = Some(&error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        cause = inner.source();
        // Those two say no more than that it failed.
        let says_little = cause.is_some()
            && ["error sending request", "client error"].iter().any(|begin| inner_text.starts_with(begin));
        if !says_little && !text.contains(&inner_text) {
            text = if text.is_empty() { inner_text } else { format!("{text}: {inner_text}") };
        }
    }
    text
}
