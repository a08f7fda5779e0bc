//! How requests of the library reach a storage: signed where that is ours to do, repeated where that helps, and with
//! failures that say what to do.
//!
//! The library asks for the credentials of S3 itself, by the same way; such requests are passed on as they are. No
//! redirect is followed: it would take a signed request elsewhere. Begin with [`Transport`].

use super::codes;
use super::error::FileError;
use super::settings::Located;
use super::sign::sign;
use crate::cloud::client::{redact, said};
use crate::cloud::codes as cloud;
use crate::cloud::credentials::{Credentials, CredentialsError, Provider};
use crate::cloud::fault::{Fault, Meaning};
use crate::cloud::http::{Answer, Http, SendError};
use crate::cloud::retry::{Next, Repeat, Went, back_off, next};
use crate::cloud::skew::Skew;
use crate::cloud::world::World;
use futures_util::stream;
use http::request::Parts;
use opendal::raw::ServiceOperation;
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport};
use std::sync::Arc;
use std::time::Duration;

/// A request is not sent again after this time.
const CALL_TIME: Duration = Duration::from_mins(1);
/// A request is sent at most so often.
const ATTEMPTS: u32 = 5;

/// Sends requests for one bucket.
pub(super) struct Transport {
    pub http: Http,
    pub world: Arc<dyn World>,
    pub bucket: String,
    /// Signs requests for OSS; those for S3 are signed already.
    pub signer: Option<Signer>,
}

/// Signs requests for one bucket of OSS.
pub(super) struct Signer {
    pub provider: Arc<dyn Provider>,
    pub located: Located,
    /// The clock is that of the service, for all of its buckets.
    pub skew: Arc<Skew>,
}

/// Why there is no answer that the library can use. It travels inside of the library's own error.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The range begins behind the end.
    #[error("the range begins behind the end")]
    Beyond,
    /// Anything else.
    #[error(transparent)]
    Error(FileError),
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: http::Request<Buffer>) -> opendal::Result<http::Response<HttpBody>> {
        let (head, body) = request.into_parts();
        let sent = if head.extensions.get::<ServiceOperation>().is_some() {
            self.call(&head, &body).await
        } else {
            let failed = |error: SendError| {
                let cure = "check the network, and the settings of the credentials for S3";
                Failure::Error(FileError::new(codes::UNREACHABLE, error.to_string(), cure))
            };
            match built(head, &body) {
                Ok(request) => self.http.forward(request).await.map_err(failed),
                Err(error) => Err(Failure::Error(error)),
            }
        };
        let outside = |reason: String| Error::new(ErrorKind::Unexpected, reason);
        let answer = sent.map_err(|failure| outside(failure.to_string()).set_source(failure))?;
        let mut response = http::Response::builder().status(answer.status);
        for (name, value) in &answer.headers {
            response = response.header(name, value);
        }
        let size = answer.body.len() as u64;
        let body = HttpBody::new(stream::iter([Ok(Buffer::from(answer.body))]), Some(size));
        response.body(body).map_err(|error| outside(error.to_string()))
    }
}

fn built(head: Parts, body: &Buffer) -> Result<reqwest::Request, FileError> {
    let request = http::Request::from_parts(head, body.to_bytes());
    request.try_into().map_err(|error: reqwest::Error| {
        let cure = "check the endpoint and the address";
        FileError::new(
            codes::WRONG_ENDPOINT,
            format!("there is no such address: {}", error.without_url()),
            cure,
        )
    })
}

impl Transport {
    /// One request, from its signature to its answer. All of them may be carried out twice: reads, lists, and writes of
    /// a whole file.
    async fn call(&self, head: &Parts, body: &Buffer) -> Result<Answer, Failure> {
        let deadline = self.world.steady() + CALL_TIME;
        let mut credentials = self.credentials(false).await?;
        let (mut failed, mut once) = (0, Vec::new());
        loop {
            let mut signed = head.clone();
            if let (Some(signer), Some(credentials)) = (&self.signer, &credentials) {
                let Located { in_path, region, .. } = &signer.located;
                let at = signer.skew.now(self.world.wall());
                sign(&mut signed, &self.bucket, *in_path, region, credentials, at).map_err(|reason| {
                    let cure = "give credentials as the service gives them out";
                    Failure::Error(FileError::new(cloud::KEY_REFUSED, reason, cure))
                })?;
            }
            let whole = !head.headers.contains_key(http::header::RANGE);
            let hidden = |text: &str| credentials.as_ref().map_or(text.to_owned(), |held| redact(text, held));
            let (went, words, date) =
                match self.http.forward(built(signed, body).map_err(Failure::Error)?).await {
                    // Only a whole file may be answered to a request for a whole file.
                    Ok(answer) if answer.status == 206 || (whole && (200..300).contains(&answer.status)) => {
                        return Ok(answer);
                    }
                    Ok(answer) => {
                        let date = answer.header("date").map(str::to_owned);
                        let fault = self.fault(&answer);
                        let words = hidden(&said(&fault));
                        (Went::Fault(fault), words, date)
                    }
                    Err(SendError::NotSent(reason)) => (Went::NotSent, hidden(&reason), None),
                    Err(error) => (Went::NoAnswer, hidden(&error.to_string()), None),
                };
            failed += 1;
            let temporary = credentials.as_ref().is_some_and(|held| held.security_token.is_some());
            let what = next(Repeat::Safe, &went, temporary);
            let again = match what {
                Next::Fail | Next::Doubt => false,
                Next::CorrectClock => {
                    let correct = |signer: &Signer| signer.skew.correct(date.as_deref(), self.world.wall());
                    self.signer.as_ref().and_then(correct).is_some()
                }
                Next::RefreshCredentials if !once.contains(&what) => {
                    let before = credentials.clone();
                    credentials = self.credentials(true).await?;
                    credentials != before
                }
                Next::RefreshCredentials | Next::SignAnew => !once.contains(&what),
                Next::Again | Next::Slower | Next::AwaitEarlier => {
                    let least = match &went {
                        Went::Fault(fault) => fault.retry_after.unwrap_or_default(),
                        Went::NotSent | Went::NoAnswer => Duration::ZERO,
                    };
                    let wait = back_off(failed, self.world.random()).max(least);
                    let again = failed < ATTEMPTS && self.world.steady() + wait <= deadline;
                    if again {
                        self.world.sleep(wait).await;
                    }
                    again
                }
            };
            once.push(what);
            if !again {
                return Err(self.failure(&went, &words));
            }
        }
    }

