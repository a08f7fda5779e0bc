//! What keeps an experiment from going on now, such as a backend that does not do its work: asked of the process that runs it, here or elsewhere, since no history
//! holds it. Begin with [`of`] and [`Troubled`].

use super::args::Common;
use super::live::Live;
use super::source::Source;
use super::{control, output};
use crate::columns::printable;
use crate::error::Failure;
use crate::runtime::Trouble;
use crate::views::figures;
use engine::time::Timestamp;
use serde::Deserialize;
use std::time::{Duration, Instant};

/// Time between two looks while somebody looks on.
const LOOK: Duration = Duration::from_secs(5);

/// The troubles of an experiment.
pub fn of(common: &Common, source: &Source) -> Result<Vec<Trouble>, Failure> {
    if source.experiment()?.status.is_ended() {
        return Ok(Vec::new());
    }
    let Some(daemon) = source.daemon() else { return Ok(control::troubles(common, source.id())) };
    let told = daemon.get(&format!("/experiments/{}", source.id()), &[])?;
    // An older daemon tells none.
    Ok(Vec::deserialize(&told["troubles"]).unwrap_or_default())
}

/// A trouble for people, with its reason below.
pub fn text(trouble: &Trouble) -> String {
    let since = figures::time(Timestamp(trouble.since_ms));
    let mut text = format!("trouble     {} ({}since {since})\n", what(trouble), tasks(trouble, ", "));
    for line in trouble.reason.lines() {
        text.push_str(&format!("            {}\n", printable(line)));
    }
    text
}

/// A trouble in one line.
fn line(trouble: &Trouble) -> String {
    let reason = printable(trouble.reason.lines().next().unwrap_or_default());
    let tasks = tasks(trouble, "");
    let tasks = if tasks.is_empty() { tasks } else { format!(" ({tasks})") };
    // A daemon does not tell everybody why.
    let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
    format!("{}{tasks}{reason}", what(trouble))
}

fn tasks(trouble: &Trouble, after: &str) -> String {
    let count = trouble.tasks as u64;
    if count == 0 { String::new() } else { format!("{}{after}", figures::count(count, "task")) }
}

/// Who does not get something done, and what.
fn what(trouble: &Trouble) -> String {
    printable(&format!("{} {}", who(trouble), trouble.what))
}

fn who(trouble: &Trouble) -> String {
    trouble.backend.as_ref().map_or_else(|| "the search".to_owned(), |name| format!("the backend `{name}`"))
}

/// Tells somebody who looks on.
#[derive(Default)]
pub struct Troubled {
    last: Option<Instant>,
    told: Vec<Trouble>,
}

impl Troubled {
    /// Looks, if it is time to, and tells what has changed.
    pub fn look(&mut self, common: &Common, source: &Source, live: &mut Live) {
        if self.last.is_some_and(|last| last.elapsed() < LOOK) {
            return;
        }
        self.last = Some(Instant::now());
        // Whatever is wrong with asking is found out by what is asked for next.
        let Ok(found) = of(common, source) else { return };
        if !live.on_terminal() {
            for change in changes(&self.told, &found) {
                output::remark(&change);
            }
        }
        live.trouble(found.first().map(|first| {
            let more = found.len() - 1;
            if more == 0 { line(first) } else { format!("{} (and {more} more)", line(first)) }
        }));
        self.told = found;
    }
}

/// What is new, and what is over.
fn changes(before: &[Trouble], now: &[Trouble]) -> Vec<String> {
    let same = |one: &Trouble, other: &Trouble| (&one.backend, &one.work) == (&other.backend, &other.work);
    let among = |one: &Trouble, all: &[Trouble]| all.iter().any(|other| same(one, other));
    let new = now.iter().filter(|trouble| !among(trouble, before)).map(line);
    let over = before
        .iter()
        .filter(|trouble| !among(trouble, now))
        .map(|trouble| printable(&format!("no trouble with {} any more ({})", who(trouble), trouble.work)));
    new.chain(over).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(work: &str, tasks: usize) -> Trouble {
        Trouble {
            backend: Some("dlc".to_owned()),
            work: work.to_owned(),
            what: "does not work".to_owned(),
            reason: "E0526: no\x1b[31m\n  = help: ask".to_owned(),
            since_ms: 0,
            tasks,
        }
    }

    #[test]
    fn a_trouble_is_told_once_when_it_begins_and_once_when_it_is_over() {
        let begins = ["the backend `dlc` does not work (1 task): E0526: no [31m"];
        assert_eq!(changes(&[], &[trouble("submit", 1)]), begins);
        assert!(changes(&[trouble("submit", 1)], &[trouble("submit", 9)]).is_empty());
        let told = changes(&[trouble("submit", 9)], &[trouble("poll", 1)]);
        assert_eq!(told, [begins[0], "no trouble with the backend `dlc` any more (submit)"]);
    }

    #[test]
    fn every_line_of_a_reason_is_shown_and_no_control_character_of_it() {
        let told = text(&trouble("submit", 2));
        let lines: Vec<&str> = told.lines().collect();
        assert!(
            lines[0].starts_with("trouble     the backend `dlc` does not work (2 tasks, since 1970-01-01")
        );
        assert_eq!(lines[1..], ["            E0526: no [31m", "              = help: ask"]);
        let search = Trouble { backend: None, what: "cannot go on".to_owned(), ..trouble("suggest", 0) };
        assert!(text(&search).starts_with("trouble     the search cannot go on (since 1970-01-01"));
        assert_eq!(line(&search), "the search cannot go on: E0526: no [31m");
        let silent = Trouble { reason: String::new(), ..search };
        assert_eq!((line(&silent).as_str(), text(&silent).lines().count()), ("the search cannot go on", 1));
    }
}
