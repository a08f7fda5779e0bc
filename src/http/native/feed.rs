//! Events as they become durable, to everybody who follows: read once, however many follow.

use super::seen;
use crate::http::access::Identity;
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::server::App;
use crate::runtime::shell::Handle;
use crate::views::history;
use axum::body::Body;
use axum::http::StatusCode;
use engine::envelope::Envelope;
use engine::id::{ExperimentId, Seq};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};

/// Events that a follower may be behind before it has to read the journal again.
const BEHIND: usize = 4_096;
/// Events read at once.
const BATCH: usize = 1_000;
/// Time between two signs of life on a quiet connection.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// One event, ready to be sent.
#[derive(Debug, Clone)]
struct Told {
    seq: u64,
    experiment: ExperimentId,
    /// As a server-sent event.
    text: std::sync::Arc<str>,
}

/// Tells followers of events.
#[derive(Debug, Clone)]
pub struct Feed {
    store: PathBuf,
    sender: broadcast::Sender<Told>,
}

impl Feed {
    /// A feed of the engine's events; it tells of those from now on until the engine ends.
    pub fn new(store: &Path, handle: Handle) -> Self {
        let (sender, _) = broadcast::channel(BEHIND);
        let feed = Self { store: store.to_owned(), sender };
        let own = feed.clone();
        tokio::spawn(async move { own.tell(handle).await });
        feed
    }

    async fn tell(self, mut handle: Handle) {
        let mut next = handle.durable().next();
        while handle.changed().await.is_ok() {
            // Nobody follows: nothing needs to be read.
            if self.sender.receiver_count() == 0 {
                next = handle.durable().next();
                continue;
            }
            loop {
                let Ok((told, after)) = read(&self.store, &handle, next, BATCH).await else { break };
                let more = told.len() == BATCH;
                next = after;
                for one in told {
                    // Followers may have gone.
                    let _ = self.sender.send(one);
                }
                if !more {
                    break;
                }
            }
        }
    }
}

/// At most so many events from a record on, and the record after them.
async fn read(store: &Path, handle: &Handle, from: Seq, most: usize) -> Result<(Vec<Told>, Seq), Problem> {
    let store = store.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let mut envelopes: Vec<Envelope> = Vec::new();
        crate::past::records_from(&store, from, &mut |envelope| {
            envelopes.push(envelope.clone());
            if envelopes.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .map(|()| envelopes)
    });
    let gone = |error: tokio::task::JoinError| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), "")
    };
    let envelopes = read.await.map_err(gone)??;
    let next = envelopes.last().map_or(from, |last| last.seq.next());
    let told = handle.query(move |state| {
        let told = |envelope: &Envelope| {
            let kind = envelope.event.info().name;
            let data = history::json(state, envelope);
            let seq = envelope.seq.0;
            Told {
                seq,
                experiment: envelope.experiment,
                text: format!("id: {seq}\nevent: {kind}\ndata: {data}\n\n").into(),
            }
        };
        envelopes.iter().map(told).collect()
    });
    Ok((told.await?, next))
}

/// `GET /v1/events`
pub(super) async fn all(app: &App, asked: Asked) -> Result<Reply, Problem> {
    Ok(follow(app, &asked, None))
}

/// `GET /v1/experiments/{experiment}/events`
pub(super) async fn one(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    let id = app.handle.query(move |state| seen(state, &who, &wanted).map(|found| found.id)).await??;
    Ok(follow(app, &asked, Some(id)))
}

/// Sends what was after the last event that the client has seen, and then what happens.
fn follow(app: &App, asked: &Asked, only: Option<ExperimentId>) -> Reply {
    let seen = asked.headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    // Nothing comes after the last number that there is.
    let after = seen.or_else(|| asked.whole("after")).map(|after: u64| after.min(i64::MAX as u64));
    let (sender, receiver) = mpsc::channel::<Result<String, std::convert::Infallible>>(64);
    let follower = Follower {
        live: app.feed.sender.subscribe(),
        store: app.store.clone(),
        handle: app.handle.clone(),
        who: asked.who.clone(),
        only,
        next: after.map_or_else(|| app.handle.durable().next(), |after| Seq(after).next()),
        out: sender,
        ending: app.ending.clone(),
    };
    tokio::spawn(follower.run());
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|text| (text, receiver))
    });
    Reply { status: StatusCode::OK, media: "text/event-stream", body: Body::from_stream(stream) }
}

/// What a follower wakes for.
enum Step {
    Told(Told),
    Missed,
    Quiet,
}

struct Follower {
    live: broadcast::Receiver<Told>,
    store: PathBuf,
    handle: Handle,
    who: Identity,
    only: Option<ExperimentId>,
    next: Seq,
    out: mpsc::Sender<Result<String, std::convert::Infallible>>,
    ending: tokio::sync::watch::Receiver<bool>,
}

impl Follower {
    /// Ends when its client has gone, or the daemon ends.
    async fn run(mut self) {
        // Headers are sent with the first bytes.
        if self.out.send(Ok(": follows\n\n".to_owned())).await.is_err() {
            return;
        }
        loop {
            if !self.catch_up().await {
                return;
            }
            loop {
                let step = tokio::select! {
                    told = self.live.recv() => match told {
                        Ok(told) => Step::Told(told),
                        Err(broadcast::error::RecvError::Lagged(_)) => Step::Missed,
                        Err(broadcast::error::RecvError::Closed) => return,
                    },
                    _ = self.ending.wait_for(|ending| *ending) => return,
                    () = self.out.closed() => return,
                    () = tokio::time::sleep(SIGN_OF_LIFE) => Step::Quiet,
                };
                match step {
                    Step::Told(told) if told.seq < self.next.0 => {}
                    Step::Told(told) if told.seq == self.next.0 => {
                        self.next = self.next.next();
                        if !self.send(vec![told]).await {
                            return;
                        }
                    }
                    // Some were missed, or this one is ahead of what was read.
                    Step::Told(_) | Step::Missed => break,
                    Step::Quiet => {
                        if self.out.send(Ok(": quiet\n\n".to_owned())).await.is_err() {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Sends what is in the journal and was not sent yet.
    async fn catch_up(&mut self) -> bool {
        loop {
            let Ok((told, next)) = read(&self.store, &self.handle, self.next, BATCH).await else {
                return false;
            };
            let whole = told.len() < BATCH;
            self.next = next;
            if !self.send(told).await {
                return false;
            }
            if whole {
                return true;
            }
        }
    }

    /// Sends what the client may see.
    async fn send(&mut self, told: Vec<Told>) -> bool {
        let wanted: Vec<Told> =
            told.into_iter().filter(|told| self.only.is_none_or(|only| only == told.experiment)).collect();
        if wanted.is_empty() {
            return true;
        }
        let who = self.who.clone();
        let visible = self.handle.query(move |state| {
            let admin = who.role == crate::http::access::Role::Admin;
            let sees = |told: &Told| match state.experiment(told.experiment) {
                Some(experiment) => admin || who.sees(state, experiment),
                None => admin,
            };
            wanted.into_iter().filter(sees).collect::<Vec<_>>()
        });
        let Ok(visible) = visible.await else { return false };
        for told in visible {
            if self.out.send(Ok(told.text.to_string())).await.is_err() {
                return false;
            }
        }
        true
    }
}
