//! What became of an instance, and which instance a submission has created: several operations put together.
//!
//! Begin with [`MaxCompute::look`] and [`MaxCompute::find`].

use crate::cloud::client::{CallError, Effect};
use crate::cloud::locked::locked;
use crate::maxcompute::api::{InstanceFilter, MaxCompute};
use crate::maxcompute::fault::{Failure, is_the_tasks_fault};
use crate::maxcompute::job::Job;
use crate::maxcompute::model::{Instance, InstanceStatus, Task, TaskStatus};
use engine::time::{Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// So long before the time of a submission its instance is looked for: clocks differ, and a copy may have come earlier.
pub const SEARCH_WINDOW: Span = Span::from_secs(300);
/// Most instances of which is remembered whose they are. Their names begin with the time, so that the oldest go first.
const REMEMBERED: usize = 1_000_000;

/// How an instance has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Every task has done what it should.
    Succeeded,
    /// A task has failed.
    Failed(Failure),
    /// It was ended from outside.
    Cancelled,
    /// It has ended, and its tasks do not say how. Asking again may help.
    Unclear(String),
}

/// What was seen of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// How far it is.
    pub instance: Instance,
    /// Its end, if it has ended.
    pub end: Option<End>,
}

/// What a search for a submission has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matches {
    /// The instances with the submission's name.
    pub found: Vec<String>,
    /// Whether everything in the window was seen.
    pub complete: bool,
}

/// Whose the instances are that were looked at, so that one look at each is enough for all searches.
#[derive(Debug, Default)]
pub struct Seen {
    /// Who looks; the others find afterwards that they need not.
    turn: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The Guid of each instance that has one.
    guids: BTreeMap<String, String>,
    /// Instances that show none where SQL (`true`) or algorithms (`false`) show theirs; elsewhere they may.
    without: BTreeSet<(String, bool)>,
}

impl Seen {
    /// Remembers the Guid of an instance.
    pub fn note(&self, id: &str, guid: String) {
        let guids = &mut locked(&self.known).guids;
        guids.insert(id.to_owned(), guid);
        if guids.len() > REMEMBERED {
            guids.pop_first();
        }
    }

    fn note_without(&self, id: &str, sql: bool) {
        let without = &mut locked(&self.known).without;
        without.insert((id.to_owned(), sql));
        if without.len() > REMEMBERED {
            without.pop_first();
        }
    }

    /// Whether an instance is that of a job, if it is known.
    fn belongs(&self, id: &str, job: &Job) -> Option<bool> {
        let known = locked(&self.known);
        match known.guids.get(id) {
            Some(guid) => Some(job.guid() == Some(guid)),
            None => known.without.contains(&(id.to_owned(), job.is_sql())).then_some(false),
        }
    }
}

impl MaxCompute {
    /// How far an instance is and, once it has ended, how: one call while it runs, two when it succeeded, three or four
    /// when it failed.
    pub async fn look(&self, id: &str) -> Result<Sight, CallError> {
        let instance = self.instance(id).await?;
        let end = match instance.status {
            InstanceStatus::Terminated => Some(self.end(id).await?),
            InstanceStatus::Running | InstanceStatus::Suspended | InstanceStatus::Unknown(_) => None,
        };
        Ok(Sight { instance, end })
    }

    /// How an instance that is over has ended.
    pub async fn end(&self, id: &str) -> Result<End, CallError> {
        let tasks = self.tasks(id).await?;
        let with = |status: &TaskStatus| tasks.iter().find(|task| task.status == *status);
        if let Some(task) = with(&TaskStatus::Failed) {
            return Ok(End::Failed(self.failure(id, task).await?));
        }
        if with(&TaskStatus::Cancelled).is_some() {
            return Ok(End::Cancelled);
        }
        let open = tasks.iter().find(|task| task.status != TaskStatus::Success);
        Ok(match open {
            _ if tasks.is_empty() => End::Unclear("it has ended, and no task of it is known".to_owned()),
            Some(Task { name, status, .. }) => {
                End::Unclear(format!("it has ended, and its task {name} is said to be {status:?}"))
            }
            None => End::Succeeded,
        })
    }

    async fn failure(&self, id: &str, task: &Task) -> Result<Failure, CallError> {
        let results = self.results(id).await?;
        let mut said = results.into_iter().find(|result| result.name == task.name).map(|result| result.text);
        if said.as_deref().is_none_or(|said| said.trim().is_empty())
            && task.kind.eq_ignore_ascii_case("xflow")
        {
            // An algorithm's reason is that of its last step.
            let actions = self.actions(id).await?;
            said = actions.into_iter().map(|action| action.result).rfind(|result| !result.is_empty());
        }
        Ok(Failure::read(&said.unwrap_or_default()))
    }

    /// Looks for the instances that a submission has created, among those begun since [`SEARCH_WINDOW`] before
    /// `submitted`. A submission may still arrive when none is found.
    pub async fn find(&self, job: &Job, submitted: Timestamp, seen: &Seen) -> Result<Matches, CallError> {
        let from = Timestamp(submitted.0.saturating_sub_unsigned(SEARCH_WINDOW.0));
        let filter = InstanceFilter { from: Some(from), own: true, ..InstanceFilter::default() };
        let list = self.list_all(&filter).await?;
        let _turn = seen.turn.lock().await;
        let mut found = Vec::new();
        for Instance { id, .. } in list.instances {
            let belongs = match seen.belongs(&id, job) {
                Some(known) => known,
                None => self.belongs(&id, job, seen).await?,
            };
            if belongs {
                found.push(id);
            }
        }
        Ok(Matches { found, complete: list.complete })
    }

    /// Looks whether an instance is that of a job, and remembers whose it is.
    async fn belongs(&self, id: &str, job: &Job, seen: &Seen) -> Result<bool, CallError> {
        let source = if job.is_sql() { self.source(id).await } else { self.xflow_source(id).await };
        match source {
            Ok(source) if !source.guid.is_empty() => {
                let belongs = job.guid() == Some(&source.guid);
                seen.note(id, source.guid);
                Ok(belongs)
            }
            // An instance of another kind has no such source. Who may not look, or not now, knows nothing.
            Err(error) if error.effect != Effect::Nothing || !is_the_tasks_fault(&error) => Err(error),
            Ok(_) | Err(_) => {
                seen.note_without(id, job.is_sql());
                Ok(false)
            }
        }
    }
}
