//! The promises. Each check gives the first one that is broken, in words.

use super::plan::Plan;
use super::truth::{Files, outcome, value};
use backends::fake::{FakeWorld, Start};
use engine::envelope::Envelope;
use engine::event::Event;
use engine::event::v1::{Origin, Outcome};
use engine::id::{ExperimentId, Seq, SubmissionKey, TrialId};
use engine::ports::journal::Journal;
use engine::ports::sampler::Proposal;
use engine::spec::Spec;
use engine::state::{Attempt, Experiment, State, TaskPhase, TaskRun, Trial, TrialStatus};
use engine::testing::driver::replay_from;
use engine::time::Timestamp;
use journal::SimulatedJournal;
use retrial::runtime::search::Search;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Every record of the disk.
pub fn read_all(journal: &SimulatedJournal, forged: bool) -> Result<Vec<Envelope>, String> {
    let mut records = Vec::new();
    journal
        .read(Seq(1), &mut |mut envelope| {
            if let (true, Event::TaskAccepted(accepted)) = (forged, &mut envelope.event) {
                accepted.handle.push('x');
            }
            records.push(envelope);
            ControlFlow::Continue(())
        })
        .map_err(|error| error.to_string())?;
    Ok(records)
}

/// What was shown outside is still there, and what is there is what was written.
pub fn nothing_acknowledged_is_lost(
    recovered: &[Envelope],
    written: &[Envelope],
    shown: Seq,
) -> Result<(), String> {
    let head = Seq(recovered.len() as u64);
    if head < shown {
        return Err(format!("record {shown} was acknowledged, and the disk holds {head}"));
    }
    match recovered.iter().zip(written).find(|(read, wrote)| read != wrote) {
        Some((read, wrote)) => Err(format!("{read:?} differs from what was written: {wrote:?}")),
        None if recovered.len() > written.len() => Err("the disk holds more than was written".to_owned()),
        None => Ok(()),
    }
}

/// A snapshot and the records after it give what all records give.
pub fn recovery_is_replay(state: &State, recovered: &[Envelope]) -> Result<(), String> {
    let replayed = replay_from(State::default(), recovered).map_err(|error| error.to_string())?;
    if *state != replayed || state.digest() != replayed.digest() {
        return Err("the recovered state is not what the history says".to_owned());
    }
    state.check().map_err(|wrong| format!("the recovered state: {wrong}"))
}

/// What is known at the end.
pub struct Evidence<'a> {
    pub plan: &'a Plan,
    pub state: &'a State,
    pub history: &'a [Envelope],
    pub starts: &'a [Start],
    pub files: &'a Files,
    pub world: &'a mut FakeWorld,
    pub now: Timestamp,
}

/// Every promise about a whole run; gives how many suggestions were recomputed.
pub fn everything(evidence: &mut Evidence<'_>) -> Result<u64, String> {
    recovery_is_replay(evidence.state, evidence.history)?;
    let twice = evidence.world.started_twice(evidence.now);
    if let Some(key) = twice.first() {
        return Err(format!("task {key} was started twice"));
    }
    let jobs: BTreeMap<SubmissionKey, &Start> =
        evidence.starts.iter().map(|start| (start.key, start)).collect();
    for start in evidence.starts {
        a_job_belongs_to_its_attempt(evidence.state, start)?;
    }
    no_two_attempts_run_at_once(evidence.state, evidence.starts)?;
    let experiments: Vec<&Experiment> = evidence.state.experiments().collect();
    for experiment in experiments {
        let most = most_attempts(evidence.plan, experiment.id)?;
        for trial in &experiment.trials {
            let context = |wrong: String| format!("trial {} of {}: {wrong}", trial.id, experiment.id);
            if trial.attempts.len() > most as usize {
                return Err(context(format!("{} attempts, and {most} are allowed", trial.attempts.len())));
            }
            the_end_is_true(evidence.world, &jobs, experiment, trial).map_err(context)?;
            the_reports_are_true(evidence.plan, evidence.files, experiment.id, trial).map_err(context)?;
        }
    }
    suggestions_can_be_recomputed(evidence.history)
}

