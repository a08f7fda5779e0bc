//! The simulator as a server: connections, calls and faults.

use super::gate::Gate;
use super::refusal::Refusal;
use super::reply::Reply;
use super::script::Script;
use super::service::{self, Target};
use super::store::Store;
use crate::clock::{self, Clock};
use crate::dice::Dice;
use crate::fault::{Answer, Fault};
use crate::wire::{Allowance, Door, Wire};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, Response};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;

/// The longest body of a call, in bytes.
const BODY_BYTES: usize = 256 << 20;
/// The most calls that are remembered.
const CALLS: usize = 200_000;

/// A call that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The operation.
    pub operation: String,
    /// The bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// `ok`, the code of an error, or `dropped`.
    pub outcome: String,
    /// How its `Authorization` begins: `OSS` for version 1, `OSS4-HMAC-SHA256` for version 4.
    pub signed: String,
}

/// What the simulator is made of.
#[derive(Debug)]
pub struct Parts {
    /// The gateway.
    pub gate: Gate,
    /// The buckets by name, each with its region.
    pub buckets: BTreeMap<String, (String, Store)>,
    /// The calls, the oldest first; the oldest are forgotten beyond a bound.
    pub calls: VecDeque<Call>,
    folder: Option<PathBuf>,
    region: String,
    request_ids: Dice,
}

impl Parts {
    /// A bucket with its region. The folders that are buckets may come and go.
    pub fn bucket(&mut self, name: &str) -> Option<&mut (String, Store)> {
        let usual = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains('/');
        let folder = self.folder.as_ref().filter(|_| usual(name)).map(|folder| folder.join(name));
        if let Some(folder) = folder.filter(|folder| !self.buckets.contains_key(name) && folder.is_dir()) {
            self.buckets.insert(name.to_owned(), (self.region.clone(), Store::Folder(folder)));
        }
        self.buckets.get_mut(name)
    }
}

/// What all tasks of the simulator share.
#[derive(Debug)]
pub struct Shared {
    /// Its clock.
    pub clock: Clock,
    parts: Mutex<Parts>,
}

impl Shared {
    /// What a script says.
    pub fn new(script: &Script) -> Self {
        let store = |folder: &Option<PathBuf>| match folder {
            Some(folder) => Store::Folder(folder.clone()),
            None => Store::Memory(BTreeMap::new()),
        };
        let buckets = script.buckets.iter().map(|bucket| {
            let region = bucket.region.clone().unwrap_or_else(|| script.region.clone());
            (bucket.name.clone(), (region, store(&bucket.folder)))
        });
        Self {
            clock: Clock::new(None, script.clock_offset_ms),
            parts: Mutex::new(Parts {
                gate: Gate::new(script),
                buckets: buckets.collect(),
                calls: VecDeque::new(),
                folder: script.folder.clone(),
                region: script.region.clone(),
                request_ids: Dice::new(!script.seed),
            }),
        }
    }

