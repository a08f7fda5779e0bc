//! What trials have written.

use super::{seen, trial};
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::reach::{backend_of, job_of};
use crate::http::server::App;
use axum::http::StatusCode;
use engine::ports::backend::{ReadError, Source};
use serde_json::json;

/// Fewest bytes of a log in one answer, if there are so many: every character fits.
pub(super) const LEAST_LOG_BYTES: u64 = 4;
/// Most bytes of a log in one answer.
pub(super) const MAX_LOG_BYTES: u64 = 1 << 20;

/// `GET /v1/experiments/{experiment}/trials/{trial}/logs`
pub(super) async fn logs(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (who, wanted) = (asked.who.clone(), asked.part("experiment").to_owned());
    let number = asked.part("trial").to_owned();
    let (attempt, task) = (asked.whole("attempt"), asked.whole("task"));
    let found = app.handle.query(move |state| {
        let found = seen(state, &who, &wanted)?;
        Ok::<_, Problem>((backend_of(found), job_of(trial(found, &number)?, attempt, task)))
    });
    let (name, job) = found.await??;
    let backend = name.and_then(|name| app.backends.get(&name));
    let (Some(backend), Some(job)) = (backend, job) else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "there is no such task, or it has not started, or a client runs the trial",
            "GET the trial shows its attempts and tasks",
        ));
    };
    let source = if asked.text("stream") == Some("stderr") { Source::Stderr } else { Source::Stdout };
    let from = asked.whole("from").unwrap_or(0);
    let limit = asked.whole("limit").unwrap_or(MAX_LOG_BYTES) as usize;
    let chunk = match backend.read(&job, &source, from, limit).await {
        Ok(chunk) => chunk,
        Err(ReadError::Absent(_)) => {
            return Ok(Reply::json(&json!({"text": "", "start": from, "next": from, "at_end": true})));
        }
        Err(error) => {
            return Err(Problem {
                retry_after: error.may_pass().then_some(5),
                ..Problem::new(StatusCode::BAD_GATEWAY, error.to_string(), "try again")
            });
        }
    };
    let bytes = whole(&chunk.bytes);
    let next = chunk.start + bytes.len() as u64;
    let text = String::from_utf8_lossy(bytes);
    Ok(Reply::json(&json!({"text": text, "start": chunk.start, "next": next, "at_end": chunk.at_end})))
}

/// These bytes without a character that is cut off at their end: the next part begins with it.
fn whole(bytes: &[u8]) -> &[u8] {
    let rest = bytes.utf8_chunks().last().map_or(&[][..], |last| last.invalid());
    let is_cut = std::str::from_utf8(rest).is_err_and(|error| error.error_len().is_none());
    if is_cut { bytes.strip_suffix(rest).unwrap_or(bytes) } else { bytes }
}
