//! What every [`Backend`] must do, as a suite that each of them runs: see [`CASES`].

use crate::event::v1::Outcome;
use crate::id::{AttemptNo, ExperimentId, SubmissionKey, TaskIndex, TrialId};
use crate::ports::backend::{
    Backend, Chunk, CommandLine, Found, JobHandle, JobState, Source, Submitted, TaskOrder,
};
use crate::time::{Span, Timestamp};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

/// What a task of the suite does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Prints [`TEXT`] to standard output and succeeds.
    Print,
    /// Prints `it broke` to standard error and ends with this exit code.
    Fail(i32),
    /// Runs until it is stopped.
    Forever,
}

/// What [`Script::Print`] prints.
pub const TEXT: &str = "one\ntwo\nthree\n";

/// Looks at a backend for a change, at most so many times.
pub const PATIENCE: usize = 10_000;

/// A backend under test, with a world of its own.
#[async_trait]
pub trait Subject: Send {
    /// The backend as the present controller sees it.
    fn backend(&self) -> &dyn Backend;
    /// Replaces the controller by one that knows nothing of what the last one did.
    fn restart(&mut self);
    /// Lets a little time pass, at most a few milliseconds of real time.
    async fn pass(&mut self);
    /// An order for a task that does what the script says.
    fn order(&self, key: SubmissionKey, script: Script) -> TaskOrder;
    /// How often a task of this key was really started.
    fn starts(&self, key: &SubmissionKey) -> usize;
    /// Whether the backend learns with which code a command has ended.
    fn tells_exit_codes(&self) -> bool {
        true
    }
}

/// What a backend did that it must not do.
pub type Violation = String;
/// The future of one case.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Violation>> + Send + 'a>>;
/// One case: it gets a subject that has done nothing yet.
pub type Case = fn(&mut dyn Subject) -> Running<'_>;

macro_rules! cases {
    ($($name:ident,)*) => {
        /// All cases with their names.
        pub const CASES: &[(&str, Case)] = &[$((stringify!($name), |subject| Box::pin($name(subject)))),*];
    };
}

cases! {
    a_task_runs_to_its_end,
    a_key_is_started_once_however_often_it_is_submitted,
    a_key_is_found_only_after_it_was_submitted,
    another_controller_finds_the_job_and_sees_its_end,
    a_failure_tells_its_exit_code_and_its_last_words,
    a_stop_ends_a_running_job_and_may_be_repeated,
    a_stop_right_after_the_submission_counts,
    a_stop_of_a_job_that_has_ended_changes_nothing,
    states_come_in_the_order_of_the_handles,
    a_strange_handle_is_lost_and_no_error,
    output_is_read_from_any_position,
    tasks_of_one_attempt_are_separate_jobs,
}

macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

/// An order for a command and nothing else.
pub fn order(key: SubmissionKey, command: CommandLine) -> TaskOrder {
    TaskOrder {
        key,
        command,
        env: BTreeMap::new(),
        params: serde_json::Map::new(),
        bindings: Vec::new(),
        templates: Vec::new(),
        planned: Timestamp(0),
        timeout: None,
        grace: Span(5_000),
        slot: 0,
        slots: 1,
        resume_from: Vec::new(),
        config: serde_json::Value::Null,
    }
}

/// A key of the suite.
pub const fn key(trial: u32, task: u16) -> SubmissionKey {
    SubmissionKey {
        experiment: ExperimentId::from_random(0x5eed),
        trial: TrialId(trial),
        attempt: AttemptNo(1),
        task: TaskIndex(task),
    }
}

async fn submit(s: &mut dyn Subject, key: SubmissionKey, script: Script) -> Result<JobHandle, Violation> {
    let order = s.order(key, script);
    let answer = s.backend().submit(&order).await;
    match answer {
        Submitted::Accepted(handle) => Ok(handle),
        other => Err(format!("a first submission was answered with {other:?}")),
    }
}

async fn state(s: &mut dyn Subject, handle: &JobHandle) -> Result<JobState, Violation> {
    let states = s.backend().poll(std::slice::from_ref(handle)).await;
    ensure!(states.len() == 1, "one handle was asked for, and {} states came", states.len());
    states.into_iter().next().ok_or_else(String::new)
}

async fn until<T>(
    s: &mut dyn Subject,
    handle: &JobHandle,
    wanted: impl Fn(&JobState) -> Option<T> + Send,
) -> Result<T, Violation>
where
    T: Debug + Send,
{
    let mut last = None;
    for _ in 0..PATIENCE {
        let now = state(s, handle).await?;
        if let Some(found) = wanted(&now) {
            return Ok(found);
        }
        ensure!(!matches!(now, JobState::Ended { .. }), "{handle:?} ended with {now:?}");
        last = Some(now);
        s.pass().await;
    }
    Err(format!("{handle:?} stayed {last:?}"))
}

