//! Looks for the jobs of one submission, by the marks that they carry. Begin with [`jobs_of`].

use super::api::{Dlc, JobList};
use super::handle::Place;
use super::model::Job;
use super::name::Marks;
use super::query::{EARLIEST, JobFilter};
use super::sweep::{ranked, surplus};
use crate::cloud::client::{CallError, Effect};
use crate::cloud::codes;
use engine::id::SubmissionKey;
use engine::time::Span;
use std::collections::BTreeMap;

/// The jobs of a key, the one to take on first.
pub(super) async fn jobs_of(dlc: &Dlc, place: &Place, key: &SubmissionKey) -> Result<Vec<Job>, CallError> {
    let marks = Marks::new(key);
    let base = JobFilter {
        workspace_id: Some(place.workspace.clone()).filter(|id| !id.is_empty()),
        start_time: Some(EARLIEST),
        sort_by: Some("GmtCreateTime".to_owned()),
        order: Some("asc".to_owned()),
        ..JobFilter::default()
    };
    let tag = marks.tags().into_iter().take(1).map(|(name, text)| (name.to_owned(), text));
    let by_name = JobFilter { display_name: Some(marks.token().to_owned()), ..base.clone() };
    let by_tag = JobFilter { tags: Some(tag.collect()), ..base };
    for filter in [by_name, by_tag] {
        let JobList { jobs, complete } = dlc.list_all_jobs(&filter).await?;
        let found = ranked(key, &jobs);
        if !found.is_empty() {
            return Ok(found);
        }
        if !complete {
            return Err(CallError::later(
                codes::NO_ANSWER,
                "ListJobs: the list changed while it was read",
                Span::from_secs(1),
            ));
        }
    }
    Ok(Vec::new())
}

/// Stops the jobs of a key that are not its own. An error says that one may still run.
pub(super) async fn stop_others(
    dlc: &Dlc,
    place: &Place,
    key: &SubmissionKey,
    own: &str,
) -> Result<(), CallError> {
    let jobs = jobs_of(dlc, place, key).await?;
    for (job, keep) in surplus(&jobs, &BTreeMap::from([(*key, own.to_owned())])) {
        tracing::warn!(%key, job = job.job_id, %keep, "a second job of the same submission is stopped");
        match dlc.stop_job(&job.job_id).await {
            // It has ended meanwhile, or may not be stopped by us.
            Err(error) if error.effect == Effect::Nothing => {
                tracing::warn!(%key, job = job.job_id, %error, "failed to stop it");
            }
            other => other?,
        }
    }
    Ok(())
}
