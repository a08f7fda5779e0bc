//! The HTTP server: takes requests in, finds out who asks and whether they may, and lets an operation answer.

use super::access::{Access, Identity, Names, Role};
use super::intake::{Intake, busy};
use super::listen::Working;
use super::operation::{Asked, Dialect, Operation, query};
use super::pace::Pace;
use super::problem::Problem;
use super::signature::{self, BodyDigest, Nonces, Signed};
use super::{native, pai};
use crate::codes;
use crate::error::Failure;
use crate::metrics::Metrics;
use crate::runtime::dispatcher::{Dispatcher, Fatal, Refused};
use crate::runtime::shell::{Handle, now};
use crate::traces;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{ConnectInfo, RawPathParams, Request, State};
use axum::http::request::Parts as Head;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::on;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// Requests under way at once, without those that follow events; more are asked to come again.
pub const MAX_REQUESTS: usize = 512;
/// Most bytes of a body.
pub const MAX_BODY_BYTES: usize = 4 << 20;

/// What operations work with.
pub struct App {
    /// The engine.
    pub handle: Handle,
    /// The store.
    pub store: PathBuf,
    /// The history that the numbers of its records belong to: it changes only while no daemon holds the store.
    pub history: Arc<native::History>,
    /// Where tasks run.
    pub backends: crate::Backends,
    /// Who may come in.
    pub access: Access,
    /// Whether commands may be run on this machine.
    pub allow_local: bool,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What followers are told.
    pub pages: native::Pages,
    /// Where the records of experiments stand.
    pub index: Arc<pai::Index>,
    /// Threads for what takes long.
    pub aside: Arc<native::Aside>,
    /// Set while the daemon ends.
    pub ending: tokio::sync::watch::Receiver<bool>,
    pace: Option<Pace>,
    nonces: Nonces,
    intake: Intake,
    permits: Semaphore,
}

/// What an [`App`] is made of.
pub struct Parts {
    /// The engine.
    pub handle: Handle,
    /// The store.
    pub store: PathBuf,
    /// The history that the numbers of its records belong to: it changes only while no daemon holds the store.
    pub history: Arc<native::History>,
    /// Where tasks run.
    pub backends: crate::Backends,
    /// Who may come in.
    pub access: Access,
    /// Whether commands may be run on this machine.
    pub allow_local: bool,
    /// Most requests per second of each user, if there is a bound.
    pub pace: Option<u32>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Becomes true when the daemon ends.
    pub ending: tokio::sync::watch::Receiver<bool>,
}

impl App {
    /// What operations work with.
    pub fn new(parts: Parts) -> Self {
        let Parts { handle, store, history, backends, access, allow_local, pace, metrics, ending } = parts;
        let aside = Arc::<native::Aside>::default();
        Self {
            pages: native::Pages::new(
                store.clone(),
                handle.clone(),
                Arc::clone(&history),
                Arc::clone(&aside),
            ),
            handle,
            store,
            history,
            backends,
            access,
            allow_local,
            metrics,
            aside,
            index: Arc::default(),
            ending,
            pace: pace.map(Pace::new),
            nonces: Nonces::default(),
            intake: Intake::default(),
            permits: Semaphore::new(MAX_REQUESTS),
        }
    }
}

/// Why work on the engine was not done.
#[derive(Debug)]
pub enum Undone {
    /// It was refused; nothing has changed.
    Refused(Problem),
    /// The engine cannot go on.
    Fatal(Fatal),
}

impl From<Problem> for Undone {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<Failure> for Undone {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure.into())
    }
}

impl From<Refused> for Undone {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Rejected(rejection) => Self::Refused(Failure::from(rejection).into()),
            Refused::Fatal(fatal) => Self::Fatal(fatal),
        }
    }
}

impl App {
    /// Works on the engine in one piece, in the name of somebody. The answer comes when what was done is durable.
    pub async fn act<T: Send + 'static>(
        &self,
        who: &Identity,
        work: impl FnOnce(&mut Dispatcher, &str) -> Result<T, Undone> + Send + 'static,
    ) -> Result<T, Problem> {
        let name = who.name.clone();
        let done = self.handle.with(move |dispatcher| match work(dispatcher, &name) {
            Ok(done) => Ok(Ok(done)),
            Err(Undone::Refused(problem)) => Ok(Err(problem)),
            Err(Undone::Fatal(fatal)) => Err(fatal),
        });
        done.await?
    }
}

