//! `logs`: what a trial wrote, whoever runs it.

use super::args::Common;
use super::daemon::Daemon;
use super::output;
use super::source::Source;
use crate::error::{Failure, exit};
use backends::cloud::codes::{NO_ANSWER, THROTTLED, UNREACHABLE};
use engine::id::{ExperimentId, TrialId};
use engine::ports::backend::{Backend, Chunk, JobHandle, JobState, ReadError, Source as Stream};
use engine::state::Experiment;
use serde_json::{Value, json};
use std::rc::Rc;
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
    let mut source = Source::open(common, exp)?;
    let (id, experiment) = (source.id(), source.experiment()?);
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
    let reader = Reader::of(common, &source, which)?;
    let mut reading = Reading { json: common.json, reader, printed: Vec::new(), complained: false };
    let mut first = true;
    loop {
        let (jobs, over) = jobs(source.experiment()?, which);
        if jobs.is_empty() && (over || !which.follow) {
            let (what, cure) = if over {
                ("has ended without such a task", "")
            } else {
                ("has not started yet", "add -f to wait for it")
            };
            return Err(Failure::new(exit::FAILED, format!("trial {} {what}", which.trial), cure));
        }
        let last = over || !which.follow;
        if last && !first {
            reading.reader.learn_of_ends(&jobs);
        }
        reading.print(&jobs, last)?;
        if last || output::is_closed() {
            return reading.finish();
        }
        first = false;
        source.pause();
        source.catch_up(&mut |_, _| ())?;
    }
}

/// A job whose log is asked for, by its own name and by its place in the trial.
#[derive(Debug, Clone, PartialEq)]
struct Job {
    handle: JobHandle,
    attempt: u32,
    /// From 1.
    task: u16,
}

/// The jobs whose log is asked for, in order, and whether no more will follow.
fn jobs(experiment: &Experiment, which: Which) -> (Vec<Job>, bool) {
    let Some(trial) = experiment.trial(TrialId(which.trial)) else { return (Vec::new(), true) };
    let attempt = match which.attempt {
        Some(number) => trial.attempts.iter().find(|attempt| attempt.number.0 == number),
        None => trial.attempt(),
    };
    let tasks =
        attempt.into_iter().flat_map(|attempt| attempt.tasks.iter().map(|task| (attempt.number.0, task)));
    let wanted = tasks.filter(|(_, task)| which.task.is_none_or(|number| number == task.task.0 + 1));
    let job = |(attempt, task): (u32, &engine::state::TaskRun)| {
        Some(Job { handle: task.handle.clone()?, attempt, task: task.task.0 + 1 })
    };
    (wanted.filter_map(job).collect(), trial.status.is_ended())
}

/// Where logs are read.
enum Reader {
    /// At the backend itself.
    Backend { backend: Arc<dyn Backend>, stream: Stream, runtime: tokio::runtime::Runtime },
    /// By a daemon elsewhere.
    Daemon { daemon: Rc<Daemon>, id: ExperimentId, trial: u32, stream: &'static str },
}

impl Reader {
    fn of(common: &Common, source: &Source, which: Which) -> Result<Self, Failure> {
        let no_log = || {
            let message = "the trials of this experiment are run by a client: there is no log";
            Failure::new(exit::FAILED, message, "")
        };
        let run = source.experiment()?.spec.run.as_ref().ok_or_else(no_log)?;
        if let Some(daemon) = source.daemon() {
            let stream = if which.stderr { "stderr" } else { "stdout" };
            return Ok(Self::Daemon {
                daemon: Rc::clone(daemon),
                id: source.id(),
                trial: which.trial,
                stream,
            });
        }
        let backend = crate::backends_of(&common.store)?.remove(&run.backend).ok_or_else(no_log)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let stream = if which.stderr { Stream::Stderr } else { Stream::Stdout };
        Ok(Self::Backend { backend, stream, runtime })
    }

