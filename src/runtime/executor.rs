//! Effects become calls of backends, and their answers become commands.
//!
//! Synchronous and without a clock: the shell performs the calls, a simulation performs them on a fake. What is kept here
//! is only what is under way in this process; losing it loses nothing, since effects are derived from the state.

mod troubles;

use super::call::{Answer, Call};
use super::complaints::{Complaints, Work};
use super::polls::Polls;
use super::reads::Reads;
use super::watch::{Step, Watch};
use engine::command::Command;
use engine::effect::Effect;
use engine::event::v1::Outcome;
use engine::id::{ExperimentId, SubmissionKey};
use engine::ports::backend::{Capabilities, Found, Idempotency, JobHandle, ReadError, Submitted, TaskOrder};
use engine::state::{State, TaskPhase, TaskRun};
use engine::time::{Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Wait before an unanswered question is asked again; doubles up to [`MAX_BACKOFF`].
const FIRST_BACKOFF: Span = Span(500);
/// Longest wait between two tries.
const MAX_BACKOFF: Span = Span::from_secs(60);
/// Searches without a trace of the job after which a submission is in doubt.
const FINDS_BEFORE_DOUBT: u32 = 8;

/// What is under way for one submission.
#[derive(Debug, Default)]
struct Errand {
    busy: bool,
    tries: u32,
    not_before: Timestamp,
    must_find: bool,
    /// Whether its trial was being stopped when it was last looked at.
    stopping: bool,
    /// Submissions whose answer was lost.
    unanswered: u32,
}

/// Calls with the backend that each is meant for.
pub type Calls = Vec<(String, Call)>;

/// Turns effects into calls and answers into commands.
#[derive(Debug)]
pub struct Executor {
    backends: BTreeMap<String, Capabilities>,
    errands: BTreeMap<SubmissionKey, Errand>,
    stops: BTreeMap<SubmissionKey, Errand>,
    watches: BTreeMap<SubmissionKey, Watch>,
    /// By backend.
    reads: BTreeMap<String, Reads>,
    /// By backend.
    polls: BTreeMap<String, Polls>,
    /// Whether a task was taken on since the held ones were last looked through.
    taken_on: bool,
    wakes: BTreeSet<(Timestamp, ExperimentId)>,
    complaints: Complaints,
}

impl Executor {
    /// An executor for these backends.
    pub fn new(backends: BTreeMap<String, Capabilities>) -> Self {
        Self {
            polls: backends.keys().map(|name| (name.clone(), Polls::default())).collect(),
            backends,
            errands: BTreeMap::new(),
            stops: BTreeMap::new(),
            watches: BTreeMap::new(),
            reads: BTreeMap::new(),
            taken_on: false,
            wakes: BTreeSet::new(),
            complaints: Complaints::default(),
        }
    }

    /// Begins the work that is due. Everything that an effect depends on must be durable.
    pub fn begin(&mut self, state: &State, effects: &[Effect], now: Timestamp) -> Calls {
        let mut calls = Vec::new();
        for effect in effects {
            match effect {
                Effect::Suggest { .. } => {}
                Effect::Wake { experiment, at } => {
                    // Never at once: what a passed deadline leads to has been decided.
                    self.wakes.insert(((*at).max(now.after(Span(20))), *experiment));
                }
                Effect::Submit { key } => self.settle(state, *key, false, now, &mut calls),
                Effect::Find { key } => self.settle(state, *key, true, now, &mut calls),
                Effect::Stop { key, handle } => {
                    let stop = self.stops.entry(*key).or_default();
                    if !stop.busy && stop.not_before <= now {
                        stop.busy = true;
                        push(state, key, Call::Stop { key: *key, handle: handle.clone() }, &mut calls);
                    }
                }
            }
        }
        calls
    }

    fn settle(&mut self, state: &State, key: SubmissionKey, find: bool, now: Timestamp, calls: &mut Calls) {
        let Some(experiment) = state.experiment(key.experiment) else { return };
        let open = troubles::is_unsettled(state, &key);
        // The state may have moved on while the effect waited for the disk; then a newer effect follows.
        let stopping = experiment.trial(key.trial).is_none_or(|trial| trial.stopping.is_some());
        if !open || (stopping && !find) {
            return;
        }
        let errand = self.errands.entry(key).or_default();
        if stopping && !errand.stopping {
            // Whoever stops it waits for the answer.
            (errand.stopping, errand.tries, errand.not_before) = (true, 0, now);
        }
        if errand.busy || errand.not_before > now {
            return;
        }
        let Some(order) = order(state, key, now).map(Box::new) else { return };
        errand.busy = true;
        let call = if find || errand.must_find { Call::Find { order } } else { Call::Submit { order } };
        push(state, &key, call, calls);
    }

    /// Takes an answer in; gives the commands that follow, in order, and further calls.
    pub fn answer(&mut self, state: &State, answer: Answer, now: Timestamp) -> (Vec<Command>, Calls) {
        let mut calls = Vec::new();
        let commands = match answer {
            Answer::Submitted(key, submitted) => self.submitted(state, key, submitted, now, &mut calls),
            Answer::Found(key, found) => self.found(state, key, found, now, &mut calls),
            Answer::Polled(states) => {
                let mut commands = Vec::new();
                for (key, job) in states {
                    self.heard(state, key, &job, now);
                    let Some(watch) = self.watches.get_mut(&key) else { continue };
                    let step = watch.seen(job, now);
                    if let Some(name) = backend_of(state, &key) {
                        if !watch.has_ended() {
                            self.polls.entry(name.to_owned()).or_default().join(key);
                        }
                        if watch.is_to_be_read() {
                            self.reads.entry(name.to_owned()).or_default().join(key, watch);
                        }
                    }
                    self.follow(state, key, step, &mut commands, &mut calls);
                }
                commands
            }
            Answer::Read(key, source, chunk) => {
                let mut commands = Vec::new();
                let failure = chunk.as_ref().err().filter(|error| error.may_pass()).map(told);
                let waiting = is_waited_for(state, &key);
                if let Some(watch) = self.watches.get_mut(&key) {
                    let step = watch.read(&source, chunk, waiting);
                    // What one source gives says nothing of another one that fails.
                    if failure.is_some() || !watch.is_read_in_vain() {
                        self.went(state, key, Work::Read, failure.as_deref(), now);
                    }
                    self.follow(state, key, step, &mut commands, &mut calls);
                }
                self.read_on(state, &key, &mut calls);
                commands
            }
            Answer::Stopped(key, result) => {
                if let Some(stop) = self.stops.get_mut(&key) {
                    stop.busy = false;
                    stop.tries += 1;
                    // A stop that was taken may still be lost on the way: ask again later.
                    let wait = if result.is_ok() { MAX_BACKOFF } else { backoff(stop.tries) };
                    stop.not_before = now.after(wait);
                    self.wakes.insert((stop.not_before, key.experiment));
                    self.went(state, key, Work::Stop, result.err().as_deref(), now);
                } else if let Err(reason) = result {
                    tracing::warn!(%key, %reason, "failed to stop a job that nobody waits for");
                }
                Vec::new()
            }
            Answer::Listed(key, files) => {
                let mut commands = Vec::new();
                if let Some(watch) = self.watches.get_mut(&key) {
                    let step = watch.listed(files);
                    self.follow(state, key, step, &mut commands, &mut calls);
                }
                self.read_on(state, &key, &mut calls);
                commands
            }
        };
        (commands, calls)
    }

    fn submitted(
        &mut self,
        state: &State,
        key: SubmissionKey,
        submitted: Submitted,
        now: Timestamp,
        calls: &mut Calls,
    ) -> Vec<Command> {
        let errand = self.errands.entry(key).or_default();
        errand.busy = false;
        match submitted {
            Submitted::Accepted(handle) | Submitted::AlreadyExists(handle) => {
                self.accepted(state, key, handle, now, calls)
            }
            Submitted::Refused(reason) => {
                self.went(state, key, Work::Submit, None, now);
                self.errands.remove(&key);
                vec![Command::RecordEnded { key, outcome: Outcome::Refused { reason }, ended: now }]
            }
            Submitted::Unknown(reason) => {
                tracing::warn!(%key, %reason, "it is not known whether a task was submitted; looking for it");
                errand.must_find = true;
                errand.unanswered += 1;
                errand.tries = 0;
                errand.not_before = now.after(FIRST_BACKOFF);
                self.wakes.insert((errand.not_before, key.experiment));
                // An answer is lost now and then; that one after the other is lost does not end by itself.
                if errand.unanswered > 1 {
                    self.went(state, key, Work::Submit, Some(&reason), now);
                }
                Vec::new()
            }
            Submitted::Later(wait, reason) => {
                errand.not_before = now.after(wait.max(FIRST_BACKOFF));
                self.wakes.insert((errand.not_before, key.experiment));
                self.went(state, key, Work::Submit, Some(&reason), now);
                Vec::new()
            }
        }
    }

    fn found(
        &mut self,
        state: &State,
        key: SubmissionKey,
        found: Found,
        now: Timestamp,
        calls: &mut Calls,
    ) -> Vec<Command> {
        let capabilities = backend_of(state, &key).and_then(|name| self.backends.get(name)).copied();
        let stopping = state
            .experiment(key.experiment)
            .and_then(|experiment| experiment.trial(key.trial))
            .is_some_and(|trial| trial.stopping.is_some());
        let errand = self.errands.entry(key).or_default();
        errand.busy = false;
        errand.tries += 1;
        let tries = errand.tries;
        let failure = if let Found::Unknown(reason) = &found { Some(reason.as_str()) } else { None };
        self.went(state, key, Work::Find, failure, now);
        let errand = self.errands.entry(key).or_default();
        match found {
            Found::NotAgain(_) if stopping => vec![Command::RecordCleared { key }],
            Found::One(handle) => self.accepted(state, key, handle, now, calls),
            Found::Several(handles) => {
                let mut handles = handles.into_iter();
                let first = handles.next();
                for handle in handles {
                    tracing::warn!(%key, job = %handle.0, "a second job under the same key is stopped");
                    push(state, &key, Call::Stop { key, handle }, calls);
                }
                first.map_or_else(Vec::new, |handle| self.accepted(state, key, handle, now, calls))
            }
            Found::NoneForSure => {
                errand.must_find = false;
                if errand.unanswered > 0 {
                    // A backend that loses every answer is not asked ever faster.
                    errand.not_before = now.after(backoff(errand.unanswered));
                    self.wakes.insert((errand.not_before, key.experiment));
                }
                vec![Command::RecordCleared { key }]
            }
            Found::NoneYet | Found::Undecided(_) | Found::NotAgain(_) | Found::Unknown(_) => {
                errand.not_before = now.after(backoff(tries));
                self.wakes.insert((errand.not_before, key.experiment));
                let blind = capabilities.is_some_and(|known| known.idempotency == Idempotency::None);
                let doubt = match found {
                    Found::NoneYet if blind || tries >= FINDS_BEFORE_DOUBT => {
                        Some("the backend shows no such job, and one may still appear".to_owned())
                    }
                    Found::Undecided(reason) | Found::NotAgain(reason) => Some(reason),
                    _ => None,
                };
                let task = state.experiment(key.experiment).and_then(|experiment| experiment.task(&key));
                if let Some(reason) = doubt.as_ref().filter(|_| task.is_some_and(is_planned)) {
                    tracing::warn!(
                        %key, %reason,
                        "it is in doubt whether a task was submitted, and its trial waits; look for its key at the \
                         backend: what is found there is taken on, and `retrial stop {} {}` gives the trial up",
                        key.experiment, key.trial
                    );
                }
                doubt.map(|reason| Command::RecordDoubt { key, reason }).into_iter().collect()
            }
        }
    }

    /// The backend holds the task. If nobody waits for it any more, since it was given up, it is ended.
    fn accepted(
        &mut self,
        state: &State,
        key: SubmissionKey,
        handle: JobHandle,
        now: Timestamp,
        calls: &mut Calls,
    ) -> Vec<Command> {
        self.errands.remove(&key);
        self.went(state, key, Work::Submit, None, now);
        let phase = state
            .experiment(key.experiment)
            .and_then(|experiment| experiment.task(&key))
            .map(|task| &task.phase);
        if matches!(phase, None | Some(TaskPhase::Ended(_))) {
            tracing::warn!(%key, job = %handle.0, "a job that was given up was started after all; it is stopped");
            push(state, &key, Call::Stop { key, handle }, calls);
            return Vec::new();
        }
        self.taken_on = true;
        vec![Command::RecordAccepted { key, handle: handle.0 }]
    }

    fn follow(
        &mut self,
        state: &State,
        key: SubmissionKey,
        step: Step,
        commands: &mut Vec<Command>,
        calls: &mut Calls,
    ) {
        commands.extend(step.commands);
        let Some(watch) = self.watches.get_mut(&key) else { return };
        if step.done {
            self.watches.remove(&key);
            self.stops.remove(&key);
            return;
        }
        // While it runs, the next read comes with the next round.
        if watch.has_ended() {
            for call in super::reads::of(watch, key, false) {
                push(state, &key, call, calls);
            }
        }
    }

    /// Reads the jobs whose turn it is, after an answer of this one.
    fn read_on(&mut self, state: &State, answered: &SubmissionKey, calls: &mut Calls) {
        let Some(name) = backend_of(state, answered) else { return };
        let Some(reads) = self.reads.get_mut(name) else { return };
        calls.extend(reads.go_on(&mut self.watches).into_iter().map(|call| (name.to_owned(), call)));
    }

    /// Polls the jobs of a backend at the next tick, since one of them may have changed.
    pub fn hasten(&mut self, backend: &str) {
        if let Some(polls) = self.polls.get_mut(backend) {
            polls.hasten();
        }
    }

    /// Calls that are due by time: polls of jobs and reads of what they write. Costs what is due: the tasks that backends
    /// hold are only looked through when there are others than those that are watched.
    pub fn tick(&mut self, state: &State, now: Timestamp) -> Calls {
        let is_due = |name: &&String| self.polls.get(*name).is_none_or(|polls| polls.next() <= now);
        let due: Vec<String> = self.backends.keys().filter(is_due).cloned().collect();
        let mut calls = Vec::new();
        if due.is_empty() {
            return calls;
        }
        self.stops.retain(|key, _| state.holds(key));
        self.errands.retain(|key, _| troubles::is_unsettled(state, key));
        self.forget_troubles(state);
        if std::mem::take(&mut self.taken_on) || self.watches.len() != state.held_count() {
            self.watch_held(state);
        }
        for name in due {
            let Some(pace) = self.backends.get(&name) else { continue };
            if let Some(reads) = self.reads.get_mut(&name) {
                calls.extend(reads.due(&mut self.watches).into_iter().map(|call| (name.clone(), call)));
            }
            let polls = self.polls.entry(name.clone()).or_default();
            let urgent = |key: &SubmissionKey| self.stops.contains_key(key);
            let keys = polls.take(&self.watches, urgent, pace, now);
            let with_handle = |key| self.watches.get(&key).map(|watch| (key, watch.handle()));
            let jobs: Vec<_> = keys.into_iter().filter_map(with_handle).collect();
            let batches = jobs.chunks(pace.poll_batch.max(1)).map(|jobs| Call::Poll { jobs: jobs.to_vec() });
            calls.extend(batches.map(|call| (name.clone(), call)));
        }
        calls
    }

    /// Makes the watches equal to the tasks that backends hold.
    fn watch_held(&mut self, state: &State) {
        self.watches.retain(|key, _| state.holds(key));
        for (key, handle) in state.held() {
            let is_new = |_: &&str| !self.watches.contains_key(&key);
            let Some(name) = backend_of(state, &key).filter(is_new) else { continue };
            let Some(known) = self.backends.get(name) else { continue };
            if let Some(watch) = Watch::new(state, key, handle.clone(), known.reports) {
                self.watches.insert(key, watch);
                self.polls.entry(name.to_owned()).or_default().join(key);
            }
        }
    }

    /// Experiments that must be looked at again by now.
    pub fn woken(&mut self, now: Timestamp) -> Vec<ExperimentId> {
        let mut woken = Vec::new();
        while let Some((at, experiment)) = self.wakes.first().copied().filter(|(at, _)| *at <= now) {
            self.wakes.remove(&(at, experiment));
            woken.push(experiment);
        }
        woken
    }

    /// The next time at which [`Executor::woken`] or [`Executor::tick`] has something to do.
    pub fn next_time(&self, state: &State) -> Option<Timestamp> {
        let wake = self.wakes.first().map(|(at, _)| *at);
        let poll = if state.held().next().is_some() {
            Some(self.polls.values().map(Polls::next).min().unwrap_or_default())
        } else {
            None
        };
        [wake, poll].into_iter().flatten().min()
    }
}

/// A failed read, with what to do about it if that is known.
fn told(error: &ReadError) -> String {
    match error {
        ReadError::Unavailable { cure, .. } if !cure.is_empty() => format!("{error}\n  = help: {cure}"),
        _ => error.to_string(),
    }
}

/// Whether somebody still wants the trial's result.
fn is_waited_for(state: &State, key: &SubmissionKey) -> bool {
    let trial = state.experiment(key.experiment).and_then(|experiment| experiment.trial(key.trial));
    trial.is_some_and(|trial| trial.stopping.is_none() && !trial.status.is_ended())
}

fn is_planned(task: &TaskRun) -> bool {
    task.phase == TaskPhase::Planned
}

fn backoff(tries: u32) -> Span {
    Span(FIRST_BACKOFF.0.saturating_mul(1 << tries.min(16)).min(MAX_BACKOFF.0))
}

fn backend_of<'a>(state: &'a State, key: &SubmissionKey) -> Option<&'a str> {
    state.experiment(key.experiment)?.spec.run.as_ref().map(|run| run.backend.as_str())
}

fn push(state: &State, key: &SubmissionKey, call: Call, calls: &mut Calls) {
    if let Some(name) = backend_of(state, key) {
        calls.push((name.to_owned(), call));
    }
}

/// The order of a task that is still the current one of its trial.
pub fn order(state: &State, key: SubmissionKey, now: Timestamp) -> Option<TaskOrder> {
    let experiment = state.experiment(key.experiment)?;
    let trial = experiment.trial(key.trial)?;
    let attempt = trial.attempt().filter(|attempt| attempt.number == key.attempt)?;
    let before = experiment.resumable(trial, key.attempt);
    let mut order = experiment.spec.order(key, &trial.point, attempt.slot, before)?;
    order.planned = attempt.planned;
    order.timeout = experiment.attempt_time_left(attempt, now);
    Some(order)
}
