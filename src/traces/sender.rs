//! Sends spans to the collector, many at once, on a task of its own. A batch that the collector does not take is dropped: a collector
//! that is away costs spans, and nothing else. Begin with [`Sender::start`].

use super::{RECORDER, Recorder, Settings, Span, wire};
use backends::cloud::http::{Http, HttpSettings, Request};
use backends::cloud::proxy::ProxySettings;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Spans that wait; more are dropped.
const ROOM: usize = 2_048;
/// Spans of one request at most.
const BATCH: usize = 512;
/// Most bytes of an answer, which is not looked at.
const ANSWER_BYTES: usize = 64 << 10;

/// The task; it ends with the process, or when it is told to finish.
#[derive(Debug)]
pub struct Sender {
    finish: oneshot::Sender<oneshot::Sender<()>>,
}

struct Task {
    spans: mpsc::Receiver<Span>,
    http: Http,
    settings: Settings,
    /// Names of headers are kept by requests for as long as the process lives.
    headers: Vec<&'static str>,
    /// Whether the last batch was not taken.
    failing: bool,
}

impl Sender {
    /// Starts recording and sending, if the environment names a collector. Once in a process, on its runtime.
    pub fn start() -> Option<Self> {
        let settings = match Settings::from(|name| std::env::var(name).ok()) {
            Ok(settings) => settings?,
            Err(error) => {
                tracing::warn!("no traces are sent: {error}");
                return None;
            }
        };
        let http = Http::new(&HttpSettings {
            timeout: settings.timeout,
            answer_bound: ANSWER_BYTES,
            proxy: ProxySettings::from_environment(|name| std::env::var(name).ok()),
            ..HttpSettings::default()
        });
        let http = http.map_err(|error| tracing::warn!("no traces are sent: {error}")).ok()?;
        let (room, spans) = mpsc::channel(ROOM);
        if RECORDER.set(Recorder { room, settings: settings.clone() }).is_err() {
            return None;
        }
        let headers = settings.headers.iter().map(|(name, _)| &*name.clone().leak()).collect();
        let (finish, finishing) = oneshot::channel();
        tokio::spawn(Task { spans, http, settings, headers, failing: false }.run(finishing));
        Some(Self { finish })
    }

    /// Sends what waits, and no more after that; for this long at most.
    pub async fn finish(self, patience: Duration) {
        let (reply, done) = oneshot::channel();
        if self.finish.send(reply).is_ok() {
            // What is not sent by then is lost.
            let _ = tokio::time::timeout(patience, done).await;
        }
    }
}

impl Task {
    async fn run(mut self, mut finishing: oneshot::Receiver<oneshot::Sender<()>>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut since = tokio::time::Instant::now();
        loop {
            let room = BATCH - batch.len();
            tokio::select! {
                // A sender that was dropped ends the task as well.
                asked = &mut finishing => {
                    self.spans.close();
                    while self.spans.recv_many(&mut batch, BATCH).await > 0 {
                        self.send(&mut batch).await;
                    }
                    self.send(&mut batch).await;
                    // Whoever asked may have lost patience.
                    let _ = asked.map(|reply| reply.send(()));
                    return;
                }
                taken = self.spans.recv_many(&mut batch, room), if room > 0 => {
                    if batch.len() == taken {
                        since = tokio::time::Instant::now();
                    }
                }
                () = tokio::time::sleep_until(since + self.settings.delay), if !batch.is_empty() => {
                    self.send(&mut batch).await;
                }
            }
            if batch.len() >= BATCH {
                self.send(&mut batch).await;
            }
        }
    }

    async fn send(&mut self, batch: &mut Vec<Span>) {
        if batch.is_empty() {
            return;
        }
        let mut headers = vec![("content-type", "application/x-protobuf".to_owned())];
        let values = self.settings.headers.iter().map(|(_, value)| value.expose().clone());
        headers.extend(self.headers.iter().copied().zip(values));
        let request = Request {
            method: "POST",
            url: self.settings.endpoint.clone(),
            headers,
            body: wire::request(&self.settings.resource, batch),
            new_connection: false,
            timeout: None,
        };
        batch.clear();
        let problem = match self.http.send(&request).await {
            Ok(answer) if answer.status < 300 => None,
            Ok(answer) => Some(format!("it answers with status {}", answer.status)),
            Err(error) => Some(error.to_string()),
        };
        match (&problem, self.failing) {
            (Some(problem), false) => {
                tracing::warn!(
                    "the collector takes no traces, and they are dropped until it does: {problem}"
                );
            }
            (None, true) => tracing::info!("the collector takes traces again"),
            _ => {}
        }
        self.failing = problem.is_some();
    }
}
