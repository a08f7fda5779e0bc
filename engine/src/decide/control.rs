//! What people do with experiments.

use super::codes;
use crate::error::Rejection;
use crate::event::{Event, v1, v2};
use crate::id::TrialId;
use crate::limits;
use crate::space::SearchSpace;
use crate::state::{Experiment, ExperimentStatus, Trial, TrialStatus};
use crate::time::Timestamp;
use crate::value::Point;

impl Experiment {
    fn ended(&self) -> Rejection {
        Rejection::new(
            codes::EXPERIMENT_ENDED,
            format!("the experiment {} is {}", self.id, self.status),
            "`retrial update EXP FILE` with a larger budget lets an ended experiment go on",
        )
    }

    pub(super) fn pause(&self) -> Result<Vec<Event>, Rejection> {
        if self.status.is_ended() || self.end.is_some() {
            return Err(self.ended());
        }
        if self.paused.is_some() {
            return Ok(Vec::new());
        }
        Ok(vec![v1::ExperimentPaused { reason: v1::PauseReason::Asked }.into()])
    }

    pub(super) fn resume(&self, at: Timestamp) -> Result<Vec<Event>, Rejection> {
        match self.status {
            _ if self.paused.is_some() && self.end.is_none() => Ok(vec![v1::ExperimentResumed {}.into()]),
            ExperimentStatus::UserCanceled => {
                self.may_reopen(at)?;
                Ok(vec![v1::ExperimentReopened {}.into()])
            }
            status if status.is_ended() || self.end.is_some() => Err(self.ended()),
            _ => Ok(Vec::new()),
        }
    }

    /// Refuses to reopen what would end again at once.
    fn may_reopen(&self, at: Timestamp) -> Result<(), Rejection> {
        self.goal_or_time(&self.spec.budget, at).map_or(Ok(()), |reason| {
            let why = match reason {
                v2::EndReason::Target => "its target is reached",
                v2::EndReason::Cost => "its cost is spent",
                _ => "its time is over",
            };
            Err(Rejection::new(
                codes::BUDGET_USED,
                format!("the experiment {} would end again at once: {why}", self.id),
                "`retrial update EXP FILE` with a larger budget lets it go on",
            ))
        })
    }

    pub(super) fn stop(&self) -> Result<Vec<Event>, Rejection> {
        if self.status.is_ended() {
            return Err(Rejection::new(
                codes::EXPERIMENT_ENDED,
                format!("the experiment {} is {} already", self.id, self.status),
                "",
            ));
        }
        if self.end.is_some() {
            return Ok(Vec::new());
        }
        Ok(vec![v2::ExperimentStopping { reason: v2::EndReason::Asked }.into()])
    }

    pub(super) fn remove(&self) -> Result<Vec<Event>, Rejection> {
        if !self.status.is_ended() {
            return Err(Rejection::new(
                codes::EXPERIMENT_RUNNING,
                format!("the experiment {} is {}", self.id, self.status),
                "stop it first: `retrial stop EXP`",
            ));
        }
        Ok(vec![v1::ExperimentRemoved {}.into()])
    }

    pub(super) fn known_trial(&self, id: TrialId) -> Result<&Trial, Rejection> {
        self.trial(id).ok_or_else(|| {
            Rejection::new(
                codes::UNKNOWN_TRIAL,
                format!("the experiment {} has no trial {id}", self.id),
                "`retrial trials EXP` shows its trials",
            )
        })
    }

    pub(super) fn stop_trials(&self, trials: &[TrialId]) -> Result<Vec<Event>, Rejection> {
        let mut events: Vec<Event> = Vec::new();
        for (place, id) in trials.iter().enumerate() {
            let trial = self.known_trial(*id)?;
            if trial.status.is_ended() {
                return Err(Rejection::new(
                    codes::TRIAL_ENDED,
                    format!("trial {id} is {} already", trial.status),
                    "name only running trials",
                ));
            }
            let repeated = trials.get(..place).is_some_and(|before| before.contains(id));
            match &trial.stopping {
                _ if repeated => {}
                None => events.push(v1::TrialStopping { trial: *id, reason: v1::TrialStop::Asked }.into()),
                // Its client was told to stop and may be gone.
                Some(stop) if self.is_told(stop) => events.push(self.finish_stopped(trial, stop).into()),
                Some(_) => {}
            }
        }
        Ok(events)
    }

    /// A retry is a new trial with the same point, beyond the budget; refused where one of that point has succeeded.
    pub(super) fn retry_trials(&self, trials: &[TrialId], at: Timestamp) -> Result<Vec<Event>, Rejection> {
        let mut events: Vec<Event> = Vec::new();
        if self.end.is_some() && !self.status.is_ended() {
            return Err(self.ended());
        }
        let mut entry = self.queued;
        for (place, id) in trials.iter().enumerate() {
            let trial = self.known_trial(*id)?;
            if !trial.status.is_ended() {
                return Err(Rejection::new(
                    codes::NO_CHANGE,
                    format!("trial {id} is {}", trial.status),
                    "only an ended trial can be tried again",
                ));
            }
            let key = trial.point.key();
            // A point that is tried several times may need this one although others have succeeded.
            let once = self.spec.objective.replicates == 1;
            let success = self
                .trials
                .iter()
                .filter(|_| once || trial.status == TrialStatus::Succeeded)
                .find(|other| other.status == TrialStatus::Succeeded && other.point.key() == key);
            if let Some(success) = success {
                return Err(Rejection::new(
                    codes::SUCCEEDED_BEFORE,
                    format!("trial {} with the same parameters has succeeded", success.id),
                    "",
                ));
            }
            let waits = self.queue.values().any(|queued| queued.retry_of == Some(*id));
            if waits || trials.get(..place).is_some_and(|before| before.contains(id)) {
                continue;
            }
            events.push(
                v1::PointEnqueued { entry, point: trial.point.clone(), retry_of: Some(*id), extra: true }
                    .into(),
            );
            entry += 1;
        }
        self.check_queue(events.len())?;
        if self.status.is_ended() && !trials.is_empty() {
            self.may_reopen(at)?;
            events.insert(0, v1::ExperimentReopened {}.into());
        }
        Ok(events)
    }

    pub(super) fn enqueue_point(&self, point: &Point) -> Result<Vec<Event>, Rejection> {
        if self.status.is_ended() || self.end.is_some() {
            return Err(self.ended());
        }
        if self.budget_left() == Some(0) {
            return Err(self.budget_used());
        }
        self.check_queue(1)?;
        inside(&self.spec.space, point)?;
        Ok(vec![
            v1::PointEnqueued { entry: self.queued, point: point.clone(), retry_of: None, extra: false }
                .into(),
        ])
    }

    pub(super) fn budget_used(&self) -> Rejection {
        Rejection::new(
            codes::BUDGET_USED,
            format!("the budget of {} trials is used up", self.suggested() - self.extra),
            "`retrial update EXP FILE` with a larger `budget.trials` lets it go on",
        )
    }

    fn check_queue(&self, more: usize) -> Result<(), Rejection> {
        if self.queue.len() + more > limits::MAX_QUEUE {
            return Err(Rejection::new(
                codes::QUEUE_FULL,
                format!("the queue holds {} points and takes {}", self.queue.len(), limits::MAX_QUEUE),
                "wait until some were tried",
            ));
        }
        Ok(())
    }
}

pub(super) fn inside(space: &SearchSpace, point: &Point) -> Result<(), Rejection> {
    space.check(point).map_err(|details| Rejection {
        details,
        ..Rejection::new(codes::OUTSIDE_SPACE, "the point is outside the search space", "")
    })
}