async fn outcome(s: &mut dyn Subject, handle: &JobHandle) -> Result<Outcome, Violation> {
    until(s, handle, |state| match state {
        JobState::Ended { outcome, .. } => Some(outcome.clone()),
        _ => None,
    })
    .await
}

async fn running(s: &mut dyn Subject, handle: &JobHandle) -> Result<(), Violation> {
    until(s, handle, |state| matches!(state, JobState::Running { .. }).then_some(())).await
}

/// Waits until a job has noted its start: one that runs need not have come that far, and is ended in the middle of it.
async fn begun(s: &mut dyn Subject, key: &SubmissionKey) -> Result<(), Violation> {
    for _ in 0..PATIENCE {
        if s.starts(key) > 0 {
            return Ok(());
        }
        s.pass().await;
    }
    Err(format!("the job of {key} never began"))
}

async fn found(s: &mut dyn Subject, key: &SubmissionKey) -> Result<Found, Violation> {
    let order = s.order(*key, Script::Forever);
    for _ in 0..PATIENCE {
        match s.backend().find(&order).await {
            Found::NoneYet | Found::Undecided(_) | Found::NotAgain(_) | Found::Unknown(_) => s.pass().await,
            decisive => return Ok(decisive),
        }
    }
    Err(format!("a search for {key} never came to an end"))
}

async fn a_task_runs_to_its_end(s: &mut dyn Subject) -> Result<(), Violation> {
    let handle = submit(s, key(1, 0), Script::Print).await?;
    let end = until(s, &handle, |state| match state {
        JobState::Ended { started, ended, outcome } => Some((*started, *ended, outcome.clone())),
        _ => None,
    });
    let (started, ended, outcome) = end.await?;
    ensure!(outcome == Outcome::Succeeded, "it ended with {outcome:?}");
    ensure!(
        started.is_some_and(|started| started <= ended),
        "it began at {started:?} and ended at {ended:?}"
    );
    ensure!(s.starts(&key(1, 0)) == 1, "it was started {} times", s.starts(&key(1, 0)));
    let again = state(s, &handle).await?;
    ensure!(
        matches!(&again, JobState::Ended { outcome: Outcome::Succeeded, ended: then, .. } if *then == ended),
        "asked again, it says {again:?}"
    );
    Ok(())
}

async fn a_key_is_started_once_however_often_it_is_submitted(s: &mut dyn Subject) -> Result<(), Violation> {
    let key = key(1, 0);
    let handle = submit(s, key, Script::Print).await?;
    let order = s.order(key, Script::Print);
    for round in 0..3 {
        let again = s.backend().submit(&order).await;
        let same = again == Submitted::AlreadyExists(handle.clone());
        ensure!(same, "submission {round} after the first was answered with {again:?}");
        if round == 0 {
            outcome(s, &handle).await?;
        } else {
            s.restart();
        }
    }
    ensure!(s.starts(&key) == 1, "it was started {} times", s.starts(&key));
    Ok(())
}

async fn a_key_is_found_only_after_it_was_submitted(s: &mut dyn Subject) -> Result<(), Violation> {
    let none = found(s, &key(1, 0)).await?;
    ensure!(none == Found::NoneForSure, "before the submission: {none:?}");
    let handle = submit(s, key(1, 0), Script::Print).await?;
    let one = found(s, &key(1, 0)).await?;
    ensure!(one == Found::One(handle.clone()), "after the submission: {one:?}");
    let end = outcome(s, &handle).await?;
    ensure!(end == Outcome::Succeeded, "a search made it end with {end:?}");
    let one = found(s, &key(1, 0)).await?;
    ensure!(one == Found::One(handle), "after the end: {one:?}");
    let none = found(s, &key(11, 0)).await?;
    ensure!(none == Found::NoneForSure, "another key: {none:?}");
    Ok(())
}

async fn another_controller_finds_the_job_and_sees_its_end(s: &mut dyn Subject) -> Result<(), Violation> {
    let handle = submit(s, key(1, 0), Script::Forever).await?;
    running(s, &handle).await?;
    s.restart();
    let one = found(s, &key(1, 0)).await?;
    ensure!(one == Found::One(handle.clone()), "it found {one:?}");
    running(s, &handle).await?;
    begun(s, &key(1, 0)).await?;
    stop(s, &handle).await?;
    let end = outcome(s, &handle).await?;
    ensure!(end == Outcome::Stopped, "it ended with {end:?}");
    ensure!(s.starts(&key(1, 0)) == 1, "it was started {} times", s.starts(&key(1, 0)));
    Ok(())
}

async fn a_failure_tells_its_exit_code_and_its_last_words(s: &mut dyn Subject) -> Result<(), Violation> {
    let handle = submit(s, key(1, 0), Script::Fail(3)).await?;
    let end = outcome(s, &handle).await?;
    let code = s.tells_exit_codes().then_some(3);
    let told = matches!(&end, Outcome::Failed { exit, signal: None, reason } if *exit == code && reason.contains("it broke"));
    ensure!(told, "it ended with {end:?}");
    Ok(())
}

