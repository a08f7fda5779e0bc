//! The simulator as a server: connections, calls and faults, the passing of time, and work in the background.

use super::control::{self, Call, Parts};
use super::gate::Gate;
use super::limits;
use super::picture;
use super::refusal::Refusal;
use super::reply::Reply;
use super::script::Script;
use super::service::{self, Operation};
use super::sql::Failure;
use super::world::World;
use crate::clock::{self, Clock};
use crate::dice::Dice;
use crate::fault::{Answer, Fault};
use crate::serving::{own_path, stranger};
use crate::wire::{Allowance, Door, Wire};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Response};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;

/// What all tasks of the simulator share.
#[derive(Debug)]
pub struct Shared {
    clock: Clock,
    parts: Mutex<Parts>,
    request_ids: Mutex<Dice>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// What a script says, without instances.
    pub fn new(script: Script, standing_ms: Option<i64>) -> Result<Self, Failure> {
        Ok(Self {
            clock: Clock::new(standing_ms, script.clock_offset_ms),
            request_ids: Mutex::new(Dice::new(!script.seed)),
            parts: Mutex::new(Parts {
                gate: Gate::new(&script),
                world: World::new(script)?,
                calls: VecDeque::new(),
            }),
        })
    }

    /// The parts, brought to the present, and the present in milliseconds since 1970.
    pub fn present(&self) -> (MutexGuard<'_, Parts>, i64) {
        let mut parts = locked(&self.parts);
        let now_ms = self.clock.now_ms();
        parts.world.advance(now_ms);
        (parts, now_ms)
    }

    /// Answers a call to the simulator's own interface.
    pub fn control(&self, method: &str, path: &[&str], body: &[u8]) -> Result<Value, Refusal> {
        let (mut parts, now_ms) = self.present();
        let (value, advance_ms) = control::act(&mut parts, method, path, body, now_ms)?;
        self.clock.advance(advance_ms);
        parts.world.advance(self.clock.now_ms());
        Ok(value)
    }

    fn request_id(&self) -> String {
        locked(&self.request_ids).uuid().replace('-', "").to_uppercase()
    }
}

/// Serves until the future is dropped.
pub async fn serve(shared: Arc<Shared>, listener: TcpListener) -> std::io::Result<()> {
    tokio::spawn(pass_time(Arc::clone(&shared)));
    let router = Router::new().fallback(handle).with_state(shared);
    axum::serve(Door(listener), router.into_make_service_with_connect_info::<Allowance>()).await
}

/// Lets instances go on, also while nobody calls.
async fn pass_time(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(Duration::from_millis(limits::TICK_MS));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        begin_jobs(&shared);
    }
}

/// Does what is to be begun on the threads for long work, of which there are as many as may run at once.
fn begin_jobs(shared: &Arc<Shared>) {
    let jobs = shared.present().0.world.take_jobs();
    for job in jobs {
        let shared = Arc::clone(shared);
        tokio::task::spawn_blocking(move || {
            let outcome = job.run();
            let (mut parts, now_ms) = shared.present();
            parts.world.finished(job.number, outcome, now_ms);
        });
    }
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(allowance): ConnectInfo<Allowance>,
    request: Request,
) -> Response<Body> {
    let wire = match Wire::read(request, limits::BODY_BYTES).await {
        Ok(wire) => wire,
        Err(wire) => {
            let refusal =
                Refusal::new(413, "RequestTooLarge", "the request's body is too long, or was broken off");
            return refused(&shared, &wire, &refusal);
        }
    };
    if let Some(path) = own_path(&wire) {
        return control(&shared, &wire, &path);
    }
    // A task of its own: a caller who goes away does not undo what it has sent.
    let own = Arc::clone(&shared);
    let asked = wire.clone();
    match tokio::spawn(async move { answer(&own, &asked, &allowance).await }).await {
        Ok(response) => response,
        Err(error) => refused(&shared, &wire, &Refusal::new(500, "InternalServerError", error.to_string())),
    }
}

fn control(shared: &Shared, wire: &Wire, path: &[String]) -> Response<Body> {
    if let Some((status, code, message)) = stranger(wire) {
        return refused(shared, wire, &Refusal::new(status, code, message));
    }
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match shared.control(&wire.method, &path, &wire.body) {
        Ok(value) => accepted(shared, Reply::json(&value)),
        Err(refusal) => refused(shared, wire, &refusal),
    }
}

