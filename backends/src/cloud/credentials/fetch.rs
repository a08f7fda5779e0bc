//! What fetching credentials needs of an HTTP client, and no more.
//!
//! Addresses and headers of these requests hold secrets. Neither type can therefore be printed, and an
//! implementation must keep them out of its errors.

use async_trait::async_trait;
use std::time::Duration;

/// Bytes of an answer that are read: 64 KiB. Real ones have about two.
pub const ANSWER_BYTES: usize = 64 << 10;

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Asks.
    Get,
    /// Asks for a token of the metadata service.
    Put,
}

/// A request without a body.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Where, with its query. May hold secrets.
    pub url: String,
    /// Names and values. May hold secrets.
    pub headers: Vec<(&'static str, String)>,
    /// The longest time for the whole exchange.
    pub timeout: Duration,
    /// Whether to go past the proxy settings: for addresses of this machine and of its host.
    pub direct: bool,
}

/// An answer, whatever its status.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// At most [`ANSWER_BYTES`]. May hold secrets.
    pub body: Vec<u8>,
}

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unanswered {
    /// What went wrong, without the address.
    pub reason: String,
    /// Whether no connection came about, so that asking the same host otherwise is of no use.
    pub unconnected: bool,
}

/// An HTTP client: no retries, no redirects.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Makes one request.
    async fn fetch(&self, request: Request) -> Result<Answer, Unanswered>;
}
