//! The backend: trials as MaxCompute instances, on the port of backends.
//!
//! Each submission names itself by a Guid. For SQL the service gives the instance of the first submission again; for runs of
//! algorithms it promises nothing, so that those are looked for by their Guid for some time before anything is sent again.
//! Begin with [`MaxComputeBackend`].

use super::advice::{mistake, told};
use super::api::{InstanceFilter, MaxCompute};
use super::config::Config;
use super::fault::is_the_tasks_fault;
use super::handle::{InstanceName, Place};
use super::job::Job;
use super::model::{Instance, InstanceStatus, Stage};
use super::projects::Projects;
use super::query;
use super::settings::Setup;
use super::watch::{End, Matches, Seen, Sight};
use crate::cloud::client::{CallError, Effect};
use crate::cloud::codes;
use crate::cloud::handle::in_order;
use crate::cloud::locked::locked;
use crate::cloud::retry::Repeat;
use crate::cloud::world::World;
use async_trait::async_trait;
use engine::error::SpecError;
use engine::event::v1::Outcome;
use engine::id::SubmissionKey;
use engine::ports::backend::{
    Backend, Capabilities, Chunk, Found, Idempotency, JobHandle, JobState, ReadError, Reports, Source,
    Submitted, TaskOrder,
};
use engine::time::Span;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where the settings stand in an experiment file.
pub const PATH: &str = "run.maxcompute";
/// Instances asked for in one poll: a list names all that run, whatever their number.
const POLL_BATCH: usize = 10_000;
/// Instances that one poll looks at by themselves. When thousands end together, what is seen of the first is told before
/// the last was looked at.
const LOOKS: usize = 20;
/// Time until a submission is tried again that the service refuses for a reason which is not the task's.
const LATER: Span = Span::from_secs(30);
/// Submissions of which is remembered which instance is theirs.
const REMEMBERED: usize = 1_000_000;
/// Hours that a link to the console is good for.
const LINK_HOURS: u32 = 24;

/// What the backend has from outside.
pub struct Parts {
    /// Clients and credentials.
    pub projects: Projects,
    /// Time.
    pub world: Arc<dyn World>,
    /// What other tools of MaxCompute are set up with here.
    pub setup: Setup,
    /// Time between two polls.
    pub poll_interval: Duration,
}

/// Runs tasks as MaxCompute instances.
#[derive(Clone)]
pub struct MaxComputeBackend {
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    /// The instance of each submission that this process knows.
    taken: Mutex<BTreeMap<SubmissionKey, String>>,
    /// Whose the instances are that were looked at.
    seen: Seen,
    /// Since when a submission is looked for in vain.
    doubts: Mutex<BTreeMap<SubmissionKey, Duration>>,
    /// Instances that the service does not know, and since when.
    missing: Mutex<BTreeMap<String, Duration>>,
    /// Instances that were looked at by themselves so far, so that each of many has its turn.
    looks: AtomicUsize,
}

/// A task that can be submitted.
struct Ready {
    config: Config,
    job: Job,
    place: Place,
    client: Arc<MaxCompute>,
}

impl MaxComputeBackend {
    /// A backend of these parts.
    pub fn new(parts: Parts) -> Self {
        Self {
            shared: Arc::new(Shared {
                parts,
                taken: Mutex::default(),
                seen: Seen::default(),
                doubts: Mutex::default(),
                missing: Mutex::default(),
                looks: AtomicUsize::default(),
            }),
        }
    }
}

impl Shared {
    fn ready(&self, order: &TaskOrder) -> Result<Ready, Vec<SpecError>> {
        let (config, mut errors) = Config::read(&order.config, PATH, &self.parts.setup);
        let job = config.job(&order.command, PATH);
        let job = job.map_err(|more| errors.extend(more)).ok();
        let (Some(job), Some(endpoint), true) = (job, config.endpoint.clone(), errors.is_empty()) else {
            return Err(errors);
        };
        let place = Place { endpoint, project: config.defaults.project.clone(), who: config.who.clone() };
        let client = self.parts.projects.at(&place);
        let client = client.map_err(|reason| vec![SpecError::new(codes::NO_CLIENT, PATH, reason, "")])?;
        Ok(Ready { config, job: job.with_guid(guid(&order.key)), place, client })
    }

    /// The instances of a submission, the first that was begun first, and whether all were seen.
    async fn search(&self, ready: &Ready, order: &TaskOrder) -> Result<Matches, CallError> {
        ready.client.find(&ready.job, order.planned, &self.seen).await
    }

