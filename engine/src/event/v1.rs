//! The frozen wire structs of version 1.
//!
//! bincode is positional: never insert, remove, reorder or retype a field or a variant here. A change is a new
//! struct in a new file, a new version number in the table of [`super`], and a conversion from the old one.

use crate::id::{ActorId, AttemptNo, TaskIndex, TrialId};
use crate::time::Timestamp;
use crate::value::Point;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! wire {
    ($(#[$doc:meta])* struct $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct $name { $($(#[$field_doc])* pub $field: $ty,)* }
    };
    ($(#[$doc:meta])* enum $name:ident { $($(#[$var_doc:meta])* $var:ident $({ $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* })?,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub enum $name { $($(#[$var_doc])* $var $({ $($(#[$field_doc])* $field: $ty,)* })?,)* }
    };
}
pub(super) use wire;

wire! {
    /// A number was given to a person or program that acts on this store.
    struct ActorNamed {
        /// The number used in later headers.
        actor: ActorId,
        /// For example `ann@host`.
        name: String,
    }
}
wire! {
    /// The digest of the whole state just before this record, for `audit verify`.
    struct CheckpointTaken {
        /// Which definition of the digest.
        digest_version: u8,
        /// The digest.
        digest: [u8; 32],
    }
}
wire! {
    /// Ended experiments have left this history for an archive of all that it was. What is left was written anew, in the same order.
    struct HistoryArchived {
        /// Records of the history that was archived.
        records: u64,
        /// The hash of the last of them, as the archive proves it.
        head: [u8; 32],
        /// The experiments that have left.
        experiments: u32,
    }
}
wire! {
    /// An experiment exists.
    struct ExperimentCreated {
        /// Its name; several experiments may share one.
        name: String,
        /// Its specification as canonical JSON.
        spec: String,
        /// The seed of all its random streams.
        seed: u64,
        /// Numbered behaviour flags: old journals replay under old rules.
        behaviour: u32,
    }
}
wire! {
    /// The specification was replaced; the space and the tasks' number never change.
    struct ExperimentUpdated {
        /// The new specification as canonical JSON.
        spec: String,
    }
}
wire! {
    /// Why no further trial is started.
    enum PauseReason {
        /// Somebody asked.
        Asked,
        /// The first trials all failed in the same way.
        Brake {
            /// What they failed of.
            failure: String,
        },
    }
}
wire! {
    /// No further trial is started until it is resumed; running trials go on.
    struct ExperimentPaused {
        /// Why.
        reason: PauseReason,
    }
}
wire! {
    /// Trials are started again.
    struct ExperimentResumed {}
}
wire! {
    /// Why an experiment ends.
    enum EndReason {
        /// All trials of the budget have ended.
        Trials,
        /// The target value was reached.
        Target,
        /// The last trials of the budget's patience brought no improvement.
        Patience,
        /// The time of the budget is over.
        Duration,
        /// The search space holds no further point.
        Exhausted,
        /// Somebody stopped it.
        Asked,
        /// The engine itself stopped it.
        Engine {
            /// Why.
            reason: String,
        },
    }
}
wire! {
    /// The experiment is ending: no further trial starts and running ones are stopped.
    struct ExperimentStopping {
        /// Why.
        reason: EndReason,
    }
}
wire! {
    /// How an experiment ended.
    enum ExperimentEnd {
        /// Ended as planned, with at least one success.
        Finished,
        /// Ended as planned, without a success.
        Failed,
        /// Ended before the budget was used, by its own patience.
        EarlyStopped,
        /// Stopped by a person.
        UserCanceled,
        /// Stopped by the engine.
        SysCanceled,
        /// Every point of the space was tried.
        NoMoreTrial,
    }
}
wire! {
    /// The experiment has ended; nothing of it runs.
    struct ExperimentEnded {
        /// How.
        status: ExperimentEnd,
        /// Why.
        reason: EndReason,
    }
}
wire! {
    /// An ended experiment goes on, since it was given more to do.
    struct ExperimentReopened {}
}
wire! {
    /// The experiment is hidden from lists; its history stays.
    struct ExperimentRemoved {}
}
wire! {
    /// The sampler has no further point.
    struct SpaceExhausted {}
}
wire! {
    /// A point was put into the queue; queued points are tried before the sampler is asked.
    struct PointEnqueued {
        /// Number of the entry within the experiment, from 0.
        entry: u32,
        /// The point.
        point: Point,
        /// The trial that this one repeats, if any.
        retry_of: Option<TrialId>,
        /// Whether it is tried beyond the budget of trials.
        extra: bool,
    }
}
wire! {
    /// Labels were set, or taken away. What is not named stays.
    struct ExperimentLabelled {
        /// The new value of each label; none where it was taken away.
        labels: BTreeMap<String, Option<String>>,
    }
}
wire! {
    /// Where a trial's point comes from.
    enum Origin {
        /// A sampler proposed it.
        Sampled {
            /// The sampler's name.
            sampler: String,
            /// The sampler's version: the same version gives the same bits.
            version: u16,
            /// Trials that had been suggested when it was asked.
            suggested: u32,
            /// Trials that had ended when it was asked.
            ended: u32,
            /// What the sampler wants to remember of this step.
            memo: Vec<u8>,
        },
        /// It waited in the queue.
        Queued {
            /// The entry.
            entry: u32,
        },
    }
}
wire! {
    /// A trial exists.
    struct TrialSuggested {
        /// Its number.
        trial: TrialId,
        /// Its point.
        point: Point,
        /// Where the point comes from.
        origin: Origin,
    }
}
wire! {
    /// Why a trial is stopped before its end.
    enum TrialStop {
        /// Somebody asked.
        Asked,
        /// A rule judged it hopeless.
        Early {
            /// The rule.
            rule: String,
            /// The step that was judged.
            step: u64,
            /// The rule's words.
            why: String,
        },
        /// The experiment is ending.
        Experiment,
        /// The trial's time is over.
        Timeout,
    }
}
wire! {
    /// The trial's running task is to be stopped, and no further one started.
    struct TrialStopping {
        /// The trial.
        trial: TrialId,
        /// Why.
        reason: TrialStop,
    }
}
wire! {
    /// How a trial ended.
    enum TrialEnd {
        /// With a value.
        Succeeded,
        /// Without.
        Failed,
        /// Judged hopeless; its value, if any, is what it had reached.
        EarlyStopped,
        /// Stopped by a person.
        UserCanceled,
        /// Stopped because the experiment ended.
        SysCanceled,
        /// Its jobs vanished, more often than the retries allow.
        Lost,
    }
}
wire! {
    /// The trial has ended.
    struct TrialEnded {
        /// The trial.
        trial: TrialId,
        /// How.
        status: TrialEnd,
        /// The objective's value, weighted; finite.
        value: Option<f64>,
        /// The value of each metric, in the order of the objective; empty if there is only one.
        metrics: Vec<f64>,
        /// The cause of a failure, in words.
        reason: String,
    }
}
wire! {
    /// A client was given the trial until a time: for the first time, instead of another client, or for longer.
    struct TrialLeased {
        /// The trial.
        trial: TrialId,
        /// The number of the lease within the trial, from 1; the same again if it was renewed.
        lease: u32,
        /// The client.
        worker: String,
        /// The request by which the client took the trial; may be empty.
        request: String,
        /// When others may take the trial over.
        until: Timestamp,
    }
}
wire! {
    /// A try is about to begin with this task: recorded before anything is submitted.
    struct AttemptPlanned {
        /// The trial.
        trial: TrialId,
        /// The attempt.
        attempt: AttemptNo,
        /// Its first task: later than 0 if finished tasks of an earlier attempt are kept.
        task: TaskIndex,
        /// The slot of the machine that it occupies.
        slot: u16,
    }
}
wire! {
    /// The next task of the attempt is about to be submitted.
    struct TaskPlanned {
        /// The trial.
        trial: TrialId,
        /// The attempt.
        attempt: AttemptNo,
        /// The task.
        task: TaskIndex,
    }
}
wire! {
    /// It is certain that the backend does not hold this submission: it may be submitted again under the same key.
    struct TaskCleared {
        /// The trial.
        trial: TrialId,
        /// The attempt.
        attempt: AttemptNo,
        /// The task.
        task: TaskIndex,
    }
}
wire! {
    /// The backend holds the task.
    struct TaskAccepted {
        /// The trial.
        trial: TrialId,
        /// The attempt.
        attempt: AttemptNo,
        /// The task.
        task: TaskIndex,
        /// The backend's name for the job.
        handle: String,
    }
}
wire! {
    /// It cannot be found out whether the backend holds the task.
    struct TaskDoubtful {
        /// The trial.
        trial: TrialId,
        /// The attempt.
        attempt: AttemptNo,
        /// The task.
        task: TaskIndex,
        /// Why.
        reason: String,
    }
}
wire! {
    /// The task runs.
    struct TaskStarted {
        /// The trial.
        trial: TrialId,
        /// The attempt.
        attempt: AttemptNo,
        /// The task.
        task: TaskIndex,
        /// When, by the backend's clock.
        started: Timestamp,
    }
}
wire! {
    /// How a task ended.
    enum Outcome {
        /// Exit code 0, or the backend's own success.
        Succeeded,
        /// The task failed.
        Failed {
            /// Its exit code.
            exit: Option<i32>,
            /// The signal that ended it.
            signal: Option<i32>,
            /// The backend's reason and the last lines of the log.
            reason: String,
        },
        /// It was ended because its time was over.
        TimedOut,
        /// The job vanished, or its machine did.
        Lost {
            /// What is known.
            reason: String,
        },
        /// The backend took the machine away.
        Preempted {
            /// What is known.
            reason: String,
        },
        /// It was ended on request.
        Stopped,
        /// The backend refused it for good.
        Refused {
            /// Its reason.
            reason: String,
        },
    }
}
wire! {
    /// The task has ended.
    struct TaskEnded {
        /// The trial.
        trial: TrialId,
        /// The attempt.
        attempt: AttemptNo,
        /// The task.
        task: TaskIndex,
        /// How.
        outcome: Outcome,
        /// When, by the backend's clock.
        ended: Timestamp,
    }
}
wire! {
    /// The window of the experiment's schedule is open: trials may start.
    struct WindowOpened {
        /// When it closes; `None` if it does not.
        until: Option<Timestamp>,
    }
}
wire! {
    /// The window of the experiment's schedule is closed: no trial and no attempt starts.
    struct WindowClosed {
        /// When it opens.
        until: Option<Timestamp>,
    }
}
wire! {
    /// A result arrived for a task that had been settled otherwise before: kept, and without effect.
    struct LateResult {
        /// The trial.
        trial: TrialId,
        /// The attempt.
        attempt: AttemptNo,
        /// The task.
        task: TaskIndex,
        /// What it says.
        outcome: Outcome,
    }
}
wire! {
    /// One report of a running trial.
    struct ReportPoint {
        /// The step.
        step: u64,
        /// The metrics in the order of the objective; empty if what was reported was not a finite number.
        values: Vec<f64>,
        /// Whether it is the trial's final result rather than an intermediate one.
        last: bool,
    }
}
wire! {
    /// Reports arrived.
    struct MetricReported {
        /// The trial.
        trial: TrialId,
        /// The attempt; 0 for a trial that a client runs.
        attempt: AttemptNo,
        /// Number of the first point within the attempt, from 0: a point is recorded once however often it is read.
        first: u32,
        /// The points.
        points: Vec<ReportPoint>,
    }
}
