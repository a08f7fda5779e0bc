//! Events change the state. Nothing else does.

use super::State;
use super::experiment::{Experiment, ExperimentStatus, FailureStreak, QueuedPoint, RecordedSpec, Window};
use super::replicates::Successes;
use super::trial::TrialStatus;
use crate::envelope::Envelope;
use crate::error::ReplayError;
use crate::event::Event;
use crate::event::v1;
use crate::id::{ActorId, ExperimentId};
use crate::time::Span;
use std::collections::{BTreeMap, BTreeSet};

/// Why an event does not fit.
pub(super) type Misfit = String;

pub(super) fn require(holds: bool, otherwise: &str) -> Result<(), Misfit> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

impl State {
    /// Applies one record. An error means that the history is damaged or was written under unknown rules; the
    /// state must then not be used any more.
    pub fn apply(&mut self, envelope: &Envelope) -> Result<(), ReplayError> {
        self.apply_inner(envelope).map_err(|reason| ReplayError {
            seq: envelope.seq,
            experiment: envelope.experiment,
            kind: envelope.event.info().name,
            reason,
        })
    }

    fn apply_inner(&mut self, envelope: &Envelope) -> Result<(), Misfit> {
        if envelope.seq != self.head.next() {
            return Err(format!("the record before it is {}", self.head));
        }
        let position = self.next_position(envelope.experiment);
        if envelope.position != position {
            return Err(format!("its position is {} and should be {position}", envelope.position));
        }
        if envelope.experiment == ExperimentId::STORE {
            self.apply_to_store(envelope)?;
            self.position = position;
        } else if let Event::ExperimentCreated(created) = &envelope.event {
            self.create(envelope, created)?;
        } else {
            let experiment =
                self.experiments.get_mut(&envelope.experiment).ok_or("there is no such experiment")?;
            experiment.apply(envelope)?;
            experiment.position = position;
            experiment.updated = envelope.time;
            if experiment.status.is_ended() {
                self.live.remove(&envelope.experiment);
            } else {
                self.live.insert(envelope.experiment);
            }
        }
        self.head = envelope.seq;
        self.time = self.time.max(envelope.time);
        Ok(())
    }

    fn apply_to_store(&mut self, envelope: &Envelope) -> Result<(), Misfit> {
        match &envelope.event {
            Event::ActorNamed(named) => {
                if named.actor < ActorId::FIRST_NAMED || self.actors.contains_key(&named.actor) {
                    return Err(format!("the actor {} has a name", named.actor));
                }
                self.actors.insert(named.actor, named.name.clone());
                Ok(())
            }
            Event::CheckpointTaken(taken) => {
                if taken.digest_version == super::DIGEST_VERSION {
                    let digest = self.digest();
                    if digest.0 != taken.digest {
                        return Err(format!("the state's digest is {digest}, and another was recorded"));
                    }
                }
                self.checkpoint = envelope.seq;
                Ok(())
            }
            // What has left is not known here: the archive holds it.
            Event::HistoryArchived(archived) => {
                self.archive = Some(archived.head);
                Ok(())
            }
            _ => Err("it belongs to an experiment".to_owned()),
        }
    }

    fn create(&mut self, envelope: &Envelope, created: &v1::ExperimentCreated) -> Result<(), Misfit> {
        let id = envelope.experiment;
        if self.experiments.contains_key(&id) {
            return Err("the experiment exists".to_owned());
        }
        let spec = RecordedSpec::new(created.spec.clone())?;
        let experiment = Experiment {
            id,
            spec,
            seed: created.seed,
            behaviour: created.behaviour,
            status: ExperimentStatus::Created,
            paused: None,
            window: None,
            end: None,
            removed: false,
            labels: BTreeMap::new(),
            creator: envelope.actor,
            created: envelope.time,
            started: None,
            ended: None,
            idle: Span(0),
            updated: envelope.time,
            position: envelope.position,
            trials: Vec::new(),
            ended_order: Vec::new(),
            queue: BTreeMap::new(),
            queued: 0,
            extra: 0,
            exhausted: false,
            best: None,
            front: Vec::new(),
            replicated: Successes::default(),
            spent: 0.0,
            since_best: 0,
            streak: FailureStreak::default(),
            counts: BTreeMap::new(),
            active: BTreeSet::new(),
            ready: BTreeSet::new(),
            timers: BTreeSet::new(),
            deadlines: BTreeMap::new(),
            leases: BTreeSet::new(),
            requests: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            held: BTreeSet::new(),
            to_stop: BTreeSet::new(),
            slots: BTreeSet::new(),
        };
        self.experiments.insert(id, experiment);
        self.live.insert(id);
        Ok(())
    }
}

