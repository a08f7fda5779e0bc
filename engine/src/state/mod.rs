//! The state of all experiments: what `decide` reads, what `apply` changes, and from which `due` derives work.
//!
//! [`State::apply`] is the only mutation. Besides facts it keeps indices (active trials, tasks to submit, deadlines) so that
//! deciding costs what has changed, not what has ever happened; they are functions of the facts.
//!
//! Start with [`State`], then [`Experiment`], [`Trial`], [`Attempt`].

mod apply;
mod apply_task;
mod apply_trial;
mod attempt;
#[cfg(any(test, feature = "testing"))]
mod check;
mod digest;
mod due;
mod excerpt;
mod experiment;
mod lease;
mod replicates;
mod trial;

pub use attempt::{Attempt, TaskPhase, TaskRun};
pub use digest::{DIGEST_VERSION, Digest};
pub use excerpt::Excerpt;
pub use experiment::{Experiment, ExperimentStatus, FailureStreak, QueuedPoint, RecordedSpec, Window};
pub use lease::Lease;
pub use replicates::Replicates;
pub use trial::{Report, Trial, TrialStatus};

use crate::id::{ActorId, ExperimentId, Seq};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Changes whenever the serialised form of [`State`] changes, so that snapshots of other programs are ignored.
pub const SNAPSHOT_VERSION: u32 = 9;

/// The state of a whole store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(crate) head: Seq,
    pub(crate) time: Timestamp,
    pub(crate) position: u32,
    pub(crate) checkpoint: Seq,
    pub(crate) archive: Option<[u8; 32]>,
    pub(crate) actors: BTreeMap<ActorId, String>,
    pub(crate) experiments: BTreeMap<ExperimentId, Experiment>,
    pub(crate) live: BTreeSet<ExperimentId>,
}

impl State {
    /// The last record that was applied.
    pub const fn head(&self) -> Seq {
        self.head
    }

    /// The time of the last record; later records are never earlier.
    pub const fn time(&self) -> Timestamp {
        self.time
    }

    /// The last record that holds a digest.
    pub const fn checkpoint(&self) -> Seq {
        self.checkpoint
    }

    /// The head of the newest archive for which experiments have left; records before it had other numbers. None if none ever left.
    pub const fn archive(&self) -> Option<&[u8; 32]> {
        self.archive.as_ref()
    }

    /// The position that the next record of an experiment, or of the store itself, will have.
    pub fn next_position(&self, experiment: ExperimentId) -> u32 {
        if experiment == ExperimentId::STORE {
            return self.position + 1;
        }
        self.experiments.get(&experiment).map_or(1, |experiment| experiment.position + 1)
    }

    /// One experiment, hidden ones included.
    pub fn experiment(&self, id: ExperimentId) -> Option<&Experiment> {
        self.experiments.get(&id)
    }

    /// All experiments by id, hidden ones included.
    pub fn experiments(&self) -> impl Iterator<Item = &Experiment> {
        self.experiments.values()
    }

    /// The experiments that have not ended.
    pub fn live(&self) -> impl Iterator<Item = &Experiment> {
        self.live.iter().filter_map(|id| self.experiments.get(id))
    }

    /// The number of a person or program, if it has one.
    pub fn actor(&self, name: &str) -> Option<ActorId> {
        self.actors.iter().find(|(_, known)| *known == name).map(|(actor, _)| *actor)
    }

    /// What an actor is called.
    pub fn actor_name(&self, actor: ActorId) -> &str {
        match actor {
            ActorId::ENGINE => "engine",
            ActorId::SAMPLER => "sampler",
            ActorId::BACKEND => "backend",
            ActorId::EARLY_STOP => "early stop",
            ActorId::CLIENT => "client",
            _ => self.actors.get(&actor).map_or("unknown", String::as_str),
        }
    }
}
