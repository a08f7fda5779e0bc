//! What became of an instance, and which instance a submission has created: several operations put together.
//!
//! Begin with [`MaxCompute::look`] and [`MaxCompute::find`].

use crate::cloud::client::{CallError, Effect};
use crate::maxcompute::api::{InstanceFilter, MaxCompute};
use crate::maxcompute::fault::Failure;
use crate::maxcompute::job::Job;
use crate::maxcompute::model::{Instance, InstanceStatus, Task, TaskStatus};
use engine::time::{Span, Timestamp};
use std::collections::BTreeSet;

/// So long before the time of a submission its instance is looked for: clocks differ, and a copy may have come earlier.
pub const SEARCH_WINDOW: Span = Span::from_secs(300);

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
    /// Instances that were looked at and have another; they need not be looked at again.
    pub others: BTreeSet<String>,
    /// Whether everything in the window was seen.
    pub complete: bool,
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
    /// `submitted` but for `others`. A submission may still arrive when none is found.
    pub async fn find(
        &self,
        job: &Job,
        submitted: Timestamp,
        mut others: BTreeSet<String>,
    ) -> Result<Matches, CallError> {
        let from = Timestamp(submitted.0.saturating_sub_unsigned(SEARCH_WINDOW.0));
        let filter = InstanceFilter { from: Some(from), own: true, ..InstanceFilter::default() };
        let list = self.list_all(&filter).await?;
        let mut found = Vec::new();
        for instance in list.instances {
            if others.contains(&instance.id) {
                continue;
            }
            let source = match job {
                Job::Sql(_) => self.source(&instance.id).await,
                Job::Xflow(_) => self.xflow_source(&instance.id).await,
            };
            match source {
                Ok(source) if Some(source.guid.as_str()) == job.guid() => found.push(instance.id),
                // An instance of another kind has no such source.
                Ok(_) | Err(CallError { effect: Effect::Nothing, .. }) => {
                    others.insert(instance.id);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Matches { found, others, complete: list.complete })
    }
}
