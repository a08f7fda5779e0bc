//! The backend: trials as DLC jobs, on the port of backends.
//!
//! The service has no idempotency token. So before a job is created its submission is looked for; a request whose answer
//! was lost is never sent again before searches have shown for long enough that it did not arrive; and what arrives all
//! the same is found by its marks and stopped. Read [`DlcBackend`] first, then [`super::reconcile`] and [`super::sweep`].

use super::advice::{mistake, told};
use super::api::Dlc;
use super::body::Body;
use super::config::Config;
use super::evidence;
use super::failure::{LATER_POLLS, is_gone, is_the_tasks_fault};
use super::handle::{JobName, Place};
use super::model::{Job, Status};
use super::query::{EARLIEST, JobFilter, PAGE_SIZE};
use super::reconcile::Doubt;
use super::regions::{Region, Regions};
use super::search::{jobs_of, stop_others};
use super::setup::Filled;
use super::status::Seen;
use super::sweeper::Sweeper;
use super::templates::{self, Trouble};
use crate::cloud::client::Effect;
use crate::cloud::codes;
use crate::cloud::handle::in_order;
use crate::cloud::locked::locked;
use crate::cloud::world::World;
use crate::files::Address;
use async_trait::async_trait;
use engine::error::SpecError;
use engine::event::v1::Outcome;
use engine::id::SubmissionKey;
use engine::ports::backend::{
    Backend, Capabilities, Chunk, Found, Idempotency, JobHandle, JobState, ReadError, Reports, Source,
    Submitted, TaskOrder,
};
use engine::time::{Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where the settings stand in an experiment file.
pub const PATH: &str = "run.dlc";
/// Jobs of which is remembered that they have ended or are missing; of more, some are forgotten and asked for again.
const REMEMBERED: usize = 100_000;
/// The longest rest of a job between two polls, in intervals.
const MAX_REST: u32 = 12;

/// Reads a file by the folder from which it counts and its name.
pub type JobFiles = Arc<dyn Fn(&str, &str) -> Result<String, String> + Send + Sync>;
/// Gives a variable of the environment.
pub type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What the backend has from outside.
pub struct Parts {
    /// Clients and credentials.
    pub regions: Regions,
    /// Time.
    pub world: Arc<dyn World>,
    /// Reads the job files of `dlc submit` lines: of a folder, that of the experiment file, and a name.
    pub job_files: JobFiles,
    /// Secrets of the experiment file.
    pub variables: Variables,
    /// Time between two polls.
    pub poll_interval: Duration,
}

/// Runs tasks as DLC jobs, at most once per key as far as the service allows, and finds them again after a crash.
#[derive(Clone)]
pub struct DlcBackend {
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    sweeper: Arc<Sweeper>,
    doubts: Mutex<BTreeMap<SubmissionKey, Doubt>>,
    /// Jobs that were seen to have ended.
    over: Mutex<BTreeSet<String>>,
    /// Jobs that the service does not know, and since when.
    missing: Mutex<BTreeMap<String, Duration>>,
}

/// A task that can be submitted.
struct Ready {
    config: Config,
    body: Body,
    place: Place,
    region: Arc<Region>,
}

impl DlcBackend {
    /// A backend of these parts.
    pub fn new(parts: Parts) -> Self {
        let sweeper = Arc::new(Sweeper::new(Arc::clone(&parts.world), parts.poll_interval));
        let shared = Shared {
            parts,
            sweeper,
            doubts: Mutex::default(),
            over: Mutex::default(),
            missing: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Shared {
    fn read(&self, order: &TaskOrder, templates: &[Filled]) -> Result<(Config, Body), Vec<SpecError>> {
        let dir = order.bindings.iter().find(|(name, _)| name == "spec_dir");
        let dir = dir.map_or("", |(_, dir)| dir.as_str());
        Body::new(order, PATH, &|name| (self.parts.job_files)(dir, name), templates)
    }

    fn ready(&self, order: &TaskOrder) -> Result<Ready, Vec<SpecError>> {
        let (config, body) = self.read(order, &[])?;
        let endpoint = config.endpoint(PATH).map_err(|error| vec![error])?;
        let (workspace, oss) = (body.workspace().to_owned(), config.oss());
        let place = Place { endpoint, workspace, who: config.who.clone(), oss };
        let region = self.parts.regions.at(&place);
        let region = region.map_err(|reason| vec![SpecError::new(codes::NO_CLIENT, PATH, reason, "")])?;
        Ok(Ready { config, body, place, region })
    }

    fn name(&self, ready: &Ready, key: &SubmissionKey, id: &str) -> JobHandle {
        self.sweeper.take(*key, id, &ready.place);
        let reserve = ready.body.reserves();
        JobName { id: id.to_owned(), key: *key, place: ready.place.clone(), reserve }.handle()
    }

    async fn submit(&self, order: &TaskOrder) -> Submitted {
        let mut ready = match self.ready(order) {
            Ok(ready) => ready,
            Err(errors) => return Submitted::Refused(all(&errors)),
        };
        if !order.templates.is_empty() {
            let filled = match templates::fill(order, &ready.region.files).await {
                Ok(filled) => filled,
                Err(Trouble::Order(reason)) => return Submitted::Refused(reason),
                Err(Trouble::Later(reason)) => return Submitted::Later(self.later(), reason),
            };
            ready.body = match self.read(order, &filled) {
                Ok((_, body)) => body,
                Err(errors) => return Submitted::Refused(all(&errors)),
            };
        }
        let bytes = match ready.body.to_send(PATH, &*self.parts.variables) {
            Ok(bytes) => bytes,
            // The environment can be mended, and the task is not to blame.
            Err(error) => return Submitted::Later(self.later(), error.to_string()),
        };
        let key = &order.key;
        if let Some(id) = self.sweeper.taken(key) {
            return Submitted::AlreadyExists(self.name(&ready, key, &id));
        }
        match jobs_of(&ready.region.dlc, &ready.place, key).await.as_deref() {
            Ok([]) => {}
            Ok([first, ..]) => return Submitted::AlreadyExists(self.name(&ready, key, &first.job_id)),
            // Nothing was sent yet.
            Err(error) => return Submitted::Later(error.wait().unwrap_or(self.later()), told(error)),
        }
        match ready.region.dlc.create_job(bytes.expose().clone()).await {
            Ok(id) => Submitted::Accepted(self.name(&ready, key, &id)),
            Err(error) if error.effect == Effect::Unknown => {
                locked(&self.doubts).insert(*key, Doubt::new(self.parts.world.steady()));
                Submitted::Unknown(error.to_string())
            }
            Err(error) if error.effect == Effect::Nothing && is_the_tasks_fault(&error) => {
                Submitted::Refused(told(&error))
            }
            Err(error) => Submitted::Later(error.wait().unwrap_or(self.later()), told(&error)),
        }
    }

    async fn find(&self, order: &TaskOrder) -> Found {
        let ready = match self.ready(order) {
            Ok(ready) => ready,
            Err(errors) => return Found::Unknown(all(&errors)),
        };
        let key = &order.key;
        let now = self.parts.world.steady();
        let found = jobs_of(&ready.region.dlc, &ready.place, key).await;
        let mut doubts = locked(&self.doubts);
        match found.as_deref() {
            Err(error) => {
                doubts.entry(*key).or_insert_with(|| Doubt::new(now)).interrupted();
                Found::Unknown(told(error))
            }
            Ok([]) => {
                let doubt = doubts.entry(*key).or_insert_with(|| Doubt::new(now));
                let certain = doubt.found_nothing(&ready.config.reconcile, now);
                if ready.config.strict {
                    let reason = format!(
                        "the service shows no job with `{key}` in its name, and with `strict` nothing is sent again"
                    );
                    return if certain { Found::NotAgain(reason) } else { Found::Undecided(reason) };
                }
                if certain {
                    doubts.remove(key);
                    return Found::NoneForSure;
                }
                Found::NoneYet
            }
            Ok([first]) => {
                doubts.remove(key);
                Found::One(self.name(&ready, key, &first.job_id))
            }
            Ok(several) => {
                doubts.remove(key);
                let named = |job: &Job| {
                    let place = ready.place.clone();
                    JobName { id: job.job_id.clone(), key: *key, place, reserve: false }.handle()
                };
                let mut handles: Vec<JobHandle> = several.iter().map(named).collect();
                if let (Some(first), Some(job)) = (handles.first_mut(), several.first()) {
                    *first = self.name(&ready, key, &job.job_id);
                }
                Found::Several(handles)
            }
        }
    }

    /// The states of jobs of one place.
    async fn states(&self, place: &Place, jobs: &[&JobName]) -> BTreeMap<String, JobState> {
        let unknown = |reason: &str| {
            jobs.iter().map(|job| (job.id.clone(), JobState::Unknown(reason.to_owned()))).collect()
        };
        let region = match self.parts.regions.at(place) {
            Ok(region) => region,
            Err(reason) => return unknown(&reason),
        };
        let filter = JobFilter {
            workspace_id: Some(place.workspace.clone()).filter(|id| !id.is_empty()),
            job_ids: Some(jobs.iter().map(|job| job.id.clone()).collect()),
            start_time: Some(EARLIEST),
            page_number: Some(1),
            page_size: Some(PAGE_SIZE),
            ..JobFilter::default()
        };
        let listed = match region.dlc.list_jobs(&filter).await {
            Ok(page) => page.jobs,
            Err(error) => return unknown(&told(&error)),
        };
        let listed: BTreeMap<&str, &Job> = listed.iter().map(|job| (job.job_id.as_str(), job)).collect();
        let mut states = BTreeMap::new();
        for job in jobs {
            let at = region.dlc.client().now();
            let state = match listed.get(job.id.as_str()) {
                Some(seen) if is_quiet(seen) => Seen::from(*seen).state(at),
                // What has changed is asked for by itself: a list tells less, and tells it later.
                _ => self.state(&region.dlc, job, at).await,
            };
            if !matches!(state, JobState::Unknown(_)) {
                locked(&self.missing).remove(&job.id);
            }
            if matches!(state, JobState::Ended { .. }) {
                // Nobody looks for copies of its submission any more when the experiment ends with it.
                if let Err(error) = stop_others(&region.dlc, place, &job.key, &job.id).await {
                    states.insert(job.id.clone(), JobState::Unknown(error.to_string()));
                    continue;
                }
                let mut over = locked(&self.over);
                if over.len() >= REMEMBERED {
                    over.pop_first();
                }
                over.insert(job.id.clone());
            }
            states.insert(job.id.clone(), state);
        }
        states
    }

    /// The state of one job, from the service's own word on it.
    async fn state(&self, dlc: &Dlc, name: &JobName, at: Timestamp) -> JobState {
        match dlc.get_job(&name.id, None).await {
            Ok(job) if job.deleted && !job.status.is_over() => {
                lost(at, format!("job {} was deleted while it was {}", name.id, job.status_name))
            }
            Ok(job) => {
                if job.status.holds_machines()
                    && !name.reserve
                    && let Err(reason) = self.release(dlc, &name.id).await
                {
                    return JobState::Unknown(reason);
                }
                if let JobState::Ended { outcome, ended, .. } = Seen::from(&job).state(at)
                    && !matches!(outcome, Outcome::Succeeded | Outcome::Stopped)
                    && job.ended.is_some()
                    && at < ended.after(Span(self.drain().as_millis() as u64))
                {
                    let reason = "its last lines, which say why it has ended, may be on their way";
                    return JobState::Unknown(reason.to_owned());
                }
                evidence::state(dlc, &job, at).await
            }
            Err(error) if is_gone(&error) => {
                let now = self.parts.world.steady();
                let mut missing = locked(&self.missing);
                if missing.len() >= REMEMBERED {
                    missing.pop_first();
                }
                let since = *missing.entry(name.id.clone()).or_insert(now);
                if now < since + self.parts.poll_interval * 12 {
                    return JobState::Unknown(error.to_string());
                }
                missing.remove(&name.id);
                lost(at, format!("the service does not know job {} any more: {error}", name.id))
            }
            Err(error) => JobState::Unknown(told(&error)),
        }
    }

    /// When a person may have cured what keeps a task from being submitted.
    fn later(&self) -> Span {
        Span((self.parts.poll_interval * LATER_POLLS).as_millis() as u64)
    }

    /// How long after a job's end lines of it may come.
    fn drain(&self) -> Duration {
        self.parts.poll_interval * 3
    }

    /// Gives the machines of a job back whose work is over; an error if that has to be tried again.
    async fn release(&self, dlc: &Dlc, id: &str) -> Result<(), String> {
        match dlc.stop_job(id).await {
            Ok(()) => Ok(()),
            Err(error) if error.effect == Effect::Nothing => {
                tracing::warn!(job = id, %error, "failed to release the machines of a job that has ended");
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    async fn stop(&self, handle: &JobHandle) -> Result<(), String> {
        // Nothing of another backend runs here.
        let Some(name) = JobName::parse(handle) else { return Ok(()) };
        let region = self.parts.regions.at(&name.place)?;
        let Err(error) = region.dlc.stop_job(&name.id).await else { return Ok(()) };
        if error.effect != Effect::Nothing {
            return Err(error.to_string());
        }
        // A job that has ended cannot be stopped: what counts is its state.
        match region.dlc.get_job(&name.id, Some(false)).await {
            Ok(job) if job.status.is_over() || job.status == Status::Stopping => Ok(()),
            Err(gone) if is_gone(&gone) => Ok(()),
            Ok(_) => Err(error.to_string()),
            Err(other) => Err(format!("{error}; {other}")),
        }
    }
}

#[async_trait]
impl Backend for DlcBackend {
    fn name(&self) -> &'static str {
        "dlc"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotency: Idempotency::FindByKey,
            poll_batch: PAGE_SIZE as usize,
            poll_interval: Span(self.shared.parts.poll_interval.as_millis() as u64),
            poll_rest: Span((self.shared.parts.poll_interval * MAX_REST).as_millis() as u64),
            reports: Reports::Stdout,
        }
    }

    fn preview(&self, order: &TaskOrder) -> Result<serde_json::Value, Vec<SpecError>> {
        let failed = |reason| vec![SpecError::new(codes::REQUEST_REFUSED, "run.dlc.templates", reason, "")];
        let templates = templates::preview(order).map_err(failed)?;
        self.shared.read(order, &templates).map(|(_, body)| body.shown())
    }

    async fn check(&self, order: &TaskOrder) -> Result<(), SpecError> {
        let ready = self.shared.ready(order).map_err(|mut errors| errors.remove(0))?;
        ready.body.to_send(PATH, &*self.shared.parts.variables)?;
        let filter = JobFilter {
            workspace_id: Some(ready.place.workspace.clone()).filter(|id| !id.is_empty()),
            page_size: Some(1),
            ..JobFilter::default()
        };
        let asked = ready.region.dlc.list_jobs(&filter).await;
        asked.map(|_| ()).map_err(|error| mistake(error, PATH))
    }

    async fn submit(&self, order: &TaskOrder) -> Submitted {
        self.shared.submit(order).await
    }

    async fn find(&self, order: &TaskOrder) -> Found {
        self.shared.find(order).await
    }

    async fn poll(&self, handles: &[JobHandle]) -> Vec<JobState> {
        let names: Vec<Option<JobName>> = handles.iter().map(JobName::parse).collect();
        let mut places: BTreeMap<&Place, Vec<&JobName>> = BTreeMap::new();
        for name in names.iter().flatten() {
            self.shared.sweeper.take(name.key, &name.id, &name.place);
            places.entry(&name.place).or_default().push(name);
        }
        let mut states = BTreeMap::new();
        for (place, jobs) in places {
            let of_place = self.shared.states(place, &jobs).await;
            states.extend(of_place.into_iter().map(|(id, state)| ((place, id), state)));
            if let Ok(region) = self.shared.parts.regions.at(place) {
                self.shared.sweeper.begin(place, &region.dlc);
            }
        }
        let state = |name: &JobName| states.get(&(&name.place, name.id.clone())).cloned();
        in_order(handles, &names, state, "DLC", self.shared.parts.world.wall())
    }

    async fn read(
        &self,
        handle: &JobHandle,
        source: &Source,
        from: u64,
        limit: usize,
    ) -> Result<Chunk, ReadError> {
        let failed = |reason: String| ReadError::Failed { what: handle.0.clone(), reason };
        let name = JobName::parse(handle).ok_or_else(|| failed("it is no DLC job".to_owned()))?;
        match source {
            // What DLC keeps of a job has both in one.
            Source::Stdout | Source::Stderr => {
                let region = self.shared.parts.regions.at(&name.place).map_err(failed)?;
                let ended = locked(&self.shared.over).contains(&name.id);
                region.logs.read(&name.id, ended, from, limit).await
            }
            Source::Report => Err(ReadError::Absent("file of reports: they are among the output".to_owned())),
            Source::Query(_) => Err(ReadError::Absent("table: DLC has none".to_owned())),
            Source::File(path) => {
                let region = self.shared.parts.regions.at(&name.place).map_err(failed)?;
                region.files.read(&Address::parse(path)?, from, limit).await
            }
        }
    }

    async fn list(&self, handle: &JobHandle, dir: &str) -> Result<Vec<String>, ReadError> {
        let failed = |reason: String| ReadError::Failed { what: handle.0.clone(), reason };
        let name = JobName::parse(handle).ok_or_else(|| failed("it is no DLC job".to_owned()))?;
        let region = self.shared.parts.regions.at(&name.place).map_err(failed)?;
        Ok(region.files.list(&Address::parse(dir)?).await?)
    }

    async fn stop(&self, handle: &JobHandle) -> Result<(), String> {
        self.shared.stop(handle).await
    }
}

/// Whether a list says all that matters of a job: it waits, or runs since a time that is known.
fn is_quiet(job: &Job) -> bool {
    match job.status {
        Status::Waiting | Status::Unknown => !job.deleted,
        Status::Running | Status::Restarting | Status::Stopping => !job.deleted && job.running.is_some(),
        _ => false,
    }
}

fn lost(at: Timestamp, reason: String) -> JobState {
    JobState::Ended { started: None, ended: at, outcome: Outcome::Lost { reason } }
}

fn all(errors: &[SpecError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
