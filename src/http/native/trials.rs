//! Trials: list, look.

use super::{seen, trial};
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::server::App;
use crate::views::present;
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
        let page: Vec<&engine::state::Trial> = trials.by_ref().take(limit).collect();
        let next = page.last().filter(|_| trials.next().is_some()).map(|last| last.id.0);
        let shown: Vec<Value> = page.iter().map(|trial| present::trial(found, trial)).collect();
        Ok::<_, Problem>(json!({"trials": shown, "next": next}))
    });
    Ok(Reply::json(&page.await??))
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
