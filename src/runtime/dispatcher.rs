//! Owns the state and the journal: every change passes here, one after the other.

mod clients;
#[cfg(test)]
mod no_snapshots;
mod settle;
mod windows;

pub use clients::Holder;
#[cfg(test)]
pub use no_snapshots::NoSnapshots;

use super::limits::{Limits, Queue};
use super::search::Search;
use crate::traces;
use engine::command::Command;
use engine::envelope::Envelope;
use engine::error::{Rejection, ReplayError};
use engine::event::Event;
use engine::id::{ActorId, ExperimentId, Seq, TrialId};
use engine::ports::journal::{Journal, JournalError, Room};
use engine::ports::sampler::Proposal;
use engine::state::{State, TrialStatus};
use engine::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// Records between two snapshots, at least; a snapshot's cost grows with the state, so the distance does as well.
const SNAPSHOT_DISTANCE: u64 = 50_000;
/// Records between two recorded digests, at least.
const CHECKPOINT_DISTANCE: u64 = 10_000;

/// The process cannot go on: it must end, and the next one recovers.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The history does not fit the rules.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The sampler of a recorded experiment cannot be built.
    #[error("failed to rebuild the search of experiment {0}: {1}")]
    Search(ExperimentId, String),
}

/// Why a command had no effect.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The core rejected it; nothing has changed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The process cannot go on.
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

/// Turns a state into the bytes of a snapshot and back.
pub trait SnapshotCodec: Send {
    /// The bytes of a state.
    fn encode(&self, state: &State) -> Option<Vec<u8>>;
    /// The state, if the bytes are of this program's form.
    fn decode(&self, bytes: &[u8]) -> Option<State>;
}

/// Owns the state and the journal.
pub struct Dispatcher {
    state: State,
    journal: Box<dyn Journal>,
    codec: Box<dyn SnapshotCodec>,
    boot: Seq,
    snapshot: Seq,
    searches: BTreeMap<ExperimentId, Search>,
    batch: Vec<Envelope>,
    dirty: BTreeSet<ExperimentId>,
    to_judge: BTreeSet<(ExperimentId, TrialId)>,
    only: Option<ExperimentId>,
    holding: bool,
    isolating: bool,
    /// Experiments that stand still since their search cannot go on, each since when and why.
    broken: BTreeMap<ExperimentId, (Timestamp, String)>,
    limits: Limits,
    /// Whether a queued point may become a trial although trials are started by turns.
    starting: bool,
    queue: Queue,
}

impl Dispatcher {
    /// Recovers the state: snapshot, then the records after it. Everything that was live is due again.
    pub fn open(journal: Box<dyn Journal>, codec: Box<dyn SnapshotCodec>) -> Result<Self, Fatal> {
        let (state, snapshot) = recover(journal.as_ref(), codec.as_ref())?;
        let boot = state.head();
        let dirty = state.live().map(|experiment| experiment.id).collect();
        let mut to_judge = BTreeSet::new();
        for experiment in state.live() {
            if !experiment.spec.early_stop.is_empty() {
                to_judge.extend(experiment.active_trials().map(|trial| (experiment.id, trial.id)));
            }
        }
        Ok(Self {
            state,
            journal,
            codec,
            boot,
            snapshot,
            searches: BTreeMap::new(),
            batch: Vec::new(),
            dirty,
            to_judge,
            only: None,
            holding: false,
            isolating: false,
            broken: BTreeMap::new(),
            limits: Limits::default(),
            starting: false,
            queue: Queue::default(),
        })
    }

    /// The state, which may run ahead of what is durable.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The last record that an earlier process wrote.
    pub const fn boot(&self) -> Seq {
        self.boot
    }

    /// The journal.
    pub fn journal(&mut self) -> &mut dyn Journal {
        self.journal.as_mut()
    }

    /// Starts trials of one experiment only; the others of the store wait for a process of their own, and are touched
    /// only when a command asks for it.
    pub fn only(&mut self, id: ExperimentId) {
        self.only = Some(id);
        self.dirty.retain(|dirty| *dirty == id);
    }

