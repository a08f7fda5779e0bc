//! Requests. A command may be rejected; then nothing has changed.

use crate::event::v1::{Outcome, ReportPoint};
use crate::id::{AttemptNo, ExperimentId, SubmissionKey, TrialId};
use crate::time::Timestamp;
use crate::value::Point;
use std::collections::BTreeMap;

/// What somebody, a sampler, a backend or the clock asks of the core.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Record the digest of the whole state.
    TakeCheckpoint,
    /// Give a person or program a number.
    NameActor {
        /// For example `ann@host`.
        name: String,
    },
    /// Record that ended experiments have left this history for an archive.
    RecordArchive {
        /// Records of the history that was archived.
        records: u64,
        /// The hash of the last of them.
        head: [u8; 32],
        /// The experiments that have left.
        experiments: u32,
    },
    /// Begin an experiment.
    CreateExperiment {
        /// Its id, made by the shell.
        experiment: ExperimentId,
        /// Its specification as canonical JSON.
        spec: String,
        /// The seed of its random streams.
        seed: u64,
        /// What it is labelled with from the beginning.
        labels: BTreeMap<String, String>,
    },
    /// Set labels of an experiment, also of one that has ended, or take them away. What is not named stays.
    LabelExperiment {
        /// The experiment.
        experiment: ExperimentId,
        /// The new value of each label; `None` takes it away.
        labels: BTreeMap<String, Option<String>>,
    },
    /// Replace an experiment's specification; an ended one goes on if it is given more to do.
    UpdateExperiment {
        /// The experiment.
        experiment: ExperimentId,
        /// The new specification as canonical JSON.
        spec: String,
    },
    /// Start no further trials.
    PauseExperiment {
        /// The experiment.
        experiment: ExperimentId,
    },
    /// Start trials again; a stopped experiment goes on.
    ResumeExperiment {
        /// The experiment.
        experiment: ExperimentId,
    },
    /// Stop all trials and end.
    StopExperiment {
        /// The experiment.
        experiment: ExperimentId,
    },
    /// Hide an ended experiment.
    RemoveExperiment {
        /// The experiment.
        experiment: ExperimentId,
    },
    /// Stop single trials.
    StopTrials {
        /// The experiment.
        experiment: ExperimentId,
        /// The trials.
        trials: Vec<TrialId>,
    },
    /// Try the points of ended, unsuccessful trials again, as new trials beyond the budget.
    RetryTrials {
        /// The experiment.
        experiment: ExperimentId,
        /// The trials.
        trials: Vec<TrialId>,
    },
    /// Try this point next.
    EnqueuePoint {
        /// The experiment.
        experiment: ExperimentId,
        /// The point.
        point: Point,
    },
    /// Take a sampler's proposal as the next trial.
    RecordSuggestion {
        /// The experiment.
        experiment: ExperimentId,
        /// The number that the sampler was asked for.
        trial: TrialId,
        /// The point.
        point: Point,
        /// The sampler's name.
        sampler: String,
        /// Its version.
        version: u16,
        /// Trials that had ended when it was asked.
        ended: u32,
        /// What it wants to remember.
        memo: Vec<u8>,
        /// The trial from whose checkpoint this one goes on.
        parent: Option<TrialId>,
    },
    /// The sampler has no further point.
    RecordExhaustion {
        /// The experiment.
        experiment: ExperimentId,
    },
    /// The sampler expects no improvement that is worth the budget's `gain`.
    RecordEnough {
        /// The experiment.
        experiment: ExperimentId,
        /// The improvement that it expects, in the unit of the value.
        expected: f64,
    },
    /// Give the next queued point to a client that asks.
    TakeQueued {
        /// The experiment.
        experiment: ExperimentId,
    },
    /// Give a client a trial that waits for another worker, since its lease has run out, else the next queued point. If the
    /// request has taken a trial that has not ended, it is given that one again.
    TakeTrial {
        /// The experiment.
        experiment: ExperimentId,
        /// The client.
        worker: String,
        /// Names the request, so that it can be repeated; may be empty.
        request: String,
        /// When others may take the trial over.
        until: Timestamp,
    },
    /// Give a client a trial that nobody holds, or its holder more time.
    LeaseTrial {
        /// The experiment.
        experiment: ExperimentId,
        /// The trial.
        trial: TrialId,
        /// The number of the lease: 1 for the first one.
        lease: u32,
        /// The client.
        worker: String,
        /// The request by which the client takes the trial; a lease that is renewed keeps the one that it has.
        request: String,
        /// When others may take the trial over; never earlier than before.
        until: Timestamp,
    },
    /// A client tells the result of a trial that it runs.
    TellTrial {
        /// The experiment.
        experiment: ExperimentId,
        /// The trial.
        trial: TrialId,
        /// The number of the lease under which the client runs it; `None` if it does not say.
        lease: Option<u32>,
        /// Every metric of the objective, in order; `None` if it failed.
        values: Option<Vec<f64>>,
    },
    /// Reports of a running trial.
    ReportMetrics {
        /// The experiment.
        experiment: ExperimentId,
        /// The trial.
        trial: TrialId,
        /// The attempt; for a trial that a client runs the number of the lease, or 0 without one.
        attempt: AttemptNo,
        /// Number of the first point within the attempt; points that are known already are skipped.
        first: u32,
        /// The points.
        points: Vec<ReportPoint>,
    },
    /// A rule judged a running trial hopeless.
    StopHopeless {
        /// The experiment.
        experiment: ExperimentId,
        /// The trial.
        trial: TrialId,
        /// The rule.
        rule: String,
        /// The step that was judged.
        step: u64,
        /// The rule's words.
        why: String,
    },
    /// The backend holds a task.
    RecordAccepted {
        /// The submission.
        key: SubmissionKey,
        /// The backend's name for it.
        handle: String,
    },
    /// The backend certainly does not hold a task.
    RecordCleared {
        /// The submission.
        key: SubmissionKey,
    },
    /// It cannot be found out whether the backend holds a task.
    RecordDoubt {
        /// The submission.
        key: SubmissionKey,
        /// Why.
        reason: String,
    },
    /// A task runs.
    RecordStarted {
        /// The submission.
        key: SubmissionKey,
        /// Since when.
        started: Timestamp,
    },
    /// A task has ended. All its reports must have been handed in before.
    RecordEnded {
        /// The submission.
        key: SubmissionKey,
        /// How.
        outcome: Outcome,
        /// When.
        ended: Timestamp,
    },
    /// Whether the window of the experiment's schedule is open now, as the clock and the zone say.
    SetWindow {
        /// The experiment.
        experiment: ExperimentId,
        /// Whether it is open.
        open: bool,
        /// When that changes; `None` if never.
        until: Option<Timestamp>,
    },
    /// Do what has become due: plan attempts, settle trials, end the experiment. Decides at most one step of each
    /// trial; give it again until it decides nothing.
    Advance {
        /// The experiment.
        experiment: ExperimentId,
    },
}
