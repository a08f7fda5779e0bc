//! The window of a schedule opens and closes.

use super::codes;
use crate::error::Rejection;
use crate::event::{Event, v1};
use crate::state::{Experiment, Window};
use crate::time::Timestamp;

impl Experiment {
    /// What the shell says of the window at this time, if that is new.
    pub(super) fn set_window(&self, open: bool, until: Option<Timestamp>) -> Vec<Event> {
        let known = self.window == Some(Window { open, until });
        if known || self.status.is_ended() || self.spec.schedule.is_none() {
            return Vec::new();
        }
        if open { vec![v1::WindowOpened { until }.into()] } else { vec![v1::WindowClosed { until }.into()] }
    }

    pub(super) fn outside_schedule(&self) -> Rejection {
        Rejection::new(
            codes::OUTSIDE_SCHEDULE,
            format!("the experiment {} starts no trial outside of its schedule", self.id),
            "wait until its window opens, or change `schedule` with `retrial update`",
        )
    }
}
