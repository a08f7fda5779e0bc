//! Lets everything follow that follows from what has happened.

use super::{Dispatcher, Fatal, Refused};
use crate::runtime::limits::Usage;
use engine::command::Command;
use engine::effect::Effect;
use engine::id::{ActorId, ExperimentId, Seq};
use engine::state::Experiment;
use engine::time::Timestamp;

impl Dispatcher {
    /// Lets everything follow that follows: judgements, the engine's own rules, suggestions. Gives the work that
    /// is due in the world, which may begin once the returned record is durable.
    pub fn settle(&mut self, now: Timestamp) -> Result<(Seq, Vec<Effect>), Fatal> {
        let mut effects = Vec::new();
        self.judge(now)?;
        // Room and wishes change with experiments only.
        while !self.dirty.is_empty() {
            while let Some(id) = self.dirty.pop_first() {
                self.see_to(id, now, &mut effects)?;
            }
            self.take_turns(now)?;
        }
        self.keep_checkpoint(now)?;
        Ok((self.state.head(), effects))
    }

    /// Everything live is looked at again at the next [`Dispatcher::settle`].
    pub fn touch(&mut self, id: ExperimentId) {
        self.dirty.insert(id);
    }

    /// Lets everything follow for one experiment. Of one that is left to another process nothing is started, but a command that
    /// somebody gave for it is seen to: a stop ends it.
    fn see_to(&mut self, id: ExperimentId, now: Timestamp, effects: &mut Vec<Effect>) -> Result<(), Fatal> {
        let held = self.holding;
        self.holding |= self.only.is_some_and(|only| only != id);
        self.see_to_window(id, now)?;
        loop {
            while self.run_own(&Command::Advance { experiment: id }, ActorId::ENGINE, now)? {}
            let free = !self.holding && self.limits.is_empty() && !self.broken.contains_key(&id);
            let wanted = self.state.experiment(id).filter(|_| free).map_or(0, Experiment::wanted);
            let mut progress = false;
            for _ in 0..wanted {
                if !self.try_to_suggest(id, now)? {
                    break;
                }
                progress = true;
            }
            if !progress {
                break;
            }
        }
        self.dirty.remove(&id);
        let due = self.state.due(id, self.boot);
        effects.extend(
            due.into_iter().filter(|effect| !(self.holding && matches!(effect, Effect::Submit { .. }))),
        );
        let ready = self.state.experiment(id).is_some_and(Experiment::is_ready);
        if ready && !self.holding && !self.limits.is_empty() && !self.broken.contains_key(&id) {
            self.queue.enter(id);
        } else if self.state.experiment(id).is_none_or(|experiment| experiment.status.is_ended()) {
            self.queue.forget(id);
        } else {
            self.queue.leave(id);
        }
        self.holding = held;
        Ok(())
    }

    /// Asks the sampler for a point; whether anything came of it.
    fn try_to_suggest(&mut self, id: ExperimentId, now: Timestamp) -> Result<bool, Fatal> {
        let before = self.state.head();
        match self.suggest(id, now) {
            Ok(_) => {}
            Err(Refused::Rejected(_)) if self.broken.contains_key(&id) => {}
            Err(Refused::Rejected(rejection)) => {
                tracing::error!(%rejection, experiment = %id, "a suggestion was refused");
                self.set_aside(Fatal::Search(id, rejection.to_string()), now)?;
            }
            Err(Refused::Fatal(fatal)) => return Err(fatal),
        }
        Ok(self.state.head() != before)
    }

    /// Starts trials of those that wait, one after the other, as far as there is room.
    fn take_turns(&mut self, now: Timestamp) -> Result<(), Fatal> {
        if self.queue.waiting().is_empty() {
            return Ok(());
        }
        let mut usage = Usage::of(&self.state);
        while let Some(id) = self.queue.next(&self.state, &self.limits, &usage) {
            let suggested = |own: &Self| own.state.experiment(id).map(Experiment::suggested);
            let known = suggested(self);
            self.start_queued(id, now)?;
            if suggested(self) == known {
                self.try_to_suggest(id, now)?;
            }
            if suggested(self) == known {
                // Its sampler waits for results, or cannot go on.
                self.queue.leave(id);
            } else if let Some(experiment) = self.state.experiment(id) {
                usage.add(experiment, 1);
                self.queue.took(experiment);
            }
        }
        Ok(())
    }

    /// Starts the next queued point, if there is one; what else follows before it follows as well.
    fn start_queued(&mut self, id: ExperimentId, now: Timestamp) -> Result<(), Fatal> {
        let suggested = |own: &Self| own.state.experiment(id).map(Experiment::suggested);
        let known = suggested(self);
        self.starting = true;
        let mut advanced = Ok(true);
        while matches!(advanced, Ok(true)) && suggested(self) == known {
            advanced = self.run_own(&Command::Advance { experiment: id }, ActorId::ENGINE, now);
        }
        self.starting = false;
        advanced.map(|_| ())
    }
}
