//! Commands become events, or are rejected. Pure: nothing changes here.
//!
//! One file for each family of commands. `advance` holds the rules that follow from the state and the clock
//! alone; the others answer people, samplers, clients and backends.

pub mod codes;

mod advance;
mod client;
mod control;
mod create;
mod finish;
mod label;
mod lease;
mod task;
mod trial;
mod window;

#[cfg(test)]
mod tests;

use crate::command::Command;
use crate::error::Rejection;
use crate::event::{Event, v1};
use crate::id::{ActorId, ExperimentId};
use crate::state::{Experiment, State};
use crate::time::Timestamp;
use lease::Holder;
use task::bounded;

/// The behaviour flags given to new experiments. Bit 0 is reserved for the rules of the first release.
pub const BEHAVIOUR: u32 = 1;

/// Nothing is done any more to an experiment that was removed.
pub fn removed(id: ExperimentId) -> Rejection {
    Rejection::new(
        codes::UNKNOWN_EXPERIMENT,
        format!("the experiment {id} is removed"),
        "look at it by its id, and make a copy to go on with: `retrial clone`, or over HTTP `POST .../clone`",
    )
}

impl State {
    /// Decides a command at a time. The events belong to [`State::subject`] of the command and must be applied in order
    /// before anything else is decided.
    pub fn decide(&self, command: &Command, at: Timestamp) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::TakeCheckpoint => {
                let taken = v1::CheckpointTaken {
                    digest_version: crate::state::DIGEST_VERSION,
                    digest: self.digest().0,
                };
                Ok(vec![taken.into()])
            }
            Command::NameActor { name } => Ok(self.name_actor(name)),
            Command::RecordArchive { records, head, experiments } => {
                let archived =
                    v1::HistoryArchived { records: *records, head: *head, experiments: *experiments };
                Ok(vec![archived.into()])
            }
            Command::CreateExperiment { experiment, spec, seed, labels } => {
                self.create_experiment(*experiment, spec, *seed, labels)
            }
            Command::LabelExperiment { experiment, labels } => self.known(*experiment)?.label(labels),
            Command::UpdateExperiment { experiment, spec } => self.known(*experiment)?.update(spec, at),
            Command::PauseExperiment { experiment } => self.known(*experiment)?.pause(),
            Command::ResumeExperiment { experiment } => self.known(*experiment)?.resume(at),
            Command::StopExperiment { experiment } => self.known(*experiment)?.stop(),
            Command::RemoveExperiment { experiment } => self.known(*experiment)?.remove(),
            Command::StopTrials { experiment, trials } => self.known(*experiment)?.stop_trials(trials),
            Command::RetryTrials { experiment, trials } => self.known(*experiment)?.retry_trials(trials, at),
            Command::EnqueuePoint { experiment, point } => self.known(*experiment)?.enqueue_point(point),
            Command::RecordSuggestion { experiment, trial, point, sampler, version, ended, memo, parent } => {
                let origin = v1::Origin::Sampled {
                    sampler: sampler.clone(),
                    version: *version,
                    suggested: trial.0,
                    ended: *ended,
                    memo: memo.clone(),
                };
                self.known(*experiment)?.record_suggestion(*trial, point, origin, *parent)
            }
            Command::RecordExhaustion { experiment } => Ok(self.known(*experiment)?.record_exhaustion()),
            Command::RecordEnough { experiment, expected } => {
                Ok(self.known(*experiment)?.record_enough(*expected))
            }
            Command::TakeQueued { experiment } => Ok(self.known(*experiment)?.take_queued()),
            Command::TakeTrial { experiment, worker, request, until } => {
                self.known(*experiment)?.take_trial(&Holder { worker, request, until: *until }, at)
            }
            Command::LeaseTrial { experiment, trial, lease, worker, request, until } => {
                let holder = Holder { worker, request, until: *until };
                self.known(*experiment)?.lease_trial(*trial, *lease, &holder)
            }
            Command::TellTrial { experiment, trial, lease, values } => {
                self.known(*experiment)?.tell_trial(*trial, *lease, values.as_deref())
            }
            Command::ReportMetrics { experiment, trial, attempt, first, points } => {
                self.known(*experiment)?.report_metrics(*trial, *attempt, *first, points)
            }
            Command::StopHopeless { experiment, trial, rule, step, why } => {
                self.known(*experiment)?.stop_hopeless(*trial, rule, *step, why)
            }
            Command::RecordAccepted { key, handle } => {
                Ok(self.known(key.experiment)?.record_accepted(*key, handle))
            }
            Command::RecordCleared { key } => Ok(self.known(key.experiment)?.record_cleared(*key, at)),
            Command::RecordDoubt { key, reason } => {
                Ok(self.known(key.experiment)?.record_doubt(*key, reason))
            }
            Command::RecordStarted { key, started } => {
                Ok(self.known(key.experiment)?.record_started(*key, *started))
            }
            Command::RecordEnded { key, outcome, ended } => {
                Ok(self.known(key.experiment)?.record_ended(*key, outcome, *ended))
            }
            Command::SetWindow { experiment, open, until } => {
                Ok(self.known(*experiment)?.set_window(*open, *until))
            }
            Command::Advance { experiment } => Ok(self.known(*experiment)?.advance(at)),
        }
    }

    /// The experiment whose events a command gives, or the store.
    pub const fn subject(command: &Command) -> ExperimentId {
        match command {
            Command::TakeCheckpoint | Command::NameActor { .. } | Command::RecordArchive { .. } => {
                ExperimentId::STORE
            }
            Command::CreateExperiment { experiment, .. }
            | Command::LabelExperiment { experiment, .. }
            | Command::UpdateExperiment { experiment, .. }
            | Command::PauseExperiment { experiment }
            | Command::ResumeExperiment { experiment }
            | Command::StopExperiment { experiment }
            | Command::RemoveExperiment { experiment }
            | Command::StopTrials { experiment, .. }
            | Command::RetryTrials { experiment, .. }
            | Command::EnqueuePoint { experiment, .. }
            | Command::RecordSuggestion { experiment, .. }
            | Command::RecordExhaustion { experiment }
            | Command::RecordEnough { experiment, .. }
            | Command::TakeQueued { experiment }
            | Command::TakeTrial { experiment, .. }
            | Command::LeaseTrial { experiment, .. }
            | Command::TellTrial { experiment, .. }
            | Command::ReportMetrics { experiment, .. }
            | Command::StopHopeless { experiment, .. }
            | Command::SetWindow { experiment, .. }
            | Command::Advance { experiment } => *experiment,
            Command::RecordAccepted { key, .. }
            | Command::RecordCleared { key }
            | Command::RecordDoubt { key, .. }
            | Command::RecordStarted { key, .. }
            | Command::RecordEnded { key, .. } => key.experiment,
        }
    }

    fn known(&self, id: ExperimentId) -> Result<&Experiment, Rejection> {
        let unknown = || {
            Rejection::new(
                codes::UNKNOWN_EXPERIMENT,
                format!("there is no experiment {id}"),
                "`retrial ls` shows the experiments of the store",
            )
        };
        let known = self.experiment(id).ok_or_else(unknown)?;
        if known.removed { Err(removed(id)) } else { Ok(known) }
    }

    fn name_actor(&self, name: &str) -> Vec<Event> {
        let name = bounded(name);
        if self.actor(&name).is_some() {
            return Vec::new();
        }
        let next = self.actors.keys().next_back().map_or(ActorId::FIRST_NAMED, |last| ActorId(last.0 + 1));
        vec![v1::ActorNamed { actor: next, name }.into()]
    }
}
