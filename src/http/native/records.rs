//! The records of one experiment, as the journal holds them: from them a client has its whole state, at every moment.

use super::aside::Bookmarks;
use super::seen;
use crate::error::Failure;
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::server::App;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use engine::id::{ActorId, ExperimentId, Seq};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Records on a page, unless the query says so.
const PAGE: u64 = 1_000;
/// Most records on a page.
pub(super) const MAX_PAGE: u64 = 10_000;
/// Bytes of records on a page, after which it ends.
const PAGE_BYTES: usize = 4 << 20;
/// Records of all experiments that are looked at for a page.
const LOOKED_AT: u64 = 1_000_000;

/// Records of one experiment, and how far the history was looked at for them.
struct Page {
    records: Vec<String>,
    actors: BTreeSet<ActorId>,
    next: Seq,
}

/// `GET /v1/experiments/{experiment}/records`
pub(super) async fn records(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    let id = app.handle.query(move |state| seen(state, &who, &wanted).map(|found| found.id)).await??;
    let after = Seq(asked.whole("after").unwrap_or(0));
    let limit = asked.whole("limit").unwrap_or(PAGE) as usize;
    // Whatever the query has seen is durable.
    let head = app.handle.durable();
    let (store, bookmarks) = (app.store.clone(), Arc::clone(&app.aside.bookmarks));
    let page = app.aside.read(move || page(&bookmarks, &store, id, (after, head), limit)).await?;
    let Page { records, actors, next } = page;
    let named = app.handle.query(move |state| {
        let name = |actor: &ActorId| (actor.to_string(), json!(state.actor_name(*actor)));
        actors.iter().map(name).collect::<Map<String, Value>>()
    });
    Ok(Reply::json(&json!({
        "experiment": id.to_string(),
        "history": app.history.name(),
        "records": records,
        "actors": named.await?,
        "next": next.0,
        "more": next < head,
        "head": head.0,
    })))
}

/// The records after the first number, up to the second one.
fn page(
    bookmarks: &Bookmarks,
    store: &Path,
    id: ExperimentId,
    (after, head): (Seq, Seq),
    limit: usize,
) -> Result<Page, Failure> {
    let mut page = Page { records: Vec::new(), actors: BTreeSet::new(), next: after };
    if after >= head {
        return Ok(page);
    }
    let mut reader = bookmarks.reader(store, after.next())?;
    let mut bytes = 0;
    let place = reader.read_records(after.next(), &mut |record| {
        if record.seq() > head {
            return ControlFlow::Break(());
        }
        page.next = record.seq();
        let header = record.header();
        if header.experiment == id {
            page.records.push(STANDARD.encode(record.bytes()));
            page.actors.extend((header.actor >= ActorId::FIRST_NAMED).then_some(header.actor));
            bytes += record.bytes().len();
        }
        let full = page.records.len() >= limit || bytes >= PAGE_BYTES;
        if full || page.next.0 - after.0 >= LOOKED_AT {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    if place == page.next.next() {
        bookmarks.keep(place, reader);
    }
    Ok(page)
}
