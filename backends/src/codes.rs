//! The error numbers of this crate, E0500 to E0519. Each has a page in `docs/errors/`; a number is never reused.

use engine::error::Code;

/// The part of the experiment file for a backend is not of the right type.
pub const WRONG_TYPE: Code = Code(500);
/// A key that the backend does not know.
pub const UNKNOWN_KEY: Code = Code(501);
/// A number outside its bounds.
pub const OUT_OF_RANGE: Code = Code(502);
/// A path that cannot be used.
pub const BAD_PATH: Code = Code(503);
/// More devices are asked for than there are.
pub const TOO_FEW_DEVICES: Code = Code(504);
/// There is no such backend.
pub const UNKNOWN_BACKEND: Code = Code(505);
/// The backend is known and this version cannot run it.
pub const UNAVAILABLE_BACKEND: Code = Code(506);
/// A pattern is not a regular expression, or has no group.
pub const BAD_PATTERN: Code = Code(507);
/// A metric source names no metric, or one that the objective does not have.
pub const BAD_METRIC: Code = Code(508);
/// A setting that a backend needs is missing.
pub const MISSING: Code = Code(509);
/// Two backend settings exclude each other.
pub const CONFLICT: Code = Code(510);
/// A word that the backend does not know.
pub const NOT_ONE_OF: Code = Code(511);
/// A name that the backend does not take.
pub const BAD_NAME: Code = Code(512);
/// A `dlc submit` line that cannot be read.
pub const BAD_LINE: Code = Code(513);
/// A secret stands in the experiment file.
pub const PLAIN_SECRET: Code = Code(514);
/// A variable that holds a secret is not set.
pub const NO_SECRET: Code = Code(515);
/// A file or a variable of the daemon's machine, which others share.
pub const NOT_SHARED: Code = Code(516);

/// Every code of this crate with its title, in order.
pub const ALL: &[(Code, &str)] = &[
    (WRONG_TYPE, "a backend setting has the wrong type"),
    (UNKNOWN_KEY, "a backend setting is not known"),
    (OUT_OF_RANGE, "a backend setting is out of range"),
    (BAD_PATH, "a path of a backend cannot be used"),
    (TOO_FEW_DEVICES, "more devices are asked for than there are"),
    (UNKNOWN_BACKEND, "there is no such backend"),
    (UNAVAILABLE_BACKEND, "the backend is not available in this version"),
    (BAD_PATTERN, "a metric pattern cannot be used"),
    (BAD_METRIC, "a metric source does not fit the objective"),
    (MISSING, "a backend setting is missing"),
    (CONFLICT, "backend settings exclude each other"),
    (NOT_ONE_OF, "a backend setting is none of the known words"),
    (BAD_NAME, "a name cannot be used by the backend"),
    (BAD_LINE, "a `dlc submit` line cannot be read"),
    (PLAIN_SECRET, "a secret stands in the experiment file"),
    (NO_SECRET, "a variable that holds a secret is not set"),
];
