//! A daemon elsewhere: how it is asked, and what is said when it does not answer as it should. Begin with [`Daemon::of`].

use super::args::Common;
use super::output;
use crate::codes;
use crate::error::{Failure, exit};
use crate::requests::{self, Request as Deed};
use backends::cloud::http::{Answer, Http, HttpSettings, Request, SendError};
use backends::cloud::proxy::ProxySettings;
use backends::cloud::secret::Secret;
use engine::error::Code;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The variable that holds the token. It is no option: that would be seen by every process of the machine.
pub const TOKEN: &str = "RETRIAL_TOKEN";
/// How long a daemon that has answered before is tried again.
const LOST_PATIENCE: Duration = Duration::from_mins(2);
/// How long one that is busy is asked again.
const BUSY_PATIENCE: Duration = Duration::from_secs(30);
/// Wait before it is tried again, if it does not say how long.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How long one may take to something that takes long, such as an audit.
const LONG_ANSWER_TIME: Duration = Duration::from_mins(10);
/// Time between two looks at whether somebody has interrupted.
const INTERRUPT_LOOK: Duration = Duration::from_millis(50);
/// Experiments on a page of the list.
const PAGE: usize = 1_000;
/// Letters of a strange answer that are shown.
const SHOWN: usize = 80;

/// A daemon elsewhere, with the token of whoever asks.
pub struct Daemon {
    http: Http,
    runtime: tokio::runtime::Runtime,
    base: String,
    token: Option<Secret<String>>,
    /// Whether it has answered yet: only then it is worth waiting for.
    met: Cell<bool>,
    /// Raised when somebody interrupts, where that does not end the process at once.
    interrupted: OnceCell<Arc<AtomicBool>>,
}

/// Why there is no answer, and whether there may be one later.
struct Trouble {
    failure: Failure,
    passes: Passes,
}

/// How trouble ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passes {
    /// Not by itself.
    Never,
    /// Nothing was done, and it says when to come again.
    Busy(Duration),
    /// It cannot be reached, or its answer was lost.
    Lost,
}