/// Every operation of every API.
pub fn operations() -> impl Iterator<Item = &'static Operation> {
    native::operations().iter().chain(pai::operations())
}

/// What varies in a path, unless it is no text.
type InPath = Result<RawPathParams, RawPathParamsRejection>;

/// The router of all operations.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for operation in operations() {
        let serve = move |State(app): State<Arc<App>>, path: InPath, request: Request| async move {
            serve(&app, operation, path, request).await
        };
        router = router.route(operation.path, on(operation.method.filter(), serve));
    }
    router
        .fallback(|request: Request| async move {
            nowhere(
                &request,
                StatusCode::NOT_FOUND,
                format!("there is nothing at {} {}", request.method(), request.uri().path()),
            )
        })
        .method_not_allowed_fallback(|request: Request| async move {
            nowhere(
                &request,
                StatusCode::METHOD_NOT_ALLOWED,
                format!("{} is not taken here", request.method()),
            )
        })
        .with_state(app)
}

async fn serve(app: &App, operation: &'static Operation, path: InPath, request: Request) -> Response<Body> {
    let began = Instant::now();
    let traced = traces::Answering::begin(request.headers());
    let id = request_id();
    let answered = answer(app, operation, path, request, &id).await;
    let response = match answered {
        Ok(response) => response,
        Err(problem) => {
            if problem.status.is_server_error() {
                tracing::error!(request = id, operation = operation.name, problem = %problem.message, "a request failed");
            }
            match operation.dialect {
                Dialect::Native => problem.response(),
                Dialect::Pai => pai::refusal(&problem, &id),
            }
        }
    };
    app.metrics.answered(operation.name, response.status().as_u16(), began.elapsed());
    let route = (operation.method.as_str(), operation.path);
    traced.answered(route, operation.name, &id, response.status().as_u16());
    let mut response = decorated(response);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// The answer where there is no operation, in the manner of the API that was meant.
fn nowhere(request: &Request, status: StatusCode, message: String) -> Response<Body> {
    let problem = Problem::coded(status, codes::BAD_HTTP_REQUEST, message, "see /v1/openapi.json");
    let pai = request.uri().path().starts_with("/api/");
    decorated(if pai { pai::refusal(&problem, &request_id()) } else { problem.response() })
}

/// With the headers of every answer.
fn decorated(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

async fn answer(
    app: &App,
    operation: &'static Operation,
    path: InPath,
    request: Request,
    id: &str,
) -> Result<Response<Body>, Problem> {
    let (parts, body) = request.into_parts();
    let _work = parts.extensions.get::<ConnectInfo<Working>>().map(|connection| connection.0.begin());
    // Nobody is waited for before it is known who it is.
    let (who, digest) = match admit(app, operation, &parts) {
        Ok(admitted) => admitted,
        Err(problem) => {
            app.intake.discard(&parts.headers, body).await;
            return Err(problem);
        }
    };
    let body = if operation.needs.is_some() {
        let body = app.intake.read(&who.name, body).await?;
        digest.map_or(Ok(()), |digest| digest.check(&body))?;
        body
    } else {
        // What anybody may ask for takes no body.
        app.intake.discard(&parts.headers, body).await;
        Vec::new()
    };
    let _permit = app.permits.try_acquire().map_err(|_| busy("too many requests are under way"))?;
    let path =
        path.map_err(|error| Problem::bad_request(format!("the path is not as it has to be: {error}"), ""))?;
    let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let query = query(operation, parts.uri.query().unwrap_or_default())?;
    let asked = Asked { who, path, query, headers: parts.headers, body, id: id.to_owned() };
    Ok((operation.run)(app, asked).await?.response())
}

/// Who asks, if they may and do not ask too often; and what the body has to be, if it is signed.
fn admit(app: &App, operation: &Operation, head: &Head) -> Result<(Identity, Option<BodyDigest>), Problem> {
    let signed = Signed { method: &head.method, uri: &head.uri, headers: &head.headers };
    let (who, digest) = identify(app, operation, &signed)?;
    if let Some(Err(wait)) = app.pace.as_ref().map(|pace| pace.take(&who.name, Instant::now())) {
        return Err(Problem {
            retry_after: Some(wait),
            ..Problem::coded(
                StatusCode::TOO_MANY_REQUESTS,
                codes::TOO_OFTEN,
                format!("{} sends more requests than the daemon allows", who.name),
                "send fewer, or ask an admin for `--requests-per-second`",
            )
        });
    }
    Ok((who, digest))
}

/// Who asks, if they may.
fn identify(
    app: &App,
    operation: &Operation,
    request: &Signed<'_>,
) -> Result<(Identity, Option<BodyDigest>), Problem> {
    let (who, digest) = if app.access.is_open() {
        from_here(request.headers)?;
        (Identity { name: crate::requests::me(), role: Role::Admin, names: Names::default() }, None)
    } else {
        match authenticate(app, request) {
            Err(_) if operation.needs.is_none() => {
                (Identity { name: "anonymous".to_owned(), role: Role::Viewer, names: Names::default() }, None)
            }
            authenticated => authenticated?,
        }
    };
    match operation.needs {
        Some(role) if who.role < role => Err(Problem::coded(
            StatusCode::FORBIDDEN,
            codes::NOT_ALLOWED,
            format!("{} has the role {}, and this needs the role {role}", who.name, who.role),
            "ask an admin",
        )),
        _ => Ok((who, digest)),
    }
}

fn authenticate(app: &App, request: &Signed<'_>) -> Result<(Identity, Option<BodyDigest>), Problem> {
    let text =
        |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let authorization = text("authorization");
    let refused = |message: &str| {
        let cure = "send `Authorization: Bearer TOKEN`, or sign the request with an access key";
        Problem::coded(StatusCode::UNAUTHORIZED, codes::NOT_AUTHENTICATED, message, cure)
    };
    let token = authorization.strip_prefix("Bearer ").unwrap_or_else(|| text("x-acs-bearer-token"));
    if !token.is_empty() {
        let who = app.access.bearer(token).cloned().ok_or_else(|| refused("the token is not known"))?;
        return Ok((who, None));
    }
    match authorization.strip_prefix(signature::ALGORITHM) {
        Some(rest) => signature::verify(&app.access, &app.nonces, request, rest.trim_start(), now())
            .map(|(who, digest)| (who, Some(digest))),
        None => Err(refused("nobody has signed this request")),
    }
}

/// Without users, whoever is on this machine may do everything. A browser is on this machine as well: a page from elsewhere
/// must not act through it, neither by a request of its own nor by a name that leads here.
fn from_here(headers: &HeaderMap) -> Result<(), Problem> {
    let is_here = |host: &str| {
        let name = host.rsplit_once(':').map_or(host, |(name, port)| {
            if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
        });
        matches!(name, "127.0.0.1" | "localhost" | "[::1]")
    };
    // Each of them counts, should a header be sent twice.
    let all = |name: header::HeaderName, fits: &dyn Fn(&str) -> bool| {
        headers.get_all(name).iter().all(|value| value.to_str().is_ok_and(fits))
    };
    let origin_is_here = all(header::ORIGIN, &|origin| origin.strip_prefix("http://").is_some_and(is_here));
    if headers.contains_key(header::HOST) && all(header::HOST, &is_here) && origin_is_here {
        return Ok(());
    }
    Err(Problem::coded(
        StatusCode::FORBIDDEN,
        codes::NOT_ALLOWED,
        "without users this daemon answers programs of this machine only",
        "call it by 127.0.0.1 or localhost, or give it users: see docs/daemon.md",
    ))
}

/// A number for a request, in the form of PAI.
fn request_id() -> String {
    // Without random numbers requests are answered all the same.
    let half = || crate::requests::random_bits().unwrap_or_default();
    let (high, low) = (half(), half());
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xffff);
    format!("{a:08X}-{b:04X}-{c:04X}-{:04X}-{:012X}", low >> 48, low & 0xffff_ffff_ffff)
}
