//! The simulator as a server: connections, calls and faults, and the passing of time.

use super::control::{self, Call, Parts};
use super::gate::Gate;
use super::limits;
use super::process;
use super::refusal::Refusal;
use super::script::Script;
use super::service;
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
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What all tasks of the simulator share.
#[derive(Debug)]
pub struct Shared {
    clock: Clock,
    parts: Mutex<Parts>,
    /// Copies of calls that are on their way, by when they arrive.
    copies: Mutex<BTreeMap<(i64, u64), Arrival>>,
    /// Wakes what waits for the simulated time.
    moved: Notify,
    request_ids: Mutex<Dice>,
    /// The leaders of the processes' groups, by the identity of their pod.
    processes: Mutex<BTreeMap<String, i32>>,
    /// The symbolic links that were made for jobs.
    links: Mutex<Vec<PathBuf>>,
    dir: Option<PathBuf>,
}

/// A call on its way.
#[derive(Debug)]
struct Arrival {
    operation: &'static str,
    ids: Vec<String>,
    wire: Wire,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// What a script says, without jobs.
    pub fn new(script: Script, standing_ms: Option<i64>) -> Self {
        Self {
            clock: Clock::new(standing_ms, script.clock_offset_ms),
            copies: Mutex::default(),
            moved: Notify::new(),
            request_ids: Mutex::new(Dice::new(!script.seed)),
            processes: Mutex::new(BTreeMap::new()),
            links: Mutex::default(),
            dir: script.processes.as_ref().and_then(|processes| processes.dir.clone()),
            parts: Mutex::new(Parts {
                gate: Gate::new(&script),
                world: World::new(script),
                calls: VecDeque::new(),
            }),
        }
    }

    /// The parts, brought to the present, and the present in milliseconds since 1970.
    pub fn present(&self) -> (MutexGuard<'_, Parts>, i64) {
        let mut parts = locked(&self.parts);
        let now_ms = self.clock.now_ms();
        self.bring(&mut parts, now_ms);
        (parts, now_ms)
    }

    /// Brings the parts to a time, and lets the copies of calls arrive that do so by then, each at its own time.
    fn bring(&self, parts: &mut Parts, now_ms: i64) {
        loop {
            let mut copies = locked(&self.copies);
            let Some(first) = copies.first_entry().filter(|first| first.key().0 <= now_ms) else { break };
            let ((at_ms, _), Arrival { operation, ids, wire }) = first.remove_entry();
            drop(copies);
            parts.world.advance(at_ms);
            let user = caller(&wire);
            let outcome = service::act(&mut parts.world, operation, &ids, &wire, &user, at_ms);
            note(parts, at_ms, operation, &ids, true, Some(&outcome), None);
        }
        parts.world.advance(now_ms);
    }

    /// Lets a copy of a call arrive later.
    fn send_later(&self, after_ms: u64, arrival: Arrival) {
        let at_ms = self.clock.now_ms().saturating_add(i64::try_from(after_ms).unwrap_or(i64::MAX));
        let mut copies = locked(&self.copies);
        let number = copies.last_key_value().map_or(0, |((_, number), _)| number + 1);
        copies.insert((at_ms, number), arrival);
    }

    /// Waits for some milliseconds of the simulated time.
    async fn pause(&self, ms: u64) {
        if ms == 0 {
            return;
        }
        let until_ms = self.clock.now_ms().saturating_add(i64::try_from(ms).unwrap_or(i64::MAX));
        loop {
            // Asked for before the time is looked at, so that no move of the clock is missed.
            let moved = self.moved.notified();
            let left_ms = u64::try_from(until_ms - self.clock.now_ms()).unwrap_or(0);
            if left_ms == 0 {
                return;
            }
            if self.clock.stands() {
                moved.await;
            } else {
                tokio::select! {
                    () = moved => {}
                    () = tokio::time::sleep(Duration::from_millis(left_ms)) => {}
                }
            }
        }
    }

