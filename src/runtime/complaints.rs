//! What is told of a backend that does not do its work: at once, once a minute while that lasts, and when it is over.
//!
//! A thousand tasks that wait for one service are one complaint. Begin with [`Complaints::failed`].

use engine::id::SubmissionKey;
use engine::time::{Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Between two complaints about the same.
const PAUSE: Span = Span::from_secs(60);

/// What a backend is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    Submit,
    Find,
    Poll,
    Read,
}

impl Work {
    const fn failing(self) -> &'static str {
        match self {
            Self::Submit => "takes no task now; it is tried again",
            Self::Find => "cannot be searched for a task now; it is tried again",
            Self::Poll => "does not tell how jobs are; it is asked again, and they go on meanwhile",
            Self::Read => "does not give what a trial writes; it is asked again",
        }
    }

    const fn working(self) -> &'static str {
        match self {
            Self::Submit => "takes tasks again",
            Self::Find => "can be searched again",
            Self::Poll => "tells again how jobs are",
            Self::Read => "gives again what trials write",
        }
    }
}

/// Something that lasts.
#[derive(Debug)]
struct Lasting {
    keys: BTreeSet<SubmissionKey>,
    since: Timestamp,
    told: Option<Timestamp>,
}

/// Everything that lasts, by backend and work.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    lasting: BTreeMap<(String, Work), Lasting>,
}

impl Complaints {
    /// A piece of work has failed and will be tried again. Gives what is told now, if anything.
    pub(super) fn failed(
        &mut self,
        backend: &str,
        work: Work,
        key: SubmissionKey,
        reason: &str,
        now: Timestamp,
    ) -> Option<String> {
        let new = || Lasting { keys: BTreeSet::new(), since: now, told: None };
        let lasting = self.lasting.entry((backend.to_owned(), work)).or_insert_with(new);
        lasting.keys.insert(key);
        if lasting.told.is_some_and(|told| now < told.after(PAUSE)) {
            return None;
        }
        lasting.told = Some(now);
        let others = match lasting.keys.len() - 1 {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        let text = format!("the backend `{backend}` {} (task {key}{others}): {reason}", work.failing());
        tracing::warn!("{text}");
        Some(text)
    }

    /// A piece of work has come out. Gives what is told now: once the last one that had failed has.
    pub(super) fn worked(
        &mut self,
        backend: &str,
        work: Work,
        key: &SubmissionKey,
        now: Timestamp,
    ) -> Option<String> {
        if self.lasting.is_empty() {
            return None;
        }
        let name = (backend.to_owned(), work);
        let lasting = self.lasting.get_mut(&name)?;
        lasting.keys.remove(key);
        if !lasting.keys.is_empty() {
            return None;
        }
        let seconds = now.since(lasting.since).0.div_ceil(1_000);
        self.lasting.remove(&name);
        let text = format!("the backend `{backend}` {}, after {seconds} s", work.working());
        tracing::warn!("{text}");
        Some(text)
    }

    /// Nobody waits any more for what these tasks are not among.
    pub(super) fn retain(&mut self, open: impl Fn(&SubmissionKey) -> bool) {
        self.lasting.retain(|_, lasting| {
            lasting.keys.retain(&open);
            !lasting.keys.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::id::{AttemptNo, ExperimentId, TaskIndex, TrialId};

    fn key(trial: u32) -> SubmissionKey {
        let experiment = ExperimentId::from_random(1);
        SubmissionKey { experiment, trial: TrialId(trial), attempt: AttemptNo(1), task: TaskIndex(0) }
    }

    #[test]
    fn many_failures_are_told_once_a_minute_and_their_end_once() {
        let mut complaints = Complaints::default();
        let at = |seconds: u64| Timestamp(0).after(Span::from_secs(seconds));
        let mut fail =
            |trial, seconds| complaints.failed("dlc", Work::Read, key(trial), "E0526", at(seconds));
        let first = fail(0, 0).unwrap();
        assert!(first.contains("`dlc`") && first.contains("E0526") && !first.contains("more"), "{first}");
        assert_eq!([fail(1, 1), fail(2, 59), fail(0, 59)], [const { None }; 3]);
        assert!(fail(0, 60).unwrap().contains("and 2 more"));
        assert_eq!(fail(0, 61), None);
        let mut work = |work, trial| complaints.worked("dlc", work, &key(trial), at(90));
        assert_eq!(work(Work::Submit, 0), None);
        assert_eq!([work(Work::Read, 0), work(Work::Read, 1)], [None, None]);
        assert!(work(Work::Read, 2).unwrap().contains("after 90 s"));
        assert_eq!(work(Work::Read, 2), None);
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_forgotten() {
        let mut complaints = Complaints::default();
        complaints.failed("dlc", Work::Submit, key(0), "no", Timestamp(0));
        complaints.failed("dlc", Work::Submit, key(1), "no", Timestamp(0));
        complaints.retain(|open| *open == key(1));
        assert!(complaints.worked("dlc", Work::Submit, &key(1), Timestamp(0)).is_some());
        complaints.failed("dlc", Work::Submit, key(0), "no", Timestamp(0));
        complaints.retain(|_| false);
        assert!(complaints.failed("dlc", Work::Submit, key(0), "no", Timestamp(1)).is_some());
    }
}
