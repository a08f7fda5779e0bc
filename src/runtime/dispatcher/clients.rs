//! Trials that clients run: who is given which, and until when.

use super::{Dispatcher, Refused};
use engine::command::Command;
use engine::event::Event;
use engine::id::{ActorId, ExperimentId, Seq, TrialId};
use engine::state::State;
use engine::time::Timestamp;

/// A client that runs a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The client.
    pub worker: String,
    /// Names the request, so that it can be repeated without taking another trial; may be empty.
    pub request: String,
    /// When others may take the trial over.
    pub until: Timestamp,
}

impl Dispatcher {
    /// Executes a command in somebody's name, which gets its number with the first thing that it does: of what is refused
    /// nothing stays.
    pub fn execute_by(&mut self, name: &str, command: &Command, now: Timestamp) -> Result<Seq, Refused> {
        let events = self.decided(command, now)?;
        if events.is_empty() {
            return Ok(self.state.head());
        }
        if self.state.actor(name).is_none() {
            self.execute(&Command::NameActor { name: name.to_owned() }, ActorId::ENGINE, now)?;
        }
        let actor = self.state.actor(name).unwrap_or(ActorId::ENGINE);
        Ok(self.record(State::subject(command), events, actor, now)?)
    }

    /// One trial for a client that runs it: the next queued point, or one of the sampler. `None` if there is none now.
    pub fn ask(&mut self, id: ExperimentId, now: Timestamp) -> Result<Option<TrialId>, Refused> {
        self.see_to_window(id, now)?;
        let before = self.state.experiment(id).map(engine::state::Experiment::suggested);
        self.execute(&Command::TakeQueued { experiment: id }, ActorId::CLIENT, now)?;
        let Some(experiment) = self.state.experiment(id) else { return Ok(None) };
        if before != Some(experiment.suggested()) {
            return Ok(before.map(TrialId));
        }
        let room = !experiment.status.is_ended()
            && experiment.is_open()
            && !experiment.exhausted
            && experiment.budget_left() != Some(0);
        if room { self.suggest(id, now) } else { Ok(None) }
    }

    /// One trial for a client that holds it until a time: the one that this request took before, one that waits for another
    /// worker, the next queued point, or one of the sampler. `None` if there is none now.
    pub fn take(
        &mut self,
        id: ExperimentId,
        holder: Holder,
        now: Timestamp,
    ) -> Result<Option<TrialId>, Refused> {
        self.see_to_window(id, now)?;
        let Holder { worker, request, until } = holder;
        let before = self.state.head();
        let command =
            Command::TakeTrial { experiment: id, worker: worker.clone(), request: request.clone(), until };
        self.execute(&command, ActorId::CLIENT, now)?;
        if self.state.head() != before
            && let Some(Event::TrialLeased(leased)) = self.batch.last().map(|last| &last.event)
        {
            return Ok(Some(leased.trial));
        }
        let Some(experiment) = self.state.experiment(id) else { return Ok(None) };
        if let Some(trial) = experiment.taken_by(&request) {
            return Ok(Some(trial));
        }
        if self.holding || !experiment.has_room() {
            return Ok(None);
        }
        let Some(trial) = self.suggest(id, now)? else { return Ok(None) };
        let command = Command::LeaseTrial { experiment: id, trial, lease: 1, worker, request, until };
        self.execute(&command, ActorId::CLIENT, now)?;
        Ok(Some(trial))
    }
}