impl Experiment {
    fn apply(&mut self, envelope: &Envelope) -> Result<(), Misfit> {
        match &envelope.event {
            Event::ExperimentUpdated(updated) => {
                let spec = RecordedSpec::new(updated.spec.clone())?;
                // Another sampler, or room for more trials, may find a further point.
                let same = spec.sampler == self.spec.sampler && spec.budget.trials == self.spec.budget.trials;
                self.exhausted &= same;
                let moved = spec.schedule != self.spec.schedule;
                self.spec = spec;
                if moved {
                    // Closed until somebody says otherwise.
                    self.window = None;
                    self.settle_status();
                }
                self.reconsider();
                Ok(())
            }
            Event::ExperimentPaused(paused) => {
                require(!self.status.is_ended() && self.end.is_none(), "it is ending")?;
                require(self.paused.is_none(), "it is paused")?;
                self.paused = Some(paused.reason.clone());
                self.settle_status();
                Ok(())
            }
            Event::ExperimentResumed(_) => {
                require(self.paused.is_some(), "it is not paused")?;
                self.paused = None;
                self.streak.released = true;
                self.settle_status();
                Ok(())
            }
            Event::WindowOpened(opened) => self.move_window(Window { open: true, until: opened.until }),
            Event::WindowClosed(closed) => self.move_window(Window { open: false, until: closed.until }),
            Event::ExperimentStopping(stopping) => {
                require(!self.status.is_ended() && self.end.is_none(), "it is ending")?;
                self.end = Some(stopping.reason.clone());
                self.ready.extend(self.active.iter().copied());
                self.settle_status();
                Ok(())
            }
            Event::ExperimentEnded(ended) => {
                require(!self.status.is_ended(), "it has ended")?;
                require(self.active.is_empty(), "a trial has not ended")?;
                self.status = (&ended.status).into();
                self.end = Some(ended.reason.clone());
                self.paused = None;
                self.window = None;
                self.ended = Some(envelope.time);
                Ok(())
            }
            Event::ExperimentReopened(_) => {
                require(self.status.is_ended() && !self.removed, "it has not ended")?;
                self.end = None;
                if let Some(ended) = self.ended.take() {
                    self.idle = Span(self.idle.0.saturating_add(envelope.time.since(ended).0));
                }
                self.since_best = 0;
                if !self.streak.released {
                    self.streak = FailureStreak::default();
                }
                self.status = ExperimentStatus::Running;
                self.settle_status();
                Ok(())
            }
            Event::ExperimentRemoved(_) => {
                require(self.status.is_ended() && !self.removed, "it has not ended")?;
                self.removed = true;
                Ok(())
            }
            Event::SpaceExhausted(_) => {
                self.exhausted = true;
                Ok(())
            }
            Event::PointEnqueued(enqueued) => self.enqueue(enqueued),
            Event::ExperimentLabelled(labelled) => {
                require(!self.removed, "it is removed")?;
                self.set_labels(labelled);
                Ok(())
            }
            Event::TrialSuggested(suggested) => self.suggest(envelope, suggested),
            Event::TrialStopping(stopping) => self.stop_trial(envelope, stopping),
            Event::TrialEnded(ended) => self.end_trial(envelope, ended),
            Event::TrialLeased(leased) => self.lease(leased),
            Event::MetricReported(reported) => self.report(envelope, reported),
            Event::AttemptPlanned(planned) => self.plan_attempt(envelope, planned),
            Event::TaskPlanned(planned) => self.plan_task(envelope, planned),
            Event::TaskCleared(cleared) => self.clear_task(envelope, cleared),
            Event::TaskAccepted(accepted) => self.accept_task(accepted),
            Event::TaskDoubtful(doubtful) => self.doubt_task(doubtful),
            Event::TaskStarted(started) => self.start_task(envelope, started),
            Event::TaskEnded(ended) => self.end_task(envelope, ended),
            Event::LateResult(late) => self.trial_mut(late.trial).map(|_| ()),
            Event::ExperimentCreated(_)
            | Event::ActorNamed(_)
            | Event::CheckpointTaken(_)
            | Event::HistoryArchived(_) => Err("it does not belong to an existing experiment".to_owned()),
        }
    }

    /// Retries and time-outs may read differently after a change of the specification.
    fn reconsider(&mut self) {
        if self.spec.run.is_none() {
            return;
        }
        let active: Vec<_> = self.active.iter().copied().collect();
        for id in active {
            let Some(trial) = self.trial(id) else { continue };
            if trial.awaits_decision() || trial.status == TrialStatus::Unknown {
                self.ready.insert(id);
            } else if trial.is_running_task() && trial.stopping.is_none() {
                let at = self.time_over(id);
                self.set_timer(id, at);
            }
        }
    }

    /// The status that follows from the other facts, while it has not ended.
    pub(super) fn settle_status(&mut self) {
        if !self.status.is_ended() {
            self.status = if self.end.is_some() {
                ExperimentStatus::Terminating
            } else if self.paused.is_some() || !self.is_open() {
                ExperimentStatus::Waiting
            } else if self.trials.is_empty() {
                ExperimentStatus::Created
            } else {
                ExperimentStatus::Running
            };
        }
    }

    fn move_window(&mut self, window: Window) -> Result<(), Misfit> {
        require(!self.status.is_ended(), "it has ended")?;
        require(self.spec.schedule.is_some(), "it has no schedule")?;
        self.window = Some(window);
        self.settle_status();
        Ok(())
    }

    fn set_labels(&mut self, labelled: &v1::ExperimentLabelled) {
        for (name, value) in &labelled.labels {
            match value {
                Some(value) => self.labels.insert(name.clone(), value.clone()),
                None => self.labels.remove(name),
            };
        }
    }

    fn enqueue(&mut self, enqueued: &v1::PointEnqueued) -> Result<(), Misfit> {
        require(enqueued.entry == self.queued, "its number is not the next one")?;
        self.queue.insert(
            enqueued.entry,
            QueuedPoint { point: enqueued.point.clone(), retry_of: enqueued.retry_of, extra: enqueued.extra },
        );
        self.queued += 1;
        Ok(())
    }
}