/// Answers a call of the service, as its fault says if it has one.
async fn answer(shared: &Arc<Shared>, wire: &Wire, allowance: &Allowance) -> Response<Body> {
    let Some(operation) = service::operation(wire) else {
        let message = format!("{} {} is no operation of the service", wire.method, wire.path);
        return refused(shared, wire, &Refusal::new(404, "NoSuchObject", message));
    };
    let (fault, admitted) = {
        let (mut parts, now_ms) = shared.present();
        parts.gate.arrived(wire, now_ms);
        let fault = parts.gate.fault(operation.name, wire);
        let acts = fault
            .as_ref()
            .is_none_or(|fault| fault.acts || matches!(fault.answer, Answer::Usual | Answer::Cut(_)));
        (fault, acts.then(|| parts.gate.admit(&operation, wire, now_ms)))
    };
    let hit = fault.is_some();
    let fault = fault.unwrap_or_default();
    pause(fault.hold_request_ms).await;
    let acted = match admitted {
        Some(Ok(owner)) => Some(act(shared, &operation, wire, &owner).await),
        Some(Err(refusal)) => Some(Err(refusal)),
        None => None,
    };
    if let (Some(after_ms), Some(Ok(_))) = (fault.repeat_after_ms, &acted) {
        let (shared, wire, operation) = (Arc::clone(shared), wire.clone(), operation.clone());
        tokio::spawn(async move {
            pause(after_ms).await;
            let (admitted, _) = {
                let (mut parts, now_ms) = shared.present();
                (parts.gate.admit(&operation, &wire, now_ms), now_ms)
            };
            if let Ok(owner) = admitted {
                let outcome = act(&shared, &operation, &wire, &owner).await;
                note(&shared, &operation, true, Some(&outcome), None);
            }
        });
    }
    note(shared, &operation, hit, acted.as_ref(), Some(&fault));
    pause(fault.hold_answer_ms).await;
    if let Answer::Cut(bytes) = fault.answer {
        allowance.cut_after(bytes);
    } else if fault.answer == Answer::Drop {
        allowance.cut_after(0);
    }
    match (fault.answer, acted) {
        (Answer::Error { status, code, message, retry_after_s, .. }, _) => {
            refused(shared, wire, &Refusal { retry_after_s, ..Refusal::new(status, &code, message) })
        }
        (Answer::Raw { status, content_type, location, body }, _) => {
            let mut response = response(shared, status, &content_type, body.into_bytes());
            add(&mut response, "location", location.as_deref().unwrap_or_default());
            response
        }
        (_, Some(Ok(reply))) => accepted(shared, reply),
        (_, Some(Err(refusal))) => refused(shared, wire, &refusal),
        (_, None) => refused(shared, wire, &Refusal::new(500, "InternalServerError", "nothing was done")),
    }
}

async fn pause(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

async fn act(
    shared: &Arc<Shared>,
    operation: &Operation,
    wire: &Wire,
    owner: &str,
) -> Result<Reply, Refusal> {
    let (reply, job) = {
        let (mut guard, now_ms) = shared.present();
        let Parts { world, gate, .. } = &mut *guard;
        let reply = service::act(world, gate, operation, wire, owner, now_ms)?;
        let job = reply.instant.and_then(|number| world.take_job(number));
        (reply, job)
    };
    begin_jobs(shared);
    let Some(number) = reply.instant else { return Ok(reply) };
    let outcome = match job {
        Some(job) => tokio::task::spawn_blocking(move || job.run()).await.ok(),
        None => None,
    };
    let (mut parts, now_ms) = shared.present();
    let scripted = parts.world.numbered(number).and_then(|instance| instance.outcome.clone());
    if let Some(outcome) = outcome.or(scripted) {
        parts.world.finished(number, outcome, now_ms);
    }
    let Some(instance) = parts.world.numbered(number) else { return Ok(reply) };
    let result = picture::result(instance, &parts.world.script);
    Ok(Reply { headers: reply.headers, instance: reply.instance, ..result })
}

/// Remembers a call.
fn note(
    shared: &Shared,
    operation: &Operation,
    hit: bool,
    acted: Option<&Result<Reply, Refusal>>,
    fault: Option<&Fault>,
) {
    let (mut parts, at_ms) = shared.present();
    let reply = acted.and_then(|acted| acted.as_ref().ok());
    let outcome = match (acted, fault.map(|fault| &fault.answer)) {
        (Some(Err(refusal)), _) => refusal.code.clone(),
        (_, Some(Answer::Error { code, .. })) => code.clone(),
        (_, Some(Answer::Drop)) => "dropped".to_owned(),
        (_, Some(Answer::Raw { status, .. })) => status.to_string(),
        _ => "ok".to_owned(),
    };
    let object = (!operation.object.is_empty()).then(|| operation.object.clone());
    let call = Call {
        at_ms,
        operation: operation.name.to_owned(),
        object: reply.and_then(|reply| reply.instance.clone()).or(object),
        outcome,
        acted: reply.is_some(),
        fault: hit,
    };
    if parts.calls.len() >= limits::CALLS {
        parts.calls.pop_front();
    }
    parts.calls.push_back(call);
}

fn accepted(shared: &Shared, reply: Reply) -> Response<Body> {
    let mut response = response(shared, reply.status, reply.kind, reply.body);
    add(&mut response, "x-odps-request-id", &shared.request_id());
    for (name, value) in reply.headers {
        add(&mut response, name, &value);
    }
    response
}

fn refused(shared: &Shared, wire: &Wire, refusal: &Refusal) -> Response<Body> {
    let id = shared.request_id();
    let wait_s = refusal.retry_after_s;
    let json = {
        let (mut parts, now_ms) = shared.present();
        if let Some(wait_s) = wait_s {
            parts.gate.told_to_wait(wire, wait_s.saturating_mul(1000), now_ms);
        }
        parts.world.script.errors.json
    };
    // The tunnel, whose paths have no prefix, always answers in JSON.
    let json = json || !wire.path.starts_with("/api");
    let (kind, body) =
        if json { ("application/json", refusal.json(&id)) } else { ("application/xml", refusal.xml(&id)) };
    let mut response = response(shared, refusal.status, kind, body.into_bytes());
    add(&mut response, "x-odps-request-id", &id);
    add(&mut response, "retry-after", &wait_s.map_or(String::new(), |seconds| seconds.to_string()));
    response
}

fn response(shared: &Shared, status: u16, kind: &str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status.try_into().unwrap_or_default();
    add(&mut response, "content-type", kind);
    add(&mut response, "date", &clock::http_date(shared.clock.now_ms()));
    response
}

/// Adds a header unless its value is empty.
fn add(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let (false, Ok(value)) = (value.is_empty(), HeaderValue::try_from(value)) {
        response.headers_mut().insert(name, value);
    }
}
