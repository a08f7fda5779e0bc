//! One call of a service, from its pace to its answer: what others call.
//!
//! Begin with [`Client::call`]. A call ends within its time; it is repeated where that is safe, and tells what is
//! certain: [`Effect`] says whether it may have been carried out.

use crate::cloud::codes;
use crate::cloud::credentials::{Credentials, CredentialsError, Provider, tail};
use crate::cloud::fault::{Fault, Meaning};
use crate::cloud::http::{Answer, Http, Request, SendError};
use crate::cloud::picked::picked;
use crate::cloud::rate::{Lane, Pacer, Rates};
use crate::cloud::retry::{Next, PENDING_PAUSE, PENDING_TIME, Repeat, Went, back_off, next};
use crate::cloud::secret::Secret;
use crate::cloud::skew::Skew;
use crate::cloud::world::World;
use engine::error::Code;
use engine::time::{Span, Timestamp};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// A call, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Such as `GetJob`.
    pub action: &'static str,
    /// Such as `GET`.
    pub method: &'static str,
    /// Percent-encoded.
    pub path: String,
    /// Plain values under ASCII keys.
    pub query: Vec<(String, String)>,
    /// In the form of the service, or empty.
    pub body: Vec<u8>,
    /// Whether it may be carried out twice.
    pub repeat: Repeat,
    /// Whether it is one of many that wait for each other and for which no other call should wait.
    pub bulk: bool,
}

/// How the requests of a service look.
pub trait Protocol: Send + Sync + std::fmt::Debug {
    /// The service's name, for messages.
    fn service(&self) -> &str;

    /// The signed request. `at` is the time by the service's clock, `nonce` 32 hexadecimal digits that are new.
    fn request(&self, call: &Call, credentials: &Credentials, at: Timestamp, nonce: &str) -> Request;

    /// Most bytes of a request, all that it says included.
    fn request_bound(&self) -> usize;

    /// What an answer with an error says and means. `request` is what it answers, `now` the time by the service's clock.
    fn fault(&self, request: &Request, answer: &Answer, now: Timestamp) -> Fault {
        let _ = request;
        Fault::read(answer, now)
    }
}

/// How long calls may take and how often they are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// A call is not sent again after this time.
    pub call_time: Duration,
    /// A call is sent at most so often.
    pub attempts: u32,
    /// The paces.
    pub rates: Rates,
}

/// Calls per second unless somebody says otherwise. The services publish no figures; whoever is asked for fewer slows
/// down.
pub const DEFAULT_CALLS_PER_SECOND: f64 = 18.0;

impl Default for Limits {
    fn default() -> Self {
        Self { call_time: Duration::from_mins(1), attempts: 5, rates: Rates::of(DEFAULT_CALLS_PER_SECOND) }
    }
}

/// What a call that failed has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing, and the same call would fail again.
    Nothing,
    /// Nothing; the same call may succeed, not before this time has passed.
    NothingYet(Span),
    /// It may have been carried out.
    Unknown,
}

/// Why a call failed. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct CallError {
    /// The kind of failure.
    pub code: Code,
    /// The call, the reason, the service's own code, HTTP status and request id.
    pub message: String,
    /// What it has done.
    pub effect: Effect,
    /// What the service said, if it said something.
    pub fault: Option<Box<Fault>>,
    /// What to do about it, where more is known than the kind of failure; else empty.
    pub cure: String,
}

impl CallError {
    /// Nothing was done, and the same call may succeed after this time.
    pub fn later(code: Code, message: impl Into<String>, wait: Span) -> Self {
        let effect = Effect::NothingYet(wait);
        Self { code, message: message.into(), effect, fault: None, cure: String::new() }
    }

    /// The time after which the same call may succeed, if it may by itself.
    pub const fn wait(&self) -> Option<Span> {
        if let Effect::NothingYet(wait) = self.effect { Some(wait) } else { None }
    }
}

/// Calls one service.
#[derive(Debug)]
pub struct Client {
    http: Http,
    world: Arc<dyn World>,
    provider: Arc<dyn Provider>,
    protocol: Box<dyn Protocol>,
    limits: Limits,
    pacer: Pacer,
    skew: Skew,
}

