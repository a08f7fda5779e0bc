//! A backend that exists only in memory, with faults by script: for simulations and tests.
//!
//! [`FakeWorld`] is the truth: what was asked for, what really runs, and until when. It reads no clock, every
//! method is handed the time, and the same seed and the same calls give the same answers. [`FakeBackend`] is
//! the port in front of it. The world outlives whoever asks it, so a simulation crashes an engine by dropping it.
//!
//! The world never lies about a start: [`FakeWorld::starts`] tells checkers of every task that really ran.

use async_trait::async_trait;
use engine::event::v1::Outcome;
use engine::id::SubmissionKey;
use engine::ports::backend::{
    Backend, Capabilities, Chunk, Found, Idempotency, JobHandle, JobState, ReadError, Reports, Source,
    Submitted, TaskOrder,
};
use engine::time::{Span, Timestamp};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How often each fault happens, in calls or jobs of a thousand. All zero by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// A submission is accepted, and its answer lost.
    pub lost_answer: u16,
    /// A submission is lost on its way, and nobody knows.
    pub lost_order: u16,
    /// A submission is refused for good.
    pub refused: u16,
    /// A submission is put off.
    pub later: u16,
    /// A search cannot be made now.
    pub find_unknown: u16,
    /// A job is not seen by searches for a while after it was accepted.
    pub slow_to_appear: u16,
    /// A state cannot be told now.
    pub poll_unknown: u16,
    /// A state is an old one, as from a cache.
    pub poll_stale: u16,
    /// A job vanishes, and is over.
    pub vanishes: u16,
    /// A job is not seen any more, runs on, and its result comes late.
    pub late_result: u16,
    /// A job's machine is taken away.
    pub preempted: u16,
    /// A request to stop fails and has no effect.
    pub stop_failed: u16,
    /// A source cannot be read now.
    pub read_failed: u16,
}

impl Faults {
    /// All faults at one rate, in calls or jobs of a thousand.
    pub const fn all(rate: u16) -> Self {
        Self {
            lost_answer: rate,
            lost_order: rate,
            refused: rate,
            later: rate,
            find_unknown: rate,
            slow_to_appear: rate,
            poll_unknown: rate,
            poll_stale: rate,
            vanishes: rate,
            late_result: rate,
            preempted: rate,
            stop_failed: rate,
            read_failed: rate,
        }
    }
}

/// What a task does, in its own time.
#[derive(Debug, Clone, PartialEq)]
pub struct Play {
    /// How long it waits before it runs.
    pub queued: Span,
    /// How long it runs; `None` means until it is stopped.
    pub runs: Option<Span>,
    /// How it ends.
    pub outcome: Outcome,
    /// What it writes and when, counted from its start, in order of time.
    pub writes: Vec<(Span, Source, String)>,
    /// How long it takes to end after it was asked to.
    pub stops_within: Span,
}

impl Default for Play {
    fn default() -> Self {
        Self {
            queued: Span(0),
            runs: Some(Span(1_000)),
            outcome: Outcome::Succeeded,
            writes: Vec::new(),
            stops_within: Span(0),
        }
    }
}

/// Decides what a task does.
pub type Script = Box<dyn FnMut(&TaskOrder, &mut Draw) -> Play + Send>;

/// Numbers that look random and depend on nothing but a seed and how many were drawn (`SplitMix64`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    seed: u64,
    count: u64,
}

impl Draw {
    /// The sequence of a seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed, count: 0 }
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.count = self.count.wrapping_add(1);
        let z = self.seed.wrapping_add(self.count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to but not including `bound`; 0 if that is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        let drawn = self.next();
        if bound == 0 { 0 } else { drawn % bound }
    }

    /// Whether something happens that happens so often in a thousand.
    pub fn happens(&mut self, rate: u16) -> bool {
        self.below(1_000) < u64::from(rate)
    }
}

/// A task that really ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Under which key.
    pub key: SubmissionKey,
    /// As which job.
    pub handle: JobHandle,
    /// When it began.
    pub at: Timestamp,
    /// When it ended or will end; `None` if it runs until it is stopped.
    pub until: Option<Timestamp>,
    /// Whether the backend has told, or will tell, that it is lost while it runs.
    pub hidden: bool,
}