    /// The leaders of the processes' groups.
    pub fn processes(&self) -> MutexGuard<'_, BTreeMap<String, i32>> {
        locked(&self.processes)
    }

    /// The symbolic links that were made for jobs.
    pub fn links(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        locked(&self.links)
    }

    /// Takes a line of a process.
    pub fn wrote(&self, uid: &str, line: String) {
        let (mut parts, now_ms) = self.present();
        parts.world.wrote(uid, line, now_ms);
    }

    /// Takes the end of a process.
    pub fn ended(&self, uid: &str, outcome: Result<(), String>) {
        let (mut parts, now_ms) = self.present();
        parts.world.ended(uid, outcome, now_ms);
    }

    /// Answers a call to the simulator's own interface.
    pub fn control(
        &self,
        method: &str,
        path: &[&str],
        query: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Result<Value, Refusal> {
        let (mut parts, now_ms) = self.present();
        let (value, advance_ms) = control::act(&mut parts, method, path, query, body, now_ms)?;
        self.clock.advance(advance_ms);
        self.bring(&mut parts, self.clock.now_ms());
        self.moved.notify_waiters();
        Ok(value)
    }

    fn request_id(&self) -> String {
        locked(&self.request_ids).uuid().to_uppercase()
    }
}

/// Serves until the future is dropped.
pub async fn serve(shared: Arc<Shared>, listener: TcpListener) -> std::io::Result<()> {
    tokio::spawn(pass_time(Arc::clone(&shared)));
    let router = Router::new().fallback(handle).with_state(shared);
    axum::serve(Door(listener), router.into_make_service_with_connect_info::<Allowance>()).await
}

/// Lets jobs go on, and their processes start and end, also while nobody calls.
async fn pass_time(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(Duration::from_millis(limits::TICK_MS));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let work = shared.present().0.world.take_work();
        for work in work {
            process::carry_out(&shared, work, shared.dir.clone());
        }
    }
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(allowance): ConnectInfo<Allowance>,
    request: Request,
) -> Response<Body> {
    let wire = match Wire::read(request, limits::CONTROL_BYTES).await {
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
        Err(error) => refused(&shared, &wire, &Refusal::new(500, "InternalError", error.to_string())),
    }
}

fn control(shared: &Shared, wire: &Wire, path: &[String]) -> Response<Body> {
    if let Some((status, code, message)) = stranger(wire) {
        return refused(shared, wire, &Refusal::new(status, code, message));
    }
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match shared.control(&wire.method, &path, &wire.pairs().into_iter().collect(), &wire.body) {
        Ok(value) => response(shared, 200, "application/json", value.to_string(), None),
        Err(refusal) => refused(shared, wire, &refusal),
    }
}

/// Answers a call of the service, as its fault says if it has one.
async fn answer(shared: &Arc<Shared>, wire: &Wire, allowance: &Allowance) -> Response<Body> {
    let Some((operation, ids)) = service::operation(wire) else {
        let message = format!("{} {} is no operation of the service", wire.method, wire.path);
        return refused(shared, wire, &Refusal::new(404, "InvalidApi.NotFound", message));
    };
    let (fault, admitted) = {
        let (mut parts, now_ms) = shared.present();
        parts.gate.arrived(wire, operation, now_ms);
        let fault = parts.gate.fault(operation, wire);
        let acts = fault
            .as_ref()
            .is_none_or(|fault| fault.acts || matches!(fault.answer, Answer::Usual | Answer::Cut(_)));
        (fault, acts.then(|| parts.gate.admit(operation, wire, now_ms)))
    };
    let hit = fault.is_some();
    let fault = fault.unwrap_or_default();
    shared.pause(fault.hold_request_ms).await;
    let acted = admitted.map(|user| user.and_then(|user| act(shared, operation, &ids, wire, &user)));
    if let Some(after_ms) = fault.repeat_after_ms {
        shared.send_later(after_ms, Arrival { operation, ids: ids.clone(), wire: wire.clone() });
    }
    {
        let (mut parts, now_ms) = shared.present();
        note(&mut parts, now_ms, operation, &ids, hit, acted.as_ref(), Some(&fault));
    }
    shared.pause(fault.hold_answer_ms).await;
    let usual = |acted: Option<Result<Value, Refusal>>| match acted {
        Some(Ok(value)) => accepted(shared, value),
        Some(Err(refusal)) => {
            told(shared, wire, operation, &refusal);
            refused(shared, wire, &refusal)
        }
        None => refused(shared, wire, &Refusal::new(500, "InternalError", "nothing was done")),
    };
    match fault.answer {
        Answer::Usual => usual(acted),
        Answer::Drop => {
            allowance.cut_after(0);
            usual(acted)
        }
        Answer::Cut(bytes) => {
            allowance.cut_after(bytes);
            usual(acted)
        }
        Answer::Error { status, code, message, retry_after_ms, retry_after_s } => {
            let refusal = Refusal { retry_after_ms, retry_after_s, ..Refusal::new(status, &code, message) };
            told(shared, wire, operation, &refusal);
            refused(shared, wire, &refusal)
        }
        Answer::Raw { status, content_type, location, body } => {
            let mut response = response(shared, status, &content_type, body, None);
            if let Some(location) = location.and_then(|location| HeaderValue::try_from(location).ok()) {
                response.headers_mut().insert("location", location);
            }
            response
        }
    }
}

