//! Windows of schedules, as time goes on.

use super::{Dispatcher, Fatal};
use crate::runtime::window::window;
use engine::command::Command;
use engine::id::{ActorId, ExperimentId};
use engine::time::Timestamp;

impl Dispatcher {
    /// Tells the core how the window of an experiment stands, if what it knows is over.
    pub(super) fn see_to_window(&mut self, id: ExperimentId, now: Timestamp) -> Result<(), Fatal> {
        let at = now.max(self.state.time());
        let Some(experiment) = self.state.experiment(id).filter(|known| !known.status.is_ended()) else {
            return Ok(());
        };
        let known =
            experiment.window.is_some_and(|window| window.until.map_or(window.open, |until| at < until));
        let Some(schedule) = experiment.spec.schedule.as_ref().filter(|_| !known) else { return Ok(()) };
        let window = window(schedule, at);
        let command = Command::SetWindow { experiment: id, open: window.open, until: window.until };
        self.run_own(&command, ActorId::ENGINE, now).map(|_| ())
    }
}