impl Daemon {
    /// The daemon that is meant, if one is.
    pub fn of(common: &Common) -> Result<Option<Rc<Self>>, Failure> {
        let Some(server) = &common.server else { return Ok(None) };
        let base = address(server)?;
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| token.chars().any(|c| c.is_control() || !c.is_ascii())) {
            let message = format!("{TOKEN} holds letters that no token has");
            return Err(unreached(message, "set it to the token alone, without a line break"));
        }
        if token.is_some() && base.starts_with("http://") && !is_here(&base) {
            output::remark(&format!("note: the token is sent to {base} without encryption"));
        }
        let settings = HttpSettings {
            timeout: ANSWER_TIME,
            proxy: ProxySettings::from_environment(|name| std::env::var(name).ok()),
            ..HttpSettings::default()
        };
        let http = Http::new(&settings).map_err(|error| Failure {
            code: Some(error.code.to_string()),
            ..Failure::new(exit::FAILED, error.to_string(), "see docs/errors/E0530.md")
        })?;
        // The thread keeps connections alive while nobody waits for an answer.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let token = token.map(Secret::new);
        let (met, interrupted) = (Cell::new(false), OnceCell::new());
        Ok(Some(Rc::new(Self { http, runtime, base, token, met, interrupted })))
    }

    /// Waits for no answer any more once this is raised: it fails with [`exit::INTERRUPTED`].
    pub fn heed(&self, interrupted: &Arc<AtomicBool>) {
        let _ = self.interrupted.set(Arc::clone(interrupted));
    }

    fn wait_for<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let raised = async {
            match self.interrupted.get() {
                None => std::future::pending().await,
                Some(flag) => {
                    while !flag.load(Ordering::Relaxed) {
                        tokio::time::sleep(INTERRUPT_LOOK).await;
                    }
                }
            }
        };
        self.runtime.block_on(async {
            tokio::select! {
                done = work => Ok(done),
                () = raised => Err(Failure::new(exit::INTERRUPTED, "interrupted", "")),
            }
        })
    }

    /// What is at a path. Tried again while it can be had later.
    pub fn get(&self, path: &str, query: &[(&str, &dyn Display)]) -> Result<Value, Failure> {
        let mut url = format!("/v1{path}");
        for (place, (name, value)) in query.iter().enumerate() {
            let mark = if place == 0 { '?' } else { '&' };
            url.push_str(&format!("{mark}{name}={}", encoded(&value.to_string())));
        }
        self.patiently(&self.request("GET", &url), true)
    }

    /// Has something done. Tried again only where it was certainly not done.
    pub fn act(&self, deed: &Deed) -> Result<Value, Failure> {
        let call = deed.call();
        let mut request = self.request(call.method, &format!("/v1/experiments{}", call.path));
        fill(&mut request, &call.body);
        self.patiently(&request, false)
    }

    /// Has something done that may take long.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let mut request = self.request("POST", &format!("/v1{path}"));
        request.timeout = Some(LONG_ANSWER_TIME);
        fill(&mut request, body);
        self.patiently(&request, false)
    }

    /// Creates an experiment and gives its id. An answer that was lost is asked for again under the same key.
    pub fn create(&self, spec: &Value, labels: &BTreeMap<String, String>) -> Result<String, Failure> {
        let mut request = self.request("POST", "/v1/experiments");
        fill(&mut request, &json!({"spec": spec, "labels": labels}));
        let key = format!("{:016x}{:016x}", requests::random_bits()?, requests::random_bits()?);
        request.headers.push(("idempotency-key", key));
        let created = self.patiently(&request, true)?;
        created["experiment"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| self.strange("it names no experiment"))
    }

    /// The experiments that fit, newest first, each as `ls --json` shows it.
    pub fn experiments(&self, query: &[(&str, &dyn Display)], most: usize) -> Result<Vec<Value>, Failure> {
        let mut found: Vec<Value> = Vec::new();
        let mut after = String::new();
        loop {
            let limit = PAGE.min(most - found.len());
            let mut query = query.to_vec();
            query.push(("limit", &limit));
            if !after.is_empty() {
                query.push(("after", &after));
            }
            let mut page = self.get("/experiments", &query)?;
            let Some(listed) = page["experiments"].as_array_mut() else {
                return Err(self.strange("it lists no experiments"));
            };
            found.append(listed);
            match page["next"].as_str() {
                Some(next) if found.len() < most => next.clone_into(&mut after),
                _ => return Ok(found),
            }
        }
    }

    fn request(&self, method: &'static str, path: &str) -> Request {
        let mut headers = vec![("accept", "application/json".to_owned())];
        if let Some(token) = &self.token {
            headers.push(("authorization", format!("Bearer {}", token.expose())));
        }
        let url = format!("{}{path}", self.base);
        // What is done is not sent on a connection that may be closing.
        Request { method, url, headers, body: Vec::new(), new_connection: method != "GET", timeout: None }
    }

    fn patiently(&self, request: &Request, may_repeat: bool) -> Result<Value, Failure> {
        let began = Instant::now();
        let mut told = false;
        loop {
            let Trouble { failure, passes } = match self.once(request) {
                Ok(value) => {
                    self.met.set(true);
                    return Ok(value);
                }
                Err(trouble) => trouble,
            };
            let (wait, patience) = match passes {
                Passes::Busy(wait) => (wait, if self.met.get() { LOST_PATIENCE } else { BUSY_PATIENCE }),
                Passes::Lost if may_repeat && self.met.get() => (PAUSE, LOST_PATIENCE),
                Passes::Lost | Passes::Never => return Err(failure),
            };
            if began.elapsed().saturating_add(wait) > patience {
                return Err(failure);
            }
            if !told && passes == Passes::Lost {
                told = true;
                output::remark(&format!("note: {}; it is tried again", failure.message));
            }
            self.wait_for(async { tokio::time::sleep(wait).await })?;
        }
    }

    fn once(&self, request: &Request) -> Result<Value, Trouble> {
        let answer = self.wait_for(self.http.send(request));
        let answer = answer.map_err(|failure| Trouble { failure, passes: Passes::Never })?;
        let answer = answer.map_err(|error| self.unanswered(request, &error))?;
        let kind = answer.header("content-type").unwrap_or_default();
        let ours = kind.starts_with("application/json") || kind.starts_with("application/problem+json");
        let value: Option<Value> = serde_json::from_slice(&answer.body).ok().filter(|_| ours);
        match (answer.status, value) {
            (200..=299, Some(value)) => Ok(value),
            (_, Some(problem)) if problem.get("detail").is_some() => {
                Err(self.refused(request, &answer, &problem))
            }
            _ => Err(self.not_ours(&answer)),
        }
    }

    fn unanswered(&self, request: &Request, error: &SendError) -> Trouble {
        let base = &self.base;
        let (text, sent) = match error {
            SendError::NotSent(text) => (text.clone(), false),
            SendError::NoAnswer(text) => (text.clone(), true),
            SendError::TooLarge(_) => (error.to_string(), true),
        };
        if text.contains("ertificate") {
            let message = format!("the certificate of {base} cannot be trusted: {text}");
            let cure = "name the file of the authority that issued it (PEM) in SSL_CERT_FILE, or the host by the name in the certificate";
            return Trouble { failure: unreached(message, cure), passes: Passes::Never };
        }
        let mut failure = if sent {
            unreached(format!("the daemon at {base} gave no whole answer: {text}"), "try again")
        } else {
            let cure =
                "see whether `retrial serve` runs there, on which address, and whether a firewall is between";
            unreached(format!("the daemon at {base} is not reached: {text}"), cure)
        };
        if sent && !self.met.get() {
            let other = if base.starts_with("https") { "http://" } else { "https://" };
            failure.cure = format!("is it a daemon of Retrial, and not to be reached by {other}?");
        } else if sent && request.method != "GET" {
            "`retrial events EXP` shows whether it was done; if not, repeat the command"
                .clone_into(&mut failure.cure);
        }
        Trouble { failure, passes: Passes::Lost }
    }

    /// What the daemon itself says.
    fn refused(&self, request: &Request, answer: &Answer, problem: &Value) -> Trouble {
        let text = |of: &Value, key: &str| harmless(of[key].as_str().unwrap_or_default());
        let code = text(problem, "code");
        let is = |known: Code| code == known.to_string();
        let mut message = text(problem, "detail");
        for error in problem["errors"].as_array().into_iter().flatten() {
            message.push_str(&format!("\n  - `{}`: {}", text(error, "path"), text(error, "detail")));
        }
        // What the engine refuses may name single mistakes as well, and is no wrong usage.
        let usage = answer.status == 422 && !code.starts_with("E04");
        let mut failure = Failure {
            code: Some(code.clone()).filter(|code| !code.is_empty()),
            ..Failure::new(if usage { exit::USAGE } else { exit::FAILED }, message, text(problem, "help"))
        };
        if is(codes::NOT_AUTHENTICATED) {
            let cure = if self.token.is_some() {
                format!("set {TOKEN} to a token of that daemon's file of users")
            } else {
                format!("set {TOKEN} to your token")
            };
            failure = Failure { message: format!("{}: {}", self.base, failure.message), cure, ..failure };
        } else if is(codes::WHICH_EXPERIMENT) {
            "`retrial ls` shows them".clone_into(&mut failure.cure);
        } else if is(codes::BAD_SPEC) {
            failure.cure = String::new();
        } else if answer.status == 404 && is(codes::BAD_HTTP_REQUEST) {
            failure = self.strange(&format!("it does not know {}", request.method));
        }
        let seconds = answer.header("retry-after").and_then(|text| text.parse().ok());
        let wait = seconds.map_or(PAUSE, Duration::from_secs);
        let busy = is(codes::BUSY) || is(codes::TOO_OFTEN);
        let passes = match answer.status {
            429 | 503 if busy => Passes::Busy(wait),
            502..=504 => Passes::Lost,
            _ => Passes::Never,
        };
        Trouble { failure, passes }
    }

    /// What somebody else says in its place.
    fn not_ours(&self, answer: &Answer) -> Trouble {
        let (base, status) = (&self.base, answer.status);
        if let (300..=399, Some(to)) = (status, answer.header("location")) {
            let to = crate::columns::printable(to);
            let failure = stranger(format!("{base} leads on to {to}"), "name the address to which it leads");
            return Trouble { failure, passes: Passes::Never };
        }
        let text = String::from_utf8_lossy(&answer.body);
        let kind = answer.header("content-type").unwrap_or("an unnamed type");
        let failure = stranger(
            format!(
                "{base} answers with status {status} and {}, which is no answer of a daemon of Retrial: {}",
                crate::columns::printable(kind),
                gist(&text)
            ),
            "see whether the address is right, and what a proxy between here and the daemon does",
        );
        Trouble { failure, passes: if (502..=504).contains(&status) { Passes::Lost } else { Passes::Never } }
    }

    /// An answer that this program does not understand, as another version's may be.
    pub fn strange(&self, what: &str) -> Failure {
        let own = env!("CARGO_PKG_VERSION");
        let request = self.request("GET", "/healthz");
        let answer = self.wait_for(self.http.send(&request)).ok().and_then(Result::ok);
        let told = answer.and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
        let version = harmless(told.as_ref().and_then(|told| told["version"].as_str()).unwrap_or("unknown"));
        stranger(
            format!(
                "the daemon at {} has the version {version}, this program {own}, and they do not understand each other: {what}",
                self.base
            ),
            "use the program in the daemon's version",
        )
    }
}