    fn name(&self, ready: &Ready, key: &SubmissionKey, id: &str) -> JobHandle {
        self.take(key, id);
        locked(&self.doubts).remove(key);
        InstanceName { id: id.to_owned(), key: *key, place: ready.place.clone() }.handle()
    }

    fn take(&self, key: &SubmissionKey, id: &str) {
        let mut taken = locked(&self.taken);
        if taken.get(key).is_some_and(|known| known == id) {
            return;
        }
        self.seen.note(id, guid(key));
        taken.insert(*key, id.to_owned());
        if taken.len() > REMEMBERED {
            taken.pop_first();
        }
    }

    async fn submit(&self, order: &TaskOrder) -> Submitted {
        let ready = match self.ready(order) {
            Ok(ready) => ready,
            Err(errors) => return Submitted::Refused(all(&errors)),
        };
        let key = &order.key;
        let taken = locked(&self.taken).get(key).cloned();
        if let Some(id) = taken {
            return Submitted::AlreadyExists(self.name(&ready, key, &id));
        }
        match self.search(&ready, order).await {
            Ok(Matches { found, .. }) => {
                if let Some(id) = found.first() {
                    return Submitted::AlreadyExists(self.name(&ready, key, id));
                }
            }
            // Nothing was sent yet.
            Err(error) => return Submitted::Later(later(&error), told(&error)),
        }
        match ready.client.create(&ready.job, Repeat::Never).await {
            Ok(created) => Submitted::Accepted(self.name(&ready, key, &created.id)),
            Err(error) if error.effect == Effect::Unknown => {
                locked(&self.doubts).insert(*key, self.parts.world.steady());
                Submitted::Unknown(error.to_string())
            }
            Err(error) if error.effect == Effect::Nothing && is_the_tasks_fault(&error) => {
                Submitted::Refused(error.to_string())
            }
            Err(error) => Submitted::Later(later(&error), told(&error)),
        }
    }

    async fn find(&self, order: &TaskOrder) -> Found {
        let ready = match self.ready(order) {
            Ok(ready) => ready,
            Err(errors) => return Found::Unknown(all(&errors)),
        };
        let key = &order.key;
        let taken = locked(&self.taken).get(key).cloned();
        if let Some(id) = taken {
            return Found::One(self.name(&ready, key, &id));
        }
        let now = self.parts.world.steady();
        let since = *locked(&self.doubts).entry(*key).or_insert(now);
        let Matches { mut found, complete, .. } = match self.search(&ready, order).await {
            Ok(matches) => matches,
            Err(error) => return Found::Unknown(error.to_string()),
        };
        if found.len() > 1 {
            let handles = found.drain(..).rev().map(|id| self.name(&ready, key, &id)).collect::<Vec<_>>();
            return Found::Several(handles.into_iter().rev().collect());
        }
        if let Some(id) = found.first() {
            return Found::One(self.name(&ready, key, id));
        }
        if !complete {
            return Found::NoneYet;
        }
        // Whoever sends the same SQL under the same name again is given the first instance.
        let certain = ready.job.is_sql() || now >= since + Duration::from_millis(ready.config.wait.0);
        match (certain, ready.config.strict) {
            (true, false) => {
                locked(&self.doubts).remove(key);
                Found::NoneForSure
            }
            (true, true) => Found::NotAgain(format!(
                "no instance has the Guid `{}`, and with `strict` nothing is sent again",
                guid(key)
            )),
            (false, _) => Found::NoneYet,
        }
    }

    /// The states of instances of one place: one list of all that run, and a look at some that are not in it.
    async fn states(&self, place: &Place, names: &[&InstanceName]) -> BTreeMap<String, JobState> {
        let unknown = |reason: &str| {
            names.iter().map(|name| (name.id.clone(), JobState::Unknown(reason.to_owned()))).collect()
        };
        let client = match self.parts.projects.at(place) {
            Ok(client) => client,
            Err(reason) => return unknown(&reason),
        };
        let running: BTreeMap<String, Instance> = if names.len() > 1 {
            let filter =
                InstanceFilter { status: Some("Running".to_owned()), own: true, ..InstanceFilter::default() };
            match client.list_all(&filter).await {
                Ok(list) => {
                    list.instances.into_iter().map(|instance| (instance.id.clone(), instance)).collect()
                }
                Err(error) => return unknown(&error.to_string()),
            }
        } else {
            BTreeMap::new()
        };
        let mut states = BTreeMap::new();
        let mut others = Vec::new();
        for name in names {
            let state = if let Some(instance) = running.get(&name.id) {
                state_of(&self.parts, instance, None)
            } else {
                others.push(&name.id);
                JobState::Unknown("it does not run; one of the next polls says what became of it".to_owned())
            };
            states.insert(name.id.clone(), state);
        }
        let count = others.len().min(LOOKS);
        let first = self.looks.fetch_add(count, Ordering::Relaxed) % others.len().max(1);
        for id in others.iter().cycle().skip(first).take(count) {
            states.insert((*id).clone(), self.look(&client, id).await);
        }
        states
    }

