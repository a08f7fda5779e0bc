//! One job that a backend holds: its state and what it writes, until its end has been recorded.
//!
//! A process that takes a job over reads everything from the start. What is recorded already is known by its content,
//! not by its place: a job may report in several files, and nobody knows in which order they were read before.

use backends::metrics::Collector;
use engine::command::Command;
use engine::event::v1::{Outcome, ReportPoint};
use engine::id::SubmissionKey;
use engine::ports::backend::{Capabilities, Chunk, JobHandle, JobState, ReadError, Reports, Source};
use engine::spec::render::render;
use engine::spec::{MetricSource, Objective, Spec};
use engine::state::{Report, State};
use engine::time::Timestamp;
use engine::value::Point;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reads of one source that may fail in a row after the job has ended, before it is given up. They are an interval of
/// polls apart.
const MAX_FAILURES: u32 = 120;
/// The same for a result that somebody waits for and that a service keeps: a day, if polls are five seconds apart. A
/// person may have to give a permission first.
const MAX_REFUSALS: u32 = 17_280;

/// What is under way for a source.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Nothing.
    #[default]
    Nothing,
    /// A read asked for while the job ran: its end need not be the source's.
    Early,
    /// A read asked for after the job had been seen to have ended.
    Late,
}

impl Asked {
    /// Now, of a job that has ended or has not.
    const fn now(ended: bool) -> Self {
        if ended { Self::Late } else { Self::Early }
    }
}

/// One thing that is read.
#[derive(Debug, Default)]
struct Tail {
    from: u64,
    asked: Asked,
    /// Reads that failed in a row, since the job has ended if it has.
    failures: u32,
    /// Read to its end after the job had ended.
    drained: bool,
    /// Read only after the job has ended.
    at_end_only: bool,
}

/// A directory whose files are read, as they appear.
#[derive(Debug)]
struct Listing {
    dir: String,
    asked: Asked,
    failures: u32,
    /// Listed once more after the job had ended.
    complete: bool,
}

/// What follows an observation.
#[derive(Debug, Default)]
pub struct Step {
    /// Commands, in order.
    pub commands: Vec<Command>,
    /// Whether the job is done with.
    pub done: bool,
}

/// Watches one job.
#[derive(Debug)]
pub struct Watch {
    key: SubmissionKey,
    handle: JobHandle,
    collector: Collector,
    tails: BTreeMap<Source, Tail>,
    listing: Option<Listing>,
    spec: Arc<Spec>,
    /// What the attempt has reported before, and how often; less what was found again.
    known: BTreeMap<Content, u32>,
    /// Points of the attempt that are recorded.
    reported: u32,
    started: Option<Timestamp>,
    ended: Option<(Timestamp, Outcome)>,
    /// Why a source gives no result.
    failure: Option<String>,
    /// Since when nothing is known of it.
    unknown_since: Option<Timestamp>,
    /// When it was last heard of.
    heard: Timestamp,
    /// Since when it waits, or runs.
    unchanged: Option<(Stage, Timestamp)>,
}

/// What a job that has not ended does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waits,
    Runs,
}

