//! What backends do not get done, and for how long.

use super::{Executor, MAX_BACKOFF, backend_of};
use crate::runtime::complaints::{Trouble, Work};
use engine::id::{ExperimentId, SubmissionKey};
use engine::ports::backend::JobState;
use engine::state::{State, TaskPhase};
use engine::time::{Span, Timestamp};

/// A job of which nothing is known for so many polls, and for this time, is complained about.
const UNKNOWN_POLLS: u64 = 5;
/// See [`UNKNOWN_POLLS`].
const UNKNOWN_TIME: Span = Span::from_secs(30);

impl Executor {
    /// What keeps the backend from its work for an experiment now.
    pub fn troubles(&self, state: &State, experiment: ExperimentId) -> Vec<Trouble> {
        self.complaints.of(experiment, |key, work| is_open(state, key, work))
    }

    /// Nobody waits any more for what has been settled otherwise.
    pub(super) fn forget_troubles(&mut self, state: &State) {
        self.complaints.retain(|key, work| is_open(state, key, work));
    }

    /// A piece of work has failed for this reason, or come out.
    pub(super) fn went(
        &mut self,
        state: &State,
        key: SubmissionKey,
        work: Work,
        failure: Option<&str>,
        now: Timestamp,
    ) {
        let Some(backend) = backend_of(state, &key) else { return };
        match failure {
            Some(reason) => self.complaints.failed(backend, work, key, reason, now),
            None => self.complaints.worked(backend, work, &key, now),
        };
    }

    /// What a poll says of a job. That nothing is known of it now is usual; that it lasts is not.
    pub(super) fn heard(&mut self, state: &State, key: SubmissionKey, job: &JobState, now: Timestamp) {
        let Some(watch) = self.watches.get_mut(&key) else { return };
        let JobState::Unknown(reason) = job else {
            self.went(state, key, Work::Poll, None, now);
            return;
        };
        let interval = backend_of(state, &key).and_then(|name| self.backends.get(name));
        let interval = interval.map_or(MAX_BACKOFF, |known| known.poll_interval);
        let patience = Span(interval.0.saturating_mul(UNKNOWN_POLLS)).max(UNKNOWN_TIME);
        if watch.unknown_since(now).after(patience) <= now {
            self.went(state, key, Work::Poll, Some(reason), now);
        }
    }
}

/// Whether such work is still to be done for a task.
fn is_open(state: &State, key: &SubmissionKey, work: Work) -> bool {
    let Some(experiment) = state.experiment(key.experiment) else { return false };
    let phase = experiment.task(key).map(|task| &task.phase);
    let unsettled = matches!(phase, Some(TaskPhase::Planned | TaskPhase::Doubtful(_)));
    match work {
        // What is to be stopped is looked for, and not submitted any more.
        Work::Submit => {
            unsettled && experiment.trial(key.trial).is_some_and(|trial| trial.stopping.is_none())
        }
        Work::Find => unsettled,
        Work::Poll | Work::Read | Work::Stop => state.holds(key),
    }
}
