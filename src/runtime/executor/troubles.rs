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

/// Whether it is still to come that a backend takes a task, or that it is certain that none has.
pub(super) fn is_unsettled(state: &State, key: &SubmissionKey) -> bool {
    let task = state.experiment(key.experiment).and_then(|experiment| experiment.task(key));
    task.is_some_and(|task| matches!(task.phase, TaskPhase::Planned | TaskPhase::Doubtful(_)))
}

/// Whether such work is still to be done for a task.
fn is_open(state: &State, key: &SubmissionKey, work: Work) -> bool {
    match work {
        // What is to be stopped is looked for, and not submitted any more.
        Work::Submit => {
            let trial = state.experiment(key.experiment).and_then(|experiment| experiment.trial(key.trial));
            is_unsettled(state, key) && trial.is_some_and(|trial| trial.stopping.is_none())
        }
        Work::Find => is_unsettled(state, key),
        Work::Poll | Work::Read | Work::Stop => state.holds(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::call::Answer;
    use crate::runtime::executor_tests::planned;
    use engine::command::Command;
    use engine::effect::Effect;
    use engine::ports::backend::{Capabilities, Found, Idempotency, JobHandle, Reports, Submitted};
    use std::collections::BTreeMap;

    #[test]
    fn nothing_is_kept_of_a_task_that_was_stopped_before_a_backend_took_it() {
        let (mut driver, keys) = planned(2, &serde_json::json!("report"));
        let capabilities = Capabilities {
            idempotency: Idempotency::FindByKey,
            poll_batch: 1,
            poll_interval: Span(200),
            poll_rest: Span(200),
            reports: Reports::File,
        };
        let mut executor = Executor::new(BTreeMap::from([("fake".to_owned(), capabilities)]));
        let (now, id) = (driver.now(), keys[0].experiment);
        let [taken, stopped] = [keys[0], keys[1]];
        for key in [taken, stopped] {
            executor.begin(driver.state(), &[Effect::Submit { key }], now);
            let later = Submitted::Later(Span(1), "no room".to_owned());
            executor.answer(driver.state(), Answer::Submitted(key, later), now);
        }
        assert_eq!(executor.troubles(driver.state(), id)[0].tasks, 2);
        driver.give(&Command::StopTrials { experiment: id, trials: vec![stopped.trial] }).unwrap();
        let found = Answer::Found(stopped, Found::NoneForSure);
        for command in executor.answer(driver.state(), found, now).0 {
            driver.give(&command).unwrap();
        }
        executor.tick(driver.state(), now);
        assert_eq!(executor.errands.keys().collect::<Vec<_>>(), [&taken]);
        assert_eq!(executor.troubles(driver.state(), id)[0].tasks, 1);
        // The answer of the next submission is lost, and what became of it is found.
        let lost = Submitted::Unknown("no answer".to_owned());
        executor.answer(driver.state(), Answer::Submitted(taken, lost), now);
        assert_eq!(executor.troubles(driver.state(), id)[0].tasks, 1);
        let found = Answer::Found(taken, Found::One(JobHandle("job".to_owned())));
        executor.answer(driver.state(), found, now);
        assert_eq!(executor.troubles(driver.state(), id), []);
        assert!(executor.errands.is_empty());
    }
}