impl Watch {
    /// Watches the job of a submission.
    pub fn new(state: &State, key: SubmissionKey, handle: JobHandle, reports: Reports) -> Option<Self> {
        let experiment = state.experiment(key.experiment)?;
        let trial = experiment.trial(key.trial)?;
        let spec = &experiment.spec;
        let metric = source_of(spec, key, &trial.point);
        let tasks = spec.run.as_ref().map_or(1, |run| run.commands.len());
        let last = usize::from(key.task.0) + 1 == tasks;
        // The file of RETRIAL_REPORT belongs to all tasks; everything else to one of them.
        let task = match &metric {
            MetricSource::Stdout { task: Some(task), .. } => *task == key.task.0,
            _ => last,
        };
        let names: Vec<String> = spec.objective.metrics.iter().map(|metric| metric.name.clone()).collect();
        let metric = if task { metric } else { MetricSource::Report };
        let collector = match Collector::new(&metric, &names, reports) {
            Ok(collector) => collector,
            Err(errors) => {
                for error in errors {
                    tracing::error!(%key, %error, "the trial's metrics cannot be read");
                }
                return None;
            }
        };
        // What a job prints costs a call each time. Where the metrics are elsewhere and nothing judges trials that run, it
        // can wait for the end.
        let printed = matches!(spec.metric.source, MetricSource::Report | MetricSource::Stdout { .. });
        let at_end_only = reports == Reports::Stdout && !printed && spec.early_stop.is_empty();
        let tail = |source| {
            let at_end_only = at_end_only && source == Source::Stdout;
            (source, Tail { at_end_only, ..Tail::default() })
        };
        let mut tails: BTreeMap<Source, Tail> = collector.follows().into_iter().map(tail).collect();
        for source in collector.reads_at_end() {
            tails.insert(source, Tail { at_end_only: true, ..Tail::default() });
        }
        let listing = collector.directory().map(|dir| Listing {
            dir: dir.to_owned(),
            asked: Asked::Nothing,
            failures: 0,
            complete: false,
        });
        let before = trial.reports_of(key.attempt);
        let mut known = BTreeMap::new();
        for report in before {
            *known.entry(Content::of_report(report)).or_insert(0) += 1;
        }
        Some(Self {
            key,
            handle,
            collector,
            tails,
            listing,
            spec: spec.shared(),
            known,
            reported: u32::try_from(before.len()).unwrap_or(u32::MAX),
            started: None,
            ended: None,
            failure: None,
            unknown_since: None,
            heard: Timestamp::default(),
            unchanged: None,
        })
    }

    /// The job.
    pub fn handle(&self) -> JobHandle {
        self.handle.clone()
    }

    /// Whether it is a running job of which something is to be read before its end, or one that has ended.
    pub fn is_to_be_read(&self) -> bool {
        let early = self.listing.is_some() || self.tails.values().any(|tail| !tail.at_end_only);
        self.ended.is_some() || (self.started.is_some() && early)
    }

    /// Whether its end has been seen.
    pub const fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Whether something of it is being read or listed.
    pub fn is_being_read(&self) -> bool {
        let listing = self.listing.as_ref().is_some_and(|listing| listing.asked != Asked::Nothing);
        listing || self.tails.values().any(|tail| tail.asked != Asked::Nothing)
    }

    /// Whether the last read of a source has failed that is read again.
    pub fn is_read_in_vain(&self) -> bool {
        self.tails.values().any(|tail| tail.failures > 0 && !tail.drained)
    }

    /// What to read next, and from where; marks it as under way. What has just failed is read again only `after_pause`.
    pub fn reads(&mut self, after_pause: bool) -> Vec<(Source, u64)> {
        let ended = self.ended.is_some();
        let mut reads = Vec::new();
        for (source, tail) in &mut self.tails {
            let may_fail_again = after_pause || tail.failures == 0;
            if tail.asked == Asked::Nothing && !tail.drained && may_fail_again && (ended || !tail.at_end_only)
            {
                tail.asked = Asked::now(ended);
                reads.push((source.clone(), tail.from));
            }
        }
        reads
    }

    /// The directory to list next; marks it as under way. One that could not be listed waits for a pause.
    pub fn list(&mut self, after_pause: bool) -> Option<String> {
        let ended = self.ended.is_some();
        let may_fail_again = |listing: &&mut Listing| after_pause || listing.failures == 0;
        let listing = self.listing.as_mut().filter(may_fail_again);
        let listing = listing.filter(|listing| listing.asked == Asked::Nothing && !listing.complete)?;
        listing.asked = Asked::now(ended);
        Some(listing.dir.clone())
    }

