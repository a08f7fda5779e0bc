//! `clean`: removes what the trials of an ended experiment have left at the backend.
//!
//! Nothing of it is history: each command may be run again, so that whoever was interrupted repeats it.

use super::args::Common;
use super::{output, store};
use crate::error::{Failure, exit};
use crate::views::{figures, find, measure};
use engine::id::{SubmissionKey, TaskIndex, TrialId};
use engine::ports::backend::{Backend, TaskOrder};
use engine::state::{Experiment, Trial};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Commands under way at once.
const AT_ONCE: usize = 16;
/// Failures that are shown one by one.
const MOST_SHOWN: usize = 10;

/// `clean`
pub fn clean(common: &Common, exp: &str, all: bool, dry_run: bool) -> Result<u8, Failure> {
    let state = store::read(common)?;
    let experiment = find::find(&state, exp)?;
    let run = experiment.spec.run.as_ref();
    let backends = crate::backends_of(&common.store)?;
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
    let kept =
        if all { BTreeSet::new() } else { measure::leaders(experiment).iter().map(|best| best.id).collect() };
    let commands = commands(experiment, backend.as_ref(), &kept);
    if commands.is_empty() {
        output::remark(&format!(
            "there is nothing to clean up; `run.{}.clean` in the experiment file names what is",
            backend.name()
        ));
    }
    if dry_run {
        let list: Vec<&String> = commands.keys().collect();
        return shown(common, &list);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let count = commands.len();
    let failures = runtime.block_on(run_all(backend, commands));
    if common.json {
        output::json(&json!({"ok": failures.is_empty(), "commands": count, "failures": failures}))?;
    } else {
        output::line(&format!(
            "{} of {} done",
            count - failures.len(),
            figures::count(count as u64, "command")
        ))?;
    }
    for failure in failures.iter().take(MOST_SHOWN) {
        output::remark(failure);
    }
    if failures.len() > MOST_SHOWN {
        output::remark(&format!("and {} more", failures.len() - MOST_SHOWN));
    }
    Ok(if failures.is_empty() { exit::DONE } else { exit::FAILED })
}

fn shown(common: &Common, commands: &[&String]) -> Result<u8, Failure> {
    if common.json {
        output::json(&json!(commands))?;
    } else {
        for command in commands {
            output::line(command)?;
        }
    }
    Ok(exit::DONE)
}

/// What is to be run, each once, with an order that says where. What a kept trial names as well stays.
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

/// Runs all of them, a few at once; gives what failed.
async fn run_all(backend: &Arc<dyn Backend>, commands: BTreeMap<String, TaskOrder>) -> Vec<String> {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut under_way = tokio::task::JoinSet::new();
    for (command, order) in commands {
        let (backend, permits) = (Arc::clone(backend), Arc::clone(&permits));
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
