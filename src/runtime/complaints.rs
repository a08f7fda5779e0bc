//! What is told of a backend that does not do its work: at once, once a minute while that lasts, and when it is over; and at any
//! time to whoever asks how an experiment stands.
//!
//! A thousand tasks that wait for one service are one complaint. Begin with [`Complaints::failed`].

use engine::id::{AttemptNo, ExperimentId, SubmissionKey, TaskIndex, TrialId};
use engine::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Between two complaints about the same.
const PAUSE: Span = Span::from_secs(60);

/// What a backend is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    Submit,
    Find,
    Poll,
    Read,
    Stop,
}

impl Work {
    const fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Find => "find",
            Self::Poll => "poll",
            Self::Read => "read",
            Self::Stop => "stop",
        }
    }

    const fn failing(self) -> &'static str {
        match self {
            Self::Submit => "takes no task now; it is tried again",
            Self::Find => "cannot be searched for a task now; it is tried again",
            Self::Poll => "does not tell how jobs are; it is asked again, and they go on meanwhile",
            Self::Read => "does not give what a trial writes; it is asked again",
            Self::Stop => "does not end a job; it is asked again",
        }
    }

    const fn working(self) -> &'static str {
        match self {
            Self::Submit => "takes tasks again",
            Self::Find => "can be searched again",
            Self::Poll => "tells again how jobs are",
            Self::Read => "gives again what trials write",
            Self::Stop => "ends jobs again",
        }
    }
}

/// What keeps one experiment from going on now: something that its backend does not get done, or its search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The backend that does not do its work; none if it is the search.
    pub backend: Option<String>,
    /// What fails: `submit`, `find`, `poll`, `read` or `stop`; or `suggest`.
    pub work: String,
    /// The same in words, which go on after "the backend" or "the search".
    pub what: String,
    /// Why, as it was last said of the task that has waited longest; perhaps several lines. Empty where that is not told.
    pub reason: String,
    /// Since when, in milliseconds since 1970 (UTC).
    pub since_ms: i64,
    /// How many of the experiment's tasks wait for it.
    pub tasks: usize,
}

impl Trouble {
    /// A search that cannot go on.
    pub(super) fn of_search((since, reason): &(Timestamp, String)) -> Self {
        Self {
            backend: None,
            work: "suggest".to_owned(),
            what: "cannot go on, and the experiment stands still".to_owned(),
            reason: reason.clone(),
            since_ms: since.0,
            tasks: 0,
        }
    }
}

/// Something that lasts.
#[derive(Debug)]
struct Lasting {
    /// The tasks that wait for it, each since when and why. None, if all of them were given up: then nobody knows yet whether it is over.
    keys: BTreeMap<SubmissionKey, (Timestamp, String)>,
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
        let new = || Lasting { keys: BTreeMap::new(), since: now, told: None };
        let lasting = self.lasting.entry((backend.to_owned(), work)).or_insert_with(new);
        if lasting.keys.is_empty() {
            *lasting = new();
        }
        let (_, known) = lasting.keys.entry(key).or_insert_with(|| (now, String::new()));
        if known != reason {
            reason.clone_into(known);
        }
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

    /// Nobody waits any more for what these tasks are not among. That it is over is told all the same, by the next one that comes out.
    pub(super) fn retain(&mut self, open: impl Fn(&SubmissionKey, Work) -> bool) {
        for ((_, work), lasting) in &mut self.lasting {
            lasting.keys.retain(|key, _| open(key, *work));
        }
    }

    /// What lasts for the tasks of one experiment that are still open. Of others nothing is told.
    pub(super) fn of(
        &self,
        experiment: ExperimentId,
        open: impl Fn(&SubmissionKey, Work) -> bool,
    ) -> Vec<Trouble> {
        let (trial, attempt, task) = (TrialId(0), AttemptNo(0), TaskIndex(0));
        let first = SubmissionKey { experiment, trial, attempt, task };
        let of_work = |((backend, work), lasting): (&(String, Work), &Lasting)| {
            let own = lasting.keys.range(first..).take_while(|(key, _)| key.experiment == experiment);
            let own: Vec<_> = own.filter(|(key, _)| open(key, *work)).map(|(_, waiting)| waiting).collect();
            let (since, reason) = own.iter().min_by_key(|(since, _)| *since)?;
            Some(Trouble {
                backend: Some(backend.clone()),
                work: work.name().to_owned(),
                what: work.failing().to_owned(),
                reason: reason.clone(),
                since_ms: since.0,
                tasks: own.len(),
            })
        };
        self.lasting.iter().filter_map(of_work).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(trial: u32) -> SubmissionKey {
        key_of(1, trial)
    }

    fn key_of(experiment: u64, trial: u32) -> SubmissionKey {
        let experiment = ExperimentId::from_random(experiment);
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
        complaints.retain(|open, _| *open == key(1));
        assert!(complaints.worked("dlc", Work::Submit, &key(1), Timestamp(0)).is_some());
        complaints.failed("dlc", Work::Submit, key(0), "no", Timestamp(0));
        complaints.retain(|_, _| false);
        assert_eq!(complaints.of(key(0).experiment, |_, _| true), []);
        assert!(complaints.failed("dlc", Work::Submit, key(0), "no", Timestamp(1)).is_some());
        complaints.retain(|_, _| false);
        assert!(complaints.worked("dlc", Work::Submit, &key(1), Timestamp(2)).is_some());
        assert_eq!(complaints.worked("dlc", Work::Submit, &key(1), Timestamp(3)), None);
    }

    #[test]
    fn of_an_experiment_only_what_concerns_its_open_tasks_is_told() {
        let mut complaints = Complaints::default();
        let at = |seconds: u64| Timestamp(0).after(Span::from_secs(seconds));
        let mut fail = |work, key, reason: &str, seconds| {
            complaints.failed("dlc", work, key, reason, at(seconds));
        };
        for (place, experiment) in [1, 2, 3].into_iter().enumerate() {
            fail(Work::Submit, key_of(experiment, 1), &format!("first of {experiment}"), place as u64);
            fail(Work::Submit, key_of(experiment, 0), &format!("second of {experiment}"), 10);
        }
        fail(Work::Submit, key_of(2, 1), "now of 2", 20);
        fail(Work::Stop, key_of(2, 7), "no stop", 30);
        let own = ExperimentId::from_random(2);
        let mut told = complaints.of(own, |_, _| true);
        assert_eq!(told.len(), 2, "{told:?}");
        let stop = told.pop().unwrap();
        assert_eq!((&*stop.work, &*stop.reason, stop.since_ms, stop.tasks), ("stop", "no stop", 30_000, 1));
        let submit = told.pop().unwrap();
        assert_eq!((submit.backend.as_deref(), &*submit.work), (Some("dlc"), "submit"));
        assert_eq!((&*submit.reason, submit.since_ms, submit.tasks), ("now of 2", 1_000, 2));
        let told = complaints.of(own, |key, _| key.trial == TrialId(0));
        assert_eq!((told.len(), &*told[0].reason, told[0].tasks), (1, "second of 2", 1));
        complaints.worked("dlc", Work::Submit, &key_of(2, 0), at(40));
        complaints.worked("dlc", Work::Submit, &key_of(2, 1), at(40));
        complaints.worked("dlc", Work::Stop, &key_of(2, 7), at(40));
        assert_eq!(complaints.of(own, |_, _| true), []);
        assert_eq!(complaints.of(ExperimentId::from_random(1), |_, _| true)[0].tasks, 2);
    }
}
