//! Why a job did not succeed, in words: what the service says, its events, and the last lines that it printed.

use super::api::Dlc;
use super::logs::pods::leader;
use super::model::Job;
use super::query::{EventQuery, LogQuery};
use super::status::Seen;
use engine::event::v1::Outcome;
use engine::ports::backend::JobState;
use engine::time::{Span, Timestamp};

/// Events that are looked at, and of which the last are kept.
const EVENTS: i64 = 50;
/// Events that are kept.
const KEPT_EVENTS: usize = 3;
/// Lines of output that are kept.
const KEPT_LINES: usize = 10;
/// Bytes of an event or a line.
const LINE_BYTES: usize = 100;
/// Bytes of what the service itself says, so that all of it has room in a recorded reason.
const REASON_BYTES: usize = 600;
/// How much of the output's end is looked at.
const WINDOW: Span = Span::from_secs(60);
/// Lines that are asked for.
const LINES: i64 = 2_000;

impl<'a> From<&'a Job> for Seen<'a> {
    fn from(job: &'a Job) -> Self {
        // A pod that was evicted says so itself; the job need not.
        let evicted = job.pods.iter().find(|pod| !matches!(pod.sub_status.as_str(), "" | "Normal"));
        let sub_status = match (job.sub_status.as_str(), evicted) {
            ("" | "Normal", Some(pod)) => pod.sub_status.as_str(),
            (own, _) => own,
        };
        Self {
            status: &job.status_name,
            sub_status,
            reason_code: &job.reason_code,
            reason_message: &job.reason_message,
            started: job.running,
            ended: job.ended,
        }
    }
}

/// The state of a job that was asked for by itself, with evidence if it did not succeed. What cannot be had is left
/// out: the end itself is certain.
pub(super) async fn state(dlc: &Dlc, job: &Job, at: Timestamp) -> JobState {
    let mut state = Seen::from(job).state(at);
    if let JobState::Ended { outcome, .. } = &mut state
        && let Outcome::Failed { reason, .. } | Outcome::Lost { reason } | Outcome::Preempted { reason } =
            outcome
    {
        reason.truncate(reason.floor_char_boundary(REASON_BYTES));
        for (title, lines) in
            [("events", events(dlc, job).await), ("last lines", last_lines(dlc, job, at).await)]
        {
            if !lines.is_empty() {
                reason.push_str(&format!("\n{title}:\n{}", lines.join("\n")));
            }
        }
    }
    state
}

async fn events(dlc: &Dlc, job: &Job) -> Vec<String> {
    let query = EventQuery { max_events: Some(EVENTS), start_time: job.created, ..EventQuery::default() };
    let events = dlc.get_job_events(&job.job_id, &query).await.unwrap_or_default();
    last(&events, KEPT_EVENTS)
}

async fn last_lines(dlc: &Dlc, job: &Job, at: Timestamp) -> Vec<String> {
    let Some(pod) = leader(&job.pods) else { return Vec::new() };
    let end = job.ended.unwrap_or(at);
    let query = LogQuery {
        start_time: Some(Timestamp(end.0.saturating_sub_unsigned(WINDOW.0))),
        end_time: Some(end.after(WINDOW)),
        max_lines: Some(LINES),
        pod_uid: (!pod.pod_uid.is_empty()).then(|| pod.pod_uid.clone()),
        containers: None,
    };
    let logs = dlc.get_pod_logs(&job.job_id, &pod.pod_id, &query).await;
    logs.map(|logs| last(&logs.lines, KEPT_LINES)).unwrap_or_default()
}

fn last(lines: &[String], count: usize) -> Vec<String> {
    let from = lines.len().saturating_sub(count);
    let cut = |line: &String| line.get(..line.floor_char_boundary(LINE_BYTES)).unwrap_or_default().to_owned();
    lines.iter().skip(from).map(cut).collect()
}
