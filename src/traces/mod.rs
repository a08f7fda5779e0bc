//! Spans of what the daemon does, for a collector of `OpenTelemetry`: requests, calls of backends, suggestions, commits.
//!
//! Nothing is sent unless the environment names a collector ([`Settings`]). Whoever records a span never waits: one for which there is no room
//! is dropped ([`sender`]). No attribute holds what somebody has sent or what a task is: names, numbers and outcomes only.
//! Read [`record`] first.

mod sender;
mod settings;
mod wire;

pub use sender::Sender;
pub use settings::Settings;

use crate::runtime::call::{Answer, Call};
use axum::http::HeaderMap;
use engine::id::{ExperimentId, SubmissionKey};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// Of this process, as the diagnostics on standard error are.
static RECORDER: OnceLock<Recorder> = OnceLock::new();

/// Where spans go.
#[derive(Debug)]
struct Recorder {
    room: mpsc::Sender<Span>,
    settings: Settings,
}

/// Of what kind a span is, with the numbers of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work of the engine.
    Internal = 1,
    /// A request that came in.
    Server = 2,
    /// A request that went out.
    Client = 3,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
enum Attribute {
    Text(String),
    Number(i64),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

type Attributes = Vec<(&'static str, Attribute)>;

/// One span, ended.
#[derive(Debug, Clone, PartialEq)]
struct Span {
    trace: u128,
    id: u64,
    /// The caller's span.
    parent: Option<u64>,
    name: String,
    kind: Kind,
    began_ns: u64,
    ended_ns: u64,
    failed: bool,
    attributes: Attributes,
}

/// The span of a caller, as the header `traceparent` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    trace: u128,
    span: u64,
    sampled: bool,
}

impl Caller {
    /// Reads the header. One that is not as W3C Trace Context says counts as none.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let mut hex = |digits: usize| {
            let part = parts.next()?;
            let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            (part.len() == digits && part.bytes().all(lower))
                .then(|| u128::from_str_radix(part, 16).ok())
                .flatten()
        };
        let (version, trace, span, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        // A later version may say more behind the flags.
        let more = parts.next().is_some();
        let valid = version != 0xff && trace != 0 && span != 0 && !(version == 0 && more);
        valid.then(|| Self { trace, span: u64::try_from(span).unwrap_or_default(), sampled: flags & 1 == 1 })
    }
}

/// The moment from which something is timed; `None` unless spans are recorded.
pub fn begin() -> Option<Instant> {
    RECORDER.get().map(|_| Instant::now())
}

