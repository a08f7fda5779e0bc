//! The backend: starts supervisors, looks at claims, reads files.

use super::claim::{self, Seen};
use super::config::Config;
use super::jobs::{Job, Jobs};
use super::layout::{self, ERROR, Incarnation, ORDER, STOP};
use super::log;
use super::plan::Plan;
use super::prepare::{PrepareError, prepare, write};
use super::process;
use async_trait::async_trait;
use engine::event::v1::Outcome;
use engine::id::{ExperimentId, SubmissionKey};
use engine::ports::backend::{
    Backend, Capabilities, Chunk, Found, Idempotency, JobHandle, JobState, ReadError, Reports, Source,
    Submitted, TaskOrder,
};
use engine::time::{Span, Timestamp};
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

/// Time to wait before a submission is tried again that failed because of the machine's state.
const LATER: Span = Span(2_000);
/// How many times longer it may become when the tries fail one after the other.
const LATER_FACTOR: u64 = 30;
/// How long a supervisor that somebody else started may take to claim its task before the job counts as lost.
const CLAIM_WAIT: Duration = Duration::from_secs(30);
/// Incarnations of one task: each is a crash between the making of a directory and the start of a supervisor.
const MAX_INCARNATIONS: u32 = 10_000;

/// Runs tasks as processes of this machine, at most once per key, and finds them again after a crash.
#[derive(Debug, Clone)]
pub struct LocalBackend {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    runs: PathBuf,
    supervisor: Vec<OsString>,
    jobs: Mutex<Jobs>,
    children: tokio::sync::Mutex<Option<Listener>>,
}

impl LocalBackend {
    /// A backend whose files are below `runs`, which need not exist yet. `supervisor` is the command that becomes
    /// a supervisor when a control directory is added: see [`super::supervisor_command`].
    pub fn new(runs: impl Into<PathBuf>, supervisor: Vec<OsString>) -> Self {
        let runs = runs.into();
        let runs = std::path::absolute(&runs).unwrap_or(runs);
        Self {
            shared: Arc::new(Shared {
                runs,
                supervisor,
                jobs: Mutex::default(),
                children: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// The directory of an attempt: its parameters, reports, checkpoints and working directory.
    pub fn attempt_dir(&self, key: &SubmissionKey) -> PathBuf {
        layout::attempt_dir(&self.shared.runs, key)
    }

    /// The directory of an experiment: all its attempts. It may be removed once none of its jobs runs.
    pub fn experiment_dir(&self, experiment: ExperimentId) -> PathBuf {
        self.shared.runs.join(experiment.to_string())
    }

    /// Runs blocking work off the async threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> T + Send + 'static,
    ) -> Result<T, String> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || work(&shared)).await.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Backend for LocalBackend {
    fn name(&self) -> &'static str {
        "local"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotency: Idempotency::Native,
            poll_batch: 4_096,
            poll_interval: Span(200),
            poll_rest: Span(0),
            reports: Reports::File,
        }
    }

    async fn submit(&self, order: &TaskOrder) -> Submitted {
        let order = order.clone();
        self.blocking(move |shared| shared.submit(&order)).await.unwrap_or_else(Submitted::Unknown)
    }

    async fn find(&self, order: &TaskOrder) -> Found {
        let key = order.key;
        self.blocking(move |shared| shared.find(&key)).await.unwrap_or_else(Found::Unknown)
    }

    async fn poll(&self, handles: &[JobHandle]) -> Vec<JobState> {
        let asked = handles.to_vec();
        match self.blocking(move |shared| shared.poll(&asked)).await {
            Ok(states) => states,
            Err(reason) => handles.iter().map(|_| JobState::Unknown(reason.clone())).collect(),
        }
    }

    async fn read(
        &self,
        handle: &JobHandle,
        source: &Source,
        from: u64,
        limit: usize,
    ) -> Result<Chunk, ReadError> {
        let (handle, source) = (handle.clone(), source.clone());
        self.blocking(move |shared| shared.read(&handle, &source, from, limit))
            .await
            .unwrap_or_else(|reason| Err(ReadError::Failed { what: "the job's files".to_owned(), reason }))
    }

    async fn list(&self, handle: &JobHandle, dir: &str) -> Result<Vec<String>, ReadError> {
        let (handle, dir) = (handle.clone(), dir.to_owned());
        self.blocking(move |shared| shared.list(&handle, &dir))
            .await
            .unwrap_or_else(|reason| Err(ReadError::Failed { what: "the job's files".to_owned(), reason }))
    }

    async fn stop(&self, handle: &JobHandle) -> Result<(), String> {
        let handle = handle.clone();
        self.blocking(move |shared| shared.stop(&handle)).await?
    }

    async fn changed(&self) {
        // A supervisor that ends is a child that ends. One that an earlier controller started is no child of ours,
        // and is seen by the next poll. The listener is kept, so that what happens between two calls counts.
        let mut listener = self.shared.children.lock().await;
        if listener.is_none() {
            *listener = signal(SignalKind::child()).ok();
        }
        match listener.as_mut() {
            Some(listener) => {
                listener.recv().await;
            }
            None => std::future::pending().await,
        }
    }
}

impl Shared {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        // What is remembered is only a shortcut: a panic elsewhere cannot make it wrong.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, order: &TaskOrder) -> Submitted {
        self.jobs().sweep();
        let config = match Config::parse(&order.config, "run.local") {
            Ok(config) => config,
            Err(errors) => {
                let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
                return Submitted::Refused(all.join("; "));
            }
        };
        match self.settle(&order.key) {
            Ok(Settled::Exists(job)) => Submitted::AlreadyExists(job.handle()),
            Ok(Settled::Free(number)) => self.start(order, &config, Incarnation { key: order.key, number }),
            Err(error) => {
                Submitted::Unknown(format!("failed to look for the task's earlier starts: {error}"))
            }
        }
    }