/// What has been tried already.
#[derive(Debug, Default)]
struct Tried {
    failed: u32,
    /// An earlier copy is being carried out.
    pending: bool,
    /// What helps once or not at all.
    once: Vec<Next>,
}

impl Tried {
    /// Whether this is tried for the first time.
    fn is_new(&mut self, next: Next) -> bool {
        let is_new = !self.once.contains(&next);
        self.once.push(next);
        is_new
    }
}

/// One sending that did not succeed.
struct Failed {
    went: Went,
    /// In words.
    said: String,
    /// The service's clock, if the answer tells it.
    date: Option<String>,
}

impl Client {
    /// A client of one service.
    pub fn new(
        http: Http,
        world: Arc<dyn World>,
        provider: Arc<dyn Provider>,
        protocol: Box<dyn Protocol>,
        limits: Limits,
    ) -> Self {
        let pacer = Pacer::new(Arc::clone(&world), limits.rates);
        Self { http, world, provider, protocol, limits, pacer, skew: Skew::default() }
    }

    /// The pace, to be shown.
    pub fn pacer(&self) -> &Pacer {
        &self.pacer
    }

    /// The time by the service's clock, as far as it is known.
    pub fn now(&self) -> Timestamp {
        self.skew.now(self.world.wall())
    }

    /// Carries a call out. `decode` takes what is needed from the answer's JSON, or says why it cannot be used; then
    /// the call counts as unanswered.
    pub async fn call<T>(
        &self,
        call: &Call,
        decode: impl Fn(&Value) -> Result<T, String> + Send,
    ) -> Result<T, CallError> {
        let read = |text: &[u8]| serde_json::from_slice(text);
        self.exchange(call, move |answer| json(answer, read).and_then(|value| decode(&value))).await
    }

    /// As [`Client::call`], with no other fields of the answer's objects than these.
    pub async fn call_for<T>(
        &self,
        call: &Call,
        fields: &[&str],
        decode: impl Fn(&Value) -> Result<T, String> + Send,
    ) -> Result<T, CallError> {
        let read = |text: &[u8]| picked(text, fields);
        self.exchange(call, move |answer| json(answer, read).and_then(|value| decode(&value))).await
    }

    /// As [`Client::call`], for answers of any form; their status is 2xx.
    pub async fn exchange<T>(
        &self,
        call: &Call,
        decode: impl Fn(&Answer) -> Result<T, String> + Send,
    ) -> Result<T, CallError> {
        let mut tried = Tried::default();
        self.persist(call, decode, &mut tried).await.map_err(|mut error| {
            if tried.pending {
                // Whatever became of the last copy: an earlier one has arrived.
                error.effect = Effect::Unknown;
            }
            error
        })
    }

