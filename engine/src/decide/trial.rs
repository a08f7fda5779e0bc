//! Points become trials.

use super::codes;
use super::control::inside;
use crate::error::Rejection;
use crate::event::{Event, v1, v2};
use crate::id::TrialId;
use crate::limits;
use crate::state::Experiment;
use crate::value::Point;

impl Experiment {
    pub(super) fn record_suggestion(
        &self,
        trial: TrialId,
        point: &Point,
        origin: v1::Origin,
        parent: Option<TrialId>,
    ) -> Result<Vec<Event>, Rejection> {
        if !self.may_start() {
            return Err(Rejection::new(
                codes::EXPERIMENT_ENDED,
                format!("the experiment {} is {}", self.id, self.status),
                "",
            ));
        }
        if !self.is_open() {
            return Err(self.outside_schedule());
        }
        if self.budget_left() == Some(0) || self.suggested() >= limits::MAX_TRIALS {
            return Err(self.budget_used());
        }
        if trial.0 != self.suggested() {
            return Err(Rejection::new(
                codes::STALE_SUGGESTION,
                format!("the point was proposed for trial {trial}, and the next one is {}", self.suggested()),
                "",
            ));
        }
        if let v1::Origin::Sampled { memo, .. } = &origin
            && memo.len() > limits::MAX_MEMO_BYTES
        {
            return Err(Rejection::new(
                codes::MEMO_TOO_LARGE,
                format!(
                    "the sampler's memo has {} bytes and at most {} are kept",
                    memo.len(),
                    limits::MAX_MEMO_BYTES
                ),
                "",
            ));
        }
        inside(&self.spec.space, point)?;
        if let Some(parent) = parent.filter(|parent| self.trial(*parent).is_none()) {
            return Err(Rejection::new(
                codes::UNKNOWN_TRIAL,
                format!("trial {trial} is to go on from trial {parent}, which does not exist"),
                "",
            ));
        }
        Ok(vec![v2::TrialSuggested { trial, point: point.clone(), origin, parent }.into()])
    }

    pub(super) fn record_exhaustion(&self) -> Vec<Event> {
        if self.exhausted || self.status.is_ended() {
            return Vec::new();
        }
        vec![v1::SpaceExhausted {}.into()]
    }

    /// The sampler sees nothing worth a further trial: the experiment ends, as it does by its patience.
    pub(super) fn record_enough(&self, expected: f64) -> Vec<Event> {
        if !self.may_start() || self.spec.budget.gain.is_none() {
            return Vec::new();
        }
        vec![v2::ExperimentStopping { reason: v2::EndReason::Gain { expected } }.into()]
    }

    /// Whether it would start a trial now, of its queue or of its sampler, if there is room for it.
    pub fn is_ready(&self) -> bool {
        self.wanted() > 0 || self.start_queued().is_some()
    }

    /// The next queued point as a trial, if one may start now. Clients take queued points as soon as they ask.
    pub(super) fn start_queued(&self) -> Option<Event> {
        let free = self.spec.budget.concurrency.saturating_sub(self.active());
        if !self.starts() || free == 0 || self.spec.run.is_none() {
            return None;
        }
        self.queued_trial()
    }

    /// The next queued point as a trial, if the budget allows.
    pub fn queued_trial(&self) -> Option<Event> {
        let left = self.budget_left() != Some(0);
        let (entry, queued) = self.queue.iter().find(|(_, queued)| queued.extra || left)?;
        Some(
            v2::TrialSuggested {
                trial: TrialId(self.suggested()),
                point: queued.point.clone(),
                origin: v1::Origin::Queued { entry: *entry },
                parent: queued.retry_of.and_then(|trial| self.trial(trial)?.parent),
            }
            .into(),
        )
    }
}