    fn start(&self, order: &TaskOrder, config: &Config, job: Incarnation) -> Submitted {
        let plan = match Plan::new(order, config, job, &self.runs) {
            Ok(plan) => plan,
            Err(reason) => return Submitted::Refused(reason),
        };
        let attempt = layout::attempt_dir(&self.runs, &order.key);
        if is_first_task(&attempt, &order.key) {
            match prepare(&attempt, &plan.workdir, order) {
                Ok(()) => {}
                Err(PrepareError::Order(reason)) => return Submitted::Refused(reason),
                Err(error @ PrepareError::Machine { .. }) => {
                    return Submitted::Later(LATER, error.to_string());
                }
            }
        }
        let dir = job.control_dir(&self.runs);
        if let Err(error) = fs::create_dir(&dir) {
            if error.kind() == io::ErrorKind::AlreadyExists {
                return Submitted::Unknown("another controller is starting the same task".to_owned());
            }
            return Submitted::Later(LATER, format!("failed to make {}: {error}", dir.display()));
        }
        let written = serde_json::to_vec(&plan).map_err(io::Error::from);
        let written = written.and_then(|order| write(&dir.join(ORDER), &order));
        match written.and_then(|()| self.spawn(&dir)) {
            Ok(child) => {
                self.jobs().known.insert(job, Job { child: Some(child), ..Job::default() });
                Submitted::Accepted(job.handle())
            }
            // Nothing runs. The directory stays, because a number is never used twice: the next try voids it.
            Err(error) => {
                let program = self.supervisor.first().map(|program| program.to_string_lossy().into_owned());
                let program = program.unwrap_or_default();
                let wait = Span(LATER.0 * u64::from(job.number).min(LATER_FACTOR));
                Submitted::Later(wait, format!("failed to start the task's supervisor ({program}): {error}"))
            }
        }
    }