/// What a fault does to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Normal,
    Vanishes(Timestamp),
    Preempted(Timestamp),
    Hidden(Timestamp),
}

#[derive(Debug, Clone)]
struct Job {
    key: SubmissionKey,
    seen_from: Timestamp,
    starts: Timestamp,
    play: Play,
    fate: Fate,
    stop: Option<Timestamp>,
}

impl Job {
    /// When and how it really ends.
    fn end(&self) -> Option<(Timestamp, Outcome)> {
        let natural = self.play.runs.map(|runs| (self.starts.after(runs), self.play.outcome.clone()));
        let reason = || "the backend has lost the job".to_owned();
        let fate = match self.fate {
            Fate::Vanishes(at) => Some((at, Outcome::Lost { reason: reason() })),
            Fate::Preempted(at) => {
                Some((at, Outcome::Preempted { reason: "the machine was taken away".to_owned() }))
            }
            Fate::Normal | Fate::Hidden(_) => None,
        };
        let stop = self.stop.map(|at| (at, Outcome::Stopped));
        // Of two ends at one moment the task's own counts, and then that by the backend.
        [natural, fate, stop].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn state(&self, now: Timestamp) -> JobState {
        let started = (self.starts <= now).then_some(self.starts);
        match (self.end(), started) {
            (Some((ended, outcome)), _) if ended <= now => {
                let started = (self.starts <= ended).then_some(self.starts);
                JobState::Ended { started, ended, outcome }
            }
            (_, started) if matches!(self.fate, Fate::Hidden(from) if from <= now) => {
                let reason = "the backend does not know the job any more".to_owned();
                JobState::Ended { started, ended: now, outcome: Outcome::Lost { reason } }
            }
            (_, Some(started)) => JobState::Running { started },
            (_, None) => JobState::Queued,
        }
    }
}

/// Everything that the backend holds, and the truth behind its answers.
pub struct FakeWorld {
    draw: Draw,
    faults: Faults,
    idempotency: Idempotency,
    window: Span,
    script: Script,
    jobs: BTreeMap<JobHandle, Job>,
    keys: BTreeMap<SubmissionKey, Vec<JobHandle>>,
    /// When a submission was last sent whose arrival is not certain.
    sent: BTreeMap<SubmissionKey, Timestamp>,
}

impl fmt::Debug for FakeWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeWorld")
            .field("draw", &self.draw)
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

impl FakeWorld {
    /// A world without faults, in which a key submitted again gives the same job.
    pub fn new(seed: u64, script: Script) -> Self {
        Self {
            draw: Draw::new(seed),
            faults: Faults::default(),
            idempotency: Idempotency::Native,
            window: Span(10_000),
            script,
            jobs: BTreeMap::new(),
            keys: BTreeMap::new(),
            sent: BTreeMap::new(),
        }
    }

    /// With these faults from now on.
    pub const fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// How it treats repeated submissions: one that is not native really runs a task again.
    pub const fn set_idempotency(&mut self, idempotency: Idempotency) {
        self.idempotency = idempotency;
    }

    /// How long a job may be invisible to searches.
    pub const fn set_window(&mut self, window: Span) {
        self.window = window;
    }

    /// Every task that began by `now`, in the order of the jobs.
    pub fn starts(&self, now: Timestamp) -> Vec<Start> {
        let began = |job: &&Job| job.starts <= now && job.end().is_none_or(|(ended, _)| ended >= job.starts);
        self.jobs
            .iter()
            .filter(|(_, job)| began(job))
            .map(|(handle, job)| Start {
                key: job.key,
                handle: handle.clone(),
                at: job.starts,
                until: job.end().map(|(ended, _)| ended),
                hidden: matches!(job.fate, Fate::Hidden(_)),
            })
            .collect()
    }

    /// Keys under which more than one task began by `now`: the rule is that there are none.
    pub fn started_twice(&self, now: Timestamp) -> Vec<SubmissionKey> {
        let mut counts: BTreeMap<SubmissionKey, usize> = BTreeMap::new();
        for start in self.starts(now) {
            *counts.entry(start.key).or_default() += 1;
        }
        counts.into_iter().filter(|(_, count)| *count > 1).map(|(key, _)| key).collect()
    }