fn act(shared: &Shared, operation: &str, ids: &[String], wire: &Wire, user: &str) -> Result<Value, Refusal> {
    let (mut parts, now_ms) = shared.present();
    service::act(&mut parts.world, operation, ids, wire, user, now_ms)
}

fn caller(wire: &Wire) -> String {
    let authorization = wire.header("authorization").unwrap_or_default();
    super::signature::authorization(authorization).map_or(String::new(), |found| found.key_id.to_owned())
}

/// Remembers a call.
fn note(
    parts: &mut Parts,
    at_ms: i64,
    operation: &str,
    ids: &[String],
    hit: bool,
    acted: Option<&Result<Value, Refusal>>,
    fault: Option<&Fault>,
) {
    let created = acted.and_then(|acted| acted.as_ref().ok()).and_then(|value| value.get("JobId"));
    let outcome = match (acted, fault.map(|fault| &fault.answer)) {
        (Some(Err(refusal)), _) => refusal.code.clone(),
        (_, Some(Answer::Error { code, .. })) => code.clone(),
        (_, Some(Answer::Drop)) => "dropped".to_owned(),
        (_, Some(Answer::Raw { status, .. })) => status.to_string(),
        _ => "ok".to_owned(),
    };
    let call = Call {
        at_ms,
        operation: operation.to_owned(),
        job: created.and_then(Value::as_str).map(str::to_owned).or_else(|| ids.first().cloned()),
        outcome,
        acted: acted.is_some_and(Result::is_ok),
        fault: hit,
    };
    if parts.calls.len() >= limits::CALLS {
        parts.calls.pop_front();
    }
    parts.calls.push_back(call);
}

/// Remembers that the caller was told to wait.
fn told(shared: &Shared, wire: &Wire, operation: &str, refusal: &Refusal) {
    let wait_ms = refusal.retry_after_ms.or(refusal.retry_after_s.map(|seconds| seconds * 1000));
    if let Some(wait_ms) = wait_ms {
        let (mut parts, now_ms) = shared.present();
        parts.gate.told_to_wait(wire, operation, wait_ms, now_ms);
    }
}

fn accepted(shared: &Shared, mut value: Value) -> Response<Body> {
    let id = shared.request_id();
    if let Some(map) = value.as_object_mut() {
        map.insert("RequestId".to_owned(), id.clone().into());
    }
    response(shared, 200, "application/json;charset=utf-8", value.to_string(), Some(&id))
}

fn refused(shared: &Shared, wire: &Wire, refusal: &Refusal) -> Response<Body> {
    let id = shared.request_id();
    let body = refusal.body(&id, wire.header("host").unwrap_or_default());
    let mut response =
        response(shared, refusal.status, "application/json;charset=utf-8", body.to_string(), Some(&id));
    let headers = response.headers_mut();
    if let Some(ms) = refusal.retry_after_ms {
        headers.insert("x-acs-retry-after", ms.into());
    }
    if let Some(seconds) = refusal.retry_after_s {
        headers.insert("retry-after", seconds.into());
    }
    response
}

fn response(shared: &Shared, status: u16, kind: &str, body: String, id: Option<&str>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status.try_into().unwrap_or_default();
    let date = clock::http_date(shared.clock.now_ms());
    let id = id.unwrap_or_default();
    for (name, value) in [("content-type", kind), ("date", date.as_str()), ("x-acs-request-id", id)] {
        if let (false, Ok(value)) = (value.is_empty(), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
