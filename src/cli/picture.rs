//! What a view needs of the state, copied out of it: nothing here draws. Read [`Picture`] first.

use crate::columns::{clip, printable};
use crate::views::{figures, measure, present};
use engine::id::ExperimentId;
use engine::state::{Attempt, Experiment, ExperimentStatus, State, Trial, TrialStatus};
use engine::time::Timestamp;

/// Most running trials shown at once.
pub(super) const MAX_SHOWN: usize = 12;
/// Reports drawn of a running trial.
pub(super) const CURVE: usize = 24;
/// Columns of one parameter's value, where all stand in one line.
const VALUE_COLUMNS: usize = 40;

/// What a view has shown so far.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// Trials that had ended.
    pub(super) ended: usize,
    /// The best value among them; none with several objectives.
    pub(super) best: Option<f64>,
}

/// What the view needs of the state, copied out of it.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Whether there is nothing more to wait for.
    pub over: bool,
    pub(super) status: ExperimentStatus,
    pub(super) paused: Option<String>,
    /// Whether that is because its schedule's window is closed.
    pub(super) closed: bool,
    pub(super) ended: u32,
    pub(super) suggested: u32,
    pub(super) succeeded: u32,
    pub(super) stopped: u32,
    pub(super) failed: u32,
    pub(super) budget: Option<u32>,
    pub(super) concurrency: u32,
    pub(super) best: Option<Best>,
    /// Trials of the front, with several objectives.
    pub(super) front: Option<usize>,
    /// Why nothing that succeeded is of use.
    pub(super) unusable: Option<String>,
    pub(super) running: Vec<Running>,
    pub(super) more_running: usize,
    pub(super) news: Vec<Ended>,
    pub(super) best_so_far: Option<f64>,
    pub(super) started: Option<Timestamp>,
    pub(super) deadline: Option<Timestamp>,
    pub(super) mean_ms: Option<f64>,
}

#[derive(Debug, Clone)]
pub(super) struct Best {
    pub(super) trial: u32,
    /// What it reached, in words.
    pub(super) reached: String,
    pub(super) params: String,
}

#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) trial: u32,
    pub(super) params: String,
    pub(super) values: Vec<f64>,
    pub(super) since: Option<Timestamp>,
    pub(super) stopping: bool,
    pub(super) doubt: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) trial: u32,
    pub(super) status: TrialStatus,
    /// What it reached, in words; empty if nothing.
    pub(super) reached: String,
    /// The constraints that it breaks.
    pub(super) broken: Vec<String>,
    pub(super) params: String,
    pub(super) reason: String,
    /// The best so far, or on the front of several objectives.
    pub(super) best: bool,
    pub(super) ms: u64,
}

impl Picture {
    /// The picture of an experiment, with what has ended since the one before.
    pub fn of(state: &State, id: ExperimentId, shown: Shown) -> Option<Self> {
        let experiment = state.experiment(id)?;
        let paused = experiment.paused.is_some() && experiment.active() == 0;
        let mut running: Vec<Running> =
            experiment.active_trials().take(MAX_SHOWN).map(|trial| Running::of(experiment, trial)).collect();
        running.sort_by_key(|running| running.trial);
        let mut best_so_far = shown.best;
        let objective = &experiment.spec.objective;
        let several = objective.outcomes.is_multi();
        let mut news = Vec::new();
        // Only what is new: a picture must not cost more the longer an experiment runs.
        for id in experiment.ended_order.iter().skip(shown.ended) {
            let Some(trial) = experiment.trial(*id) else { continue };
            // A point is not the best one for one of several trials.
            let usable = trial.status == TrialStatus::Succeeded
                && objective.replicates == 1
                && objective.outcomes.is_feasible(&trial.metrics);
            let value = trial.value.filter(|_| usable);
            let best = if several {
                experiment.front.binary_search(&trial.id).is_ok()
            } else {
                value.is_some_and(|value| best_so_far.is_none_or(|best| objective.goal.better(value, best)))
            };
            if best && !several {
                best_so_far = value;
            }
            news.push(Ended::of(experiment, trial, best));
        }
        let ended = u32::try_from(experiment.ended_order.len()).unwrap_or(u32::MAX);
        Some(Self {
            over: experiment.status.is_ended() || paused,
            status: experiment.status,
            paused: present::waits_for(experiment),
            closed: experiment.paused.is_none() && experiment.window.is_some() && !experiment.is_open(),
            ended,
            suggested: experiment.suggested(),
            succeeded: experiment.count(TrialStatus::Succeeded),
            stopped: experiment.count(TrialStatus::EarlyStopped),
            failed: experiment.count(TrialStatus::Failed) + experiment.count(TrialStatus::Lost),
            budget: experiment.spec.budget.trials.map(|trials| trials + experiment.extra),
            concurrency: experiment.spec.budget.concurrency,
            best: measure::best(experiment).map(|trial| Best {
                trial: trial.id.0,
                reached: measure::reached(objective, trial.value, &trial.metrics),
                params: params(experiment, &trial),
            }),
            front: several.then_some(experiment.front.len()),
            // A walk over all trials, and only as long as none is of use.
            unusable: measure::why_no_best(experiment),
            more_running: experiment.active() as usize - running.len(),
            running,
            news,
            best_so_far,
            started: experiment.started,
            deadline: experiment.deadline(),
            mean_ms: mean_duration(experiment),
        })
    }
}

impl Running {
    fn of(experiment: &Experiment, trial: &Trial) -> Self {
        let values: Vec<f64> =
            trial.reports.iter().rev().filter_map(|report| report.value).take(CURVE).collect();
        Self {
            trial: trial.id.0,
            params: params(experiment, trial),
            values: values.into_iter().rev().collect(),
            since: trial.attempt().and_then(Attempt::started),
            stopping: trial.stopping.is_some(),
            doubt: trial.attempt().and_then(Attempt::doubt).map(str::to_owned),
        }
    }
}

impl Ended {
    fn of(experiment: &Experiment, trial: &Trial, best: bool) -> Self {
        Self {
            trial: trial.id.0,
            status: trial.status,
            reached: measure::reached(&experiment.spec.objective, trial.value, &trial.metrics),
            broken: measure::broken(&experiment.spec.objective, trial),
            params: params(experiment, trial),
            reason: trial.reason.clone(),
            best,
            ms: trial.ended.map_or(0, |ended| ended.since(trial.suggested).0),
        }
    }
}

/// A point in one line.
pub fn params(experiment: &Experiment, trial: &Trial) -> String {
    let bindings = experiment.spec.space.bindings(&trial.point);
    let shown = bindings.iter().filter(|(_, value)| !value.is_empty());
    shown
        .map(|(name, value)| {
            let value = match value.parse::<f64>() {
                Ok(number) if value.len() > 8 => figures::number(number),
                _ => value.clone(),
            };
            format!("{name}={}", clip(&printable(&value), VALUE_COLUMNS))
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn mean_duration(experiment: &Experiment) -> Option<f64> {
    let recent = experiment.ended_order.iter().rev().take(50).filter_map(|id| experiment.trial(*id));
    let times: Vec<f64> =
        recent.filter_map(|trial| Some(trial.ended?.since(trial.suggested).0 as f64)).collect();
    (!times.is_empty()).then(|| times.iter().sum::<f64>() / times.len() as f64)
}