    /// Lets a backend see that jobs are over, which it may have last looked at before they were: from then on it gives
    /// no end before it has seen all of it. The one of a daemon has seen it.
    fn learn_of_ends(&self, jobs: &[Job]) {
        let Self::Backend { backend, runtime, .. } = self else { return };
        let handles: Vec<JobHandle> = jobs.iter().map(|job| job.handle.clone()).collect();
        let states = runtime.block_on(backend.poll(&handles));
        if !states.iter().all(|state| matches!(state, JobState::Ended { .. })) {
            // Then it looks again by itself, after this time.
            std::thread::sleep(Duration::from_millis(backend.capabilities().poll_interval.0));
        }
    }

    /// Reads a part. The inner error is that of the backend.
    fn read(&self, job: &Job, from: u64) -> Result<Result<Part, ReadError>, Failure> {
        match self {
            Self::Backend { backend, stream, runtime } => {
                let read = runtime.block_on(backend.read(&job.handle, stream, from, CHUNK));
                Ok(read.map(|Chunk { bytes, start, at_end }| Part {
                    next: start + bytes.len() as u64,
                    bytes,
                    start,
                    at_end,
                }))
            }
            Self::Daemon { daemon, id, trial, stream } => {
                let path = format!("/experiments/{id}/trials/{trial}/logs");
                let answer = daemon.get(
                    &path,
                    &[
                        ("stream", stream),
                        ("attempt", &job.attempt),
                        ("task", &job.task),
                        ("from", &from),
                        ("limit", &CHUNK),
                    ],
                )?;
                Ok(Ok(part(&answer).ok_or_else(|| daemon.strange("a part of a log has another form"))?))
            }
        }
    }
}

/// A part of a log.
struct Part {
    bytes: Vec<u8>,
    /// The position of its first byte.
    start: u64,
    /// The position behind it. Letters that were none are others in `bytes`.
    next: u64,
    at_end: bool,
}

fn part(part: &Value) -> Option<Part> {
    Some(Part {
        start: part["start"].as_u64()?,
        next: part["next"].as_u64()?,
        bytes: part["text"].as_str()?.as_bytes().to_vec(),
        at_end: part["at_end"].as_bool()?,
    })
}

/// What is read of the jobs.
struct Reading {
    json: bool,
    reader: Reader,
    printed: Vec<(Job, Printer)>,
    /// Whether it was said that the service does not answer.
    complained: bool,
}

impl Reading {
    /// Prints what is new; with `last`, all that there is.
    fn print(&mut self, jobs: &[Job], last: bool) -> Result<(), Failure> {
        for job in jobs {
            let place = match self.printed.iter().position(|(known, _)| known == job) {
                Some(place) => place,
                None => {
                    self.printed.push((job.clone(), Printer { json: self.json, ..Printer::default() }));
                    self.printed.len() - 1
                }
            };
            let Some((_, printer)) = self.printed.get_mut(place) else { continue };
            let began = Instant::now();
            while let Err(error) = printer.print(&self.reader, job, last)? {
                // Whoever follows waits as long as it takes.
                if !passes_by_itself(&error) || (last && began.elapsed() >= PATIENCE) {
                    return Err(unread(&error));
                }
                if !self.complained {
                    self.complained = true;
                    output::remark(&format!("note: {error}; it is tried again"));
                }
                std::thread::sleep(FOLLOW);
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
    fn print(&mut self, reader: &Reader, job: &Job, last: bool) -> Result<Result<(), ReadError>, Failure> {
        let mut heard = Instant::now();
        loop {
            match reader.read(job, self.from)? {
                Ok(part) => {
                    self.gap(part.start.saturating_sub(self.from))?;
                    self.from = part.next;
                    self.take(&part.bytes)?;
                    if !part.bytes.is_empty() {
                        heard = Instant::now();
                    }
                    let waits = last && heard.elapsed() < PATIENCE;
                    if part.at_end || (part.bytes.is_empty() && !waits) {
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