/// The most attempts that any of the specifications allows.
fn most_attempts(plan: &Plan, id: ExperimentId) -> Result<u32, String> {
    let planned = plan.experiments.iter().find(|planned| planned.id == id).ok_or("an unknown experiment")?;
    let mut most = 1;
    for text in &planned.specs {
        let document = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let (spec, _) = Spec::parse(&document, "").map_err(|errors| format!("{errors:?}"))?;
        let retry = spec.retry;
        most = most.max(retry.failed).max(retry.lost).max(retry.preempted).max(retry.doubtful);
    }
    Ok(most)
}

fn find(state: &State, key: SubmissionKey) -> Option<(&Trial, &Attempt, &TaskRun)> {
    let trial = state.experiment(key.experiment)?.trial(key.trial)?;
    let attempt = trial.attempts.iter().find(|attempt| attempt.number == key.attempt)?;
    attempt.tasks.iter().find(|task| task.task == key.task).map(|task| (trial, attempt, task))
}

/// Whether it was given up without knowing: in doubt, or not ending although it was stopped.
fn given_up(task: &TaskRun) -> bool {
    match &task.phase {
        TaskPhase::Doubtful(_) => true,
        TaskPhase::Ended(Outcome::Lost { reason }) => reason.contains("although it was stopped"),
        _ => false,
    }
}

/// Every job is known, and outlives its trial only if it was hidden or given up.
fn a_job_belongs_to_its_attempt(state: &State, start: &Start) -> Result<(), String> {
    let Some((trial, _, task)) = find(state, start.key) else {
        return Err(format!("nothing is known of the job {}", start.handle.0));
    };
    let handle = task.handle.as_ref().is_none_or(|handle| *handle == start.handle);
    if !handle {
        return Err(format!("{:?} is recorded for the job {}", task.handle, start.handle.0));
    }
    // Clocks of processes are up to some seconds wrong.
    let ended = trial.ended.map_or(i64::MAX, |ended| ended.0 + 6_000);
    let outlives = start.until.is_none_or(|until| until.0 > ended);
    if outlives && !start.hidden && !given_up(task) {
        return Err(format!("the job {} outlives its trial, which is {}", start.handle.0, trial.status));
    }
    Ok(())
}

fn no_two_attempts_run_at_once(state: &State, starts: &[Start]) -> Result<(), String> {
    let mut by_trial: BTreeMap<(ExperimentId, TrialId), Vec<&Start>> = BTreeMap::new();
    for start in starts {
        by_trial.entry((start.key.experiment, start.key.trial)).or_default().push(start);
    }
    for starts in by_trial.values_mut() {
        starts.sort_by_key(|start| start.key);
        for (earlier, later) in starts.iter().zip(starts.iter().skip(1)) {
            let excused = earlier.hidden || find(state, earlier.key).is_some_and(|(.., task)| given_up(task));
            if !excused && earlier.until.is_none_or(|until| until > later.at) {
                return Err(format!("{} and {} run at once", earlier.handle.0, later.handle.0));
            }
        }
    }
    Ok(())
}

