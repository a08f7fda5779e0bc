//! Where the records of experiments stand in the journal, so that a page of a log costs what is on it: the journal is looked
//! through once for an experiment, and from then on only for what is new.

use super::request::Page;
use crate::error::Failure;
use crate::past::records_from;
use engine::envelope::Envelope;
use engine::event::Event;
use engine::id::{ExperimentId, Seq, TrialId};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Experiments whose records are known at once.
const MAX_EXPERIMENTS: usize = 8;
/// Records of one experiment that are known on.
const MAX_LINES: usize = 1_000_000;

/// A log that is made of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// All that happens.
    All,
    /// What is proposed and judged, and with what it ended.
    Search,
    /// What happens to a trial.
    Trial(TrialId),
}

/// A record of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    seq: Seq,
    trial: Option<TrialId>,
    of_the_search: bool,
}

impl Line {
    fn is_in(self, log: Log) -> bool {
        match log {
            Log::All => true,
            Log::Search => self.of_the_search,
            Log::Trial(trial) => self.trial == Some(trial),
        }
    }
}

/// What is known of an experiment's records.
#[derive(Debug)]
struct Known {
    lines: Vec<Line>,
    next: Seq,
}

impl Default for Known {
    fn default() -> Self {
        Self { lines: Vec::new(), next: Seq(1) }
    }
}

impl Known {
    /// Learns what has been recorded since.
    fn catch_up(&mut self, store: &Path, id: ExperimentId) -> Result<(), Failure> {
        let Self { lines, next } = self;
        records_from(store, *next, &mut |envelope| {
            // Labels are nothing that happens.
            if envelope.experiment == id && !matches!(envelope.event, Event::ExperimentLabelled(_)) {
                lines.push(Line {
                    seq: envelope.seq,
                    trial: trial_of(&envelope.event),
                    of_the_search: is_of_the_search(&envelope.event),
                });
            }
            *next = Seq(envelope.seq.0 + 1);
            ControlFlow::Continue(())
        })
    }
}

/// What is known of experiments, with when it was last asked for.
type Shelf = BTreeMap<ExperimentId, (u64, Arc<Mutex<Known>>)>;

/// What is known of experiments' records.
#[derive(Debug, Default)]
pub struct Index {
    known: Mutex<Shelf>,
}

impl Index {
    /// The records of a page of a log, or of the whole log, and how many records that has. None of them if they are more than
    /// `most`.
    pub(super) fn read(
        &self,
        store: &Path,
        (id, log): (ExperimentId, Log),
        page: Option<Page>,
        most: usize,
    ) -> Result<(Vec<Envelope>, usize), Failure> {
        let known = self.of(id);
        let (places, total) = {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            known.catch_up(store, id)?;
            let of_log = || known.lines.iter().filter(|line| line.is_in(log)).map(|line| line.seq);
            let page = page.unwrap_or(Page { skip: 0, size: usize::MAX });
            let places: Vec<Seq> = of_log().skip(page.skip).take(page.size.min(most + 1)).collect();
            let total = of_log().count();
            if known.lines.len() > MAX_LINES {
                self.locked().remove(&id);
            }
            (places, total)
        };
        let mut records = Vec::with_capacity(places.len());
        if let Some(first) = places.first().filter(|_| places.len() <= most) {
            records_from(store, *first, &mut |envelope| {
                if places.get(records.len()) == Some(&envelope.seq) {
                    records.push(envelope.clone());
                }
                if records.len() < places.len() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
        }
        Ok((records, total))
    }

    fn of(&self, id: ExperimentId) -> Arc<Mutex<Known>> {
        let mut known = self.locked();
        let turn = known.values().map(|(asked, _)| *asked).max().unwrap_or(0) + 1;
        if known.len() >= MAX_EXPERIMENTS && !known.contains_key(&id) {
            // The one that nobody has asked for longest.
            if let Some(oldest) = known.iter().min_by_key(|(_, (asked, _))| *asked).map(|(id, _)| *id) {
                known.remove(&oldest);
            }
        }
        let (asked, found) = known.entry(id).or_default();
        *asked = turn;
        Arc::clone(found)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is proposed and judged, and with what it ended.
fn is_of_the_search(event: &Event) -> bool {
    matches!(
        event,
        Event::TrialSuggested(_)
            | Event::TrialStopping(_)
            | Event::TrialEnded(_)
            | Event::PointEnqueued(_)
            | Event::SpaceExhausted(_)
    )
}

/// The trial that an event is of.
fn trial_of(event: &Event) -> Option<TrialId> {
    match event {
        Event::TrialSuggested(event) => Some(event.trial),
        Event::TrialStopping(event) => Some(event.trial),
        Event::TrialEnded(event) => Some(event.trial),
        Event::AttemptPlanned(event) => Some(event.trial),
        Event::TaskPlanned(event) => Some(event.trial),
        Event::TaskCleared(event) => Some(event.trial),
        Event::TaskStarted(event) => Some(event.trial),
        Event::TaskAccepted(event) => Some(event.trial),
        Event::TaskDoubtful(event) => Some(event.trial),
        Event::TaskEnded(event) => Some(event.trial),
        Event::LateResult(event) => Some(event.trial),
        Event::MetricReported(event) => Some(event.trial),
        _ => None,
    }
}