    async fn look(&self, client: &MaxCompute, id: &str) -> JobState {
        match client.look(id).await {
            Ok(Sight { instance, end }) => {
                locked(&self.missing).remove(id);
                state_of(&self.parts, &instance, end)
            }
            Err(error) if error.code == codes::NOT_FOUND => {
                let now = self.parts.world.steady();
                let since = *locked(&self.missing).entry(id.to_owned()).or_insert(now);
                if now < since + self.parts.poll_interval * 12 {
                    return JobState::Unknown(error.to_string());
                }
                locked(&self.missing).remove(id);
                let reason = format!("the service does not know the instance {id} any more: {error}");
                JobState::Ended {
                    started: None,
                    ended: self.parts.world.wall(),
                    outcome: Outcome::Lost { reason },
                }
            }
            Err(error) => JobState::Unknown(error.to_string()),
        }
    }

    async fn stop(&self, handle: &JobHandle) -> Result<(), String> {
        // Nothing of another backend runs here.
        let Some(name) = InstanceName::parse(handle) else { return Ok(()) };
        let client = self.parts.projects.at(&name.place)?;
        let Err(error) = client.terminate(&name.id).await else { return Ok(()) };
        if error.effect != Effect::Nothing {
            return Err(error.to_string());
        }
        // One that has ended cannot be ended: what counts is its state.
        match client.instance(&name.id).await {
            Ok(instance) if instance.status == InstanceStatus::Terminated => Ok(()),
            Err(gone) if gone.code == codes::NOT_FOUND => Ok(()),
            _ => Err(error.to_string()),
        }
    }

    /// What is told of an instance: the texts that its tasks have given, or a link to the console.
    async fn text(&self, name: &InstanceName, source: &Source) -> Result<String, ReadError> {
        let failed = |reason: String| ReadError::Failed { what: name.handle().0, reason };
        let client = self.parts.projects.at(&name.place).map_err(failed)?.for_output();
        if *source == Source::Stderr {
            let link =
                client.logview(&name.id, LINK_HOURS).await.map_err(|error| failed(error.to_string()))?;
            let stages = progress(&client, &name.id).await.map_err(|error| failed(error.to_string()))?;
            return Ok(format!("{}\n{stages}", link.expose()));
        }
        let instance = client.instance(&name.id).await.map_err(|error| failed(error.to_string()))?;
        if instance.status != InstanceStatus::Terminated {
            return Ok(String::new());
        }
        let results = client.results(&name.id).await.map_err(|error| failed(error.to_string()))?;
        Ok(results.into_iter().map(|result| format!("{}\n", result.text.trim_end())).collect())
    }
}

/// How far the stages of an instance's tasks are, a line each.
async fn progress(client: &MaxCompute, id: &str) -> Result<String, CallError> {
    let mut lines = String::new();
    for task in client.tasks(id).await? {
        for Stage { id, terminated, total, percent, .. } in client.progress(id, &task.name).await? {
            lines.push_str(&format!(
                "{} {id}: {terminated} of {total} workers have ended, {percent} %\n",
                task.name
            ));
        }
    }
    Ok(lines)
}

/// What an instance's state is for its task.
fn state_of(parts: &Parts, instance: &Instance, end: Option<End>) -> JobState {
    let now = parts.world.wall();
    let started = instance.started;
    let ended = |outcome| {
        let ended = instance.ended.unwrap_or(now);
        JobState::Ended { started: started.map(|started| started.min(ended)), ended, outcome }
    };
    match (end, &instance.status) {
        (Some(End::Succeeded), _) => ended(Outcome::Succeeded),
        (Some(End::Cancelled), _) => ended(Outcome::Stopped),
        (Some(End::Failed(failure)), _) => {
            let reason = failure.to_string();
            ended(if failure.is_passing() {
                Outcome::Lost { reason }
            } else {
                Outcome::Failed { exit: None, signal: None, reason }
            })
        }
        (Some(End::Unclear(reason)), _) => JobState::Unknown(reason),
        (None, InstanceStatus::Unknown(status)) => JobState::Unknown(format!("unknown status `{status}`")),
        (None, InstanceStatus::Suspended) => JobState::Queued,
        (None, InstanceStatus::Running | InstanceStatus::Terminated) => {
            JobState::Running { started: started.unwrap_or(now) }
        }
    }
}

