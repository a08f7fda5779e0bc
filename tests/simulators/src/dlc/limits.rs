//! The bounds of the simulator. The first group is the service's as far as it is documented; the rest are ours.

/// The most bytes of a call's body. The service counts its system parameters too.
pub const BODY_BYTES: usize = 65_536;
/// The most characters of a job's name.
pub const NAME_CHARS: usize = 256;
/// The most tags in one `TagResources`.
pub const TAGS: usize = 20;
/// The most jobs in one `TagResources`.
pub const TAGGED: usize = 50;
/// How far a call's time may be from the service's, in milliseconds.
pub const SKEW_MS: i64 = 15 * 60 * 1000;
/// How far back lists and logs go if a call does not say, in milliseconds.
pub const WINDOW_MS: i64 = 7 * 24 * 3600 * 1000;
/// The lines of a log that are served if a call does not say.
pub const LINES: usize = 2000;

/// The most lines of a log that are served at all (undocumented; ours).
pub const MOST_LINES: usize = 5000;
/// The jobs of a page if a call does not say (undocumented; ours).
pub const PAGE: usize = 10;
/// The most jobs of a page (undocumented; ours).
pub const MOST_PAGE: usize = 100;
/// The most restarts of one job.
pub const RESTARTS: u32 = 20;
/// The most lines that one entry of a script writes.
pub const SCRIPTED_LINES: usize = 100_000;
/// The most lines that are kept of one pod.
pub const POD_LINES: usize = 1_000_000;
/// The longest line that is kept of a process, in bytes.
pub const LINE_BYTES: usize = 1 << 20;
/// The most calls that are remembered.
pub const CALLS: usize = 200_000;
/// The longest body of a call to the simulator's own interface, in bytes.
pub const CONTROL_BYTES: usize = 4 << 20;
/// How often a running clock is looked at, in milliseconds.
pub const TICK_MS: u64 = 20;
/// How long processes have to end after they are asked to, in milliseconds, if their job does not say.
pub const GRACE_MS: u64 = 5000;
