//! The history as server-sent events, in pages that are rendered once, however many follow. Begin with [`Pages::at`].

use super::aside::{Aside, Bookmarks};
use super::place::History;
use crate::error::Failure;
use crate::http::access::Audience;
use crate::http::problem::Problem;
use crate::runtime::shell::Handle;
use crate::views;
use axum::body::Bytes;
use axum::http::StatusCode;
use engine::envelope::Envelope;
use engine::id::{ActorId, ExperimentId, Seq};
use engine::space::SearchSpace;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How old may be what is known of who may see an event.
const FRESH: Duration = Duration::from_secs(1);
/// Most records of a page.
const PAGE: usize = 128;
/// Bytes of text after which a page ends.
const PAGE_BYTES: usize = 128 << 10;
/// Bytes of the texts that are kept.
const KEPT_BYTES: usize = 16 << 20;

/// Consecutive events.
#[derive(Debug, Clone)]
pub(super) struct Page {
    first: Seq,
    lines: Vec<Line>,
    text: Bytes,
    /// The experiments of its events, and who may see them.
    experiments: Vec<(ExperimentId, Audience)>,
    /// When that was asked.
    asked: Instant,
}

/// One event of a page.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// The place of its experiment.
    experiment: usize,
    /// Where its text ends in the page's.
    end: usize,
}

impl Page {
    /// The event after its last one.
    pub(super) fn next(&self) -> Seq {
        Seq(self.first.0 + self.lines.len() as u64)
    }

    fn holds(&self, seq: Seq) -> bool {
        self.first <= seq && seq < self.next()
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= PAGE || self.text.len() >= PAGE_BYTES
    }

    /// The text of its events from one on, of experiments that are wanted.
    pub(super) fn text(&self, from: Seq, wanted: impl Fn(ExperimentId, &Audience) -> bool) -> Bytes {
        let wanted: Vec<bool> = self.experiments.iter().map(|(id, audience)| wanted(*id, audience)).collect();
        let mut start = 0;
        let mut picked = Vec::new();
        let mut all = true;
        for (seq, line) in (self.first.0..).zip(&self.lines) {
            if seq >= from.0 {
                if wanted.get(line.experiment) == Some(&true) {
                    picked.push(start..line.end);
                } else {
                    all = false;
                }
            }
            start = line.end;
        }
        match (picked.first(), picked.last()) {
            // Nothing is copied for who sees everything.
            (Some(first), Some(last)) if all => self.text.slice(first.start..last.end),
            _ => {
                let parts: Vec<&[u8]> = picked.into_iter().filter_map(|range| self.text.get(range)).collect();
                parts.concat().into()
            }
        }
    }
}

/// Renders pages and keeps the last ones.
#[derive(Clone)]
pub struct Pages {
    store: PathBuf,
    handle: Handle,
    history: Arc<History>,
    aside: Arc<Aside>,
    /// Those that were wanted last stand last.
    shelf: Arc<Mutex<VecDeque<Arc<Page>>>>,
}

impl Pages {
    /// Pages of a store.
    pub fn new(store: PathBuf, handle: Handle, history: Arc<History>, aside: Arc<Aside>) -> Self {
        Self { store, handle, history, aside, shelf: Arc::default() }
    }

    /// A page that holds this event, which is durable. They are rendered one after the other, so that who is far behind does
    /// not keep the machine busy.
    pub(super) async fn at(&self, seq: Seq) -> Result<Arc<Page>, Problem> {
        let mut shelf = self.shelf.lock().await;
        let place = shelf.iter().position(|page| page.holds(seq));
        let begun = || shelf.iter().position(|page| page.next() == seq && !page.is_full());
        let known = place.or_else(begun).and_then(|place| shelf.remove(place));
        let page = match known {
            Some(page) if page.holds(seq) && page.asked.elapsed() < FRESH => page,
            Some(page) if page.holds(seq) => self.looked_at_again(&page).await?,
            begun => self.render(seq, begun.as_deref()).await?,
        };
        shelf.push_back(Arc::clone(&page));
        let mut kept: usize = shelf.iter().map(|page| page.text.len()).sum();
        while kept > KEPT_BYTES && shelf.len() > 1 {
            kept -= shelf.pop_front().map_or(0, |page| page.text.len());
        }
        Ok(page)
    }