    /// Takes the names of the files in the directory in.
    pub fn listed(&mut self, files: Result<Vec<String>, ReadError>) -> Step {
        if let Some(listing) = &mut self.listing {
            let failed = files.as_ref().is_err_and(ReadError::may_pass);
            let late = std::mem::take(&mut listing.asked) == Asked::Late;
            listing.failures = match (failed, late) {
                (true, true) => listing.failures.saturating_add(1),
                (true, false) => 1,
                (false, _) => 0,
            };
            listing.complete = late && (!failed || listing.failures >= MAX_FAILURES);
        }
        for file in files.unwrap_or_default() {
            if backends::metrics::is_event_file(&file) {
                self.tails.entry(Source::File(file)).or_default();
            }
        }
        let mut step = Step::default();
        self.close(&mut step);
        step
    }

    /// Nothing is known of the job now; since when.
    pub fn unknown_since(&mut self, now: Timestamp) -> Timestamp {
        *self.unknown_since.get_or_insert(now)
    }

    /// When it is polled again, at the earliest. What is not known now is asked again at the next interval.
    pub(super) fn asked_again_at(&self, pace: &Capabilities) -> Timestamp {
        let rest = |(_, since)| super::polls::rest(self.heard.since(since), pace);
        self.heard.after(self.unchanged.map(rest).unwrap_or_default())
    }

    /// Takes the job's state in.
    pub fn seen(&mut self, job: JobState, now: Timestamp) -> Step {
        let mut step = Step::default();
        self.heard = now;
        let stage = match job {
            JobState::Queued => Some((Stage::Waits, now)),
            JobState::Running { started } => Some((Stage::Runs, started.min(now))),
            JobState::Unknown(_) | JobState::Ended { .. } => None,
        };
        if self.unchanged.map(|(known, _)| known) != stage.map(|(seen, _)| seen) {
            self.unchanged = stage;
        }
        if !matches!(job, JobState::Unknown(_)) {
            self.unknown_since = None;
        }
        match job {
            JobState::Queued => {}
            JobState::Unknown(reason) => {
                tracing::debug!(key = %self.key, %reason, "a job's state is not known");
            }
            JobState::Running { started } => self.begin(started, &mut step),
            JobState::Ended { started, ended, outcome } => {
                if let Some(started) = started {
                    self.begin(started, &mut step);
                }
                if self.ended.is_none() {
                    // A question costs something, and the answer of a task that has not succeeded is of no use.
                    let in_vain = outcome != Outcome::Succeeded;
                    for (source, tail) in &mut self.tails {
                        tail.drained |= in_vain && matches!(source, Source::Query(_));
                    }
                    self.ended = Some((ended, outcome));
                }
                self.close(&mut step);
            }
        }
        step
    }

    fn begin(&mut self, started: Timestamp, step: &mut Step) {
        if self.started.is_none() {
            self.started = Some(started);
            step.commands.push(Command::RecordStarted { key: self.key, started });
        }
    }

    /// Takes a part of what the job writes in. `waiting` says whether somebody still wants the result.
    pub fn read(&mut self, source: &Source, chunk: Result<Chunk, ReadError>, waiting: bool) -> Step {
        let mut step = Step::default();
        let Some(tail) = self.tails.get_mut(source).filter(|tail| tail.asked != Asked::Nothing) else {
            return step;
        };
        let late = std::mem::take(&mut tail.asked) == Asked::Late;
        match chunk {
            Ok(chunk) => {
                tail.failures = 0;
                // Nothing may be read as the end of something that went on while the job still ran.
                tail.drained = late && chunk.at_end;
                if chunk.start > tail.from {
                    self.collector.gap(source);
                }
                tail.from = chunk.start + chunk.bytes.len() as u64;
                let points = self.collector.feed(source, &chunk.bytes);
                self.report(points, &mut step);
            }
            Err(ReadError::Absent(_)) => {
                tail.failures = 0;
                tail.drained = late;
            }
            Err(error @ ReadError::Useless { .. }) => {
                tail.failures = 0;
                tail.drained = late;
                self.failure = Some(error.to_string());
            }
            Err(error) => {
                tracing::debug!(key = %self.key, %error, "a trial's metrics cannot be read now");
                let kept = |code| code != backends::cloud::codes::NOT_FOUND;
                let patient = waiting && matches!(&error, ReadError::Unavailable { code, .. } if kept(*code));
                let most = if patient { MAX_REFUSALS } else { MAX_FAILURES };
                // What failed while the job ran says nothing of what can be read after it.
                tail.failures = if late { tail.failures.saturating_add(1) } else { 1 };
                tail.drained = late && tail.failures >= most;
                if tail.drained {
                    tracing::warn!(key = %self.key, %error, "the rest of what a trial wrote is given up");
                }
            }
        }
        self.close(&mut step);
        step
    }

