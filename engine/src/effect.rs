//! Work for the shell, as data. Effects are derived from the state, so a lost one reappears.

use crate::id::{ExperimentId, SubmissionKey};
use crate::ports::backend::JobHandle;
use crate::time::Timestamp;

/// Something that the shell must do in the world. Never done during replay, and only after the records that it
/// depends on are durable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Ask the sampler for at most this many points, and give each as `RecordSuggestion`.
    Suggest {
        /// The experiment.
        experiment: ExperimentId,
        /// How many.
        count: u32,
    },
    /// Submit the task. Its intent was recorded by this process, so nothing can have been sent before.
    Submit {
        /// The submission.
        key: SubmissionKey,
    },
    /// Look for the task: an earlier process may have sent it, or an answer was lost.
    Find {
        /// The submission.
        key: SubmissionKey,
    },
    /// End the job.
    Stop {
        /// The submission.
        key: SubmissionKey,
        /// The job.
        handle: JobHandle,
    },
    /// Give `Advance` at this time.
    Wake {
        /// The experiment.
        experiment: ExperimentId,
        /// When.
        at: Timestamp,
    },
}