    /// An experiment whose search cannot go on stands still, instead of ending the process with all the others.
    pub const fn isolate(&mut self) {
        self.isolating = true;
    }

    /// Bounds what runs at once; experiments start trials by turns from then on.
    pub fn bound(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// What bounds the trials that run at once.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The experiments that wait for room.
    pub const fn waiting(&self) -> &BTreeSet<ExperimentId> {
        self.queue.waiting()
    }

    /// From now on starts nothing: no trial, no attempt, no task. What runs is seen to as before.
    pub const fn hold(&mut self) {
        self.holding = true;
    }

    /// Decides and applies a command. What it did is durable once the journal has reached the returned record; until
    /// [`Dispatcher::flush`] it has not even been handed over.
    pub fn execute(&mut self, command: &Command, actor: ActorId, now: Timestamp) -> Result<Seq, Refused> {
        let events = self.decided(command, now)?;
        Ok(self.record(State::subject(command), events, actor, now)?)
    }

    /// What a command leads to, which is not recorded yet.
    fn decided(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refused> {
        if matches!(command, Command::CreateExperiment { .. }) && self.journal.room() == Room::Low {
            return Err(Rejection::new(
                crate::codes::NO_ROOM,
                "the device of the store has little room left, so no new experiment is begun",
                "make room on it, or give another store with --store",
            )
            .into());
        }
        let mut events = self.state.decide(command, now.max(self.state.time()))?;
        if self.holding {
            // Events of one pass are independent of each other, but for a trial and its lease.
            let takes = matches!(command, Command::TakeTrial { .. });
            events.retain(|event| !takes && !starts_something(event));
        }
        if !self.limits.is_empty() && !self.starting && matches!(command, Command::Advance { .. }) {
            events.retain(|event| !matches!(event, Event::TrialSuggested(_)));
        }
        Ok(events)
    }

    fn record(
        &mut self,
        subject: ExperimentId,
        events: Vec<Event>,
        actor: ActorId,
        now: Timestamp,
    ) -> Result<Seq, Fatal> {
        let at = now.max(self.state.time());
        let cause = if events.len() > 1 { self.state.head().next() } else { Seq(0) };
        for event in events {
            self.append(subject, event, actor, at, cause)?;
        }
        Ok(self.state.head())
    }

    fn append(
        &mut self,
        subject: ExperimentId,
        event: Event,
        actor: ActorId,
        time: Timestamp,
        cause: Seq,
    ) -> Result<(), Fatal> {
        let seq = self.state.head().next();
        let envelope = Envelope {
            seq,
            experiment: subject,
            position: self.state.next_position(subject),
            time,
            actor,
            cause: if cause == seq { Seq(0) } else { cause },
            event,
        };
        self.state.apply(&envelope)?;
        self.follow(&envelope);
        if subject != ExperimentId::STORE {
            self.dirty.insert(subject);
        }
        self.batch.push(envelope);
        Ok(())
    }

    /// Keeps the searches up to date with what was just applied.
    fn follow(&mut self, envelope: &Envelope) {
        let id = envelope.experiment;
        match &envelope.event {
            Event::ExperimentUpdated(_) => {
                // The budget, the rules or the sampler may have changed.
                self.searches.remove(&id);
                self.broken.remove(&id);
                return;
            }
            Event::ExperimentEnded(_) => {
                self.searches.remove(&id);
                self.broken.remove(&id);
                return;
            }
            _ => {}
        }
        let (Some(search), Some(experiment)) = (self.searches.get_mut(&id), self.state.experiment(id)) else {
            if let Event::MetricReported(reported) = &envelope.event {
                self.to_judge.insert((id, reported.trial));
            }
            return;
        };
        match &envelope.event {
            Event::TrialSuggested(suggested) => {
                if let Some(trial) = experiment.trial(suggested.trial) {
                    search.suggested(trial);
                }
            }
            Event::TrialEnded(ended) => {
                if let Some(trial) = experiment.trial(ended.trial) {
                    search.ended(trial);
                }
            }
            Event::MetricReported(reported) => {
                let Some(trial) = experiment.trial(reported.trial) else { return };
                let new = trial.reports.len().saturating_sub(reported.points.len());
                search.reported(trial, new);
                if search.judges() {
                    self.to_judge.insert((id, reported.trial));
                }
            }
            _ => {}
        }
    }

    fn search(&mut self, id: ExperimentId) -> Result<Option<&mut Search>, Fatal> {
        if !self.searches.contains_key(&id) {
            let Some(experiment) = self.state.experiment(id) else { return Ok(None) };
            let search = Search::new(experiment).map_err(|errors| {
                Fatal::Search(id, errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
            })?;
            self.searches.insert(id, search);
        }
        Ok(self.searches.get_mut(&id))
    }

    /// Since when and why an experiment stands still although the others go on.
    pub fn stands_still(&self, id: ExperimentId) -> Option<&(Timestamp, String)> {
        self.broken.get(&id)
    }

    /// Lets an experiment stand still whose search cannot go on, if the others are to go on.
    fn set_aside(&mut self, fatal: Fatal, now: Timestamp) -> Result<(), Fatal> {
        match fatal {
            Fatal::Search(id, why) if self.isolating => {
                tracing::error!(experiment = %id, %why, "the search cannot go on, and the experiment stands still");
                self.broken.entry(id).or_insert((now, why));
                Ok(())
            }
            fatal => Err(fatal),
        }
    }

    /// Judges the trials that have reported since the last time; `true` if one is to be stopped.
    pub fn judge(&mut self, now: Timestamp) -> Result<bool, Fatal> {
        let mut stopped = false;
        for (id, trial) in std::mem::take(&mut self.to_judge) {
            let Some(experiment) = self.state.experiment(id) else { continue };
            // A retry, or another holder, that has not reported yet is not judged by what its earlier attempts did.
            let running = experiment.trial(trial).is_some_and(|trial| {
                let reported = trial.reports.last().is_some_and(|last| last.attempt == trial.reporter());
                trial.status == TrialStatus::Running && trial.stopping.is_none() && reported
            });
            if !running || experiment.spec.early_stop.is_empty() {
                continue;
            }
            let step = experiment
                .trial(trial)
                .and_then(engine::state::Trial::last_report)
                .map_or(0, |(step, _)| step);
            let verdict = match self.search(id) {
                Ok(search) => search.and_then(|search| search.judge(trial)),
                Err(fatal) => {
                    self.set_aside(fatal, now)?;
                    continue;
                }
            };
            if let Some((rule, why)) = verdict {
                let command =
                    Command::StopHopeless { experiment: id, trial, rule: rule.to_owned(), step, why };
                stopped |= self.run_own(&command, ActorId::EARLY_STOP, now)?;
            }
        }
        Ok(stopped)
    }

    /// Executes a command of the engine's own; a rejection means that the world has moved on.
    fn run_own(&mut self, command: &Command, actor: ActorId, now: Timestamp) -> Result<bool, Fatal> {
        let before = self.state.head();
        match self.execute(command, actor, now) {
            Ok(after) => Ok(after != before),
            Err(Refused::Rejected(rejection)) => {
                tracing::debug!(%rejection, "a command of the engine was rejected");
                Ok(false)
            }
            Err(Refused::Fatal(fatal)) => Err(fatal),
        }
    }

    /// Asks the sampler for one point and takes it as the next trial. `None` if it has no point now.
    pub fn suggest(&mut self, id: ExperimentId, now: Timestamp) -> Result<Option<TrialId>, Refused> {
        let Some(experiment) = self.state.experiment(id) else { return Ok(None) };
        let trial = TrialId(experiment.suggested());
        let ended = u32::try_from(experiment.ended_order.len()).unwrap_or(u32::MAX);
        if let Err(fatal) = self.search(id) {
            let why = fatal.to_string();
            self.set_aside(fatal, now)?;
            let cure = "use the version of retrial that began the experiment";
            return Err(Rejection::new(crate::codes::SEARCH, why, cure).into());
        }
        let Some(search) = self.searches.get_mut(&id) else { return Ok(None) };
        let (sampler, version) = (search.name().to_owned(), search.version());
        let asked = traces::begin();
        let proposal = search.suggest(trial);
        traces::suggested(asked, id, trial.0, &sampler);
        match proposal {
            Proposal::Point { point, memo, parent } => {
                let command = Command::RecordSuggestion {
                    experiment: id,
                    trial,
                    point,
                    sampler,
                    version,
                    ended,
                    memo,
                    parent,
                };
                self.execute(&command, ActorId::SAMPLER, now)?;
                Ok(Some(trial))
            }
            Proposal::Wait => Ok(None),
            Proposal::Exhausted => {
                self.execute(&Command::RecordExhaustion { experiment: id }, ActorId::SAMPLER, now)?;
                Ok(None)
            }
            Proposal::Enough { expected } => {
                let command = Command::RecordEnough { experiment: id, expected };
                self.execute(&command, ActorId::SAMPLER, now)?;
                Ok(None)
            }
        }
    }

    /// Hands everything decided so far to the journal.
    pub fn flush(&mut self) -> Result<(), Fatal> {
        if !self.batch.is_empty() {
            self.journal.append(std::mem::take(&mut self.batch))?;
        }
        Ok(())
    }

    /// Blocks until everything decided so far is durable.
    pub fn sync(&mut self) -> Result<(), Fatal> {
        self.flush()?;
        self.journal.wait(self.state.head())?;
        Ok(())
    }

    fn keep_checkpoint(&mut self, now: Timestamp) -> Result<(), Fatal> {
        let head = self.state.head().0;
        if head - self.state.checkpoint().0 >= CHECKPOINT_DISTANCE.max(head / 2) {
            self.run_own(&Command::TakeCheckpoint, ActorId::ENGINE, now)?;
        }
        Ok(())
    }

    /// Keeps a snapshot if one is worth its cost. Everything must be durable.
    pub fn keep_snapshot(&mut self, closing: bool) -> Result<(), Fatal> {
        let head = self.state.head();
        let distance = if closing { SNAPSHOT_DISTANCE / 50 } else { SNAPSHOT_DISTANCE };
        if head.0 - self.snapshot.0 < distance.max(head.0 / if closing { 16 } else { 2 }) {
            return Ok(());
        }
        self.sync()?;
        if let Some(bytes) = self.codec.encode(&self.state) {
            // A cache: failing to keep it costs time at the next start, and nothing else.
            if let Err(error) = self.journal.save_snapshot(head, &bytes) {
                tracing::warn!(%error, "no snapshot was kept");
            }
        }
        self.snapshot = head;
        Ok(())
    }

    /// Records a digest and keeps a snapshot where that is worth it; everything is durable afterwards.
    pub fn close(&mut self, now: Timestamp) -> Result<(), Fatal> {
        let head = self.state.head().0;
        if head - self.state.checkpoint().0 > head / 8 {
            self.run_own(&Command::TakeCheckpoint, ActorId::ENGINE, now)?;
        }
        self.sync()?;
        self.keep_snapshot(true)
    }
}

const fn starts_something(event: &Event) -> bool {
    matches!(event, Event::TrialSuggested(_) | Event::AttemptPlanned(_) | Event::TaskPlanned(_))
}

/// The state that the durable records of a journal lead to, and the record up to which a snapshot told of it.
pub fn recover(journal: &dyn Journal, codec: &dyn SnapshotCodec) -> Result<(State, Seq), Fatal> {
    let mut state = match journal.load_snapshot()? {
        Some((seq, bytes)) => codec.decode(&bytes).filter(|state| state.head() == seq).unwrap_or_default(),
        None => State::default(),
    };
    let (snapshot, mut failure) = (state.head(), None);
    journal.read(state.head().next(), &mut |envelope| match state.apply(&envelope) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failure.map_or(Ok((state, snapshot)), |error| Err(error.into()))
}
