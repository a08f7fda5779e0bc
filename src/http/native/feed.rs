//! Events as they become durable, to everybody who follows.

use super::pages::Pages;
use super::seen;
use crate::http::access::{Audience, Identity};
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::server::App;
use crate::runtime::shell::Handle;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use engine::id::{ExperimentId, Seq};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Parts that wait for a follower who is slow; a part is at most a page.
const BEHIND: usize = 2;
/// How long what happens is gathered before it is sent, so that many followers cost little while much happens.
const GATHER: Duration = Duration::from_millis(25);
/// Time between two signs of life on a quiet connection.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// That sign: a comment, which clients skip.
const QUIET: Bytes = Bytes::from_static(b": quiet\n\n");

/// `GET /v1/events`
pub(super) async fn all(app: &App, asked: Asked) -> Result<Reply, Problem> {
    follow(app, &asked, None)
}

/// `GET /v1/experiments/{experiment}/events`
pub(super) async fn one(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    let id = app.handle.query(move |state| seen(state, &who, &wanted).map(|found| found.id)).await??;
    follow(app, &asked, Some(id))
}

/// Sends what was after the last event that the client has seen, and then what happens.
fn follow(app: &App, asked: &Asked, only: Option<ExperimentId>) -> Result<Reply, Problem> {
    let seen = asked.headers.get("last-event-id").map(|value| value.to_str().unwrap_or_default());
    let seen = seen.map(|id| app.history.seen(id)).transpose()?;
    let after = match seen {
        None => asked.text("after").map(|place| app.history.after(place)).transpose()?,
        seen => seen,
    };
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::convert::Infallible>>(BEHIND);
    let follower = Follower {
        pages: app.pages.clone(),
        handle: app.handle.clone(),
        who: asked.who.clone(),
        only,
        next: after.map_or_else(|| app.handle.durable().next(), Seq::next),
        out: sender,
        said: Instant::now(),
        ending: app.ending.clone(),
    };
    tokio::spawn(follower.run());
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|text| (text, receiver))
    });
    Ok(Reply { status: StatusCode::OK, media: "text/event-stream", body: Body::from_stream(stream) })
}

struct Follower {
    pages: Pages,
    handle: Handle,
    who: Identity,
    only: Option<ExperimentId>,
    next: Seq,
    out: mpsc::Sender<Result<Bytes, std::convert::Infallible>>,
    /// When anything was sent.
    said: Instant,
    ending: tokio::sync::watch::Receiver<bool>,
}

impl Follower {
    /// Ends when its client has gone, or the daemon ends.
    async fn run(mut self) {
        // Headers are sent with the first bytes.
        if !self.send(Bytes::from_static(b": follows\n\n")).await {
            return;
        }
        while self.catch_up().await && self.wait().await {}
    }

    /// Sends what is durable and was not sent yet.
    async fn catch_up(&mut self) -> bool {
        while self.next <= self.handle.durable() && !self.out.is_closed() {
            let Ok(page) = self.pages.at(self.next).await else { return false };
            let wanted = |id: ExperimentId, audience: &Audience| {
                self.only.is_none_or(|only| only == id) && self.who.is_of(audience)
            };
            let text = page.text(self.next, wanted);
            self.next = page.next();
            // Much may happen of which nothing is for this client.
            let quiet = text.is_empty() && self.said.elapsed() >= SIGN_OF_LIFE;
            let text = if quiet { QUIET } else { text };
            if !text.is_empty() && !self.send(text).await {
                return false;
            }
        }
        true
    }

    /// Waits until there is more.
    async fn wait(&mut self) -> bool {
        loop {
            tokio::select! {
                changed = self.handle.changed() => match changed {
                    Ok(durable) if durable < self.next => continue,
                    Ok(_) => {}
                    Err(_) => return false,
                },
                () = ended(self.ending.clone()) => return false,
                () = self.out.closed() => return false,
                () = tokio::time::sleep_until(self.said + SIGN_OF_LIFE) => {
                    if !self.send(QUIET).await {
                        return false;
                    }
                    continue;
                }
            }
            tokio::time::sleep(GATHER).await;
            return true;
        }
    }

    /// Hands a part to the client; it has gone if that fails.
    async fn send(&mut self, text: Bytes) -> bool {
        self.said = Instant::now();
        tokio::select! {
            sent = self.out.send(Ok(text)) => sent.is_ok(),
            () = ended(self.ending.clone()) => false,
        }
    }
}

async fn ended(mut ending: tokio::sync::watch::Receiver<bool>) {
    // Nobody can end it if the sender is gone: then it has ended.
    let _ = ending.wait_for(|ending| *ending).await;
}
