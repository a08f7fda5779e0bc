//! The bounds of the simulator. The first group is the service's as far as it is documented; the rest are ours.

/// How far a call's time may be from the service's, in milliseconds.
pub const SKEW_MS: i64 = 900_000;
/// The longest text of a SQL task, in bytes.
pub const SQL_BYTES: usize = 2 << 20;
/// The most rows that a result read without a tunnel has.
pub const RESULT_ROWS: usize = 10_000;

/// The longest body of a call, in bytes (undocumented; ours).
pub const BODY_BYTES: usize = 8 << 20;
/// The instances of a page if a call does not say (undocumented; ours).
pub const PAGE: usize = 1000;
/// How deep elements of a request's XML may lie in each other.
pub const XML_DEPTH: usize = 32;
/// How deep parentheses of SQL may lie in each other.
pub const SQL_DEPTH: usize = 256;
/// The most rows that one statement or algorithm reads or writes.
pub const ROWS: usize = 5_000_000;
/// The most calls that are remembered.
pub const CALLS: usize = 200_000;
/// The most download sessions that are remembered; the oldest are forgotten.
pub const SESSIONS: usize = 10_000;
/// How often a running clock is looked at, in milliseconds.
pub const TICK_MS: u64 = 20;
/// How many statements and algorithms run at the same time.
pub const WORKERS: usize = 4;
/// How long a token for a logview lasts if a call does not say, in hours.
pub const TOKEN_HOURS: i64 = 24;
/// The most trees of a model.
pub const TREES: usize = 5000;
/// The most features of a model.
pub const FEATURES: usize = 100_000;