fn fill(request: &mut Request, body: &Value) {
    if !body.is_null() {
        request.headers.push(("content-type", "application/json".to_owned()));
        request.body = body.to_string().into_bytes();
    }
}

/// A text as a part of a path or a query.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// What somebody else says, with its lines, and without anything that a terminal obeys.
fn harmless(text: &str) -> String {
    text.lines().map(crate::columns::printable).collect::<Vec<_>>().join("\n")
}

/// The title of a page, or the beginning of a text.
fn gist(text: &str) -> String {
    let title = text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    let text = title.map_or(text, |(title, _)| title).trim();
    let line = crate::columns::printable(text.lines().next().unwrap_or_default());
    if line.is_empty() { "nothing".to_owned() } else { format!("\"{}\"", crate::columns::clip(&line, SHOWN)) }
}

/// The address without a slash at its end.
fn address(server: &str) -> Result<String, Failure> {
    let wrong = |why: &str| {
        Failure::new(
            exit::USAGE,
            format!("the address of the daemon {why}"),
            "write for example https://tuning.example:7340",
        )
    };
    let rest = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://"));
    let rest = rest.ok_or_else(|| wrong("begins neither with https:// nor with http://"))?;
    let host = rest.split('/').next().unwrap_or_default();
    if host.contains('@') {
        return Err(wrong(&format!("holds a user: the token belongs into {TOKEN}")));
    }
    if host.is_empty()
        || rest.contains(['?', '#'])
        || rest.chars().any(|c| c.is_whitespace() || c.is_control())
    {
        return Err(wrong("is not one"));
    }
    Ok(server.trim_end_matches('/').to_owned())
}

