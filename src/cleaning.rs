//! Removes what the trials of an ended experiment have left at the backend, for commands and for HTTP.
//!
//! Nothing of it is history: each command may be run again, so that whoever was interrupted repeats it.

use crate::Backends;
use crate::error::{Failure, exit};
use crate::views::measure;
use engine::id::{SubmissionKey, TaskIndex, TrialId};
use engine::ports::backend::{Backend, TaskOrder};
use engine::state::{Experiment, Trial};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Commands under way at once.
const AT_ONCE: usize = 16;

/// What is to be run, each once, with an order that says where.
pub struct Cleaning {
    backend: Arc<dyn Backend>,
    commands: BTreeMap<String, TaskOrder>,
}

impl Cleaning {
    /// What `clean` in the file of an experiment names, for all of its trials, or for all but the best.
    pub fn of(backends: &Backends, experiment: &Experiment, all: bool) -> Result<Self, Failure> {
        let run = experiment.spec.run.as_ref();
        let Some(backend) = run.and_then(|run| backends.get(&run.backend)) else {
            return Err(Failure::new(
                exit::USAGE,
                "the trials of this experiment run at clients",
                "clean up there",
            ));
        };
        if !experiment.status.is_ended() {
            return Err(Failure::new(
                exit::USAGE,
                "the experiment has not ended: its trials may need what would be removed",
                format!("wait for its end, or `retrial stop {}` first", experiment.id),
            ));
        }
        let kept = if all {
            BTreeSet::new()
        } else {
            measure::leaders(experiment).iter().map(|best| best.id).collect()
        };
        let commands = commands(experiment, backend.as_ref(), &kept);
        Ok(Self { backend: Arc::clone(backend), commands })
    }

    /// The commands.
    pub fn commands(&self) -> Vec<String> {
        self.commands.keys().cloned().collect()
    }

    /// Runs all of them, a few at once; gives what failed.
    pub async fn run(self) -> Vec<String> {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let mut under_way = tokio::task::JoinSet::new();
        for (command, order) in self.commands {
            let (backend, permits) = (Arc::clone(&self.backend), Arc::clone(&permits));
            under_way.spawn(async move {
                let _permit = permits.acquire_owned().await;
                backend.clean(&order, &command).await.err()
            });
        }
        let ended = under_way.join_all().await;
        let mut failures: Vec<String> = ended.into_iter().flatten().collect();
        failures.sort();
        failures
    }
}

/// What is to be run. What a kept trial names as well stays.
fn commands(
    experiment: &Experiment,
    backend: &dyn Backend,
    kept: &BTreeSet<TrialId>,
) -> BTreeMap<String, TaskOrder> {
    let mut commands = BTreeMap::new();
    let mut spared = BTreeSet::new();
    for trial in &experiment.trials {
        for order in orders(experiment, trial) {
            let cleaning = backend.cleaning(&order);
            if kept.contains(&trial.id) {
                spared.extend(cleaning);
            } else {
                commands.extend(cleaning.into_iter().map(|command| (command, order.clone())));
            }
        }
    }
    commands.retain(|command, _| !spared.contains(command));
    commands
}

/// One order for each attempt of a trial.
fn orders(experiment: &Experiment, trial: &Trial) -> Vec<TaskOrder> {
    let order = |attempt| {
        let key = SubmissionKey { experiment: experiment.id, trial: trial.id, attempt, task: TaskIndex(0) };
        experiment.spec.order(key, &trial.point, 0, Vec::new())
    };
    trial.attempts.iter().filter_map(|attempt| order(attempt.number)).collect()
}
