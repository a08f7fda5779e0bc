//! `logs`: what a trial wrote, whoever runs it.

use super::args::Common;
use super::output;
use super::store;
use crate::error::{Failure, exit};
use crate::views::find;
use backends::cloud::codes::{NO_ANSWER, THROTTLED, UNREACHABLE};
use engine::id::{ExperimentId, TrialId};
use engine::ports::backend::{Backend, JobHandle, JobState, ReadError, Source};
use engine::state::State;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CHUNK: usize = 256 * 1024;
const FOLLOW: Duration = Duration::from_millis(200);
/// A service that gives nothing for this time, and says that there is more, is not waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// Which part of what a trial wrote.
#[derive(Debug, Clone, Copy)]
pub struct Which {
    /// The trial.
    pub trial: u32,
    /// The attempt; otherwise the last one.
    pub attempt: Option<u32>,
    /// One task, from 1; otherwise all.
    pub task: Option<u16>,
    /// Standard error instead of standard output.
    pub stderr: bool,
    /// Whether to go on until the trial ends.
    pub follow: bool,
}

/// Prints a trial's log.
pub fn logs(common: &Common, exp: &str, which: Which) -> Result<u8, Failure> {
    let mut follower = store::follower(common)?;
    let experiment = find::find(&follower.state, exp)?;
    let id = experiment.id;
    if experiment.trial(TrialId(which.trial)).is_none() {
        return Err(Failure {
            code: Some(engine::decide::codes::UNKNOWN_TRIAL.to_string()),
            ..Failure::new(
                exit::FAILED,
                format!("the experiment {id} has no trial {}", which.trial),
                format!("`retrial trials {id}` shows its trials"),
            )
        });
    }
    let name = experiment.spec.run.as_ref().map(|run| run.backend.clone());
    let backend =
        name.and_then(|name| crate::backends_of(&common.store).ok()?.remove(&name)).ok_or_else(|| {
            Failure::new(
                exit::FAILED,
                "the trials of this experiment are run by a client: there is no log",
                "",
            )
        })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let source = if which.stderr { Source::Stderr } else { Source::Stdout };
    let mut reading = Reading { json: common.json, backend, source, printed: Vec::new(), complained: false };
    let mut first = true;
    loop {
        let (jobs, over) = jobs(&follower.state, id, which);
        if jobs.is_empty() && (over || !which.follow) {
            let (what, cure) = if over {
                ("has ended without such a task", "")
            } else {
                ("has not started yet", "add -f to wait for it")
            };
            return Err(Failure::new(exit::FAILED, format!("trial {} {what}", which.trial), cure));
        }
        let last = over || !which.follow;
        runtime.block_on(async {
            if last && !first {
                reading.learn_of_ends(&jobs).await;
            }
            reading.print(&jobs, last).await
        })?;
        if last || output::is_closed() {
            return reading.finish();
        }
        first = false;
        std::thread::sleep(FOLLOW);
        follower.catch_up(&mut |_, _| ())?;
    }
}

/// The jobs whose log is asked for, in order, and whether no more will follow.
fn jobs(state: &State, id: ExperimentId, which: Which) -> (Vec<JobHandle>, bool) {
    let Some(trial) = state.experiment(id).and_then(|experiment| experiment.trial(TrialId(which.trial)))
    else {
        return (Vec::new(), true);
    };
    let attempt = match which.attempt {
        Some(number) => trial.attempts.iter().find(|attempt| attempt.number.0 == number),
        None => trial.attempt(),
    };
    let tasks = attempt.into_iter().flat_map(|attempt| &attempt.tasks);
    let wanted = tasks.filter(|task| which.task.is_none_or(|number| number == task.task.0 + 1));
    (wanted.filter_map(|task| task.handle.clone()).collect(), trial.status.is_ended())
}

/// What is read of the jobs.
struct Reading {
    json: bool,
    backend: Arc<dyn Backend>,
    source: Source,
    printed: Vec<(JobHandle, Printer)>,
    /// Whether it was said that the service does not answer.
    complained: bool,
}

