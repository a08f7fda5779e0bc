//! Which jobs of one backend are polled, and when: at each interval, and where that spares calls less often the longer a job has
//! been as it is. One that has run for an hour is not asked for every few seconds: thousands of them would use up what a service allows.

use super::watch::Watch;
use engine::id::SubmissionKey;
use engine::ports::backend::Capabilities;
use engine::time::{Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A job rests between two polls for this share of the time for which it has been as it is.
const REST_SHARE: u64 = 50;

/// The jobs that are to be polled.
#[derive(Debug, Default)]
pub(super) struct Polls {
    /// Those of which no poll is under way and no end is known.
    jobs: BTreeSet<SubmissionKey>,
    /// When they are looked through again; at once if absent.
    due: Option<Timestamp>,
}

impl Polls {
    /// This job is to be polled.
    pub(super) fn join(&mut self, key: SubmissionKey) {
        self.jobs.insert(key);
    }

    /// All are polled at the next look, since one of them may have changed.
    pub(super) const fn hasten(&mut self) {
        self.due = None;
    }

    /// When they are looked through again.
    pub(super) fn next(&self) -> Timestamp {
        self.due.unwrap_or_default()
    }

    /// Whose turn it is; the others rest on. Forgets what is not watched any more. `urgent` are those that somebody waits for.
    pub(super) fn take(
        &mut self,
        watches: &BTreeMap<SubmissionKey, Watch>,
        urgent: impl Fn(&SubmissionKey) -> bool,
        pace: &Capabilities,
        now: Timestamp,
    ) -> Vec<SubmissionKey> {
        let hastened = self.due.is_none();
        self.due = Some(now.after(pace.poll_interval));
        let mut taken = Vec::new();
        self.jobs.retain(|key| {
            let Some(watch) = watches.get(key) else { return false };
            let rests = !hastened && !urgent(key) && now < watch.asked_again_at(pace);
            if !rests {
                taken.push(*key);
            }
            rests
        });
        taken
    }
}

/// How long a job rests after a poll at which it had been as it is for so long; not at all if that is no more than an interval.
pub(super) fn rest(unchanged: Span, pace: &Capabilities) -> Span {
    let rest = Span(unchanged.0 / REST_SHARE).min(pace.poll_rest);
    if rest > pace.poll_interval { rest } else { Span::default() }
}