    /// The parts.
    pub fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until the future is dropped.
pub async fn serve(shared: Arc<Shared>, listener: TcpListener) -> std::io::Result<()> {
    let router = Router::new().fallback(handle).with_state(shared);
    axum::serve(Door(listener), router.into_make_service_with_connect_info::<Allowance>()).await
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(allowance): ConnectInfo<Allowance>,
    request: Request,
) -> Response<Body> {
    let wire = match Wire::read(request, BODY_BYTES).await {
        Ok(wire) => wire,
        Err(wire) => {
            let refusal = Refusal::new(400, "EntityTooLarge", "the body is too long, or was broken off");
            return respond(&shared, &wire, Err(refusal));
        }
    };
    let target = Target::of(&wire);
    answer(&shared, &wire, &target, &allowance).await
}

/// Answers a call, as its fault says if it has one.
async fn answer(shared: &Shared, wire: &Wire, target: &Target, allowance: &Allowance) -> Response<Body> {
    let Some(operation) = service::operation(wire, target) else {
        let message = format!("{} {}?{} is not simulated", wire.method, wire.path, wire.query);
        return respond(shared, wire, Err(Refusal::new(501, "NotImplemented", message)));
    };
    let fault = shared.parts().gate.fault(operation, wire).unwrap_or_default();
    pause(fault.hold_request_ms).await;
    let acts = fault.acts || matches!(fault.answer, Answer::Usual | Answer::Cut(_));
    let acted = acts.then(|| carry_out(shared, operation, wire, target));
    note(shared, operation, wire, target, acted.as_ref(), &fault);
    pause(fault.hold_answer_ms).await;
    let nothing = || Err(Refusal::new(500, "InternalError", "nothing was done"));
    match fault.answer {
        Answer::Usual => respond(shared, wire, acted.unwrap_or_else(nothing)),
        Answer::Drop => {
            allowance.cut_after(0);
            respond(shared, wire, nothing())
        }
        Answer::Cut(bytes) => {
            allowance.cut_after(bytes);
            respond(shared, wire, acted.unwrap_or_else(nothing))
        }
        Answer::Error { status, code, message, retry_after_s, .. } => {
            let mut response = respond(shared, wire, Err(Refusal::new(status, &code, message)));
            if let Some(seconds) = retry_after_s {
                response.headers_mut().insert("retry-after", seconds.into());
            }
            response
        }
        Answer::Raw { status, content_type, location, body } => {
            let mut reply = Reply { status, headers: Vec::new(), body: body.into_bytes() };
            reply = reply.with("content-type", content_type);
            if let Some(location) = location {
                reply = reply.with("location", location);
            }
            respond(shared, wire, Ok(reply))
        }
    }
}

fn carry_out(shared: &Shared, operation: &str, wire: &Wire, target: &Target) -> Result<Reply, Refusal> {
    let now_ms = shared.clock.now_ms();
    let mut parts = shared.parts();
    let region = parts.bucket(&target.bucket).map(|(region, _)| region.clone());
    parts.gate.admit(operation, wire, target, region.as_deref(), now_ms)?;
    let (region, store) = parts.bucket(&target.bucket).ok_or_else(|| Refusal::no_bucket(&target.bucket))?;
    let host = wire.header("host").unwrap_or_default();
    let here = format!("{}.oss-{region}", target.bucket);
    if host.contains(".oss-") && !host.starts_with(&here) {
        let message = "The bucket you are attempting to access must be addressed using the specified endpoint. \
                       Please send all future requests to this endpoint.";
        let endpoint = format!("oss-{region}.aliyuncs.com");
        return Err(Refusal::new(403, "AccessDenied", message).with("Endpoint", endpoint));
    }
    service::act(store, region, operation, wire, target, now_ms)
}

async fn pause(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// Remembers a call.
fn note(
    shared: &Shared,
    operation: &str,
    wire: &Wire,
    target: &Target,
    acted: Option<&Result<Reply, Refusal>>,
    fault: &Fault,
) {
    let outcome = match (acted, &fault.answer) {
        (Some(Err(refusal)), _) => refusal.code.clone(),
        (_, Answer::Error { code, .. }) => code.clone(),
        (_, Answer::Drop) => "dropped".to_owned(),
        (_, Answer::Cut(_)) => "cut".to_owned(),
        (_, Answer::Raw { status, .. }) => status.to_string(),
        (_, Answer::Usual) => "ok".to_owned(),
    };
    let authorization = wire.header("authorization").unwrap_or("in the query");
    let call = Call {
        operation: operation.to_owned(),
        bucket: target.bucket.clone(),
        key: target.key.clone(),
        outcome,
        signed: authorization.split(' ').next().unwrap_or_default().to_owned(),
    };
    let mut parts = shared.parts();
    if parts.calls.len() >= CALLS {
        parts.calls.pop_front();
    }
    parts.calls.push_back(call);
}

fn respond(shared: &Shared, wire: &Wire, outcome: Result<Reply, Refusal>) -> Response<Body> {
    let id = shared.parts().request_ids.uuid().replace('-', "").to_uppercase();
    let id = id.get(..24).unwrap_or(&id).to_owned();
    let reply = outcome.unwrap_or_else(|refusal| {
        let body = refusal.body(&id, wire.header("host").unwrap_or_default()).into_bytes();
        let mut reply = Reply { status: refusal.status, headers: Vec::new(), body };
        reply = reply.with("content-type", "application/xml");
        for (name, value) in refusal.headers {
            reply = reply.with(name, value);
        }
        reply
    });
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = reply.status.try_into().unwrap_or_default();
    let usual = [
        ("date".to_owned(), clock::http_date(shared.clock.now_ms())),
        ("x-oss-request-id".to_owned(), id),
        ("server".to_owned(), "AliyunOSS".to_owned()),
    ];
    for (name, value) in usual.into_iter().chain(reply.headers) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