impl Reading {
    /// Lets the backend see that jobs are over, which it may have last looked at before they were: from then on it gives
    /// no end before it has seen all of it.
    async fn learn_of_ends(&self, jobs: &[JobHandle]) {
        let states = self.backend.poll(jobs).await;
        if !states.iter().all(|state| matches!(state, JobState::Ended { .. })) {
            // Then it looks again by itself, after this time.
            tokio::time::sleep(Duration::from_millis(self.backend.capabilities().poll_interval.0)).await;
        }
    }

    /// Prints what is new; with `last`, all that there is.
    async fn print(&mut self, jobs: &[JobHandle], last: bool) -> Result<(), Failure> {
        for job in jobs {
            let place = match self.printed.iter().position(|(handle, _)| handle == job) {
                Some(place) => place,
                None => {
                    self.printed.push((job.clone(), Printer { json: self.json, ..Printer::default() }));
                    self.printed.len() - 1
                }
            };
            let Some((_, printer)) = self.printed.get_mut(place) else { continue };
            let began = Instant::now();
            while let Err(error) = printer.print(&self.backend, job, &self.source, last).await? {
                // Whoever follows waits as long as it takes.
                if !passes_by_itself(&error) || (last && began.elapsed() >= PATIENCE) {
                    return Err(unread(&error));
                }
                if !self.complained {
                    self.complained = true;
                    output::remark(&format!("note: {error}; it is tried again"));
                }
                tokio::time::sleep(FOLLOW).await;
            }
            self.complained = false;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<u8, Failure> {
        for (_, printer) in &mut self.printed {
            printer.finish()?;
        }
        Ok(exit::DONE)
    }
}

/// Whether nobody has to do anything but wait.
fn passes_by_itself(error: &ReadError) -> bool {
    matches!(error, ReadError::Unavailable { code, .. } if [UNREACHABLE, NO_ANSWER, THROTTLED].contains(code))
}

fn unread(error: &ReadError) -> Failure {
    let ReadError::Unavailable { what, code, message, cure } = error else {
        return Failure::new(exit::FAILED, error.to_string(), "");
    };
    Failure {
        code: Some(code.to_string()),
        ..Failure::new(exit::FAILED, format!("failed to read {what}: {message}"), cure.clone())
    }
}

/// Prints what one job writes: as it is, or with `--json` an object for each line.
#[derive(Debug, Default)]
struct Printer {
    json: bool,
    /// The position up to which it was read.
    from: u64,
    /// With `--json`, a line that has not ended yet.
    line: Vec<u8>,
}

impl Printer {
    /// Prints what is new; with `last`, all that there is. The inner error is that of reading.
    async fn print(
        &mut self,
        backend: &Arc<dyn Backend>,
        job: &JobHandle,
        source: &Source,
        last: bool,
    ) -> Result<Result<(), ReadError>, Failure> {
        let mut heard = Instant::now();
        loop {
            match backend.read(job, source, self.from, CHUNK).await {
                Ok(chunk) => {
                    self.gap(chunk.start.saturating_sub(self.from))?;
                    self.from = chunk.start + chunk.bytes.len() as u64;
                    self.take(&chunk.bytes)?;
                    if !chunk.bytes.is_empty() {
                        heard = Instant::now();
                    }
                    let waits = last && heard.elapsed() < PATIENCE;
                    if chunk.at_end || (chunk.bytes.is_empty() && !waits) {
                        return Ok(Ok(()));
                    }
                }
                Err(ReadError::Absent(_)) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Says where bytes are missing.
    fn gap(&mut self, bytes: u64) -> Result<(), Failure> {
        if bytes == 0 {
            return Ok(());
        }
        self.finish()?;
        if self.json {
            output::json(&json!({"dropped_bytes": bytes}))?;
            return Ok(());
        }
        output::remark(&format!(
            "note: {bytes} bytes are missing here: of a long log only its beginning and its newest part are kept"
        ));
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if !self.json {
            output::bytes(bytes)?;
            return Ok(());
        }
        self.line.extend_from_slice(bytes);
        while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).take(end).collect();
            output::json(&json!({"text": String::from_utf8_lossy(&line)}))?;
        }
        Ok(())
    }

    /// With `--json`, prints a line that has no end.
    fn finish(&mut self) -> Result<(), Failure> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return Ok(());
        }
        output::json(&json!({"text": String::from_utf8_lossy(&line)}))?;
        Ok(())
    }
}