/// Records that something which began then has ended now.
fn record(
    began: Option<Instant>,
    caller: Option<Caller>,
    kind: Kind,
    failed: bool,
    name: impl FnOnce() -> String,
    attributes: impl FnOnce() -> Attributes,
) {
    let (Some(recorder), Some(began)) = (RECORDER.get(), began) else { return };
    let random = || crate::requests::random_bits().unwrap_or_default();
    let trace =
        caller.map_or_else(|| (u128::from(random()) << 64) | u128::from(random()), |caller| caller.trace);
    if !recorder.settings.samples(trace, caller.map(|caller| caller.sampled)) {
        return;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let span = Span {
        trace,
        id: random(),
        parent: caller.map(|caller| caller.span),
        name: name(),
        kind,
        began_ns: nanoseconds(since.saturating_sub(began.elapsed())),
        ended_ns: nanoseconds(since),
        failed,
        attributes: attributes(),
    };
    // Nobody waits for a collector: what finds no room is lost, as the documentation says.
    let _ = recorder.room.try_send(span);
}

/// A request that came in. Of its headers only the caller's span is looked at.
#[derive(Debug)]
pub struct Answering {
    began: Option<Instant>,
    caller: Option<Caller>,
}

impl Answering {
    /// A request begins.
    pub fn begin(headers: &HeaderMap) -> Self {
        let began = begin();
        let header = began.and_then(|_| headers.get("traceparent")?.to_str().ok());
        Self { began, caller: header.and_then(Caller::parse) }
    }

    /// It was answered, by this operation and under this number. The route is the operation's, not what was asked for.
    pub fn answered(self, (method, route): (&str, &str), operation: &str, request: &str, status: u16) {
        let method = method.to_ascii_uppercase();
        let name = || format!("{method} {route}");
        record(self.began, self.caller, Kind::Server, status >= 500, name, || {
            vec![
                ("http.request.method", method.as_str().into()),
                ("http.route", route.into()),
                ("http.response.status_code", u64::from(status).into()),
                ("retrial.operation", operation.into()),
                ("retrial.request", request.into()),
            ]
        });
    }
}

/// What a call of a backend is about, taken before it is made; `None` unless spans are recorded.
#[derive(Debug)]
pub struct Calling {
    began: Option<Instant>,
    call: &'static str,
    key: Option<SubmissionKey>,
    jobs: usize,
}

impl Calling {
    /// A call begins.
    pub fn begin(call: &Call) -> Self {
        let (key, jobs) = match call {
            Call::Submit { order } | Call::Find { order } => (Some(order.key), 1),
            Call::Poll { jobs } => (jobs.first().map(|(key, _)| *key), jobs.len()),
            Call::Read { key, .. } | Call::List { key, .. } | Call::Stop { key, .. } => (Some(*key), 1),
        };
        Self { began: begin(), call: call.name(), key, jobs }
    }

    /// It was answered.
    pub fn answered(self, backend: &str, answer: &Answer) {
        let outcome = answer.outcome();
        let name = || format!("{backend} {}", self.call);
        record(self.began, None, Kind::Client, outcome != "ok", name, || {
            let mut attributes: Attributes = vec![
                ("retrial.backend", backend.into()),
                ("retrial.call", self.call.into()),
                ("retrial.outcome", outcome.into()),
                ("retrial.jobs", (self.jobs as u64).into()),
            ];
            if let Some(key) = self.key.filter(|_| self.jobs == 1) {
                attributes.push(("retrial.trial", u64::from(key.trial.0).into()));
                attributes.push(("retrial.attempt", u64::from(key.attempt.0).into()));
            }
            if let Some(key) = self.key {
                attributes.push(("retrial.experiment", key.experiment.to_string().as_str().into()));
            }
            attributes
        });
    }
}

/// A sampler was asked.
pub fn suggested(began: Option<Instant>, experiment: ExperimentId, trial: u32, sampler: &str) {
    record(
        began,
        None,
        Kind::Internal,
        false,
        || "suggest".to_owned(),
        || {
            vec![
                ("retrial.experiment", experiment.to_string().as_str().into()),
                ("retrial.trial", u64::from(trial).into()),
                ("retrial.sampler", sampler.into()),
            ]
        },
    );
}

/// Records became durable.
pub fn committed(began: Instant, records: u64) {
    record(
        begin().map(|_| began),
        None,
        Kind::Internal,
        false,
        || "commit".to_owned(),
        || vec![("retrial.records", records.into())],
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_read_as_the_standard_writes_it() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let caller = Caller::parse(header).unwrap();
        assert_eq!(caller.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((caller.span, caller.sampled), (0xb7ad_6b71_6920_3331, true));
        assert!(!Caller::parse(&header.replace("-01", "-00")).unwrap().sampled);
        assert!(Caller::parse(&format!("{}-more", header.replacen("00", "cc", 1))).is_some());
        for wrong in [
            String::new(),
            format!("{header}-more"),
            header.replacen("00", "ff", 1),
            header.to_uppercase(),
            header.replace("b7ad6b7169203331", "0000000000000000"),
            header.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            header.replace("b7ad6b7169203331", "+7ad6b7169203331"),
            header.replace("-01", ""),
        ] {
            assert_eq!(Caller::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nothing_is_timed_unless_a_collector_is_named() {
        assert_eq!(begin(), None);
    }
}