    /// The same page, with who may see it now.
    async fn looked_at_again(&self, page: &Page) -> Result<Arc<Page>, Problem> {
        let ids = page.experiments.iter().map(|(id, _)| *id).collect();
        let known = self.ask(ids, BTreeSet::new()).await?;
        let asked = Instant::now();
        let now = |(id, before): &(ExperimentId, Audience)| {
            (*id, known.experiments.get(id).map_or_else(|| before.clone(), |(_, audience)| audience.clone()))
        };
        Ok(Arc::new(Page { experiments: page.experiments.iter().map(now).collect(), asked, ..page.clone() }))
    }

    /// Renders a page from an event on, as far as it is there; of one that has begun, what comes next.
    async fn render(&self, seq: Seq, begun: Option<&Page>) -> Result<Arc<Page>, Problem> {
        let page = begun.cloned().unwrap_or_else(|| Page {
            first: seq,
            lines: Vec::new(),
            text: Bytes::new(),
            experiments: Vec::new(),
            asked: Instant::now(),
        });
        let from = page.next();
        let left = PAGE - page.lines.len();
        let (store, bookmarks) = (self.store.clone(), Arc::clone(&self.aside.bookmarks));
        let envelopes = self.aside.read(move || read(&store, &bookmarks, from, left)).await?;
        if envelopes.last().is_none_or(|last| last.seq < seq) {
            let message = format!("record {seq} is durable and not in the mirror");
            return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, message, ""));
        }
        let ids = envelopes.iter().map(|envelope| envelope.experiment);
        let ids = ids.chain(page.experiments.iter().map(|(id, _)| *id)).collect();
        let known = self.ask(ids, envelopes.iter().map(|envelope| envelope.actor).collect()).await?;
        let history = Arc::clone(&self.history);
        self.aside.read(move || Ok(Arc::new(known.continued(&history, &page, &envelopes)))).await
    }

    /// Asks the engine for what pages need. With its answer everything that was read is durable.
    async fn ask(&self, ids: BTreeSet<ExperimentId>, actors: BTreeSet<ActorId>) -> Result<Known, Problem> {
        let asked = self.handle.query(move |state| {
            let about = |id: ExperimentId| {
                let experiment = state.experiment(id);
                let space = experiment.map(|experiment| Arc::clone(&experiment.spec.space));
                (id, (space, Audience::of(state, experiment)))
            };
            let name = |actor: ActorId| (actor, state.actor_name(actor).to_owned());
            Known {
                actors: actors.into_iter().map(name).collect(),
                experiments: ids.into_iter().map(about).collect(),
            }
        });
        Ok(asked.await?)
    }
}

/// What a page needs beside its events.
struct Known {
    actors: BTreeMap<ActorId, String>,
    experiments: BTreeMap<ExperimentId, (Option<Arc<SearchSpace>>, Audience)>,
}

impl Known {
    /// The page with these events as well.
    fn continued(&self, history: &History, page: &Page, envelopes: &[Envelope]) -> Page {
        let experiments: Vec<_> =
            self.experiments.iter().map(|(id, (_, audience))| (*id, audience.clone())).collect();
        let place = |id: ExperimentId| {
            experiments.binary_search_by_key(&id, |(known, _)| *known).unwrap_or(usize::MAX)
        };
        // Their order may be another one now.
        let moved: Vec<usize> = page.experiments.iter().map(|(id, _)| place(*id)).collect();
        let moved = |line: &Line| Line {
            experiment: moved.get(line.experiment).copied().unwrap_or(usize::MAX),
            ..*line
        };
        let mut lines: Vec<Line> = page.lines.iter().map(moved).collect();
        let mut text = Vec::from(page.text.clone());
        for envelope in envelopes {
            if text.len() >= PAGE_BYTES {
                break;
            }
            let actor = self.actors.get(&envelope.actor).map_or("", String::as_str);
            let space = self.experiments.get(&envelope.experiment).and_then(|(space, _)| space.as_deref());
            let kind = envelope.event.info().name;
            let data = views::history::json_by(actor, space, envelope);
            let id = history.id(envelope.seq);
            text.extend_from_slice(format!("id: {id}\nevent: {kind}\ndata: {data}\n\n").as_bytes());
            lines.push(Line { experiment: place(envelope.experiment), end: text.len() });
        }
        Page { first: page.first, lines, text: text.into(), experiments, asked: Instant::now() }
    }
}

/// Reads at most so many records from one on.
fn read(store: &Path, bookmarks: &Bookmarks, from: Seq, most: usize) -> Result<Vec<Envelope>, Failure> {
    let mut reader = bookmarks.reader(store, from)?;
    let mut envelopes: Vec<Envelope> = Vec::new();
    let next = reader.read(from, &mut |envelope| {
        envelopes.push(envelope);
        if envelopes.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    bookmarks.keep(next, reader);
    Ok(envelopes)
}