    /// Sends a call as often as the rules say.
    async fn persist<T>(
        &self,
        call: &Call,
        decode: impl Fn(&Answer) -> Result<T, String> + Send,
        tried: &mut Tried,
    ) -> Result<T, CallError> {
        let began = self.world.steady();
        let mut deadline = began + self.limits.call_time;
        let lane = match (call.repeat == Repeat::Safe, call.bulk) {
            (true, false) => Lane::Reads,
            (true, true) => Lane::Output,
            (false, _) => Lane::Submissions,
        };
        let mut credentials = self.provider.get().await.map_err(|error| no_credentials(call, &error))?;
        loop {
            if let Err(wait) = self.pacer.admit(lane, deadline).await {
                return Err(self.too_long(call, wait));
            }
            let Failed { went, said, date } = match self.send(call, lane, &credentials, &decode).await? {
                Ok(result) => return Ok(result),
                Err(failed) => failed,
            };
            tried.failed += 1;
            let failure = |effect| self.failure(call, &went, &said, effect, &credentials.access_key_id);
            let unfinished = match &went {
                // A read that is in doubt may be read again at leisure; a submission is gone then.
                Went::NotSent | Went::Fault(_) => Effect::NothingYet(Span(1_000)),
                Went::NoAnswer => Effect::Unknown,
            };
            match next(call.repeat, &went, credentials.security_token.is_some()) {
                Next::Fail => return Err(failure(Effect::Nothing)),
                Next::Doubt => return Err(failure(Effect::Unknown)),
                once @ (Next::CorrectClock | Next::SignAnew | Next::RefreshCredentials)
                    if !tried.is_new(once) =>
                {
                    return Err(failure(Effect::Nothing));
                }
                Next::CorrectClock => {
                    let offset = self.skew.correct(date.as_deref(), self.world.wall());
                    let Some(offset) = offset else { return Err(failure(Effect::Nothing)) };
                    tracing::warn!(
                        "this machine's clock is {} s {} that of {}, whose time is used for its requests from now on; \
                         better set the clock",
                        offset.unsigned_abs() / 1_000,
                        if offset > 0 { "behind" } else { "ahead of" },
                        self.protocol.service(),
                    );
                }
                Next::AwaitEarlier => {
                    let waited = self.world.steady().saturating_sub(began);
                    if waited >= PENDING_TIME {
                        return Err(failure(Effect::Unknown));
                    }
                    let wait = retry_after(&went).unwrap_or(PENDING_PAUSE).max(Duration::from_millis(1));
                    deadline = began + PENDING_TIME + self.limits.call_time;
                    tried.failed -= 1;
                    tried.pending = true;
                    self.world.sleep(wait.min(PENDING_TIME.saturating_sub(waited))).await;
                }
                Next::SignAnew => {}
                Next::RefreshCredentials => {
                    credentials =
                        self.provider.refresh().await.map_err(|error| no_credentials(call, &error))?;
                }
                again @ (Next::Again | Next::Slower) => {
                    let wait = back_off(tried.failed, self.world.random());
                    let mut least = Duration::ZERO;
                    if again == Next::Slower {
                        least = retry_after(&went).unwrap_or_default();
                        self.pacer.throttled(lane, retry_after(&went));
                    }
                    let wait = wait.max(least);
                    if tried.failed >= self.limits.attempts || self.world.steady() + wait > deadline {
                        let effect = match unfinished {
                            Effect::NothingYet(least) => {
                                Effect::NothingYet(least.max(Span(wait.as_millis() as u64)))
                            }
                            other => other,
                        };
                        return Err(failure(effect));
                    }
                    self.world.sleep(wait).await;
                }
            }
        }
    }

    /// Sends a call once. The outer error is one that sending again cannot change.
    async fn send<T>(
        &self,
        call: &Call,
        lane: Lane,
        credentials: &Credentials,
        decode: &(impl Fn(&Answer) -> Result<T, String> + Send),
    ) -> Result<Result<T, Failed>, CallError> {
        let nonce = format!("{:032x}", self.world.random());
        let request = self.protocol.request(call, credentials, self.now(), &nonce);
        self.check_size(call, &request)?;
        let (went, said, date) = match self.http.send(&request).await {
            Ok(answer) if (200..300).contains(&answer.status) => {
                self.pacer.answered(lane);
                match decode(&answer) {
                    Ok(result) => return Ok(Ok(result)),
                    Err(reason) => (Went::NoAnswer, format!("the answer cannot be used: {reason}"), None),
                }
            }
            Ok(answer) => {
                let mut fault = self.protocol.fault(&request, &answer, self.now());
                fault.message = redact(&fault.message, credentials);
                let date = answer.header("date").map(str::to_owned);
                let said = said(&fault);
                (Went::Fault(fault), said, date)
            }
            Err(SendError::NotSent(reason)) => (Went::NotSent, redact(&reason, credentials), None),
            Err(error) => (Went::NoAnswer, redact(&error.to_string(), credentials), None),
        };
        Ok(Err(Failed { went, said, date }))
    }

    fn check_size(&self, call: &Call, request: &Request) -> Result<(), CallError> {
        let (size, bound) = (request.size(), self.protocol.request_bound());
        if size <= bound {
            return Ok(());
        }
        Err(CallError {
            code: codes::REQUEST_TOO_LARGE,
            message: format!(
                "{} has {size} bytes, {} more than the {bound} that {} takes ({} of them are its body)",
                call.action,
                size - bound,
                self.protocol.service(),
                request.body.len(),
            ),
            effect: Effect::Nothing,
            fault: None,
            cure: String::new(),
        })
    }

    /// The call's turn would come after its time.
    fn too_long(&self, call: &Call, wait: Duration) -> CallError {
        let wait = Span(wait.as_millis() as u64);
        let message = format!(
            "{} was not sent: {} is not to be asked for another {} ms",
            call.action,
            self.protocol.service(),
            wait.0
        );
        CallError::later(codes::THROTTLED, message, wait)
    }

