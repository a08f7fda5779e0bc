//! Drives a state by commands at virtual times, as the runtime does, and keeps the history.

use crate::command::Command;
use crate::envelope::Envelope;
use crate::error::{Rejection, ReplayError};
use crate::event::Event;
use crate::id::{ActorId, ExperimentId, Seq};
use crate::state::State;
use crate::time::{Span, Timestamp};

/// Passes of `Advance` after which a state that still decides something is called restless.
const MAX_PASSES: usize = 100_000;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The command was refused: nothing has changed.
    #[error("refused: {0}")]
    Rejected(#[from] Rejection),
    /// What was decided could not be applied: a mistake of the core.
    #[error("decided and then refused: {0}")]
    Broken(#[from] ReplayError),
    /// `Advance` finds no end: a mistake of the core.
    #[error("the experiment does not come to rest")]
    Restless,
}

/// A state, its clock and its history.
#[derive(Debug, Clone)]
pub struct Driver {
    state: State,
    now: Timestamp,
    history: Vec<Envelope>,
}

impl Default for Driver {
    fn default() -> Self {
        Self { state: State::default(), now: Timestamp(1_790_000_000_000), history: Vec::new() }
    }
}

impl Driver {
    /// The state.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The virtual time.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Every record so far.
    pub fn history(&self) -> &[Envelope] {
        &self.history
    }

    /// Lets time pass.
    pub const fn wait(&mut self, span: Span) {
        self.now = self.now.after(span);
    }

    /// Decides a command and applies what follows; gives the events.
    pub fn give(&mut self, command: &Command) -> Result<Vec<Event>, Failure> {
        let events = self.state.decide(command, self.now)?;
        let subject = State::subject(command);
        for event in &events {
            self.force(subject, event.clone())?;
        }
        Ok(events)
    }

    /// Applies an event as it is, decided or not. The state is as before if it does not fit.
    pub fn force(&mut self, experiment: ExperimentId, event: Event) -> Result<(), ReplayError> {
        let envelope = Envelope {
            seq: self.state.head().next(),
            experiment,
            position: self.state.next_position(experiment),
            time: self.now,
            actor: ActorId::ENGINE,
            cause: Seq(0),
            event,
        };
        self.state.apply(&envelope)?;
        self.history.push(envelope);
        Ok(())
    }

    /// Gives `Advance` until it decides nothing; gives all events.
    pub fn advance(&mut self, experiment: ExperimentId) -> Result<Vec<Event>, Failure> {
        let mut all = Vec::new();
        for _ in 0..MAX_PASSES {
            let events = self.give(&Command::Advance { experiment })?;
            if events.is_empty() {
                return Ok(all);
            }
            all.extend(events);
        }
        Err(Failure::Restless)
    }

    /// The state that the history leads to.
    pub fn replay(&self) -> Result<State, ReplayError> {
        replay_from(State::default(), &self.history)
    }
}

/// Applies the records that follow a state.
pub fn replay_from(mut state: State, history: &[Envelope]) -> Result<State, ReplayError> {
    let covered = state.head();
    for envelope in history.iter().filter(|envelope| envelope.seq > covered) {
        state.apply(envelope)?;
    }
    Ok(state)
}