/// What names a submission at the service: the same for every copy of it, and another one for each attempt.
fn guid(key: &SubmissionKey) -> String {
    format!("retrial-{key}")
}

#[async_trait]
impl Backend for MaxComputeBackend {
    fn name(&self) -> &'static str {
        "maxcompute"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            idempotency: Idempotency::FindByKey,
            poll_batch: POLL_BATCH,
            poll_interval: Span(self.shared.parts.poll_interval.as_millis() as u64),
            // One list names all that run.
            poll_rest: Span(0),
            reports: Reports::File,
        }
    }

    fn preview(&self, order: &TaskOrder) -> Result<serde_json::Value, Vec<SpecError>> {
        let (config, mut errors) = Config::read(&order.config, PATH, &self.shared.parts.setup);
        match config.job(&order.command, PATH) {
            Ok(job) if errors.is_empty() => {
                let body = job.with_guid(guid(&order.key)).document();
                Ok(serde_json::Value::String(String::from_utf8_lossy(&body).into_owned()))
            }
            Ok(_) => Err(errors),
            Err(more) => {
                errors.extend(more);
                Err(errors)
            }
        }
    }

    async fn check(&self, order: &TaskOrder) -> Result<(), SpecError> {
        let ready = self.shared.ready(order).map_err(|mut errors| errors.remove(0))?;
        let asked = ready.client.project().await;
        asked.map(|_| ()).map_err(|error| mistake(error, PATH))
    }

    async fn submit(&self, order: &TaskOrder) -> Submitted {
        self.shared.submit(order).await
    }

    async fn find(&self, order: &TaskOrder) -> Found {
        self.shared.find(order).await
    }

    async fn poll(&self, handles: &[JobHandle]) -> Vec<JobState> {
        let names: Vec<Option<InstanceName>> = handles.iter().map(InstanceName::parse).collect();
        let mut places: BTreeMap<&Place, Vec<&InstanceName>> = BTreeMap::new();
        for name in names.iter().flatten() {
            self.shared.take(&name.key, &name.id);
            places.entry(&name.place).or_default().push(name);
        }
        let mut states = BTreeMap::new();
        for (place, instances) in places {
            let of_place = self.shared.states(place, &instances).await;
            states.extend(of_place.into_iter().map(|(id, state)| ((place, id), state)));
        }
        let state = |name: &InstanceName| states.get(&(&name.place, name.id.clone())).cloned();
        in_order(handles, &names, state, "MaxCompute", self.shared.parts.world.wall())
    }

    async fn read(
        &self,
        handle: &JobHandle,
        source: &Source,
        from: u64,
        limit: usize,
    ) -> Result<Chunk, ReadError> {
        let name = InstanceName::parse(handle).ok_or_else(|| ReadError::Failed {
            what: handle.0.clone(),
            reason: "it is no MaxCompute instance".to_owned(),
        })?;
        let text = match source {
            Source::Query(sql) => {
                let failed = |reason: String| ReadError::Failed { what: format!("`{sql}`"), reason };
                let client = self.shared.parts.projects.at(&name.place).map_err(failed)?.for_output();
                query::row(&client, &*self.shared.parts.world, &self.shared.parts.setup, sql).await?
            }
            Source::Stdout | Source::Stderr => self.shared.text(&name, source).await?,
            Source::Report | Source::File(_) => {
                return Err(ReadError::Absent("file: MaxCompute has tables only".to_owned()));
            }
        };
        let rest =
            usize::try_from(from).ok().and_then(|from| text.as_bytes().get(from..)).unwrap_or_default();
        let bytes = rest.get(..limit).unwrap_or(rest).to_vec();
        Ok(Chunk { at_end: bytes.len() == rest.len(), start: from, bytes })
    }

    async fn stop(&self, handle: &JobHandle) -> Result<(), String> {
        self.shared.stop(handle).await
    }

    fn cleaning(&self, order: &TaskOrder) -> Vec<String> {
        Config::read(&order.config, PATH, &self.shared.parts.setup).0.clean
    }

    async fn clean(&self, order: &TaskOrder, command: &str) -> Result<(), String> {
        let ready = self.shared.ready(order).map_err(|errors| all(&errors))?;
        let ran = query::ran(&ready.client, &*self.shared.parts.world, command, &ready.config.defaults).await;
        ran.map(|_| ()).map_err(|error| error.to_string())
    }
}

/// When a submission is tried again that did not arrive.
fn later(error: &CallError) -> Span {
    match error.effect {
        Effect::NothingYet(wait) => wait,
        Effect::Nothing | Effect::Unknown => LATER,
    }
}

fn all(errors: &[SpecError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
