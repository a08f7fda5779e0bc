//! One whole search.

use super::replicates::Successes;
use super::trial::{Trial, TrialStatus};
use crate::event::v1::{ExperimentEnd, PauseReason};
use crate::event::v2::EndReason;
use crate::id::{ActorId, AttemptNo, ExperimentId, SubmissionKey, TrialId};
use crate::limits;
use crate::ports::backend::Earlier;
use crate::spec::Spec;
use crate::time::{Span, Timestamp};
use crate::value::Point;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// The status of an experiment in the words of PAI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ExperimentStatus {
    /// No trial has been started.
    Created,
    /// Trials run.
    Running,
    /// Paused: no further trial is started.
    Waiting,
    /// Its trials are being stopped.
    Terminating,
    /// Ended as planned, with at least one success.
    Finished,
    /// Ended without a success.
    Failed,
    /// Ended by its own patience.
    EarlyStopped,
    /// Stopped by a person.
    UserCanceled,
    /// Stopped by the engine.
    SysCanceled,
    /// Every point of the space was tried.
    NoMoreTrial,
    /// What a client of another version may show for a status that it does not know; never reached here.
    Unknown,
}

impl ExperimentStatus {
    /// The word used in every answer.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Waiting => "WAITING",
            Self::Terminating => "TERMINATING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::EarlyStopped => "EARLY_STOPPED",
            Self::UserCanceled => "USER_CANCELED",
            Self::SysCanceled => "SYS_CANCELED",
            Self::NoMoreTrial => "NO_MORE_TRIAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// Whether nothing of it runs and nothing more will be started.
    pub const fn is_ended(self) -> bool {
        matches!(
            self,
            Self::Finished
                | Self::Failed
                | Self::EarlyStopped
                | Self::UserCanceled
                | Self::SysCanceled
                | Self::NoMoreTrial
        )
    }
}

impl fmt::Display for ExperimentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<&ExperimentEnd> for ExperimentStatus {
    fn from(end: &ExperimentEnd) -> Self {
        match end {
            ExperimentEnd::Finished => Self::Finished,
            ExperimentEnd::Failed => Self::Failed,
            ExperimentEnd::EarlyStopped => Self::EarlyStopped,
            ExperimentEnd::UserCanceled => Self::UserCanceled,
            ExperimentEnd::SysCanceled => Self::SysCanceled,
            ExperimentEnd::NoMoreTrial => Self::NoMoreTrial,
        }
    }
}

/// A specification with the text that was recorded. Equal if the texts are.
#[derive(Debug, Clone)]
pub struct RecordedSpec {
    text: String,
    spec: Arc<Spec>,
}

impl RecordedSpec {
    /// Reads a recorded text.
    pub fn new(text: String) -> Result<Self, String> {
        let document = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let (spec, _warnings) = Spec::parse(&document, "")
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        Ok(Self { text, spec: Arc::new(spec) })
    }

    /// The recorded text: canonical JSON.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The specification, for holders that outlive the state.
    pub fn shared(&self) -> Arc<Spec> {
        Arc::clone(&self.spec)
    }
}

impl std::ops::Deref for RecordedSpec {
    type Target = Spec;

    fn deref(&self) -> &Spec {
        &self.spec
    }
}

impl PartialEq for RecordedSpec {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for RecordedSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RecordedSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A point that waits to be tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueuedPoint {
    /// The point.
    pub point: Point,
    /// The trial that it repeats.
    pub retry_of: Option<TrialId>,
    /// Whether it is tried beyond the budget.
    pub extra: bool,
}

/// How the window of a schedule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Whether trials may start.
    pub open: bool,
    /// When that changes; `None` if never.
    pub until: Option<Timestamp>,
}

/// Equal failures since the beginning of an experiment that has had no success.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FailureStreak {
    /// How many trials in a row failed alike.
    pub length: u32,
    /// What they failed of.
    pub failure: String,
    /// Whether the brake no longer applies: something has succeeded, or a person resumed the experiment.
    pub released: bool,
}