/// What is recorded of the ends of tasks is what happened to them, and the trial's status follows from it.
fn the_end_is_true(
    world: &mut FakeWorld,
    jobs: &BTreeMap<SubmissionKey, &Start>,
    experiment: &Experiment,
    trial: &Trial,
) -> Result<(), String> {
    for attempt in &trial.attempts {
        for task in &attempt.tasks {
            let TaskPhase::Ended(recorded) = &task.phase else { continue };
            let key = SubmissionKey {
                experiment: experiment.id,
                trial: trial.id,
                attempt: attempt.number,
                task: task.task,
            };
            let Some(handle) = &task.handle else { continue };
            let truth = outcome(world, handle).map(|(_, outcome)| outcome);
            // What never began may be called lost.
            let hidden = jobs.get(&key).is_none_or(|start| start.hidden);
            let lost = matches!(recorded, Outcome::Lost { .. }) && (hidden || given_up(task));
            if truth.as_ref() != Some(recorded) && !lost {
                return Err(format!("task {key} is recorded as {recorded:?}, and the truth is {truth:?}"));
            }
        }
    }
    let last = trial.attempt().and_then(Attempt::outcome);
    let tasks = experiment.spec.run.as_ref().map_or(0, |run| run.commands.len());
    let done = trial.attempt().and_then(Attempt::task).map_or(0, |task| usize::from(task.task.0) + 1);
    let fits = match trial.status {
        TrialStatus::Succeeded => last == Some(&Outcome::Succeeded) && done == tasks && trial.value.is_some(),
        TrialStatus::Failed => trial.value.is_none() && !trial.reason.is_empty(),
        TrialStatus::Lost => {
            matches!(last, Some(Outcome::Lost { .. } | Outcome::Preempted { .. } | Outcome::Stopped))
        }
        TrialStatus::EarlyStopped | TrialStatus::UserCanceled | TrialStatus::SysCanceled => {
            trial.stopping.is_some()
        }
        TrialStatus::Waiting | TrialStatus::Running | TrialStatus::Unknown => false,
    };
    if fits { Ok(()) } else { Err(format!("it is {} ({}) after {last:?}", trial.status, trial.reason)) }
}

/// Every report of a job was recorded once, in order; all of them if the job ran to its end.
fn the_reports_are_true(plan: &Plan, files: &Files, id: ExperimentId, trial: &Trial) -> Result<(), String> {
    for attempt in &trial.attempts {
        let reports: Vec<_> =
            trial.reports.iter().filter(|report| report.attempt == attempt.number).collect();
        for (place, report) in reports.iter().enumerate() {
            let truth = value(plan.seed, trial.id, place as u64);
            if report.step != place as u64 || report.value != truth {
                return Err(format!(
                    "the reports of attempt {} are not what it wrote: {report:?}",
                    attempt.number
                ));
            }
        }
        let succeeded =
            attempt.tasks.iter().rev().find(|task| task.phase == TaskPhase::Ended(Outcome::Succeeded));
        let Some(task) = succeeded else { continue };
        let key = SubmissionKey { experiment: id, trial: trial.id, attempt: attempt.number, task: task.task };
        let written = files.lines.get(&key).copied().unwrap_or(0);
        if reports.len() < written {
            let counted = reports.len();
            return Err(format!("{counted} reports of attempt {} are recorded of {written}", attempt.number));
        }
    }
    Ok(())
}

/// Before each suggestion a sampler that is built from the history up to there gives the same bits.
fn suggestions_can_be_recomputed(history: &[Envelope]) -> Result<u64, String> {
    let mut state = State::default();
    let mut count = 0;
    for envelope in history {
        if let Event::TrialSuggested(suggested) = &envelope.event
            && let Origin::Sampled { memo, sampler, version, .. } = &suggested.origin
            && let Some(experiment) = state.experiment(envelope.experiment)
        {
            let mut search = Search::new(experiment).map_err(|errors| format!("{errors:?}"))?;
            let again = search.suggest(suggested.trial);
            let same = matches!(&again, Proposal::Point { point, memo: remembered, parent }
                if point.key() == suggested.point.key() && remembered == memo && *parent == suggested.parent);
            if !same || search.name() != sampler || search.version() != *version {
                return Err(format!(
                    "another point for trial {}: {again:?} and {suggested:?}",
                    suggested.trial
                ));
            }
            count += 1;
        }
        state.apply(envelope).map_err(|error| error.to_string())?;
    }
    Ok(count)
}
