//! `logs`: what a trial wrote, whoever runs it.

use super::args::Common;
use super::error::{Failure, exit};
use super::output;
use super::store;
use engine::id::{ExperimentId, TrialId};
use engine::ports::backend::{Backend, JobHandle, ReadError, Source};
use engine::state::State;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const CHUNK: usize = 256 * 1024;
const FOLLOW: Duration = Duration::from_millis(200);

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
    let experiment = store::find(&follower.state, exp)?;
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
    let mut printed: Vec<(JobHandle, Printer)> = Vec::new();
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
        for job in jobs {
            let place = match printed.iter().position(|(handle, _)| *handle == job) {
                Some(place) => place,
                None => {
                    printed.push((job.clone(), Printer { json: common.json, ..Printer::default() }));
                    printed.len() - 1
                }
            };
            let Some((_, printer)) = printed.get_mut(place) else { continue };
            runtime.block_on(printer.print(&backend, &job, &source))?;
        }
        if !which.follow || over || output::is_closed() {
            for (_, printer) in &mut printed {
                printer.finish()?;
            }
            return Ok(exit::DONE);
        }
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
    async fn print(
        &mut self,
        backend: &Arc<dyn Backend>,
        job: &JobHandle,
        source: &Source,
    ) -> Result<(), Failure> {
        loop {
            match backend.read(job, source, self.from, CHUNK).await {
                Ok(chunk) => {
                    self.gap(chunk.start.saturating_sub(self.from))?;
                    self.from = chunk.start + chunk.bytes.len() as u64;
                    self.take(&chunk.bytes)?;
                    if chunk.at_end || chunk.bytes.is_empty() {
                        return Ok(());
                    }
                }
                Err(ReadError::Absent(_)) => return Ok(()),
                Err(error) => return Err(Failure::new(exit::FAILED, error.to_string(), "")),
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
