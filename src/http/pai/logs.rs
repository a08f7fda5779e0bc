//! What trials have written, what they run, and what the engine has recorded: as lines, in pages.

use super::index::Log;
use super::mask;
use super::request::{Page, answer, experiment, invalid};
use crate::http::operation::{Asked, Reply};
use crate::http::problem::Problem;
use crate::http::reach::{backend_of, kept, trial};
use crate::http::server::App;
use crate::views::history;
use axum::http::StatusCode;
use engine::envelope::Envelope;
use engine::id::{AttemptNo, ExperimentId, SubmissionKey, TaskIndex};
use engine::ports::backend::{Backend, CommandLine, JobHandle, ReadError, Source};
use engine::spec::render::render;
use engine::state::{Attempt, Experiment, Trial};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// Most bytes of lines in one answer.
const MAX_BYTES: usize = 16 << 20;
/// A longer line is cut into several.
const MAX_LINE: usize = 1 << 20;
/// Most records in one answer.
const MAX_RECORDS: usize = 100_000;
/// Records that are put into words at once: the engine waits meanwhile.
const RECORDS_AT_ONCE: usize = 1_000;
/// Bytes at the end of what a command has written that are shown beside it.
const TAIL: usize = 64 << 10;
/// The clients of the service wait for ten seconds.
const PATIENCE: Duration = Duration::from_secs(8);
/// The logs of a trial, and the one that is meant if none is named.
const TRIAL_LOGS: [&str; 3] = ["trial.log", "stdout", "stderr"];
/// The logs of an experiment.
const EXPERIMENT_LOGS: [&str; 2] = ["nnimanager.log", "dispatcher.log"];

/// `ListHpoExperimentLogs`
pub(super) async fn of_experiment(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (who, wanted) = (asked.who.clone(), experiment(&asked)?);
    let page = Page::of_log(&asked)?;
    let log = match named(&asked, &EXPERIMENT_LOGS)? {
        0 => Log::All,
        _ => Log::Search,
    };
    let id = app.handle.query(move |state| kept(state, &who, &wanted).map(|found| found.id)).await??;
    let (lines, total) = recorded(app, id, log, page).await?;
    Ok(answer(&asked, json!({"Logs": lines, "TotalCount": total})))
}

/// `ListHpoTrialLogNames`
pub(super) async fn names(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (who, wanted) = (asked.who.clone(), experiment(&asked)?);
    let number = asked.part("TrialId").to_owned();
    let names = app.handle.query(move |state| {
        let found = kept(state, &who, &wanted)?;
        let id = trial(found, &number)?.id;
        Ok::<_, Problem>(TRIAL_LOGS.map(|name| format!("retrial://{}/{id}/{name}", found.id)))
    });
    Ok(answer(&asked, json!({"LogNames": names.await??})))
}

/// `ListHpoTrialLogs`
pub(super) async fn of_trial(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (who, wanted) = (asked.who.clone(), experiment(&asked)?);
    let number = asked.part("TrialId").to_owned();
    let (log, page) = (named(&asked, &TRIAL_LOGS)?, Page::of_log(&asked)?);
    let found = app.handle.query(move |state| {
        let found = kept(state, &who, &wanted)?;
        let trial = trial(found, &number)?;
        let tasks = trial.attempt().into_iter().flat_map(|attempt| &attempt.tasks);
        let jobs: Vec<JobHandle> = tasks.filter_map(|task| task.handle.clone()).collect();
        Ok::<_, Problem>((found.id, trial.id, backend_of(found), jobs))
    });
    let (id, trial, backend, jobs) = found.await??;
    let (lines, total) = if log == 0 {
        recorded(app, id, Log::Trial(trial), page).await?
    } else {
        let source = if log == 1 { Source::Stdout } else { Source::Stderr };
        let mut lines = Lines { page, ..Lines::default() };
        if let Some(backend) = backend.and_then(|name| app.backends.get(&name)) {
            in_time(async {
                for job in &jobs {
                    read(backend, job, &source, |bytes| lines.push(bytes)).await?;
                    lines.end()?;
                }
                Ok(())
            })
            .await?;
        }
        (lines.kept, lines.total)
    };
    Ok(answer(&asked, json!({"Logs": lines, "TotalCount": total})))
}