    async fn credentials(&self, anew: bool) -> Result<Option<Credentials>, Failure> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let found = if anew { signer.provider.refresh().await } else { signer.provider.get().await };
        let none =
            |error: CredentialsError| Failure::Error(FileError::new(error.code, error.message, error.cure));
        found.map(Some).map_err(none)
    }

    /// What an answer says, and what it means in a storage: the words differ from those of other services.
    fn fault(&self, answer: &Answer) -> Fault {
        let mut fault = Fault::read(answer, self.world.wall());
        let meaning = match fault.code.as_str() {
            "RequestTimeTooSkewed" if self.signer.is_some() => Meaning::ClockWrong,
            "SecurityTokenExpired" | "InvalidSecurityToken" | "ExpiredToken" | "InvalidToken" => {
                Meaning::TokenWrong
            }
            "SlowDown" => Meaning::Throttled,
            _ => fault.meaning,
        };
        fault.meaning = match meaning {
            // Those of S3 are not ours to fetch anew.
            Meaning::TokenWrong | Meaning::KeyUnknown if self.signer.is_none() => Meaning::Forbidden,
            meaning => meaning,
        };
        if fault.request_id.is_none() {
            let header =
                ["x-oss-request-id", "x-amz-request-id"].into_iter().find_map(|name| answer.header(name));
            fault.request_id = header.map(str::to_owned);
        }
        fault
    }

    fn failure(&self, went: &Went, words: &str) -> Failure {
        let bucket = &self.bucket;
        let fault = match went {
            Went::NotSent => {
                let cure = "check the network, the proxy settings and the endpoint; an endpoint with `-internal` is \
                            reached from its own region alone";
                let what = format!("the storage cannot be reached: {words}");
                return Failure::Error(FileError::new(codes::UNREACHABLE, what, cure));
            }
            Went::NoAnswer => {
                let cure = "check the network, and try again later";
                let what = format!("the storage gave no whole answer: {words}");
                return Failure::Error(FileError::new(codes::UNREACHABLE, what, cure));
            }
            Went::Fault(fault) => fault,
        };
        let elsewhere = matches!(fault.status, 301 | 302 | 307 | 308)
            || fault.code == "AuthorizationHeaderMalformed"
            || ["specified endpoint", "signing region"].iter().any(|part| fault.message.contains(part));
        let (code, what, cure) = match (fault.code.as_str(), fault.status, fault.meaning) {
            (_, 416, _) => return Failure::Beyond,
            ("NoSuchBucket", ..) => (
                codes::NO_BUCKET,
                format!("there is no bucket `{bucket}`"),
                "check the bucket's name, or make the bucket",
            ),
            _ if elsewhere => (
                codes::WRONG_ENDPOINT,
                format!("the bucket `{bucket}` is not served at this endpoint, or not in this region"),
                "set the endpoint and the region of the bucket, as its overview in the console names them",
            ),
            (_, 404, _) => (codes::ABSENT, "there is no such file".to_owned(), "check the key"),
            (.., Meaning::ClockWrong) | ("RequestTimeTooSkewed", ..) => (
                cloud::CLOCK_WRONG,
                "the clock differs too much from that of the storage".to_owned(),
                "set the clock of this machine",
            ),
            (.., Meaning::TokenWrong) => (
                cloud::TOKEN_REFUSED,
                "the security token is not accepted".to_owned(),
                "let the credentials be fetched anew, or take others",
            ),
            (.., Meaning::KeyUnknown | Meaning::SignatureWrong) => (
                cloud::KEY_REFUSED,
                "the access key is not accepted".to_owned(),
                "check the access key and its secret; a temporary key needs its token",
            ),
            (.., Meaning::Throttled) => (
                cloud::THROTTLED,
                "the storage asks for fewer requests".to_owned(),
                "run fewer trials at once, or poll more slowly",
            ),
            (.., Meaning::Forbidden) => (
                codes::NO_PERMISSION,
                format!("the permission for the bucket `{bucket}`, or for the key, is missing"),
                "grant the user or role oss:GetObject, oss:PutObject and oss:ListObjects (for S3, s3:GetObject, \
                 s3:PutObject and s3:ListBucket)",
            ),
            (_, 200..300, _) => (
                codes::REFUSED,
                "the storage gave the whole file instead of the part that was asked for".to_owned(),
                "use an endpoint of the storage itself, without a gateway that does not know ranges",
            ),
            _ => (
                codes::REFUSED,
                "the storage refuses the request".to_owned(),
                "see what the storage says; if it does not last, try again later",
            ),
        };
        Failure::Error(FileError::new(code, format!("{what}: {words}"), cure))
    }
}
