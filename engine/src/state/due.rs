//! What the shell must do now, derived from the state.

use super::experiment::Experiment;
use super::{Attempt, State, TaskPhase, TaskRun};
use crate::effect::Effect;
use crate::id::{ExperimentId, Seq, SubmissionKey, TrialId};
use crate::ports::backend::JobHandle;
use crate::time::{Span, Timestamp};

impl State {
    /// The work that one experiment needs now. Level-triggered: the same work is named again until the state says
    /// that it is done, so the shell must know what it has under way. Costs no more than the work named.
    ///
    /// `boot` is the last record that an earlier process wrote: what was planned by then may have been sent.
    pub fn due(&self, experiment: ExperimentId, boot: Seq) -> Vec<Effect> {
        let Some(experiment) = self.experiments.get(&experiment) else { return Vec::new() };
        let mut effects = Vec::new();
        for key in &experiment.to_stop {
            if let Some(handle) = experiment.handle(key) {
                effects.push(Effect::Stop { key: *key, handle: handle.clone() });
            }
        }
        for key in &experiment.unsettled {
            if let Some(task) = experiment.task(key) {
                effects.push(experiment.settle(*key, task, boot));
            }
        }
        let count = experiment.wanted();
        if count > 0 {
            effects.push(Effect::Suggest { experiment: experiment.id, count });
        }
        if let Some(at) = experiment.next_time() {
            effects.push(Effect::Wake { experiment: experiment.id, at });
        }
        effects
    }

    /// Whether a backend holds a task: one of those of [`State::held`].
    pub fn holds(&self, key: &SubmissionKey) -> bool {
        let experiment = self.experiments.get(&key.experiment);
        self.live.contains(&key.experiment) && experiment.is_some_and(|known| known.held.contains(key))
    }

    /// How many tasks backends hold.
    pub fn held_count(&self) -> usize {
        self.live().map(|experiment| experiment.held.len()).sum()
    }

    /// The tasks that backends hold, to be watched until they end.
    pub fn held(&self) -> impl Iterator<Item = (SubmissionKey, &JobHandle)> {
        self.live().flat_map(|experiment| {
            experiment.held.iter().filter_map(|key| experiment.handle(key).map(|handle| (*key, handle)))
        })
    }
}

impl Experiment {
    /// The current task of a submission, if it still is the current one.
    pub fn task(&self, key: &SubmissionKey) -> Option<&TaskRun> {
        let attempt = self.trial(key.trial)?.attempt().filter(|attempt| attempt.number == key.attempt)?;
        attempt.task().filter(|task| task.task == key.task)
    }

    fn handle(&self, key: &SubmissionKey) -> Option<&JobHandle> {
        self.task(key).and_then(|task| task.handle.as_ref())
    }

    /// A task that was planned before this process began, that is in doubt, or whose trial is to be stopped is looked
    /// for; only what this process itself planned is submitted.
    fn settle(&self, key: SubmissionKey, task: &TaskRun, boot: Seq) -> Effect {
        let stopping = self.trial(key.trial).is_some_and(|trial| trial.stopping.is_some());
        if task.phase == TaskPhase::Planned && task.planned > boot && !stopping {
            Effect::Submit { key }
        } else {
            Effect::Find { key }
        }
    }

    /// How many points the sampler should be asked for now.
    pub fn wanted(&self) -> u32 {
        let runs = self.spec.run.is_some();
        if !runs || !self.starts() || self.exhausted || !self.queue.is_empty() {
            return 0;
        }
        let free = self.spec.budget.concurrency.saturating_sub(self.active());
        self.budget_left().map_or(free, |left| free.min(left))
    }

    /// Whether the sampler may be asked for a trial that a client runs.
    pub fn has_room(&self) -> bool {
        self.starts() && !self.exhausted && self.budget_left() != Some(0)
    }

    /// Whether new trials may be started at all.
    pub(crate) fn may_start(&self) -> bool {
        !self.status.is_ended() && self.end.is_none() && self.paused.is_none()
    }

    /// Whether its schedule lets trials and attempts start. One that nobody has spoken of yet is closed.
    pub fn is_open(&self) -> bool {
        self.spec.schedule.is_none() || self.window.is_some_and(|window| window.open)
    }

    /// Whether new trials may be started now.
    pub(crate) fn starts(&self) -> bool {
        self.may_start() && self.is_open()
    }

    /// The next time at which something must be decided.
    fn next_time(&self) -> Option<Timestamp> {
        if self.status.is_ended() {
            return None;
        }
        // A retry that waits for the window to open is not due before it does.
        let waits = |id: &TrialId| {
            !self.is_open()
                && self.trial(*id).is_some_and(|trial| trial.stopping.is_none() && trial.awaits_decision())
        };
        let timer = self.timers.iter().find(|(_, id)| !waits(id)).map(|(at, _)| *at);
        let (end, window) = match self.end {
            None => (self.deadline(), self.window.and_then(|window| window.until)),
            Some(_) => (None, None),
        };
        [timer, end, window].into_iter().flatten().min()
    }

    /// When the experiment's time is over, unless it ends before.
    pub fn deadline(&self) -> Option<Timestamp> {
        Some(self.started?.after(self.idle).after(self.spec.budget.duration?))
    }

    /// How much of its time it has used: from its first trial on, but not while it had ended.
    pub(crate) fn time_used(&self, now: Timestamp) -> Option<Span> {
        let until = self.ended.unwrap_or(now);
        Some(Span(until.since(self.started?).0.saturating_sub(self.idle.0)))
    }

    /// The time that remains of an attempt's own bound.
    pub fn attempt_time_left(&self, attempt: &Attempt, now: Timestamp) -> Option<Span> {
        let timeout = self.spec.budget.trial_timeout?;
        let used = attempt.began().map_or(Span(0), |began| now.since(began));
        Some(Span(timeout.0.saturating_sub(used.0).max(1)))
    }
}