/// `ListHpoTrialCommands`
pub(super) async fn commands(app: &App, asked: Asked) -> Result<Reply, Problem> {
    let (who, wanted) = (asked.who.clone(), experiment(&asked)?);
    let number = asked.part("TrialId").to_owned();
    let found = app.handle.query(move |state| {
        let found = kept(state, &who, &wanted)?;
        Ok::<_, Problem>((backend_of(found), tasks(found, trial(found, &number)?)))
    });
    let (backend, tasks) = found.await??;
    let backend = backend.and_then(|name| app.backends.get(&name));
    let mut told = Vec::new();
    in_time(async {
        for (command, job) in &tasks {
            let mut output = Vec::new();
            if let (Some(backend), Some(job)) = (backend, job) {
                for source in [Source::Stdout, Source::Stderr] {
                    output.extend(tail(backend, job, &source).await?);
                }
            }
            let output = String::from_utf8_lossy(&output);
            told.push(json!({"Id": told.len() + 1, "Command": command, "Output": output}));
        }
        Ok(())
    })
    .await?;
    Ok(answer(&asked, json!({"Commands": told})))
}

/// The commands of a trial, each with the job that has run it last.
fn tasks(experiment: &Experiment, trial: &Trial) -> Vec<(String, Option<JobHandle>)> {
    let spec = &experiment.spec;
    let commands = spec.run.as_ref().map(|run| run.commands.as_slice()).unwrap_or_default();
    let last = trial.attempt().map_or(AttemptNo(1), |attempt| attempt.number);
    let described = |(task, command): (TaskIndex, &CommandLine)| {
        let run = |attempt: &Attempt| {
            let found = attempt.tasks.iter().find(|run| run.task == task)?;
            Some((attempt.number, found.handle.clone()?))
        };
        let (attempt, job) = trial.attempts.iter().rev().find_map(run).unzip();
        let attempt = attempt.unwrap_or(last);
        let key = SubmissionKey { experiment: experiment.id, trial: trial.id, attempt, task };
        let bindings = spec.bindings(key, &trial.point);
        let text = match command {
            CommandLine::Shell(line) => render(line, &bindings),
            CommandLine::Args(words) => {
                words.iter().map(|word| render(word, &bindings)).collect::<Vec<_>>().join(" ")
            }
        };
        (mask::text(&text), job)
    };
    (0..).map(TaskIndex).zip(commands).map(described).collect()
}

/// The log that the query names, as its place; also by its whole name, which ends in the short one.
fn named(asked: &Asked, names: &[&str]) -> Result<usize, Problem> {
    let Some(name) = asked.text("LogName").filter(|name| !name.is_empty()) else { return Ok(0) };
    let short = name.rsplit('/').next().unwrap_or_default();
    names
        .iter()
        .position(|known| *known == short)
        .ok_or_else(|| invalid(format!("`LogName` is none of {}", names.join(", "))))
}

/// Lines of which a part is asked for.
#[derive(Debug, Default)]
struct Lines {
    page: Option<Page>,
    kept: Vec<String>,
    total: usize,
    bytes: usize,
    line: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            self.line.extend_from_slice(text);
            if ends || self.line.len() > MAX_LINE {
                self.take()?;
            }
        }
        Ok(())
    }

    /// A last line without an end is a line.
    fn end(&mut self) -> Result<(), Problem> {
        if self.line.is_empty() { Ok(()) } else { self.take() }
    }

    fn take(&mut self) -> Result<(), Problem> {
        let line = std::mem::take(&mut self.line);
        if is_on(self.page, self.total) {
            self.bytes += line.len();
            if self.bytes > MAX_BYTES {
                return Err(too_long());
            }
            self.kept.push(String::from_utf8_lossy(&line).into_owned());
        }
        self.total += 1;
        Ok(())
    }
}

