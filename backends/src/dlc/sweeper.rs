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
/// Polls before the first sweep: a process that often ends early sweeps as well.
const FIRST_POLLS: u32 = 2;
/// Submissions of which is remembered which job is theirs; of more, the smallest keys are forgotten.
const REMEMBERED: usize = 1_000_000;

/// Sweeps experiments.
#[derive(Debug)]
pub(super) struct Sweeper {
    world: Arc<dyn World>,
    poll_interval: Duration,
    /// The job of each submission.
    taken: Mutex<BTreeMap<SubmissionKey, String>>,
    due: Mutex<BTreeMap<(Place, ExperimentId), Due>>,
}

/// When an experiment is swept.
#[derive(Debug, Clone, Copy)]
struct Due {
    /// Next; none while it is being swept.
    next: Option<Duration>,
    /// From then on it is known which jobs were taken on before this process began. Before, only the copies of jobs that
    /// are known to be taken on are surplus.
    settled: Duration,
}

impl Sweeper {
    /// A sweeper that knows nothing; `poll_interval` is the time between two polls.
    pub(super) fn new(world: Arc<dyn World>, poll_interval: Duration) -> Self {
        Self { world, poll_interval, taken: Mutex::default(), due: Mutex::default() }
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
        let now = self.world.steady();
        let due = Due {
            next: Some(now + self.poll_interval * FIRST_POLLS),
            settled: now + self.poll_interval * POLLS,
        };
        locked(&self.due).entry((place.clone(), key.experiment)).or_insert(due);
    }

    /// Begins the sweeps of a place that are due.
    pub(super) fn begin(self: &Arc<Self>, place: &Place, dlc: &Arc<Dlc>) {
        let now = self.world.steady();
        let mut due = locked(&self.due);
        for ((at, experiment), due) in due.iter_mut().filter(|((at, _), _)| at == place) {
            if due.next.is_some_and(|next| next <= now) {
                due.next = None;
                let settled = due.settled;
                let (sweeper, dlc) = (Arc::clone(self), Arc::clone(dlc));
                let (place, experiment) = (at.clone(), *experiment);
                tokio::spawn(async move {
                    let pages = sweeper.sweep(&dlc, &place, experiment, now >= settled).await;
                    let next = Some(sweeper.world.steady() + sweeper.poll_interval * POLLS * pages);
                    locked(&sweeper.due).insert((place, experiment), Due { next, settled });
                });
            }
        }
    }

    /// Sweeps one experiment, all of its submissions or those whose job is known; gives the number of pages that it took.
    async fn sweep(&self, dlc: &Dlc, place: &Place, experiment: ExperimentId, all: bool) -> u32 {
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
            if !all && !taken.values().any(|id| *id == keep) {
                continue;
            }
            tracing::warn!(%experiment, job = job.job_id, %keep, "a second job of the same submission is stopped");
            if let Err(error) = dlc.stop_job(&job.job_id).await {
                tracing::warn!(%experiment, job = job.job_id, %error, "failed to stop it; it is tried again");
            }
        }
        u32::try_from(jobs.len() / PAGE_SIZE as usize + 1).unwrap_or(u32::MAX)
    }
}