    fn spawn(&self, dir: &Path) -> io::Result<Child> {
        let (program, args) =
            self.supervisor.split_first().ok_or_else(|| io::Error::other("no supervisor command is set"))?;
        let mut command = Command::new(program);
        // Shown by `ps`. Its working directory is one that lives as long as the job.
        command.arg0("retrial").args(args).arg(dir).current_dir(dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }

    /// Whether a task was or may yet be started; if not, makes sure that it stays so, and gives the number of the
    /// next incarnation.
    fn settle(&self, key: &SubmissionKey) -> io::Result<Settled> {
        for number in 1..=MAX_INCARNATIONS {
            let job = Incarnation { key: *key, number };
            let dir = job.control_dir(&self.runs);
            if !dir.try_exists()? {
                return Ok(Settled::Free(number));
            }
            if self.jobs().is_child_alive(job) {
                return Ok(Settled::Exists(job));
            }
            match claim::look(&dir)? {
                Seen::Void if !dir.join(STOP).exists() => {}
                Seen::None if claim::void(&dir)? => {}
                _ => return Ok(Settled::Exists(job)),
            }
        }
        Err(io::Error::other(format!("{key} has been tried {MAX_INCARNATIONS} times")))
    }

    fn find(&self, key: &SubmissionKey) -> Found {
        match self.settle(key) {
            Ok(Settled::Exists(job)) => Found::One(job.handle()),
            Ok(Settled::Free(_)) => Found::NoneForSure,
            Err(error) => Found::Unknown(format!("failed to look for {key}: {error}")),
        }
    }

    fn poll(&self, handles: &[JobHandle]) -> Vec<JobState> {
        self.jobs().sweep();
        handles.iter().map(|handle| self.state(handle)).collect()
    }

    fn state(&self, handle: &JobHandle) -> JobState {
        let Some(job) = Incarnation::parse(handle) else {
            return lost(None, format!("`{}` is no handle of the local backend", handle.0));
        };
        let alive = {
            let mut jobs = self.jobs();
            let alive = jobs.is_child_alive(job);
            // Known to run, without a look at any file.
            if let (true, Some(started)) = (alive, jobs.known.get(&job).and_then(|job| job.started)) {
                return JobState::Running { started };
            }
            alive
        };
        let dir = job.control_dir(&self.runs);
        let seen = match claim::look(&dir) {
            Ok(seen) => seen,
            Err(error) => return JobState::Unknown(format!("failed to look at {handle:?}: {error}")),
        };
        match seen {
            Seen::None => self.unclaimed(job, &dir, alive),
            Seen::Void if dir.join(STOP).exists() => {
                self.jobs().forget(job);
                JobState::Ended { started: None, ended: now(), outcome: Outcome::Stopped }
            }
            Seen::Void => {
                self.jobs().forget(job);
                lost(None, "its supervisor never began; nothing was started".to_owned())
            }
            Seen::Held { started: Some(started), .. } => {
                self.jobs().known.entry(job).or_default().started = Some(started);
                JobState::Running { started }
            }
            Seen::Held { started: None, .. } => JobState::Queued,
            Seen::Ended { started, at, outcome } => {
                self.jobs().forget(job);
                JobState::Ended { started, ended: at, outcome }
            }
            Seen::Abandoned { by, started } => {
                self.jobs().forget(job);
                lost(started, abandoned(by.as_ref(), &dir))
            }
        }
    }

    /// The state of a job whose supervisor has not claimed it (yet).
    fn unclaimed(&self, job: Incarnation, dir: &Path, alive: bool) -> JobState {
        if alive {
            return JobState::Queued;
        }
        if !dir.is_dir() {
            self.jobs().forget(job);
            return lost(None, "its directory is gone".to_owned());
        }
        {
            let mut jobs = self.jobs();
            let known = jobs.known.entry(job).or_default();
            let since = *known.unclaimed_since.get_or_insert_with(Instant::now);
            // A child that has ended without a claim will not claim; of a stranger one cannot know.
            if known.child.is_none() && since.elapsed() < CLAIM_WAIT {
                return JobState::Queued;
            }
        }
        match claim::void(dir) {
            Ok(true) => {
                self.jobs().forget(job);
                let why =
                    fs::read_to_string(dir.join(ERROR)).unwrap_or_else(|_| "nothing is known".to_owned());
                lost(None, format!("its supervisor ended before it began the task: {why}"))
            }
            // It was quicker: the next poll sees its claim.
            Ok(false) => JobState::Queued,
            Err(error) => JobState::Unknown(format!("failed to void a start: {error}")),
        }
    }

    fn read(&self, handle: &JobHandle, source: &Source, from: u64, limit: usize) -> Result<Chunk, ReadError> {
        let job = parse(handle)?;
        let dir = job.control_dir(&self.runs);
        match source {
            Source::Stdout => log::read(&dir, "stdout", from, limit),
            Source::Stderr => log::read(&dir, "stderr", from, limit),
            Source::Report => {
                let path = layout::attempt_dir(&self.runs, &job.key).join(layout::REPORT);
                log::read_file(&path, layout::REPORT, from, limit)
            }
            Source::Query(query) => Err(ReadError::Absent(format!("table for `{query}`"))),
            Source::File(name) => log::read_file(&workdir(&dir)?.join(name), name, from, limit),
        }
    }

    fn list(&self, handle: &JobHandle, name: &str) -> Result<Vec<String>, ReadError> {
        let job = parse(handle)?;
        let dir = workdir(&job.control_dir(&self.runs))?.join(name);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => ReadError::Absent(name.to_owned()),
            _ => ReadError::Failed { what: name.to_owned(), reason: error.to_string() },
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type().is_ok_and(|kind| !kind.is_dir())
                && let Ok(path) = Path::new(name).join(entry.file_name()).into_os_string().into_string()
            {
                found.push(path);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn stop(&self, handle: &JobHandle) -> Result<(), String> {
        let job = Incarnation::parse(handle)
            .ok_or_else(|| format!("`{}` is no handle of the local backend", handle.0))?;
        let dir = job.control_dir(&self.runs);
        // The file first: a supervisor that claims after this looks sees the file.
        match fs::write(dir.join(STOP), b"") {
            Ok(()) => {}
            // Removed together with its files: it has ended.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(format!("failed to ask for the end of {}: {error}", handle.0)),
        }
        let seen = claim::look(&dir).and_then(|seen| match seen {
            // Not begun: it need not begin at all.
            Seen::None if !claim::void(&dir)? => claim::look(&dir),
            seen => Ok(seen),
        });
        match seen {
            Ok(Seen::Held { by, .. }) => {
                by.signal(Signal::SIGTERM);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => Err(format!("failed to look at {}: {error}", handle.0)),
        }
    }
}

/// Whether a task may have been started.
enum Settled {
    /// It was, or will be.
    Exists(Incarnation),
    /// It was not and will not be: this incarnation may start it.
    Free(u32),
}

fn parse(handle: &JobHandle) -> Result<Incarnation, ReadError> {
    Incarnation::parse(handle).ok_or_else(|| ReadError::Failed {
        what: handle.0.clone(),
        reason: "it is no handle of the local backend".to_owned(),
    })
}

fn workdir(dir: &Path) -> Result<PathBuf, ReadError> {
    let plan = fs::read(dir.join(ORDER)).and_then(|text| Ok(serde_json::from_slice::<Plan>(&text)?));
    match plan {
        Ok(plan) => Ok(plan.workdir),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ReadError::Absent(ORDER.to_owned())),
        Err(error) => Err(ReadError::Failed { what: ORDER.to_owned(), reason: error.to_string() }),
    }
}

fn is_first_task(attempt: &Path, key: &SubmissionKey) -> bool {
    let own = format!("task-{}.", key.task);
    fs::read_dir(attempt).map_or(true, |entries| {
        !entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("task-") && !name.starts_with(&own)
        })
    })
}

fn abandoned(by: Option<&process::Identity>, dir: &Path) -> String {
    match by {
        Some(by) if by.boot == process::boot() => match process::end_orphans(by, dir) {
            0 => "the task's supervisor was killed, and the task with it".to_owned(),
            count => {
                format!("the task's supervisor was killed; {count} processes that it left behind were ended")
            }
        },
        _ => "the machine was restarted while the task ran".to_owned(),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn lost(started: Option<Timestamp>, reason: String) -> JobState {
    JobState::Ended { started, ended: now(), outcome: Outcome::Lost { reason } }
}