fn is_on(page: Option<Page>, line: usize) -> bool {
    page.is_none_or(|page| line >= page.skip && line - page.skip < page.size)
}

fn too_long() -> Problem {
    invalid("so many lines are not given at once: ask for a smaller part with `PageNumber` and `PageSize`")
}

async fn in_time(work: impl Future<Output = Result<(), Problem>>) -> Result<(), Problem> {
    let late = |_| {
        let message = "what the trial has written could not be read in time";
        Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, message, "try again"))
    };
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(late)
}

/// Reads all that a job has written so far.
async fn read(
    backend: &Arc<dyn Backend>,
    job: &JobHandle,
    source: &Source,
    mut take: impl FnMut(&[u8]) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut from = 0;
    loop {
        let chunk = match backend.read(job, source, from, CHUNK).await {
            Ok(chunk) => chunk,
            Err(ReadError::Absent(_)) => return Ok(()),
            Err(error) => return Err(Problem::new(StatusCode::BAD_GATEWAY, error.to_string(), "try again")),
        };
        take(&chunk.bytes)?;
        from = chunk.start + chunk.bytes.len() as u64;
        if chunk.at_end || chunk.bytes.is_empty() {
            return Ok(());
        }
    }
}

/// The end of what a job has written.
async fn tail(backend: &Arc<dyn Backend>, job: &JobHandle, source: &Source) -> Result<Vec<u8>, Problem> {
    let mut end = Vec::new();
    read(backend, job, source, |bytes| {
        end.extend_from_slice(bytes);
        end.drain(..end.len().saturating_sub(TAIL));
        Ok(())
    })
    .await?;
    Ok(end)
}

/// The records of a log, in words, and how many there are.
async fn recorded(
    app: &App,
    id: ExperimentId,
    log: Log,
    page: Option<Page>,
) -> Result<(Vec<String>, usize), Problem> {
    let (store, index) = (app.store.clone(), Arc::clone(&app.index));
    let read = app.aside.read(move || index.read(&store, (id, log), page, MAX_RECORDS));
    let (kept, total): (Vec<Envelope>, usize) = read.await?;
    if page.is_none() && total > MAX_RECORDS {
        return Err(too_long());
    }
    let mut lines: Vec<String> = Vec::with_capacity(kept.len());
    for part in kept.chunks(RECORDS_AT_ONCE) {
        let part = part.to_vec();
        let told = app.handle.query(move |state| {
            part.iter().map(|envelope| history::line(state, envelope)).collect::<Vec<_>>()
        });
        lines.extend(told.await?);
    }
    Ok((lines.iter().map(|line| mask::text(line.trim_start())).collect(), total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(page: Option<Page>, parts: &[&str]) -> (Vec<String>, usize) {
        let mut lines = Lines { page, ..Lines::default() };
        for part in parts {
            lines.push(part.as_bytes()).unwrap();
        }
        lines.end().unwrap();
        (lines.kept, lines.total)
    }

    #[test]
    fn lines_are_counted_and_only_those_of_the_page_are_kept() {
        let parts = ["a\nb", "b\n\nd", "\ne"];
        let all = ["a", "bb", "", "d", "e"].map(str::to_owned);
        assert_eq!(lines(None, &parts), (all.to_vec(), 5));
        assert_eq!(lines(Some(Page { skip: 2, size: 2 }), &parts), (all[2..4].to_vec(), 5));
        assert_eq!(lines(Some(Page { skip: 4, size: 10 }), &parts), (all[4..].to_vec(), 5));
        assert_eq!(lines(Some(Page { skip: usize::MAX, size: 10 }), &parts), (Vec::new(), 5));
        assert_eq!(lines(None, &["a\n"]), (vec!["a".to_owned()], 1));
        assert_eq!(lines(None, &[]), (Vec::new(), 0));
    }
}
