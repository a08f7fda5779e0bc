//! Which of several jobs of one submission is the trial's, and which are stopped. Pure.
//!
//! The service may carry a request out that was given up, or carry it out twice. The job that is taken on is always
//! chosen by the same rule, so that a search and a sweep never disagree.

use super::model::{Job, Status};
use super::name::{KEY_TAG, KEY_VARIABLE, Marks};
use engine::id::SubmissionKey;
use std::collections::BTreeMap;

/// The jobs of a submission, the one to take on first: one that was stopped or deleted only if there is no other, the
/// earlier before the later.
pub(super) fn ranked(key: &SubmissionKey, jobs: &[Job]) -> Vec<Job> {
    let marks = Marks::new(key);
    // A list may name a job without an id, which is of no use.
    let ours = |job: &&Job| !job.job_id.is_empty() && marks.are_on(&job.display_name, &job.tags, &job.envs);
    let mut found: Vec<Job> = jobs.iter().filter(ours).cloned().collect();
    found.sort_by(|a, b| {
        let rank = |job: &Job| {
            let given_up =
                job.deleted || matches!(job.status, Status::Stopping | Status::Stopped | Status::Deleted);
            (given_up, job.created, job.job_id.clone())
        };
        rank(a).cmp(&rank(b))
    });
    found
}

/// The jobs of an experiment that are to be stopped because another one is their submission's, with that one.
/// `taken` are the jobs that are known to be taken on.
pub(super) fn surplus(jobs: &[Job], taken: &BTreeMap<SubmissionKey, String>) -> Vec<(Job, String)> {
    let mut by_key: BTreeMap<SubmissionKey, Vec<Job>> = BTreeMap::new();
    for job in jobs {
        let text = job.tags.get(KEY_TAG).or_else(|| job.envs.get(KEY_VARIABLE));
        if let Some(key) = text.and_then(|text| text.parse().ok()) {
            by_key.entry(key).or_default().push(job.clone());
        }
    }
    let mut surplus = Vec::new();
    for (key, jobs) in by_key {
        let found = ranked(&key, &jobs);
        let keep = taken.get(&key).cloned().or_else(|| found.first().map(|job| job.job_id.clone()));
        let Some(keep) = keep else { continue };
        let live = |job: &Job| job.job_id != keep && !job.status.is_over() && job.status != Status::Stopping;
        surplus.extend(found.into_iter().filter(live).map(|job| (job, keep.clone())));
    }
    surplus
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(id: &str, key: &str, status: &str, second: u32) -> Job {
        Job::read(&json!({
            "JobId": id, "DisplayName": format!("t-{key}"), "Status": status,
            "GmtCreateTime": format!("2026-01-01T00:00:{second:02}Z"), "Settings": {"Tags": {KEY_TAG: key}},
        }))
    }

    const KEY: &str = "kq3m2x7a-1-1-0";

    fn stopped(jobs: &[Job], taken: Option<&str>) -> Vec<String> {
        let taken = taken.map(|id| (KEY.parse().unwrap(), id.to_owned())).into_iter().collect();
        surplus(jobs, &taken).into_iter().map(|(job, keep)| format!("{} for {keep}", job.job_id)).collect()
    }

    #[test]
    fn the_earliest_that_nobody_has_stopped_is_taken_on() {
        let key = KEY.parse().unwrap();
        let other = job("other", "kq3m2x7a-1-1-10", "Running", 0);
        let ids = |jobs: &[Job]| ranked(&key, jobs).into_iter().map(|job| job.job_id).collect::<Vec<_>>();
        let (early, late) = (job("b", KEY, "Running", 3), job("a", KEY, "Queuing", 4));
        assert_eq!(ids(&[late.clone(), other, early, job("", KEY, "Running", 1)]), ["b", "a"]);
        assert_eq!(ids(&[job("s", KEY, "Stopped", 1), late.clone()]), ["a", "s"]);
        assert_eq!(ids(&[job("z", KEY, "Queuing", 4), late]), ["a", "z"], "of the same second by name");
        assert_eq!(ids(&[job("s", KEY, "Stopped", 1)]), ["s"]);
    }

    #[test]
    fn every_live_job_but_the_one_that_is_taken_on_is_surplus() {
        let jobs = [job("b", KEY, "Running", 3), job("a", KEY, "Queuing", 4)];
        assert_eq!(stopped(&jobs, None), ["a for b"]);
        assert_eq!(stopped(&jobs, Some("a")), ["b for a"]);
        assert_eq!(stopped(&jobs, Some("gone")), ["b for gone", "a for gone"]);
        assert!(stopped(&jobs[..1], None).is_empty());
        assert_eq!(stopped(&jobs[..1], Some("gone")), ["b for gone"]);
        let late = [job("b", KEY, "Succeeded", 3), job("a", KEY, "Running", 4), job("c", KEY, "Stopping", 5)];
        assert_eq!(stopped(&late, None), ["a for b"]);
    }
}
