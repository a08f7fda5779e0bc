//! Every bound of the system, named with its unit.

/// Bytes of one journal record, header and checksum included. Keeps a sled leaf of 16 records far below the
/// size at which sled writes unsynced blob files.
pub const MAX_RECORD_BYTES: usize = 65_536;
/// Bytes of an experiment's specification in canonical JSON.
pub const MAX_SPEC_BYTES: usize = 60_000;
/// Bytes of an experiment file on disk.
pub const MAX_SPEC_FILE_BYTES: u64 = 1_048_576;
/// Characters of an experiment's name.
pub const MAX_NAME_CHARS: usize = 128;
/// Labels of an experiment.
pub const MAX_LABELS: usize = 64;
/// Characters of a label's name.
pub const MAX_LABEL_NAME_CHARS: usize = 128;
/// Bytes of one label's value: it fits into a record, with its name.
pub const MAX_LABEL_BYTES: usize = 60_000;
/// Bytes of all labels of an experiment, names and values.
pub const MAX_LABELS_BYTES: usize = 262_144;
/// Characters of the names of a worker and of its request in a lease.
pub const MAX_HOLDER_CHARS: usize = 128;
/// Leaves (parameters, nested ones included) of a search space.
pub const MAX_LEAVES: usize = 2_000;
/// Options of one choice or ordinal.
pub const MAX_OPTIONS: usize = 10_000;
/// Depth of nested choices.
pub const MAX_NESTING: usize = 8;
/// Linear constraints of a search space.
pub const MAX_CONSTRAINTS: usize = 256;
/// Trials of one experiment.
pub const MAX_TRIALS: u32 = 10_000_000;
/// Trials of one experiment that run at once.
pub const MAX_CONCURRENCY: u32 = 10_000;
/// Tasks of one trial.
pub const MAX_TASKS: usize = 64;
/// Attempts of one trial.
pub const MAX_ATTEMPTS: u32 = 100;
/// Objectives beside each other: beyond a few hardly any trial dominates another.
pub const MAX_OBJECTIVES: usize = 8;
/// Metrics of an objective.
pub const MAX_METRICS: usize = 64;
/// Report points of one trial that are kept; later ones are counted but dropped.
pub const MAX_REPORTS_PER_TRIAL: usize = 100_000;
/// Report points in one event.
pub const MAX_REPORTS_PER_EVENT: usize = 512;
/// Bytes of a reason or log excerpt kept in an event.
pub const MAX_REASON_BYTES: usize = 2_048;
/// Bytes of a sampler's memo in an event.
pub const MAX_MEMO_BYTES: usize = 4_096;
/// Attempts whose checkpoint a task may go on from: its trial's own, then those of the trials that it descends from.
pub const MAX_RESUMABLE: usize = 32;
/// Results that an experiment may know before its first trial.
pub const MAX_KNOWN: usize = 256;
/// Trials of each point that an experiment may ask for.
pub const MAX_REPLICATES: u32 = 100;
/// Failures of a point's trials after which it is not tried again.
pub const MAX_FAILED_REPLICATES: u32 = 2;
/// The highest priority of an experiment.
pub const MAX_PRIORITY: u32 = 9;
/// Targets of one experiment's notifications.
pub const MAX_NOTIFY: usize = 8;
/// People whom a message calls.
pub const MAX_AT: usize = 64;
/// Points waiting in an experiment's queue.
pub const MAX_QUEUE: usize = 10_000;
/// Records of one group commit.
pub const MAX_COMMIT_RECORDS: usize = 4_096;
/// Bytes of one group commit.
pub const MAX_COMMIT_BYTES: usize = 4 * 1_048_576;
/// Bytes of one request line of `ask-tell` and of the control socket.
pub const MAX_LINE_BYTES: usize = 1_048_576;
/// Trials of one `ask` request.
pub const MAX_ASK: u32 = 10_000;