/// One whole search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Its id.
    pub id: ExperimentId,
    /// Its specification.
    pub spec: RecordedSpec,
    /// The seed of its random streams.
    pub seed: u64,
    /// Numbered behaviour flags, fixed when it was created.
    pub behaviour: u32,
    /// Its status.
    pub status: ExperimentStatus,
    /// Why it is paused.
    pub paused: Option<PauseReason>,
    /// How the window of its schedule stands; `None` if there is no schedule, or nobody has said so yet.
    pub window: Option<Window>,
    /// Why it is ending or has ended.
    pub end: Option<EndReason>,
    /// Whether it is hidden.
    pub removed: bool,
    /// What people and programs note of it.
    pub labels: BTreeMap<String, String>,
    /// Who created it.
    pub creator: ActorId,
    /// When it was created.
    pub created: Timestamp,
    /// When its first trial was suggested.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How long it had ended, in all, before it was reopened.
    pub idle: Span,
    /// When anything was recorded of it last.
    pub updated: Timestamp,
    /// Records of it so far.
    pub position: u32,
    /// Its trials by number.
    pub trials: Vec<Trial>,
    /// The trials that have ended, in that order.
    pub ended_order: Vec<TrialId>,
    /// Points that wait, by entry number.
    pub queue: BTreeMap<u32, QueuedPoint>,
    /// Entries given to the queue so far.
    pub queued: u32,
    /// Trials beyond the budget so far.
    pub extra: u32,
    /// Whether the sampler has no further point.
    pub exhausted: bool,
    /// The best success that keeps the outcome constraints; none where there are several objectives.
    pub best: Option<(TrialId, f64)>,
    /// With several objectives the successes that keep the outcome constraints and that no other one dominates, by number.
    pub front: Vec<TrialId>,
    /// What its ended trials have cost, in the unit of the metric that says so.
    pub spent: f64,
    /// Trials that ended since the best one did, or since the front changed.
    pub since_best: u32,
    /// Equal failures at the beginning.
    pub streak: FailureStreak,
    /// How many trials have each status.
    pub counts: BTreeMap<TrialStatus, u32>,
    /// Index: where points are tried several times, the successes of each point in the order of their ends.
    pub(crate) replicated: Successes,
    /// Index: trials that have not ended.
    pub(crate) active: BTreeSet<TrialId>,
    /// Index: active trials for which something is to be decided now.
    pub(crate) ready: BTreeSet<TrialId>,
    /// Index: active trials for which something is to be decided at a later time.
    pub(crate) timers: BTreeSet<(Timestamp, TrialId)>,
    /// Index: the entry of each trial in `timers`.
    pub(crate) deadlines: BTreeMap<TrialId, Timestamp>,
    /// Index: the leases of active trials that are not being stopped, by their ends.
    pub(crate) leases: BTreeSet<(Timestamp, TrialId)>,
    /// Index: the requests by which active trials were taken.
    pub(crate) requests: BTreeSet<(String, TrialId)>,
    /// Index: tasks to be submitted or looked for.
    pub(crate) unsettled: BTreeSet<SubmissionKey>,
    /// Index: tasks that the backend holds.
    pub(crate) held: BTreeSet<SubmissionKey>,
    /// Index: tasks that the backend holds and that are to be stopped.
    pub(crate) to_stop: BTreeSet<SubmissionKey>,
    /// Index: slots of current attempts.
    pub(crate) slots: BTreeSet<u16>,
}

impl Experiment {
    /// The attempts from whose checkpoint an attempt of a trial may go on: the earlier ones of the trial, the newest first,
    /// then those of its parent, and so on.
    pub fn resumable(&self, trial: &Trial, attempt: AttemptNo) -> Vec<Earlier> {
        let mut earlier = Vec::new();
        let mut next = Some((trial, attempt));
        while let Some((trial, before)) = next {
            let attempts = trial.attempts.iter().rev().map(|attempt| attempt.number);
            earlier.extend(
                attempts.filter(|no| *no < before).map(|attempt| Earlier { trial: trial.id, attempt }),
            );
            // Parents come before their children, so this ends.
            let parent = trial.parent.filter(|_| earlier.len() < limits::MAX_RESUMABLE);
            next = parent.and_then(|parent| self.trial(parent)).map(|trial| (trial, AttemptNo(u32::MAX)));
        }
        earlier.truncate(limits::MAX_RESUMABLE);
        earlier
    }

    /// A trial by number.
    pub fn trial(&self, id: TrialId) -> Option<&Trial> {
        self.trials.get(id.0 as usize)
    }

    /// How many trials have not ended.
    pub fn active(&self) -> u32 {
        u32::try_from(self.active.len()).unwrap_or(u32::MAX)
    }

    /// The trials that have not ended.
    pub fn active_trials(&self) -> impl Iterator<Item = &Trial> {
        self.active.iter().filter_map(|id| self.trial(*id))
    }

    /// How many trials have this status.
    pub fn count(&self, status: TrialStatus) -> u32 {
        self.counts.get(&status).copied().unwrap_or(0)
    }

    /// Trials suggested so far.
    pub fn suggested(&self) -> u32 {
        u32::try_from(self.trials.len()).unwrap_or(u32::MAX)
    }

    /// How many further trials the budget allows; `None` if it sets no bound.
    pub fn budget_left(&self) -> Option<u32> {
        self.spec.budget.trials.map(|trials| trials.saturating_sub(self.suggested() - self.extra))
    }

    /// What its trials have cost, those included that have not ended.
    pub fn spent_so_far(&self) -> f64 {
        let running = self.active.iter().map(|id| self.cost_of(*id));
        self.spec.objective.outcomes.cost.map_or(self.spent, |_| self.spent + running.sum::<f64>())
    }

    /// Whether there is a best trial, or a front.
    pub fn has_best(&self) -> bool {
        self.best.is_some() || !self.front.is_empty()
    }

    /// Whether a success is on the front of several objectives, or would be as things stand.
    pub(crate) fn joins_front(&self, metrics: &[f64]) -> bool {
        let outcomes = &self.spec.objective.outcomes;
        outcomes.is_feasible(metrics)
            && !self
                .front
                .iter()
                .filter_map(|id| self.trial(*id))
                .any(|other| outcomes.dominance(&other.metrics, metrics) == Some(std::cmp::Ordering::Less))
    }

    /// The best trial.
    pub fn best_trial(&self) -> Option<&Trial> {
        self.best.and_then(|(id, _)| self.trial(id))
    }

    /// The lowest free slot.
    pub(crate) fn free_slot(&self, taken: &BTreeSet<u16>) -> u16 {
        (0..u16::MAX).find(|slot| !self.slots.contains(slot) && !taken.contains(slot)).unwrap_or(u16::MAX)
    }
}
