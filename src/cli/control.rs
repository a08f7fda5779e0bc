//! Lets other processes act on a store that this one holds: a socket in the store, one JSON object per line.
//!
//! Only the owner of the store can connect. A request is `{"do": NAME, "experiment": ID, ...}`; the answer is `{"ok": true}`
//! or `{"error": {...}}`. What is only known where backends are called is asked for as `{"troubles_of": ID}`.

use super::args::Common;
use crate::error::{Failure, exit};
use crate::requests::{Request, me};
use crate::runtime::Trouble;
use crate::runtime::shell::{Handle, now};
use crate::secrets::{self, Vault};
use engine::id::ExperimentId;
use engine::limits;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

/// How long a client waits for an answer.
const ANSWER_TIME: Duration = Duration::from_mins(1);
/// How long it waits for what it can do without.
const ASIDE_TIME: Duration = Duration::from_secs(2);

/// Asks who holds the store, and changes nothing.
const HELLO: &str = r#"{"do":"hello"}"#;

/// Asks what keeps backends from their work for an experiment.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    troubles_of: String,
}

/// A request with who makes it.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    actor: String,
    #[serde(flatten)]
    request: Request,
}

fn socket(store: &Path) -> PathBuf {
    store.join("control.sock")
}

/// The socket by a name that is short however deep the store lies: a socket's address holds about a hundred bytes. The
/// name is good while the folder is open.
fn address(folder: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/control.sock", folder.as_raw_fd()))
}

/// Asks the process that holds the store; `None` if there is none.
pub fn ask(common: &Common, request: &Request) -> Option<Result<(), Failure>> {
    let folder = File::open(&common.store).ok()?;
    let stream = UnixStream::connect(address(&folder)).ok()?;
    match exchange(stream, request) {
        Ok(answered) => Some(answered),
        // It ended in that moment. What it may have done can be done again, with two exceptions.
        Err(_) if !matches!(request, Request::Enqueue { .. } | Request::Retry { .. }) => None,
        Err(error) => Some(Err(Failure::new(
            exit::FAILED,
            format!("the process that holds the store gave no answer: {error}"),
            "`retrial events EXP` shows whether it was done; if not, repeat the command",
        ))),
    }
}

/// Whether a process that holds the store can be asked.
pub fn is_answered(common: &Common) -> bool {
    let connected = File::open(&common.store).and_then(|folder| UnixStream::connect(address(&folder)));
    connected.is_ok()
}

/// Whether that process is a daemon, which runs every experiment of the store.
pub fn is_served(common: &Common) -> bool {
    question(common, HELLO, ANSWER_TIME).is_ok_and(|answer| answer.get("serves") == Some(&json!(true)))
}

/// What keeps backends from their work for an experiment, as the process says that runs it. Nothing, if none does.
pub fn troubles(common: &Common, id: ExperimentId) -> Vec<Trouble> {
    let line = json!(About { troubles_of: id.to_string() }).to_string();
    let told = question(common, &line, ASIDE_TIME)
        .ok()
        .and_then(|mut answer| answer.get_mut("troubles").map(Value::take));
    told.and_then(|told| serde_json::from_value(told).ok()).unwrap_or_default()
}

/// Asks something that changes nothing.
fn question(common: &Common, line: &str, patience: Duration) -> std::io::Result<Value> {
    let mut stream = UnixStream::connect(address(&File::open(&common.store)?))?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    answer_of(stream)
}

fn answer_of(stream: UnixStream) -> std::io::Result<Value> {
    let mut answer = String::new();
    BufReader::new(stream.take(limits::MAX_LINE_BYTES as u64)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

fn exchange(mut stream: UnixStream, request: &Request) -> std::io::Result<Result<(), Failure>> {
    stream.set_read_timeout(Some(ANSWER_TIME))?;
    let mut text = serde_json::to_string(&Line { actor: me(), request: request.clone() })?;
    text.push('\n');
    stream.write_all(text.as_bytes())?;
    let answer = answer_of(stream)?;
    Ok(answer.get("error").map_or(Ok(()), |error| Err(refusal(error))))
}

/// What the other process says, as if it had been found out here.
fn refusal(error: &Value) -> Failure {
    let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut message = text(error, "message");
    for detail in error.get("details").and_then(Value::as_array).into_iter().flatten() {
        message.push_str(&format!("\n  - `{}`: {}", text(detail, "path"), text(detail, "message")));
    }
    Failure {
        code: Some(text(error, "code")).filter(|code| !code.is_empty()),
        ..Failure::new(exit::FAILED, message, text(error, "help"))
    }
}

/// The listening socket; removed when dropped.
pub struct Socket {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens for requests. Failing to is no reason not to run.
///
/// `serves` says whether every experiment of the store is run, and not just one.
pub fn listen(store: &Path, handle: Handle, serves: bool) -> Option<Socket> {
    let path = socket(store);
    // Whoever left it is gone: the store's lock is ours.
    let _ = std::fs::remove_file(&path);
    let bound = File::open(store).and_then(|folder| tokio::net::UnixListener::bind(address(&folder)));
    let listener = match bound {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "other commands cannot act on this store while it is in use");
            return None;
        }
    };
    let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600));
    let store = store.to_owned();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, store.clone(), handle.clone(), serves));
        }
    });
    Some(Socket { path, task })
}

async fn serve(stream: tokio::net::UnixStream, store: PathBuf, handle: Handle, serves: bool) {
    let (read, mut write) = stream.into_split();
    let mut lines = tokio::io::BufReader::new(read.take(limits::MAX_LINE_BYTES as u64)).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = match answer(&line, &store, &handle, serves).await {
            Ok(answer) => answer,
            Err(failure) => failure.json(),
        };
        if write.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
            break;
        }
    }
}

async fn answer(line: &str, store: &Path, handle: &Handle, serves: bool) -> Result<Value, Failure> {
    if line == HELLO {
        return Ok(json!({"ok": true, "serves": serves}));
    }
    if let Ok(About { troubles_of }) = serde_json::from_str(line) {
        let look = handle
            .look(move |runtime| troubles_of.parse().map_or_else(|_| Vec::new(), |id| runtime.troubles(id)));
        return Ok(json!({"ok": true, "troubles": look.await?}));
    }
    let Line { actor, request } = serde_json::from_str(line)
        .map_err(|error| Failure::new(exit::USAGE, format!("the request is not understood: {error}"), ""))?;
    let vault = Vault::of(store);
    let kept = vault.clone();
    let asked = handle.query(move |state| {
        request.command(state).map(|command| (secrets::at_stake(&kept, state, &command), command))
    });
    let (at_stake, command) = asked.await??;
    handle.execute(command, Some(actor)).await??;
    handle.with(move |dispatcher| secrets::forget_after(at_stake, dispatcher, &vault, now())).await?;
    Ok(json!({"ok": true, "serves": serves}))
}
