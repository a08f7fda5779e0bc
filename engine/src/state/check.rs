//! Recomputes from the facts of a state what its indices should say. For tests only.

use super::State;
use super::attempt::{Attempt, TaskPhase};
use super::experiment::Experiment;
use super::trial::{Trial, TrialStatus};
use crate::event::v1::{Outcome, TrialStop};
use crate::id::{AttemptNo, SubmissionKey, TrialId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

fn same<T: PartialEq + Debug>(what: &str, kept: &T, facts: &T) -> Result<(), String> {
    if kept == facts { Ok(()) } else { Err(format!("{what}: kept {kept:?}, the facts say {facts:?}")) }
}

fn holds(what: &str, holds: bool) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

impl State {
    /// Checks every index against the facts, and the facts against each other. Gives the first difference.
    pub fn check(&self) -> Result<(), String> {
        let live = self.experiments.values().filter(|experiment| !experiment.status.is_ended());
        same("live", &self.live, &live.map(|experiment| experiment.id).collect())?;
        for experiment in self.experiments.values() {
            experiment.check().map_err(|wrong| format!("experiment {}: {wrong}", experiment.id))?;
        }
        Ok(())
    }
}

impl Experiment {
    fn check(&self) -> Result<(), String> {
        let unended = self.trials.iter().filter(|trial| !trial.status.is_ended());
        let active: BTreeSet<TrialId> = unended.map(|trial| trial.id).collect();
        same("active", &self.active, &active)?;
        let mut ended = self.ended_order.clone();
        ended.sort_unstable();
        let facts = self.trials.iter().filter(|trial| trial.status.is_ended()).map(|trial| trial.id);
        same("ended", &ended, &facts.collect())?;
        let mut counts = BTreeMap::new();
        for trial in &self.trials {
            *counts.entry(trial.status).or_insert(0_u32) += 1;
        }
        same("counts", &self.counts, &counts)?;
        same("sum of counts", &(self.counts.values().sum::<u32>() as usize), &self.trials.len())?;
        same("extra", &(self.extra as usize), &self.trials.iter().filter(|trial| trial.extra).count())?;
        holds("queue numbers", self.queue.keys().all(|entry| *entry < self.queued))?;
        holds("an ended experiment has nothing active", !self.status.is_ended() || active.is_empty())?;
        holds("an ended experiment has a time", self.status.is_ended() == self.ended.is_some())?;
        self.check_best()?;
        self.check_tasks()?;
        self.check_leases()?;
        self.check_times()?;
        for (place, trial) in self.trials.iter().enumerate() {
            same("number", &(trial.id.0 as usize), &place)?;
            check_trial(trial).map_err(|wrong| format!("trial {}: {wrong}", trial.id))?;
        }
        Ok(())
    }

    fn check_replicated(&self) -> Result<(), String> {
        let mut replicated: BTreeMap<_, Vec<TrialId>> = BTreeMap::new();
        for trial in self.ended_order.iter().filter_map(|id| self.trial(*id)) {
            if trial.status == TrialStatus::Succeeded {
                replicated.entry(trial.point.key()).or_default().push(trial.id);
            }
        }
        same("replicated", &self.replicated.0, &replicated)?;
        let (kept, best) = (self.best.map(|(_, mean)| mean), self.best_judged());
        same("best mean", &kept, &best.map(|(_, mean)| mean))?;
        let holder = self.best.and_then(|(id, _)| self.replicated.0.get(&self.trial(id)?.point.key()));
        same("the best's own mean", &holder.and_then(|trials| self.judged(trials)), &self.best)
    }

    fn check_best(&self) -> Result<(), String> {
        if self.spec.objective.replicates > 1 {
            return self.check_replicated();
        }
        holds("nothing is replicated", self.replicated.0.is_empty())?;
        let mut best: Option<(TrialId, f64)> = None;
        let mut front: Vec<&Trial> = Vec::new();
        let mut since = 0;
        for trial in self.ended_order.iter().filter_map(|id| self.trial(*id)) {
            since += 1;
            let outcomes = &self.spec.objective.outcomes;
            if outcomes.is_multi() {
                if trial.status == TrialStatus::Succeeded && outcomes.is_feasible(&trial.metrics) {
                    let dominates = |a: &Trial, b: &Trial| {
                        outcomes.dominance(&a.metrics, &b.metrics) == Some(std::cmp::Ordering::Less)
                    };
                    if !front.iter().any(|other| dominates(other, trial)) {
                        front.retain(|other| !dominates(trial, other));
                        front.push(trial);
                        since = 0;
                    }
                }
                continue;
            }
            if let (TrialStatus::Succeeded, Some(value)) = (trial.status, trial.value)
                && outcomes.is_feasible(&trial.metrics)
                && best.is_none_or(|(_, best)| self.spec.objective.goal.better(value, best))
            {
                best = Some((trial.id, value));
                since = 0;
            }
        }
        same("best", &self.best, &best)?;
        let mut front: Vec<TrialId> = front.iter().map(|trial| trial.id).collect();
        front.sort_unstable();
        same("front", &self.front, &front)?;
        // Reopening begins to count anew.
        holds("since best", self.since_best <= since)
    }

    fn check_tasks(&self) -> Result<(), String> {
        let (mut unsettled, mut held) = (BTreeSet::new(), BTreeSet::new());
        let (mut to_stop, mut slots) = (BTreeSet::new(), Vec::new());
        for trial in self.trials.iter().filter(|trial| !trial.status.is_ended()) {
            let Some(attempt) = trial.attempts.last() else { continue };
            slots.push(attempt.slot);
            let Some(task) = attempt.tasks.last() else { continue };
            let key = SubmissionKey {
                experiment: self.id,
                trial: trial.id,
                attempt: attempt.number,
                task: task.task,
            };
            match task.phase {
                TaskPhase::Planned | TaskPhase::Doubtful(_) => {
                    unsettled.insert(key);
                }
                TaskPhase::Accepted | TaskPhase::Running => {
                    held.insert(key);
                    if trial.stopping.is_some() {
                        to_stop.insert(key);
                    }
                }
                TaskPhase::Ended(_) => {}
            }
        }
        same("unsettled", &self.unsettled, &unsettled)?;
        same("held", &self.held, &held)?;
        same("to stop", &self.to_stop, &to_stop)?;
        slots.sort_unstable();
        same("slots", &self.slots.iter().copied().collect(), &slots)
    }

    fn check_leases(&self) -> Result<(), String> {
        let (mut leases, mut requests) = (BTreeSet::new(), BTreeSet::new());
        for trial in self.trials.iter().filter(|trial| !trial.status.is_ended()) {
            let Some(lease) = &trial.lease else { continue };
            if trial.stopping.is_none() {
                leases.insert((lease.until, trial.id));
            }
            if !lease.request.is_empty() {
                requests.insert((lease.request.clone(), trial.id));
            }
        }
        same("leases", &self.leases, &leases)?;
        same("requests", &self.requests, &requests)
    }

    fn check_times(&self) -> Result<(), String> {
        let timers: BTreeSet<_> = self.deadlines.iter().map(|(id, at)| (*at, *id)).collect();
        same("timers", &self.timers, &timers)?;
        holds("timers of ended trials", self.deadlines.keys().all(|id| self.active.contains(id)))?;
        holds("ready trials that have ended", self.ready.is_subset(&self.active))?;
        for id in &self.active {
            let Some(trial) = self.trial(*id) else { continue };
            let (ready, timed) = (self.ready.contains(id), self.deadlines.contains_key(id));
            let phase = trial.attempt().and_then(Attempt::task).map(|task| &task.phase);
            let seen_to = match (&trial.stopping, phase) {
                (None, _) if self.end.is_some() => ready,
                (Some(TrialStop::Early { .. }), None) if self.spec.run.is_none() && self.end.is_none() => {
                    true
                }
                (None, None) if self.spec.run.is_none() => true,
                (_, None) | (None, Some(TaskPhase::Doubtful(_))) => ready,
                (_, Some(TaskPhase::Ended(_))) => ready || timed,
                (Some(_), Some(_)) => timed,
                (None, Some(TaskPhase::Running)) => timed == self.spec.budget.trial_timeout.is_some(),
                (None, Some(TaskPhase::Planned | TaskPhase::Accepted)) => true,
            };
            holds(&format!("nobody sees to trial {id}: {trial:?}"), seen_to)?;
        }
        Ok(())
    }
}

fn check_trial(trial: &Trial) -> Result<(), String> {
    holds("its end has a time", trial.status.is_ended() == trial.ended.is_some())?;
    holds("a success has a value", trial.status != TrialStatus::Succeeded || trial.value.is_some())?;
    holds("only what clients run is leased", trial.lease.is_none() || trial.attempts.is_empty())?;
    holds("leases count from 1", trial.lease.as_ref().is_none_or(|lease| lease.number > 0))?;
    holds("reports in order", trial.reports.is_sorted_by_key(|report| report.attempt))?;
    let last = trial.attempts.len();
    for (place, attempt) in trial.attempts.iter().enumerate() {
        same("attempt", &attempt.number, &AttemptNo(u32::try_from(place).unwrap_or(u32::MAX) + 1))?;
        let Some((current, before)) = attempt.tasks.split_last() else {
            return Err("an attempt has no task".to_owned());
        };
        let done = |phase: &TaskPhase| *phase == TaskPhase::Ended(Outcome::Succeeded);
        holds("earlier tasks have succeeded", before.iter().all(|task| done(&task.phase)))?;
        let over = matches!(current.phase, TaskPhase::Ended(_));
        let doubtful = matches!(current.phase, TaskPhase::Doubtful(_));
        holds("only the last attempt goes on", place + 1 == last || over || doubtful)?;
        holds("an ended trial's task has ended", !trial.status.is_ended() || over || place + 1 < last)?;
        let is_held = matches!(current.phase, TaskPhase::Accepted | TaskPhase::Running);
        holds("a job that is held has a name", !is_held || current.handle.is_some())?;
    }
    let unknown =
        trial.attempt().and_then(Attempt::task).is_some_and(|t| matches!(t.phase, TaskPhase::Doubtful(_)));
    same("doubt", &(trial.status == TrialStatus::Unknown), &(unknown && !trial.status.is_ended()))
}
