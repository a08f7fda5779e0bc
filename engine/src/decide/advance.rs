//! What follows from the state and the clock alone.
//!
//! Every pass decides at most one step of each trial that is ready, so that its events can be applied in any
//! state that they were decided in; the shell repeats it until nothing follows.

use super::task::task_ended;
use crate::event::v1::{ExperimentEnd, Outcome, TrialEnd, TrialEnded, TrialStop};
use crate::event::v2::EndReason;
use crate::event::{Event, v1, v2};
use crate::id::{AttemptNo, TaskIndex, TrialId};
use crate::spec::Budget;
use crate::state::{Attempt, Experiment, TaskPhase, Trial, TrialStatus};
use crate::time::Timestamp;
use std::collections::BTreeSet;

impl Experiment {
    pub(super) fn advance(&self, at: Timestamp) -> Vec<Event> {
        if self.status.is_ended() {
            return Vec::new();
        }
        if let Some(reason) = self.stop_rule(at) {
            return vec![v2::ExperimentStopping { reason }.into()];
        }
        if let Some(pause) = self.brake() {
            return vec![pause];
        }
        let mut slots = BTreeSet::new();
        let mut events = Vec::new();
        let timed = self.timers.iter().take_while(|(due, _)| *due <= at).map(|(_, id)| *id);
        let ready: BTreeSet<TrialId> = self.ready.iter().copied().chain(timed).collect();
        for id in ready {
            if let Some(trial) = self.trial(id) {
                events.extend(self.step(trial, at, &mut slots));
            }
        }
        if events.is_empty() {
            events.extend(self.start_queued());
        }
        if events.is_empty() && self.active() == 0 {
            events.extend(self.end());
        }
        events
    }

    /// Whether a rule of the budget ends the experiment now.
    fn stop_rule(&self, at: Timestamp) -> Option<EndReason> {
        if self.end.is_some() {
            return None;
        }
        if let Some(reason) = self.goal_or_time(&self.spec.budget, at) {
            return Some(reason);
        }
        // Patience needs something to lose patience with.
        let patience = self.spec.budget.patience.filter(|_| self.has_best());
        if patience.is_some_and(|patience| self.since_best >= patience) && !self.all_tried() {
            return Some(EndReason::Patience);
        }
        None
    }

    /// Whether a budget's target is reached, its cost spent or its time over: that stays so, whatever else happens.
    pub(super) fn goal_or_time(&self, budget: &Budget, at: Timestamp) -> Option<EndReason> {
        let goal = self.spec.objective.goal;
        if let (Some(target), Some((_, best))) = (budget.target, self.best)
            && !goal.better(target, best)
        {
            return Some(EndReason::Target);
        }
        if budget.cost.is_some_and(|bound| self.spent_so_far() >= bound) {
            return Some(EndReason::Cost);
        }
        let (used, bound) = self.time_used(at).zip(budget.duration)?;
        (used >= bound).then_some(EndReason::Duration)
    }

    /// Pauses when the first trials all failed alike. Clients see to their own failures.
    fn brake(&self) -> Option<Event> {
        let limit = self.spec.first_failures;
        let runs = self.spec.run.is_some();
        let applies = runs && limit > 0 && !self.streak.released && self.streak.length >= limit;
        if !applies || !self.may_start() || self.all_tried() {
            return None;
        }
        let failure = self.streak.failure.clone();
        Some(v1::ExperimentPaused { reason: v1::PauseReason::Brake { failure } }.into())
    }

    /// Whether nothing more will be started without a change from outside.
    fn all_tried(&self) -> bool {
        let left = self.budget_left();
        let queue_done = if left == Some(0) {
            !self.queue.values().any(|queued| queued.extra)
        } else {
            self.queue.is_empty()
        };
        queue_done && (left == Some(0) || self.exhausted)
    }

    fn end(&self) -> Option<Event> {
        let success = self.count(TrialStatus::Succeeded) > 0;
        let reason = match &self.end {
            Some(reason) => reason.clone(),
            None if self.paused.is_some() || !self.all_tried() => return None,
            None if self.budget_left() == Some(0) => EndReason::Trials,
            None => EndReason::Exhausted,
        };
        let status = match &reason {
            EndReason::Asked => ExperimentEnd::UserCanceled,
            EndReason::Engine { .. } => ExperimentEnd::SysCanceled,
            _ if !success => ExperimentEnd::Failed,
            EndReason::Patience | EndReason::Gain { .. } => ExperimentEnd::EarlyStopped,
            EndReason::Exhausted => ExperimentEnd::NoMoreTrial,
            EndReason::Trials | EndReason::Target | EndReason::Duration | EndReason::Cost => {
                ExperimentEnd::Finished
            }
        };
        Some(v2::ExperimentEnded { status, reason }.into())
    }

