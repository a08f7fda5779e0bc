//! Events of trials.

use super::apply::{Misfit, require};
use super::experiment::Experiment;
use super::trial::{Report, Trial, TrialStatus};
use crate::envelope::Envelope;
use crate::event::{v1, v2};
use crate::id::{AttemptNo, SubmissionKey, TrialId};
use crate::limits;
use crate::time::Span;
use std::cmp::Ordering;

impl Experiment {
    pub(super) fn trial_mut(&mut self, id: TrialId) -> Result<&mut Trial, Misfit> {
        self.trials.get_mut(id.0 as usize).ok_or_else(|| format!("there is no trial {id}"))
    }

    pub(super) fn live_trial(&mut self, id: TrialId) -> Result<&mut Trial, Misfit> {
        let trial = self.trial_mut(id)?;
        if trial.status.is_ended() { Err(format!("trial {id} has ended")) } else { Ok(trial) }
    }

    pub(super) fn set_status(&mut self, id: TrialId, status: TrialStatus) -> Result<(), Misfit> {
        let trial = self.trial_mut(id)?;
        let before = std::mem::replace(&mut trial.status, status);
        if let Some(count) = self.counts.get_mut(&before) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&before);
            }
        }
        *self.counts.entry(status).or_insert(0) += 1;
        Ok(())
    }

    pub(super) fn suggest(
        &mut self,
        envelope: &Envelope,
        suggested: &v2::TrialSuggested,
    ) -> Result<(), Misfit> {
        require(!self.status.is_ended() && self.end.is_none(), "the experiment is ending")?;
        let id = TrialId(self.suggested());
        require(suggested.trial == id, "its number is not the next one")?;
        require(
            suggested.parent.is_none_or(|parent| parent < id),
            "it goes on from a trial that does not exist",
        )?;
        let (mut retry_of, mut extra) = (None, false);
        if let v1::Origin::Queued { entry } = &suggested.origin {
            let queued = self.queue.remove(entry).ok_or("the queue holds no such entry")?;
            (retry_of, extra) = (queued.retry_of, queued.extra);
        }
        self.extra += u32::from(extra);
        let by_client = self.spec.run.is_none();
        let status = if by_client { TrialStatus::Running } else { TrialStatus::Waiting };
        self.trials.push(Trial {
            id,
            point: suggested.point.clone(),
            origin: suggested.origin.clone(),
            retry_of,
            parent: suggested.parent,
            extra,
            status,
            stopping: None,
            suggested: envelope.time,
            ended: None,
            value: None,
            metrics: Box::default(),
            reason: String::new(),
            reports: Vec::new(),
            attempts: Vec::new(),
            lease: None,
        });
        *self.counts.entry(status).or_insert(0) += 1;
        self.active.insert(id);
        if !by_client {
            self.ready.insert(id);
        }
        self.started.get_or_insert(envelope.time);
        self.settle_status();
        Ok(())
    }

    pub(super) fn stop_trial(
        &mut self,
        envelope: &Envelope,
        stopping: &v1::TrialStopping,
    ) -> Result<(), Misfit> {
        let id = stopping.trial;
        let grace = self.spec.budget.grace;
        let trial = self.live_trial(id)?;
        if trial.stopping.is_some() {
            return Err("it is being stopped".to_owned());
        }
        trial.stopping = Some(stopping.reason.clone());
        if trial.awaits_decision() {
            self.set_timer(id, None);
            self.ready.insert(id);
        } else {
            self.ready.remove(&id);
            self.set_timer(id, Some(envelope.time.after(grace).after(GIVE_UP)));
        }
        self.index_task(id);
        self.index_lease(id);
        Ok(())
    }

    pub(super) fn end_trial(&mut self, envelope: &Envelope, ended: &v1::TrialEnded) -> Result<(), Misfit> {
        let id = ended.trial;
        let goal = self.spec.objective.goal;
        let trial = self.live_trial(id)?;
        if !trial.awaits_decision() {
            return Err("its task has not ended".to_owned());
        }
        if ended.value.is_some_and(|value| !value.is_finite()) {
            return Err("its value is not finite".to_owned());
        }
        trial.ended = Some(envelope.time);
        trial.value = ended.value;
        trial.metrics = ended.metrics.clone().into_boxed_slice();
        trial.reason.clone_from(&ended.reason);
        trial.reports.shrink_to_fit();
        let slot = trial.attempt().map(|attempt| attempt.slot);
        let failure = failure_of(trial);
        self.set_status(id, (&ended.status).into())?;
        if let Some(slot) = slot {
            self.slots.remove(&slot);
        }
        self.active.remove(&id);
        self.ready.remove(&id);
        self.set_timer(id, None);
        self.drop_task_index(id);
        self.drop_lease_index(id);
        self.ended_order.push(id);
        self.spent += self.cost_of(id);
        self.since_best += 1;
        // What was judged had a value to be judged by.
        self.streak.released |= matches!(ended.status, v1::TrialEnd::Succeeded | v1::TrialEnd::EarlyStopped);
        let outcomes = &self.spec.objective.outcomes;
        if outcomes.is_multi() {
            if ended.status == v1::TrialEnd::Succeeded && self.joins_front(&ended.metrics) {
                self.join_front(id);
            }
        } else if self.spec.objective.replicates > 1 {
            if ended.status == v1::TrialEnd::Succeeded {
                self.judge_point(id);
            }
        } else if let (v1::TrialEnd::Succeeded, Some(value)) = (&ended.status, ended.value)
            && outcomes.is_feasible(&ended.metrics)
            && self.best.is_none_or(|(_, best)| goal.better(value, best))
        {
            self.best = Some((id, value));
            self.since_best = 0;
        }
        if ended.status == v1::TrialEnd::Failed && !self.streak.released {
            if self.streak.length > 0 && self.streak.failure == failure {
                self.streak.length += 1;
            } else {
                self.streak.length = 1;
                self.streak.failure = failure;
            }
        }
        Ok(())
    }

    /// Takes a trial into the front, and those out that it dominates.
    fn join_front(&mut self, id: TrialId) {
        let spec = self.spec.shared();
        let mut front = std::mem::take(&mut self.front);
        if let Some(new) = self.trial(id) {
            let outcomes = &spec.objective.outcomes;
            front.retain(|other| {
                self.trial(*other).is_some_and(|other| {
                    outcomes.dominance(&new.metrics, &other.metrics) != Some(Ordering::Less)
                })
            });
        }
        let place = front.partition_point(|other| *other < id);
        front.insert(place, id);
        self.front = front;
        self.since_best = 0;
    }

    /// What a trial has cost so far: the last word of each of its attempts or holders, or what its client told.
    pub(super) fn cost_of(&self, id: TrialId) -> f64 {
        let (Some(cost), Some(trial)) = (self.spec.objective.outcomes.cost, self.trial(id)) else {
            return 0.0;
        };
        let last = |attempt: AttemptNo| {
            let mut reports = trial.reports_of(attempt).iter().rev();
            reports.find_map(|report| report.metrics.get(cost)).map_or(0.0, |cost| cost.max(0.0))
        };
        // Asked for whenever a trial reports: so by attempts or leases, and not over all that has been reported.
        let reported: f64 = (0..=trial.reporter().0).map(|number| last(AttemptNo(number))).sum();
        if reported > 0.0 { reported } else { trial.metrics.get(cost).map_or(0.0, |cost| cost.max(0.0)) }
    }

    pub(super) fn report(
        &mut self,
        envelope: &Envelope,
        reported: &v1::MetricReported,
    ) -> Result<(), Misfit> {
        let spec = self.spec.shared();
        let objective = &spec.objective;
        let metrics = objective.metrics.len();
        let trial = self.live_trial(reported.trial)?;
        let known = trial.reported(reported.attempt);
        if reported.first as usize != known {
            return Err(format!(
                "{known} points of the attempt are known, and it begins with {}",
                reported.first
            ));
        }
        let current = trial.reporter();
        if reported.attempt != current {
            return Err(format!("the attempt is {current}"));
        }
        if known + reported.points.len() > limits::MAX_REPORTS_PER_TRIAL {
            return Err("it reports too many points".to_owned());
        }
        for point in &reported.points {
            if !(point.values.is_empty() || point.values.len() == metrics) {
                return Err(format!("a report has {} metrics", point.values.len()));
            }
            let kept = objective.keeps_metrics() && !point.values.is_empty();
            trial.reports.push(Report {
                attempt: reported.attempt,
                step: point.step,
                value: objective.value(&point.values),
                metrics: if kept { point.values.clone().into_boxed_slice() } else { Box::default() },
                last: point.last,
                time: envelope.time,
            });
        }
        Ok(())
    }

    /// The submission of a trial's current task.
    pub(crate) fn current_key(&self, id: TrialId) -> Option<SubmissionKey> {
        let attempt = self.trial(id)?.attempt()?;
        let task = attempt.task()?.task;
        Some(SubmissionKey { experiment: self.id, trial: id, attempt: attempt.number, task })
    }
}

/// How long after its grace a stopped task that never ends is given up.
const GIVE_UP: Span = Span::from_secs(600);

/// What two failures must share to count as the same.
fn failure_of(trial: &Trial) -> String {
    match trial.attempt().and_then(|attempt| attempt.outcome()) {
        Some(v1::Outcome::Failed { exit: Some(exit), .. }) => format!("exit code {exit}"),
        Some(v1::Outcome::Failed { signal: Some(signal), .. }) => format!("signal {signal}"),
        Some(v1::Outcome::Failed { reason, .. } | v1::Outcome::Refused { reason }) => {
            reason.lines().next().unwrap_or_default().to_owned()
        }
        Some(v1::Outcome::TimedOut) => "time-out".to_owned(),
        _ => trial.reason.lines().next().unwrap_or_default().to_owned(),
    }
}
