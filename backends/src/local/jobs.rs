//! What the present process remembers of its jobs: shortcuts, and the children that it has to reap.

use super::layout::Incarnation;
use engine::time::Timestamp;
use std::collections::BTreeMap;
use std::process::Child;
use std::time::{Duration, Instant};

/// Time between two looks at all children that have not been asked for.
const SWEEP: Duration = Duration::from_secs(1);

/// What this process remembers; all of it can be found again from the files.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// By incarnation.
    pub(super) known: BTreeMap<Incarnation, Job>,
    /// Supervisors whose jobs have ended and that are about to be reaped.
    ending: Vec<Child>,
    /// When all children were last looked at.
    swept: Option<Instant>,
}

#[derive(Debug, Default)]
pub(super) struct Job {
    /// The supervisor, if this process started it and has not reaped it.
    pub(super) child: Option<Child>,
    /// When the task was started.
    pub(super) started: Option<Timestamp>,
    /// Since when there has been no claim, for jobs of others.
    pub(super) unclaimed_since: Option<Instant>,
}

impl Jobs {
    /// Whether the supervisor of a job is a child of this process that lives.
    pub(super) fn is_child_alive(&mut self, job: Incarnation) -> bool {
        let child = self.known.get_mut(&job).and_then(|job| job.child.as_mut());
        child.is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Forgets a job that has ended; its supervisor is reaped now or soon.
    pub(super) fn forget(&mut self, job: Incarnation) {
        if let Some(Job { child: Some(child), .. }) = self.known.remove(&job) {
            self.ending.push(child);
            self.ending.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        }
    }

    /// Reaps supervisors that have ended, also of jobs that nobody asks for any more.
    pub(super) fn sweep(&mut self) {
        if self.swept.is_some_and(|swept| swept.elapsed() < SWEEP) {
            return;
        }
        self.swept = Some(Instant::now());
        self.ending.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        for job in self.known.values_mut() {
            if let Some(child) = &mut job.child {
                // The result is remembered by the child, which stays here as a sign that this process started it.
                let _ = child.try_wait();
            }
        }
    }
}
