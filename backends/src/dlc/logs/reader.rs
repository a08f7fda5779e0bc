//! Reads the output of jobs from the service.
//!
//! Begin with [`Logs::read`]: bytes of a job's output from a position, as the port of backends has it. Standard output
//! and error are one text to DLC. What is not read yet is kept in memory, bounded; after a restart, or for a reader that goes
//! back, all is made anew from the service: the same lines at the same positions, except for lines that were overtaken when
//! they were read first.

use crate::cloud::client::CallError;
use crate::cloud::codes;
use crate::cloud::world::World;
use crate::dlc::advice::unread;
use crate::dlc::api::Dlc;
use crate::dlc::logs::pods::leader;
use crate::dlc::logs::spool::Spool;
use crate::dlc::logs::stream::{Bounds, Stream};
use crate::dlc::model::Job;
use crate::dlc::query::LogQuery;
use engine::ports::backend::{Chunk, ReadError};
use engine::time::{Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How and how often is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of a job's output that are kept until they are read.
    pub kept_bytes: usize,
    /// Jobs whose output is kept; of more, the one that was not read for longest is forgotten, and read anew if asked for.
    pub jobs: usize,
    /// The least time between two looks for new lines.
    pub refresh: Duration,
    /// The time between two looks at the pods of a job that writes nothing.
    pub pods_refresh: Duration,
    /// How long after an end lines may still come.
    pub drain: Duration,
    /// Most requests for lines in one read, so that it ends.
    pub requests: u32,
    /// How much is asked for at once.
    pub bounds: Bounds,
}

impl Settings {
    /// For jobs that are polled in this interval.
    pub fn paced(poll_interval: Duration) -> Self {
        Self {
            refresh: poll_interval,
            pods_refresh: poll_interval * 6,
            drain: poll_interval * 3,
            ..Self::default()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kept_bytes: 4 << 20,
            jobs: 16_384,
            refresh: Duration::from_secs(5),
            pods_refresh: Duration::from_secs(30),
            drain: Duration::from_secs(15),
            requests: 8,
            bounds: Bounds::default(),
        }
    }
}

/// The outputs of jobs.
#[derive(Debug)]
pub struct Logs {
    dlc: Arc<Dlc>,
    world: Arc<dyn World>,
    settings: Settings,
    jobs: Mutex<Jobs>,
}

/// The outputs by the names of their jobs, each with the number of its last read.
#[derive(Debug, Default)]
struct Jobs {
    reads: u64,
    by_name: BTreeMap<String, (u64, Arc<Mutex<JobLog>>)>,
}

/// One incarnation of the pod that counts.
#[derive(Debug)]
struct Incarnation {
    pod_id: String,
    pod_uid: String,
    stream: Stream,
    /// Since when it is known to write no more.
    over: Option<Duration>,
    /// Looks in a row, after that, that brought nothing new.
    quiet: u32,
}

/// The output of one job.
#[derive(Debug)]
struct JobLog {
    spool: Spool,
    /// Those that are not read to their end, oldest first: one is read after the other.
    incarnations: VecDeque<Incarnation>,
    /// The uids of all that were seen.
    seen: BTreeSet<String>,
    pod_id: Option<String>,
    over: bool,
    looked_at_pods: Option<Duration>,
    looked_for_lines: Option<Duration>,
    /// Whether the last look saw all that there was.
    complete: bool,
    /// Whether it saw nothing new.
    quiet: bool,
}

impl Logs {
    /// Over this client; `world` is the client's.
    pub fn new(dlc: Arc<Dlc>, world: Arc<dyn World>, settings: Settings) -> Self {
        Self { dlc, world, settings, jobs: Mutex::default() }
    }

    /// At most `limit` bytes of a job's output from a position.
    ///
    /// `ended` says that the caller has seen the job's end. From then on a chunk is the last only when late lines have
    /// had their time; a read that would bring nothing before that waits for [`Settings::refresh`] first.
    pub async fn read(&self, job: &str, ended: bool, from: u64, limit: usize) -> Result<Chunk, ReadError> {
        let log = self.log(job).await;
        let mut log = log.lock().await;
        if from < log.spool.released() {
            // Somebody reads from an earlier place than anybody did: all is asked for again.
            *log = JobLog::new(self.settings.kept_bytes);
        }
        let has_news = from < log.spool.end();
        if !log.is_drained() && log.spool.end().saturating_sub(from) <= limit as u64 {
            let next = log.looked_for_lines.map_or(Duration::ZERO, |last| last + self.settings.refresh);
            let wait = next.saturating_sub(self.world.steady());
            let look = wait.is_zero() || (!has_news && (!log.complete || ended));
            if ended && log.complete && look && !wait.is_zero() {
                self.world.sleep(wait).await;
            }
            if look
                && let Err(error) = self.look(job, ended, &mut log).await
                && !has_news
            {
                let what = format!("the output of job {job}");
                return Err(unread(error, what));
            }
        }
        let mut chunk = log.spool.chunk(from, limit);
        chunk.at_end &= log.is_drained() || (!ended && log.complete);
        log.spool.release(from);
        Ok(chunk)
    }

    /// Forgets what is kept of a job.
    pub async fn forget(&self, job: &str) {
        self.jobs.lock().await.by_name.remove(job);
    }

