//! [`Fetch`] with the client that all clouds share.

use super::fetch::{ANSWER_BYTES, Answer, Fetch, Method, Request, Unanswered};
use crate::cloud::http::{self, Http, HttpError, HttpSettings, SendError};
use crate::cloud::proxy::ProxySettings;
use async_trait::async_trait;
use std::time::Duration;

/// Until a connection is made. The metadata service is on the machine's own host, and where there is none, nothing
/// answers at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Two clients: one that keeps to the proxy settings and one that goes past them.
#[derive(Debug, Clone)]
pub struct Web {
    proxied: Http,
    direct: Http,
}

impl Web {
    /// Clients with these proxy settings.
    pub fn new(proxy: ProxySettings) -> Result<Self, HttpError> {
        let settings = |proxy| HttpSettings {
            connect_timeout: CONNECT_TIMEOUT,
            answer_bound: ANSWER_BYTES,
            proxy,
            ..HttpSettings::default()
        };
        Ok(Self {
            proxied: Http::new(&settings(proxy))?,
            direct: Http::new(&settings(ProxySettings::default()))?,
        })
    }
}

#[async_trait]
impl Fetch for Web {
    async fn fetch(&self, request: Request) -> Result<Answer, Unanswered> {
        let client = if request.direct { &self.direct } else { &self.proxied };
        let method = match request.method {
            Method::Get => "GET",
            Method::Put => "PUT",
        };
        let asked = http::Request {
            method,
            url: request.url,
            headers: request.headers,
            body: Vec::new(),
            new_connection: true,
            timeout: Some(request.timeout),
        };
        let answer = client.send(&asked).await.map_err(|error| Unanswered {
            reason: error.to_string(),
            unconnected: matches!(error, SendError::NotSent(_)),
        })?;
        Ok(Answer { status: answer.status, body: answer.body })
    }
}