    /// The next step of one trial, if one follows.
    fn step(&self, trial: &Trial, at: Timestamp, slots: &mut BTreeSet<u16>) -> Option<Event> {
        if trial.status.is_ended() {
            return None;
        }
        if self.end.is_some() && trial.stopping.is_none() {
            return Some(stopping(trial.id, TrialStop::Experiment));
        }
        let phase = trial.attempt().and_then(Attempt::task).map(|task| &task.phase);
        match (&trial.stopping, phase) {
            (Some(stop), None) => {
                // A client is told to stop by the answer to its report, and tells what it reached.
                let told = self.is_told(stop) && self.end.is_none();
                (!told).then(|| self.finish_stopped(trial, stop).into())
            }
            (None, None) => {
                self.spec.run.as_ref()?;
                self.plan(trial, TaskIndex(0), slots)
            }
            (stop, Some(TaskPhase::Ended(outcome))) => self.after(trial, stop.as_ref(), outcome, at, slots),
            (None, Some(TaskPhase::Doubtful(_))) => {
                let again = (trial.attempts.len() as u64) < u64::from(self.spec.retry.doubtful);
                if again { self.plan(trial, self.first_task(trial), slots) } else { None }
            }
            (Some(_), Some(_)) => self.give_up(trial, at),
            (None, Some(TaskPhase::Running)) => {
                (*self.deadlines.get(&trial.id)? <= at).then(|| stopping(trial.id, TrialStop::Timeout))
            }
            (None, Some(TaskPhase::Planned | TaskPhase::Accepted)) => None,
        }
    }

    /// What follows the end of a task.
    fn after(
        &self,
        trial: &Trial,
        stop: Option<&TrialStop>,
        outcome: &Outcome,
        at: Timestamp,
        slots: &mut BTreeSet<u16>,
    ) -> Option<Event> {
        let done = trial.attempt().and_then(Attempt::task).map_or(0, |task| usize::from(task.task.0) + 1);
        let tasks = self.spec.run.as_ref().map_or(0, |run| run.commands.len());
        match (outcome, stop) {
            // What has run to its end counts, even if it was about to be stopped.
            (Outcome::Succeeded, _) if done >= tasks => Some(self.finish(trial).into()),
            (_, Some(stop)) => Some(self.finish_stopped(trial, stop).into()),
            (Outcome::Succeeded, None) => {
                let attempt = trial.attempt()?.number;
                let task = TaskIndex(u16::try_from(done).ok()?);
                Some(v1::TaskPlanned { trial: trial.id, attempt, task }.into())
            }
            (outcome, None) => {
                if self.may_try_again(trial, outcome) {
                    let waits = self.deadlines.get(&trial.id).is_some_and(|due| *due > at);
                    if waits { None } else { self.plan(trial, self.first_task(trial), slots) }
                } else {
                    Some(failed(trial, outcome, self.out_of_time()).into())
                }
            }
        }
    }

    /// Whether a stopped trial's client still owes its result.
    pub(super) fn is_told(&self, stop: &TrialStop) -> bool {
        self.spec.run.is_none() && matches!(stop, TrialStop::Early { .. })
    }

    /// The task with which a further attempt begins.
    fn first_task(&self, trial: &Trial) -> TaskIndex {
        if !self.spec.retry.resume {
            return TaskIndex(0);
        }
        trial.attempt().and_then(Attempt::task).map_or(TaskIndex(0), |task| task.task)
    }

    /// A further attempt, unless the window of the schedule is closed.
    fn plan(&self, trial: &Trial, task: TaskIndex, slots: &mut BTreeSet<u16>) -> Option<Event> {
        if !self.is_open() {
            return None;
        }
        let slot = match trial.attempt() {
            Some(attempt) => attempt.slot,
            None => self.free_slot(slots),
        };
        slots.insert(slot);
        let attempt = AttemptNo(u32::try_from(trial.attempts.len()).ok()?.checked_add(1)?);
        Some(v1::AttemptPlanned { trial: trial.id, attempt, task, slot }.into())
    }

    /// A task that does not end although its backend was told to is given up.
    fn give_up(&self, trial: &Trial, at: Timestamp) -> Option<Event> {
        let key = self.current_key(trial.id)?;
        (*self.deadlines.get(&trial.id)? <= at).then(|| {
            let reason = "it did not end although it was stopped".to_owned();
            task_ended(key, Outcome::Lost { reason }, at)
        })
    }
}

fn stopping(trial: TrialId, reason: TrialStop) -> Event {
    v1::TrialStopping { trial, reason }.into()
}

fn failed(trial: &Trial, outcome: &Outcome, out_of_time: String) -> TrialEnded {
    let (status, reason) = match outcome {
        Outcome::Failed { reason, .. } => (TrialEnd::Failed, reason.clone()),
        Outcome::Refused { reason } => (TrialEnd::Failed, format!("the backend refused it: {reason}")),
        Outcome::TimedOut => (TrialEnd::Failed, out_of_time),
        Outcome::Lost { reason } => (TrialEnd::Lost, reason.clone()),
        Outcome::Preempted { reason } => (TrialEnd::Lost, format!("preempted: {reason}")),
        Outcome::Stopped => (TrialEnd::Lost, "somebody or something outside ended it".to_owned()),
        Outcome::Succeeded => (TrialEnd::Failed, String::new()),
    };
    TrialEnded { trial: trial.id, status, value: None, metrics: Vec::new(), reason }
}
