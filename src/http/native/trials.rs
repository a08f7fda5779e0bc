//! Trials: list, look.

use super::{seen, trial};
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::server::App;
use crate::views::present;
use engine::state::Trial;
use serde_json::{Value, json};

/// Trials on a page, unless the query says so.
const PAGE: u64 = 100;

/// `GET /v1/experiments/{experiment}/trials`
pub(super) async fn list(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    let status = asked.text("status").map(str::to_owned);
    let first = asked.whole("after").map_or(0, |after| after as usize + 1);
    let limit = asked.whole("limit").unwrap_or(PAGE) as usize;
    let page = app.handle.query(move |state| {
        let found = seen(state, &who, &wanted)?;
        let fits = |status: &Option<String>, of: &str| status.as_ref().is_none_or(|status| status == of);
        let mut trials = found.trials.iter().skip(first).filter(|trial| fits(&status, trial.status.as_str()));
        let page: Vec<(bool, Trial)> = trials
            .by_ref()
            .take(limit)
            .map(|trial| (found.front.contains(&trial.id), trial.clone()))
            .collect();
        let next = page.last().filter(|_| trials.next().is_some()).map(|(_, last)| last.id.0);
        Ok::<_, Problem>((found.id, found.spec.clone(), page, next))
    });
    // Written here, so that the engine need not wait for it.
    let (id, spec, page, next) = page.await??;
    let written = app.aside.read(move || {
        let trial = |(on_front, trial): &(bool, Trial)| present::trial_of(id, &spec, *on_front, trial);
        Ok(Reply::json(&json!({"trials": page.iter().map(trial).collect::<Vec<Value>>(), "next": next})))
    });
    written.await
}

/// `GET /v1/experiments/{experiment}/trials/{trial}`
pub(super) async fn show(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    let number = asked.part("trial").to_owned();
    let shown = app.handle.query(move |state| {
        let found = seen(state, &who, &wanted)?;
        Ok::<_, Problem>(present::trial(found, trial(found, &number)?))
    });
    Ok(Reply::json(&shown.await??))
}