    /// The next moment after `now` at which an answer may change by itself.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let of_job = |job: &Job| {
            let end = job.end().map(|(at, _)| at);
            let hidden = match job.fate {
                Fate::Hidden(at) => Some(at),
                _ => None,
            };
            let writes: Vec<Timestamp> =
                job.play.writes.iter().map(|(at, ..)| job.starts.after(*at)).collect();
            let begin = [Some(job.seen_from), Some(job.starts), hidden];
            // What it would write after its end is never written.
            let open = move |at: &Timestamp| end.is_none_or(|end| *at <= end);
            begin.into_iter().flatten().chain(writes).filter(open).chain(end).collect::<Vec<_>>()
        };
        self.jobs.values().flat_map(of_job).filter(|at| *at > now).min()
    }

    /// [`Backend::submit`] at a time.
    pub fn submit(&mut self, order: &TaskOrder, now: Timestamp) -> Submitted {
        if self.idempotency == Idempotency::Native
            && let Some(handle) = self.keys.get(&order.key).and_then(|handles| handles.first())
        {
            return Submitted::AlreadyExists(handle.clone());
        }
        let faults = self.faults;
        if self.draw.happens(faults.refused) {
            return Submitted::Refused("the backend does not like the task".to_owned());
        }
        if self.draw.happens(faults.later) {
            return Submitted::Later(Span(1 + self.draw.below(5_000)), "the backend is busy".to_owned());
        }
        if self.draw.happens(faults.lost_order) {
            self.sent.insert(order.key, now);
            return Submitted::Unknown("the connection broke".to_owned());
        }
        let handle = self.accept(order, now);
        if self.draw.happens(faults.lost_answer) {
            return Submitted::Unknown("the answer did not come".to_owned());
        }
        Submitted::Accepted(handle)
    }

    fn accept(&mut self, order: &TaskOrder, now: Timestamp) -> JobHandle {
        let play = (self.script)(order, &mut self.draw);
        let starts = now.after(play.queued);
        // A job's own fault comes at some moment of its life.
        let life = play.queued.0 + play.runs.map_or(60_000, |runs| runs.0);
        let at = now.after(Span(self.draw.below(life)));
        let fate = if self.draw.happens(self.faults.vanishes) {
            Fate::Vanishes(at)
        } else if self.draw.happens(self.faults.preempted) {
            Fate::Preempted(at)
        } else if self.draw.happens(self.faults.late_result) {
            Fate::Hidden(at)
        } else {
            Fate::Normal
        };
        let slow = self.draw.happens(self.faults.slow_to_appear);
        let seen_from = if slow { now.after(Span(self.draw.below(self.window.0))) } else { now };
        let number = self.jobs.len() + 1;
        let handle = JobHandle(format!("fake-{number:06}-{}", order.key));
        self.jobs.insert(handle.clone(), Job { key: order.key, seen_from, starts, play, fate, stop: None });
        self.keys.entry(order.key).or_default().push(handle.clone());
        handle
    }

    /// [`Backend::find`] at a time.
    pub fn find(&mut self, key: &SubmissionKey, now: Timestamp) -> Found {
        if self.draw.happens(self.faults.find_unknown) {
            return Found::Unknown("the backend does not answer".to_owned());
        }
        let handles = self.keys.get(key).map_or(&[][..], Vec::as_slice);
        let seen = |handle: &&JobHandle| self.jobs.get(handle).is_some_and(|job| job.seen_from <= now);
        let mut visible: Vec<JobHandle> = handles.iter().filter(seen).cloned().collect();
        let in_doubt = self.sent.get(key).is_some_and(|sent| now < sent.after(self.window));
        match visible.len() {
            0 if !handles.is_empty() || in_doubt => Found::NoneYet,
            0 => Found::NoneForSure,
            1 => Found::One(visible.remove(0)),
            _ => Found::Several(visible),
        }
    }

    /// [`Backend::poll`] at a time.
    pub fn poll(&mut self, handles: &[JobHandle], now: Timestamp) -> Vec<JobState> {
        handles.iter().map(|handle| self.state(handle, now)).collect()
    }

    fn state(&mut self, handle: &JobHandle, now: Timestamp) -> JobState {
        if self.draw.happens(self.faults.poll_unknown) {
            return JobState::Unknown("the backend does not answer".to_owned());
        }
        let stale = self.draw.happens(self.faults.poll_stale);
        let age = if stale { self.draw.below(30_000) } else { 0 };
        let Some(job) = self.jobs.get(handle) else {
            let reason = format!("there is no job `{}`", handle.0);
            return JobState::Ended { started: None, ended: now, outcome: Outcome::Lost { reason } };
        };
        job.state(Timestamp(now.0.saturating_sub_unsigned(age)))
    }

    /// [`Backend::read`] at a time.
    pub fn read(
        &mut self,
        handle: &JobHandle,
        source: &Source,
        from: u64,
        limit: usize,
        now: Timestamp,
    ) -> Result<Chunk, ReadError> {
        let what = format!("{source:?}");
        if self.draw.happens(self.faults.read_failed) {
            return Err(ReadError::Failed { what, reason: "the backend does not answer".to_owned() });
        }
        let job = self.jobs.get(handle).ok_or_else(|| ReadError::Absent(what.clone()))?;
        let until = job.end().map_or(now, |(ended, _)| ended.min(now));
        let written: Vec<u8> = job
            .play
            .writes
            .iter()
            .filter(|(at, to, _)| to == source && job.starts.after(*at) <= until)
            .flat_map(|(.., text)| text.bytes())
            .collect();
        if written.is_empty() && matches!(source, Source::Report | Source::File(_)) {
            return Err(ReadError::Absent(what));
        }
        let rest = usize::try_from(from).ok().and_then(|from| written.get(from..)).unwrap_or_default();
        let bytes = rest.get(..limit).unwrap_or(rest).to_vec();
        Ok(Chunk { at_end: bytes.len() == rest.len(), start: from, bytes })
    }

    /// [`Backend::stop`] at a time.
    pub fn stop(&mut self, handle: &JobHandle, now: Timestamp) -> Result<(), String> {
        if self.draw.happens(self.faults.stop_failed) {
            return Err("the backend does not answer".to_owned());
        }
        if let Some(job) = self.jobs.get_mut(handle) {
            // The first request counts; a task that ends by itself before it takes effect has won.
            let effect = now.after(job.play.stops_within);
            job.stop = Some(job.stop.map_or(effect, |earlier| earlier.min(effect)));
        }
        Ok(())
    }
}

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The port in front of a [`FakeWorld`]; clones share it.
#[derive(Clone)]
pub struct FakeBackend {
    world: Arc<Mutex<FakeWorld>>,
    clock: Clock,
}