fn is_here(base: &str) -> bool {
    let rest = base.strip_prefix("http://").unwrap_or(base);
    let host = rest.split('/').next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

fn unreached(message: impl Into<String>, cure: impl Into<String>) -> Failure {
    Failure { code: Some(codes::NO_DAEMON.to_string()), ..Failure::new(exit::FAILED, message, cure) }
}

fn stranger(message: impl Into<String>, cure: impl Into<String>) -> Failure {
    Failure { code: Some(codes::NOT_A_DAEMON.to_string()), ..Failure::new(exit::FAILED, message, cure) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host_and_no_secret() {
        for (given, read) in [
            ("https://a.example:7340/", Some("https://a.example:7340")),
            ("http://127.0.0.1:1", Some("http://127.0.0.1:1")),
            ("https://a.example/tuning/", Some("https://a.example/tuning")),
            ("a.example:7340", None),
            ("https://", None),
            ("https://ann:planted@a.example", None),
            ("https://a.example/?token=planted", None),
            ("https://a b", None),
        ] {
            let found = address(given);
            assert_eq!(found.as_ref().ok().map(String::as_str), read, "{given}");
            assert!(found.is_ok() || !found.unwrap_err().text().contains("planted"), "{given}");
        }
        assert!(
            is_here("http://localhost:1")
                && is_here("http://[::1]:1/x")
                && !is_here("http://localhost.example")
        );
    }

    #[test]
    fn a_page_is_told_by_its_title() {
        assert_eq!(gist("<html><title> 502 Bad\nGateway</title>"), "\"502 Bad\"");
        assert_eq!(gist(&"x".repeat(200)).chars().count(), SHOWN + 2);
        assert_eq!(gist(""), "nothing");
    }
}