    async fn log(&self, job: &str) -> Arc<Mutex<JobLog>> {
        let mut known = self.jobs.lock().await;
        let Jobs { reads, by_name } = &mut *known;
        *reads += 1;
        if by_name.len() >= self.settings.jobs.max(1)
            && !by_name.contains_key(job)
            && let Some(oldest) =
                by_name.iter().min_by_key(|(_, (read, _))| *read).map(|(name, _)| name.clone())
        {
            by_name.remove(&oldest);
        }
        let new = || (0, Arc::new(Mutex::new(JobLog::new(self.settings.kept_bytes))));
        let (read, log) = by_name.entry(job.to_owned()).or_insert_with(new);
        *read = *reads;
        Arc::clone(log)
    }

    /// Looks for new lines.
    async fn look(&self, job: &str, ended: bool, log: &mut JobLog) -> Result<(), CallError> {
        let now = self.world.steady();
        // A pod that has just written was not replaced.
        let due = log.looked_at_pods.is_none_or(|last| log.quiet && now >= last + self.settings.pods_refresh);
        if due || (ended && !log.over) {
            let found = self.dlc.get_pods(job).await?;
            // Only now: a look that failed is no look.
            log.looked_at_pods = Some(now);
            log.learn(&found, ended, now, self.settings.bounds);
        }
        log.looked_for_lines = Some(now);
        log.quiet = true;
        log.complete = log.incarnations.is_empty();
        for _ in 0..self.settings.requests {
            let Some(pod) = log.incarnations.front_mut() else { break };
            let now_s = self.dlc.client().now().0.div_euclid(1000);
            let asked = pod.stream.ask(now_s);
            let time = |seconds: i64| Timestamp(0).after(Span::from_secs(seconds.max(0).unsigned_abs()));
            let query = LogQuery {
                end_time: Some(time(asked.to_s)),
                max_lines: Some(i64::try_from(asked.most).unwrap_or(i64::MAX)),
                pod_uid: (!pod.pod_uid.is_empty()).then(|| pod.pod_uid.clone()),
                start_time: Some(time(asked.from_s)),
                containers: None,
            };
            let lines = match self.dlc.get_pod_logs(job, &pod.pod_id, &query).await {
                Ok(answer) if is_other(&answer.pod_uid, &pod.pod_uid) => {
                    tracing::debug!(job, pod = pod.pod_id, "the service gave lines of another incarnation");
                    Vec::new()
                }
                Ok(answer) => answer.lines,
                // Not begun yet, or gone.
                Err(error) if error.code == codes::NOT_FOUND => Vec::new(),
                Err(error) => return Err(error),
            };
            let taken = pod.stream.take(asked, lines, now_s);
            log.quiet &= taken.lines.is_empty();
            for line in &taken.lines {
                log.spool.line(line);
            }
            if taken.gap {
                log.spool.gap();
                tracing::warn!(
                    job,
                    pod = pod.pod_id,
                    second = asked.from_s,
                    "more lines in a second than DLC gives: some are missing"
                );
            }
            if !taken.lines.is_empty() {
                pod.quiet = 0;
            }
            if !taken.complete {
                continue;
            }
            let Some(since) = pod.over else {
                log.complete = true;
                break;
            };
            let late = self.world.steady() >= since + self.settings.drain;
            pod.quiet += u32::from(taken.lines.is_empty());
            if !(late && pod.quiet >= 2) {
                log.complete = true;
                break;
            }
            log.incarnations.pop_front();
            log.complete = log.incarnations.is_empty();
        }
        Ok(())
    }
}

/// Whether an answer names an incarnation, and not the one that was asked for.
fn is_other(answered: &str, asked: &str) -> bool {
    !answered.is_empty() && !asked.is_empty() && answered != asked
}

impl JobLog {
    fn new(kept_bytes: usize) -> Self {
        Self {
            spool: Spool::new(kept_bytes),
            incarnations: VecDeque::new(),
            seen: BTreeSet::new(),
            pod_id: None,
            over: false,
            looked_at_pods: None,
            looked_for_lines: None,
            complete: false,
            quiet: true,
        }
    }

    /// Whether there is nothing more to come.
    fn is_drained(&self) -> bool {
        self.over && self.incarnations.is_empty()
    }

    /// Takes in which pods a job has, and whether it is over.
    fn learn(&mut self, job: &Job, ended: bool, now: Duration, bounds: Bounds) {
        self.over |= ended || job.status.is_over();
        // The one that was chosen first stays: its lines have their positions.
        let known = self.pod_id.as_ref().and_then(|id| job.pods.iter().find(|pod| pod.pod_id == *id));
        if let Some(pod) = known.or_else(|| if self.pod_id.is_none() { leader(&job.pods) } else { None }) {
            self.pod_id = Some(pod.pod_id.clone());
            for incarnation in pod.replaced.iter().chain([pod]) {
                if !self.seen.insert(incarnation.pod_uid.clone()) {
                    continue;
                }
                // Some time earlier, for nodes whose clocks are behind.
                let begin = job.created.or(incarnation.started).map_or(0, |at| at.0.div_euclid(1000) - 60);
                self.incarnations.push_back(Incarnation {
                    pod_id: pod.pod_id.clone(),
                    pod_uid: incarnation.pod_uid.clone(),
                    stream: Stream::new(begin.max(0), bounds),
                    over: None,
                    quiet: 0,
                });
            }
        }
        // All but the newest are over, and that one is when the job is.
        let count = self.incarnations.len();
        for (at, incarnation) in self.incarnations.iter_mut().enumerate() {
            if incarnation.over.is_none() && (self.over || at + 1 < count) {
                incarnation.over = Some(now);
            }
        }
    }
}