    fn failure(&self, call: &Call, went: &Went, said: &str, effect: Effect, key_id: &str) -> CallError {
        let (action, service) = (call.action, self.protocol.service());
        let (code, fault) = match went {
            Went::NotSent => (codes::UNREACHABLE, None),
            Went::NoAnswer => (codes::NO_ANSWER, None),
            Went::Fault(fault) => (code_of(fault, effect), Some(Box::new(fault.clone()))),
        };
        let message = match code {
            codes::UNREACHABLE => format!("{action}: {service} cannot be reached: {said}"),
            codes::NO_ANSWER => format!("{action}: {service} gave no usable answer: {said}"),
            codes::THROTTLED => format!("{action}: {service} asks for fewer requests: {said}"),
            codes::KEY_REFUSED => {
                format!(
                    "{action}: {service} does not accept the access key ending in {}: {said}",
                    tail(key_id)
                )
            }
            codes::TOKEN_REFUSED => format!("{action}: {service} does not accept the security token: {said}"),
            codes::NO_PERMISSION => format!("{action}: the permission is missing: {said}"),
            codes::CLOCK_WRONG => format!("{action}: the clock is too far from that of {service}: {said}"),
            codes::PENDING => {
                format!("{action}: {service} is still carrying out an earlier copy of it: {said}")
            }
            codes::NOT_FOUND => format!("{action}: {service} does not know it: {said}"),
            _ => format!("{action}: {service} refuses it: {said}"),
        };
        CallError { code, message, effect, fault, cure: String::new() }
    }
}

fn json(answer: &Answer, read: impl Fn(&[u8]) -> serde_json::Result<Value>) -> Result<Value, String> {
    // A byte order mark is no part of JSON, and some gateways send one.
    let text = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&answer.body);
    read(text).map_err(|error| format!("it is not JSON: {error}"))
}

fn retry_after(went: &Went) -> Option<Duration> {
    match went {
        Went::Fault(fault) => fault.retry_after,
        Went::NotSent | Went::NoAnswer => None,
    }
}

/// What a service said, for people.
pub(crate) fn said(fault: &Fault) -> String {
    let mut parts = vec![format!("HTTP {}", fault.status)];
    if !fault.code.is_empty() {
        parts.insert(0, fault.code.clone());
    }
    parts.extend(fault.request_id.iter().map(|id| format!("request {id}")));
    if fault.message.is_empty() {
        return format!("({})", parts.join(", "));
    }
    format!("{} ({})", fault.message, parts.join(", "))
}

fn code_of(fault: &Fault, effect: Effect) -> Code {
    match fault.meaning {
        Meaning::Throttled => codes::THROTTLED,
        Meaning::ClockWrong => codes::CLOCK_WRONG,
        Meaning::TokenWrong => codes::TOKEN_REFUSED,
        Meaning::KeyUnknown | Meaning::SignatureWrong | Meaning::OtherSignature => codes::KEY_REFUSED,
        Meaning::Pending => codes::PENDING,
        _ if effect == Effect::Unknown || fault.status >= 500 => codes::NO_ANSWER,
        Meaning::Forbidden => codes::NO_PERMISSION,
        Meaning::NotFound => codes::NOT_FOUND,
        Meaning::NonceUsed | Meaning::Plain if fault.status == 413 => codes::REQUEST_TOO_LARGE,
        Meaning::NonceUsed | Meaning::Plain => codes::REQUEST_REFUSED,
    }
}

/// A service may repeat what was signed, the token among it.
pub(crate) fn redact(text: &str, credentials: &Credentials) -> String {
    let secrets = [Some(&credentials.access_key_secret), credentials.security_token.as_ref()];
    secrets
        .into_iter()
        .flatten()
        .map(Secret::expose)
        .filter(|secret| !secret.is_empty())
        .fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
}

fn no_credentials(call: &Call, error: &CredentialsError) -> CallError {
    CallError {
        code: error.code,
        message: format!("{}: {}", call.action, error.message),
        effect: Effect::NothingYet(Span::from_secs(10)),
        fault: None,
        cure: error.cure.clone(),
    }
}
