//! Events of attempts and their tasks.

use super::apply::{Misfit, require};
use super::attempt::{Attempt, TaskPhase, TaskRun};
use super::experiment::Experiment;
use super::trial::{Trial, TrialStatus};
use crate::envelope::Envelope;
use crate::event::v1;
use crate::id::{AttemptNo, TaskIndex, TrialId};
use crate::ports::backend::JobHandle;
use crate::time::{Span, Timestamp};

impl Experiment {
    pub(super) fn plan_attempt(
        &mut self,
        envelope: &Envelope,
        planned: &v1::AttemptPlanned,
    ) -> Result<(), Misfit> {
        let id = planned.trial;
        let tasks = self.spec.run.as_ref().map_or(0, |run| run.commands.len());
        require((planned.task.0 as usize) < tasks, "it has no such task")?;
        self.drop_task_index(id);
        let trial = self.live_trial(id)?;
        if trial.stopping.is_some() {
            return Err("the trial is being stopped".to_owned());
        }
        let settled = trial.attempt().is_none_or(|attempt| {
            matches!(attempt.task().map(|t| &t.phase), Some(TaskPhase::Ended(_) | TaskPhase::Doubtful(_)))
        });
        if !settled {
            return Err("the attempt before it has not ended".to_owned());
        }
        let number = AttemptNo(u32::try_from(trial.attempts.len()).unwrap_or(u32::MAX).saturating_add(1));
        if planned.attempt != number {
            return Err(format!("the next attempt is {number}"));
        }
        let freed = trial.attempt().map(|attempt| attempt.slot);
        trial.attempts.push(Attempt {
            number,
            slot: planned.slot,
            planned: envelope.time,
            tasks: vec![planned_task(planned.task, envelope)],
        });
        if let Some(freed) = freed {
            self.slots.remove(&freed);
        }
        require(self.slots.insert(planned.slot), "its slot is taken")?;
        self.set_status(id, TrialStatus::Running)?;
        self.ready.remove(&id);
        self.set_timer(id, None);
        self.index_task(id);
        Ok(())
    }

    pub(super) fn plan_task(&mut self, envelope: &Envelope, planned: &v1::TaskPlanned) -> Result<(), Misfit> {
        let tasks = self.spec.run.as_ref().map_or(0, |run| run.commands.len());
        require((planned.task.0 as usize) < tasks, "it has no such task")?;
        let attempt = self.current_attempt(planned.trial, planned.attempt)?;
        let next = match attempt.task() {
            Some(TaskRun { task, phase: TaskPhase::Ended(v1::Outcome::Succeeded), .. }) => {
                TaskIndex(task.0 + 1)
            }
            _ => return Err("the task before it has not succeeded".to_owned()),
        };
        if planned.task != next {
            return Err(format!("the next task is {next}"));
        }
        attempt.tasks.push(planned_task(planned.task, envelope));
        self.ready.remove(&planned.trial);
        self.index_task(planned.trial);
        Ok(())
    }

    pub(super) fn clear_task(
        &mut self,
        envelope: &Envelope,
        cleared: &v1::TaskCleared,
    ) -> Result<(), Misfit> {
        let task = self.current_task(cleared.trial, cleared.attempt, cleared.task)?;
        if !matches!(task.phase, TaskPhase::Planned | TaskPhase::Doubtful(_)) {
            return Err("the backend holds it".to_owned());
        }
        task.phase = TaskPhase::Planned;
        task.planned = envelope.seq;
        self.no_longer_in_doubt(cleared.trial);
        self.set_status(cleared.trial, TrialStatus::Running)?;
        self.index_task(cleared.trial);
        Ok(())
    }

    pub(super) fn accept_task(&mut self, accepted: &v1::TaskAccepted) -> Result<(), Misfit> {
        let task = self.current_task(accepted.trial, accepted.attempt, accepted.task)?;
        if !matches!(task.phase, TaskPhase::Planned | TaskPhase::Doubtful(_)) {
            return Err("it was accepted before".to_owned());
        }
        task.phase = TaskPhase::Accepted;
        task.handle = Some(JobHandle(accepted.handle.clone()));
        self.no_longer_in_doubt(accepted.trial);
        self.set_status(accepted.trial, TrialStatus::Running)?;
        self.index_task(accepted.trial);
        Ok(())
    }

    pub(super) fn doubt_task(&mut self, doubtful: &v1::TaskDoubtful) -> Result<(), Misfit> {
        let task = self.current_task(doubtful.trial, doubtful.attempt, doubtful.task)?;
        if task.phase != TaskPhase::Planned {
            return Err("it is not in doubt".to_owned());
        }
        task.phase = TaskPhase::Doubtful(doubtful.reason.clone());
        self.ready.insert(doubtful.trial);
        self.set_status(doubtful.trial, TrialStatus::Unknown)?;
        self.index_task(doubtful.trial);
        Ok(())
    }

    pub(super) fn start_task(
        &mut self,
        envelope: &Envelope,
        started: &v1::TaskStarted,
    ) -> Result<(), Misfit> {
        let task = self.current_task(started.trial, started.attempt, started.task)?;
        if task.phase != TaskPhase::Accepted {
            return Err("it is not waiting to run".to_owned());
        }
        task.phase = TaskPhase::Running;
        // The backend's clock may be wrong: nothing runs before it was planned or after it was seen.
        task.seen_running = Some(envelope.time);
        task.started = Some(started.started);
        // A trial that is being stopped keeps the time at which it is given up.
        if self.live_trial(started.trial)?.stopping.is_none() {
            let at = self.time_over(started.trial);
            self.set_timer(started.trial, at);
        }
        self.index_task(started.trial);
        Ok(())
    }