async fn stop(s: &mut dyn Subject, handle: &JobHandle) -> Result<(), Violation> {
    s.backend().stop(handle).await.map_err(|reason| format!("a stop failed: {reason}"))
}

async fn a_stop_ends_a_running_job_and_may_be_repeated(s: &mut dyn Subject) -> Result<(), Violation> {
    let handle = submit(s, key(1, 0), Script::Forever).await?;
    running(s, &handle).await?;
    stop(s, &handle).await?;
    stop(s, &handle).await?;
    let end = outcome(s, &handle).await?;
    ensure!(end == Outcome::Stopped, "it ended with {end:?}");
    stop(s, &handle).await
}

async fn a_stop_right_after_the_submission_counts(s: &mut dyn Subject) -> Result<(), Violation> {
    let handle = submit(s, key(1, 0), Script::Forever).await?;
    stop(s, &handle).await?;
    let end = outcome(s, &handle).await?;
    ensure!(end == Outcome::Stopped, "it ended with {end:?}");
    ensure!(s.starts(&key(1, 0)) <= 1, "it was started {} times", s.starts(&key(1, 0)));
    Ok(())
}

async fn a_stop_of_a_job_that_has_ended_changes_nothing(s: &mut dyn Subject) -> Result<(), Violation> {
    let handle = submit(s, key(1, 0), Script::Print).await?;
    outcome(s, &handle).await?;
    stop(s, &handle).await?;
    s.restart();
    stop(s, &handle).await?;
    let end = outcome(s, &handle).await?;
    ensure!(end == Outcome::Succeeded, "it ended with {end:?}");
    Ok(())
}

async fn states_come_in_the_order_of_the_handles(s: &mut dyn Subject) -> Result<(), Violation> {
    let good = submit(s, key(1, 0), Script::Print).await?;
    let bad = submit(s, key(2, 0), Script::Fail(7)).await?;
    outcome(s, &good).await?;
    outcome(s, &bad).await?;
    let states = s.backend().poll(&[bad.clone(), good.clone(), bad]).await;
    let failed: Vec<Option<bool>> = states
        .iter()
        .map(|state| match state {
            JobState::Ended { outcome: Outcome::Failed { .. }, .. } => Some(true),
            JobState::Ended { outcome: Outcome::Succeeded, .. } => Some(false),
            _ => None,
        })
        .collect();
    ensure!(failed == [Some(true), Some(false), Some(true)], "{states:?}");
    let none = s.backend().poll(&[]).await;
    ensure!(none.is_empty(), "no handle was asked for, and {none:?} came");
    Ok(())
}

async fn a_strange_handle_is_lost_and_no_error(s: &mut dyn Subject) -> Result<(), Violation> {
    let strange = JobHandle("never heard of it".to_owned());
    let end = outcome(s, &strange).await?;
    ensure!(matches!(end, Outcome::Lost { .. }), "it ended with {end:?}");
    Ok(())
}

async fn output_is_read_from_any_position(s: &mut dyn Subject) -> Result<(), Violation> {
    let handle = submit(s, key(1, 0), Script::Print).await?;
    outcome(s, &handle).await?;
    for (from, limit) in [(0, 1_000), (4, 3), (4, 1_000), (TEXT.len(), 10), (0, 1)] {
        let rest = TEXT.as_bytes().get(from..).unwrap_or_default();
        let wanted = rest.get(..limit).unwrap_or(rest);
        let at_end = wanted.len() == rest.len();
        let mut chunk = read(s, &handle, from, limit).await?;
        // A service may be late with lines, and must not call any the last too early.
        for _ in 0..PATIENCE {
            if chunk.at_end == at_end {
                break;
            }
            s.pass().await;
            chunk = read(s, &handle, from, limit).await?;
        }
        ensure!(chunk.start == from as u64 && chunk.bytes == wanted, "at {from}, {limit}: {chunk:?}");
        ensure!(chunk.at_end == at_end, "at {from}, {limit}: {chunk:?}");
    }
    Ok(())
}

async fn read(
    s: &mut dyn Subject,
    handle: &JobHandle,
    from: usize,
    limit: usize,
) -> Result<Chunk, Violation> {
    let chunk = s.backend().read(handle, &Source::Stdout, from as u64, limit).await;
    chunk.map_err(|error| format!("reading at {from}: {error}"))
}

async fn tasks_of_one_attempt_are_separate_jobs(s: &mut dyn Subject) -> Result<(), Violation> {
    let first = submit(s, key(1, 0), Script::Print).await?;
    outcome(s, &first).await?;
    let second = submit(s, key(1, 1), Script::Fail(1)).await?;
    let end = outcome(s, &second).await?;
    ensure!(matches!(end, Outcome::Failed { .. }), "the second ended with {end:?}");
    let end = outcome(s, &first).await?;
    ensure!(end == Outcome::Succeeded, "the first ended with {end:?}");
    Ok(())
}