impl fmt::Debug for FakeBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeBackend").field("world", &self.world).finish_non_exhaustive()
    }
}

impl FakeBackend {
    /// A backend of a world, by the time of a clock.
    pub fn new(world: Arc<Mutex<FakeWorld>>, clock: Clock) -> Self {
        Self { world, clock }
    }

    /// The world behind it.
    pub fn world(&self) -> MutexGuard<'_, FakeWorld> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present time of its clock.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

#[async_trait]
impl Backend for FakeBackend {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn capabilities(&self) -> Capabilities {
        let idempotency = self.world().idempotency;
        let (poll_interval, poll_rest) = (Span(1_000), Span(0));
        Capabilities { idempotency, poll_batch: 100, poll_interval, poll_rest, reports: Reports::File }
    }

    async fn submit(&self, order: &TaskOrder) -> Submitted {
        self.world().submit(order, self.now())
    }

    async fn find(&self, order: &TaskOrder) -> Found {
        self.world().find(&order.key, self.now())
    }

    async fn poll(&self, handles: &[JobHandle]) -> Vec<JobState> {
        self.world().poll(handles, self.now())
    }

    async fn read(
        &self,
        handle: &JobHandle,
        source: &Source,
        from: u64,
        limit: usize,
    ) -> Result<Chunk, ReadError> {
        self.world().read(handle, source, from, limit, self.now())
    }

    async fn stop(&self, handle: &JobHandle) -> Result<(), String> {
        self.world().stop(handle, self.now())
    }
}