    /// When the engine itself ends a trial's attempt, should its backend fail to do so.
    pub(super) fn time_over(&self, id: TrialId) -> Option<Timestamp> {
        const MARGIN: Span = Span::from_secs(30);
        let timeout = self.spec.budget.trial_timeout?;
        let began = self.trial(id)?.attempt()?.began()?;
        Some(began.after(timeout).after(self.spec.budget.grace).after(MARGIN))
    }

    /// A trial whose submission is settled again needs no decision, unless its experiment is ending.
    fn no_longer_in_doubt(&mut self, id: TrialId) {
        if self.end.is_none() {
            self.ready.remove(&id);
        }
    }

    pub(super) fn end_task(&mut self, envelope: &Envelope, ended: &v1::TaskEnded) -> Result<(), Misfit> {
        let id = ended.trial;
        let task = self.current_task(id, ended.attempt, ended.task)?;
        if matches!(task.phase, TaskPhase::Ended(_)) {
            return Err("it has ended".to_owned());
        }
        task.phase = TaskPhase::Ended(ended.outcome.clone());
        task.ended = Some(ended.ended);
        self.set_timer(id, None);
        let wait = self.retry_wait(id, &ended.outcome);
        if wait > Span(0) {
            self.set_timer(id, Some(envelope.time.after(wait)));
        } else {
            self.ready.insert(id);
        }
        self.set_status(id, TrialStatus::Running)?;
        self.index_task(id);
        Ok(())
    }

    /// How long to wait before the trial's next attempt.
    fn retry_wait(&self, id: TrialId, outcome: &v1::Outcome) -> Span {
        let Some(trial) = self.trial(id) else { return Span(0) };
        // While its experiment is ending, a trial is to be stopped, which must not wait either.
        if trial.stopping.is_some() || self.end.is_some() || !self.may_try_again(trial, outcome) {
            return Span(0);
        }
        let doublings = u32::try_from(trial.attempts.len()).unwrap_or(u32::MAX).saturating_sub(1).min(16);
        Span(self.spec.retry.backoff.0.saturating_mul(1 << doublings))
    }

    /// Whether a trial is tried again after its last attempt ended like this.
    pub(crate) fn may_try_again(&self, trial: &Trial, outcome: &v1::Outcome) -> bool {
        let retry = self.spec.retry;
        let tries = match outcome {
            v1::Outcome::Failed { .. } => retry.failed,
            // Stopped, but not by us: somebody or something outside ended it.
            v1::Outcome::Lost { .. } | v1::Outcome::Stopped => retry.lost,
            v1::Outcome::Preempted { .. } => retry.preempted,
            v1::Outcome::Succeeded | v1::Outcome::TimedOut | v1::Outcome::Refused { .. } => 1,
        };
        (trial.attempts.len() as u64) < u64::from(tries)
    }

    /// Sets the one time at which something is to be decided for a trial.
    pub(super) fn set_timer(&mut self, id: TrialId, at: Option<Timestamp>) {
        if let Some(before) = self.deadlines.remove(&id) {
            self.timers.remove(&(before, id));
        }
        if let Some(at) = at {
            self.deadlines.insert(id, at);
            self.timers.insert((at, id));
        }
    }

    fn current_attempt(&mut self, trial: TrialId, attempt: AttemptNo) -> Result<&mut Attempt, Misfit> {
        let trial = self.live_trial(trial)?;
        trial
            .attempts
            .last_mut()
            .filter(|current| current.number == attempt)
            .ok_or_else(|| format!("attempt {attempt} is not the current one"))
    }

    fn current_task(
        &mut self,
        trial: TrialId,
        attempt: AttemptNo,
        task: TaskIndex,
    ) -> Result<&mut TaskRun, Misfit> {
        self.current_attempt(trial, attempt)?
            .tasks
            .last_mut()
            .filter(|current| current.task == task)
            .ok_or_else(|| format!("task {task} is not the current one"))
    }

    /// Takes the trial's current task out of the indices.
    pub(super) fn drop_task_index(&mut self, id: TrialId) {
        if let Some(key) = self.current_key(id) {
            self.unsettled.remove(&key);
            self.held.remove(&key);
            self.to_stop.remove(&key);
        }
    }

    /// Puts the trial's current task into the indices where it belongs.
    pub(super) fn index_task(&mut self, id: TrialId) {
        self.drop_task_index(id);
        let Some(key) = self.current_key(id) else { return };
        let Some(trial) = self.trial(id) else { return };
        let stopping = trial.stopping.is_some();
        match trial.attempt().and_then(Attempt::task).map(|task| &task.phase) {
            Some(TaskPhase::Planned | TaskPhase::Doubtful(_)) => {
                self.unsettled.insert(key);
            }
            Some(TaskPhase::Accepted | TaskPhase::Running) => {
                self.held.insert(key);
                if stopping {
                    self.to_stop.insert(key);
                }
            }
            Some(TaskPhase::Ended(_)) | None => {}
        }
    }
}

fn planned_task(task: TaskIndex, envelope: &Envelope) -> TaskRun {
    TaskRun {
        task,
        phase: TaskPhase::Planned,
        planned: envelope.seq,
        handle: None,
        seen_running: None,
        started: None,
        ended: None,
    }
}
