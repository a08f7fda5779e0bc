//! Looks from time to time for jobs that no trial has, and stops them: late copies of a submission, for example.

use super::api::{Dlc, JobList};
use super::handle::Place;
use super::name::EXPERIMENT_TAG;
use super::query::{EARLIEST, JobFilter, PAGE_SIZE};
use super::sweep::surplus;
use crate::cloud::locked::locked;
use crate::cloud::world::World;
use engine::id::{ExperimentId, SubmissionKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Polls between two sweeps of an experiment whose jobs fit on a page; of more pages, as many times more.
const POLLS: u32 = 12;
/// Submissions of which is remembered which job is theirs; of more, the smallest keys are forgotten.
const REMEMBERED: usize = 1_000_000;

/// Sweeps experiments.
#[derive(Debug)]
pub(super) struct Sweeper {
    world: Arc<dyn World>,
    interval: Duration,
    /// The job of each submission.
    taken: Mutex<BTreeMap<SubmissionKey, String>>,
    /// When an experiment is swept next; none while it is being swept.
    due: Mutex<BTreeMap<(Place, ExperimentId), Option<Duration>>>,
}

impl Sweeper {
    /// A sweeper that knows nothing; `poll_interval` is the time between two polls.
    pub(super) fn new(world: Arc<dyn World>, poll_interval: Duration) -> Self {
        let interval = poll_interval * POLLS;
        Self { world, interval, taken: Mutex::default(), due: Mutex::default() }
    }

    /// The job of a submission, as far as this process knows.
    pub(super) fn taken(&self, key: &SubmissionKey) -> Option<String> {
        locked(&self.taken).get(key).cloned()
    }

    /// A job is a submission's.
    pub(super) fn take(&self, key: SubmissionKey, id: &str, place: &Place) {
        let mut taken = locked(&self.taken);
        if taken.get(&key).is_none_or(|known| known != id) {
            if taken.len() >= REMEMBERED {
                taken.pop_first();
            }
            taken.insert(key, id.to_owned());
        }
        // Not at once: at first it is not known which jobs were taken on before this process began.
        let first = self.world.steady() + self.interval;
        locked(&self.due).entry((place.clone(), key.experiment)).or_insert(Some(first));
    }

    /// Begins the sweeps of a place that are due.
    pub(super) fn begin(self: &Arc<Self>, place: &Place, dlc: &Arc<Dlc>) {
        let now = self.world.steady();
        let mut due = locked(&self.due);
        for ((at, experiment), when) in due.iter_mut().filter(|((at, _), _)| at == place) {
            if when.is_some_and(|when| when <= now) {
                *when = None;
                let (sweeper, dlc) = (Arc::clone(self), Arc::clone(dlc));
                let (place, experiment) = (at.clone(), *experiment);
                tokio::spawn(async move {
                    let pages = sweeper.sweep(&dlc, &place, experiment).await;
                    let next = sweeper.world.steady() + sweeper.interval * pages;
                    locked(&sweeper.due).insert((place, experiment), Some(next));
                });
            }
        }
    }

    /// Sweeps one experiment; gives the number of pages that it took.
    async fn sweep(&self, dlc: &Dlc, place: &Place, experiment: ExperimentId) -> u32 {
        let filter = JobFilter {
            workspace_id: Some(place.workspace.clone()).filter(|id| !id.is_empty()),
            tags: Some(BTreeMap::from([(EXPERIMENT_TAG.to_owned(), experiment.to_string())])),
            start_time: Some(EARLIEST),
            sort_by: Some("GmtCreateTime".to_owned()),
            order: Some("asc".to_owned()),
            ..JobFilter::default()
        };
        let JobList { jobs, .. } = match dlc.list_all_jobs(&filter).await {
            Ok(list) => list,
            Err(error) => {
                tracing::debug!(%experiment, %error, "failed to look for surplus jobs");
                return 1;
            }
        };
        let keys: BTreeSet<SubmissionKey> = jobs
            .iter()
            .filter_map(|job| job.tags.get(super::name::KEY_TAG).and_then(|key| key.parse().ok()))
            .collect();
        let taken: BTreeMap<SubmissionKey, String> = {
            let taken = locked(&self.taken);
            keys.into_iter().filter_map(|key| Some((key, taken.get(&key)?.clone()))).collect()
        };
        for (job, keep) in surplus(&jobs, &taken) {
            tracing::warn!(%experiment, job = job.job_id, %keep, "a second job of the same submission is stopped");
            if let Err(error) = dlc.stop_job(&job.job_id).await {
                tracing::warn!(%experiment, job = job.job_id, %error, "failed to stop it; it is tried again");
            }
        }
        u32::try_from(jobs.len() / PAGE_SIZE as usize + 1).unwrap_or(u32::MAX)
    }
}