    /// Whether a point is recorded already; each record answers for one point only.
    fn is_known(&mut self, point: &ReportPoint) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let content = Content::of_point(point, &self.spec.objective);
        let Some(count) = self.known.get_mut(&content) else { return false };
        *count -= 1;
        if *count == 0 {
            self.known.remove(&content);
        }
        true
    }

    /// Once everything is read, the end itself.
    fn close(&mut self, step: &mut Step) {
        let listed = self.listing.as_ref().is_none_or(|listing| listing.complete);
        if !listed || !self.tails.values().all(|tail| tail.drained) {
            return;
        }
        let Some((ended, mut outcome)) = self.ended.clone() else { return };
        let points = self.collector.finish();
        self.report(points, step);
        let failure = self.failure.take().or_else(|| self.collector.failure().map(str::to_owned));
        if let (Outcome::Succeeded, 0, Some(reason)) = (&outcome, self.reported, failure) {
            outcome = Outcome::Failed { exit: None, signal: None, reason };
        }
        for warning in self.collector.warnings() {
            tracing::warn!(key = %self.key, "{warning}");
        }
        step.commands.push(Command::RecordEnded { key: self.key, outcome, ended });
        step.done = true;
    }

    fn report(&mut self, mut points: Vec<ReportPoint>, step: &mut Step) {
        points.retain(|point| !self.is_known(point));
        if points.is_empty() {
            return;
        }
        let first = self.reported;
        self.reported = self.reported.saturating_add(u32::try_from(points.len()).unwrap_or(u32::MAX));
        step.commands.push(Command::ReportMetrics {
            experiment: self.key.experiment,
            trial: self.key.trial,
            attempt: self.key.attempt,
            first,
            points,
        });
    }
}

/// What makes a report the same as one that is recorded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Content {
    step: u64,
    value: Option<u64>,
    metrics: Vec<u64>,
    last: bool,
}

impl Content {
    fn of_report(report: &Report) -> Self {
        Self {
            step: report.step,
            value: report.value.map(f64::to_bits),
            metrics: report.metrics.iter().map(|metric| metric.to_bits()).collect(),
            last: report.last,
        }
    }

    fn of_point(point: &ReportPoint, objective: &Objective) -> Self {
        let several = objective.metrics.len() > 1;
        Self {
            step: point.step,
            value: objective.value(&point.values).map(f64::to_bits),
            metrics: point.values.iter().filter(|_| several).map(|metric| metric.to_bits()).collect(),
            last: point.last,
        }
    }
}

/// Where a task's metrics are, with every placeholder replaced.
fn source_of(spec: &Spec, key: SubmissionKey, point: &Point) -> MetricSource {
    let bindings = spec.bindings(key, point);
    let mut source = spec.metric.source.clone();
    match &mut source {
        MetricSource::Report | MetricSource::Stdout { file: None, .. } => {}
        MetricSource::Stdout { file: Some(place), .. }
        | MetricSource::Json { file: place, .. }
        | MetricSource::Summary { dir: place, .. } => *place = render(place, &bindings),
        MetricSource::Table { queries, .. } => {
            for query in queries {
                *query = render(query, &bindings);
            }
        }
    }
    source
}
