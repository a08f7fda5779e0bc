//! Labels: what people note of an experiment, and who sees it.

use super::experiments::done;
use super::perform;
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::server::App;
use crate::labels::{ACCESSIBILITIES, ACCESSIBILITY, is_kept};
use crate::requests::Request;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What is set, and what is taken away.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Labels {
    #[serde(default)]
    labels: BTreeMap<String, Option<String>>,
}

/// `POST /v1/experiments/{experiment}/labels`
pub(super) async fn label(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let Labels { labels } = asked.json()?;
    check(labels.iter().map(|(name, value)| (name, value.as_ref())))?;
    let wanted = asked.part("experiment").to_owned();
    let id = perform(app, &asked, &wanted, |experiment| Request::Label { experiment, labels }).await?;
    done(app, id).await
}

/// An error for labels that nobody may set, and for those that would not do what they are meant for.
pub(super) fn check<'a>(
    mut labels: impl Iterator<Item = (&'a String, Option<&'a String>)> + Clone,
) -> Result<(), Problem> {
    if let Some((name, _)) = labels.clone().find(|(name, _)| is_kept(name)) {
        return Err(Problem::bad_request(
            format!("the label `{name}` is kept for the daemon"),
            "choose another name",
        ));
    }
    let wrong = |(name, value): &(&String, Option<&String>)| {
        name.eq_ignore_ascii_case(ACCESSIBILITY)
            && (*name != ACCESSIBILITY
                || value.is_some_and(|value| !ACCESSIBILITIES.contains(&value.as_str())))
    };
    let Some((name, value)) = labels.find(wrong) else { return Ok(()) };
    Err(Problem::bad_request(
        format!("the label `{name}` = `{}` would make nothing private", value.map_or("", String::as_str)),
        format!("`{ACCESSIBILITY}` is {}", ACCESSIBILITIES.join(" or ")),
    ))
}
