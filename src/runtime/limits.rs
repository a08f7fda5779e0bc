//! How many trials may run at once over all experiments, and whose turn it is where there is no room for all. Pure.
//!
//! A trial counts from its suggestion to its end, also while it waits for another attempt. Trials that clients run take no room
//! of a backend and do not count.

use engine::id::{ActorId, ExperimentId};
use engine::state::{Experiment, State};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Bounds on trials that run at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// On each of these backends.
    pub backends: BTreeMap<String, u32>,
    /// Of each user who is not among `users`.
    pub each_user: Option<u32>,
    /// Of these users.
    pub users: BTreeMap<String, u32>,
}

impl Limits {
    /// Whether nothing is bounded.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The bound of a user.
    pub fn of_user(&self, name: &str) -> Option<u32> {
        self.users.get(name).copied().or(self.each_user)
    }

    /// Whether there is room for one more trial of an experiment.
    pub fn allow(&self, state: &State, usage: &Usage, experiment: &Experiment) -> bool {
        let Some(backend) = backend(experiment) else { return true };
        let below = |running: Option<&u32>, bound: Option<u32>| {
            bound.is_none_or(|bound| running.copied().unwrap_or(0) < bound)
        };
        below(usage.backends.get(backend), self.backends.get(backend).copied())
            && below(usage.users.get(&experiment.creator), self.of_user(state.actor_name(experiment.creator)))
    }
}

/// Experiments that would start trials and wait for their turn.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    waiting: BTreeSet<ExperimentId>,
    /// How many turns there were.
    turns: u64,
    /// The last turn of an experiment and of a user.
    of_experiments: BTreeMap<ExperimentId, u64>,
    of_users: BTreeMap<ActorId, u64>,
}

impl Queue {
    /// Those that wait.
    pub const fn waiting(&self) -> &BTreeSet<ExperimentId> {
        &self.waiting
    }

    /// An experiment waits.
    pub fn enter(&mut self, id: ExperimentId) {
        self.waiting.insert(id);
    }

    /// An experiment waits no more.
    pub fn leave(&mut self, id: ExperimentId) {
        self.waiting.remove(&id);
    }

    /// An experiment that will never wait again.
    pub fn forget(&mut self, id: ExperimentId) {
        self.waiting.remove(&id);
        self.of_experiments.remove(&id);
    }

    /// Which of them starts the next trial: of the highest priority the one whose creator has the fewest running, then the one that
    /// has the fewest itself; of equal ones the creator, then the experiment, whose last turn was longest ago. None if there is
    /// room for none.
    pub fn next(&self, state: &State, limits: &Limits, usage: &Usage) -> Option<ExperimentId> {
        let ready = self.waiting.iter().filter_map(|id| state.experiment(*id));
        let ready =
            ready.filter(|experiment| experiment.is_ready() && limits.allow(state, usage, experiment));
        let turn = |experiment: &&Experiment| {
            let creator = experiment.creator;
            (
                Reverse(experiment.spec.priority),
                usage.users.get(&creator).copied(),
                self.of_users.get(&creator).copied(),
                experiment.active(),
                self.of_experiments.get(&experiment.id).copied(),
                experiment.created,
                experiment.id,
            )
        };
        ready.min_by_key(turn).map(|experiment| experiment.id)
    }

    /// An experiment has started a trial.
    pub fn took(&mut self, experiment: &Experiment) {
        self.turns += 1;
        self.of_experiments.insert(experiment.id, self.turns);
        self.of_users.insert(experiment.creator, self.turns);
    }
}

/// How many trials run now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// By backend.
    pub backends: BTreeMap<String, u32>,
    /// By who created their experiments.
    pub users: BTreeMap<ActorId, u32>,
}

impl Usage {
    /// What runs by a state.
    pub fn of(state: &State) -> Self {
        let mut usage = Self::default();
        for experiment in state.live() {
            usage.add(experiment, experiment.active());
        }
        usage
    }

    /// So many trials of an experiment more.
    pub fn add(&mut self, experiment: &Experiment, trials: u32) {
        let Some(backend) = backend(experiment) else { return };
        if let Some(running) = self.backends.get_mut(backend) {
            *running += trials;
        } else {
            self.backends.insert(backend.to_owned(), trials);
        }
        *self.users.entry(experiment.creator).or_insert(0) += trials;
    }
}

fn backend(experiment: &Experiment) -> Option<&str> {
    experiment.spec.run.as_ref().map(|run| run.backend.as_str())
}
