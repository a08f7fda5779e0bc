//! The error numbers of an experiment's specification: E0100 to E0149.

use crate::error::Code;

/// The document is not a map of keys to values.
pub const NOT_A_DOCUMENT: Code = Code(100);
/// A key that has no meaning here.
pub const UNKNOWN_KEY: Code = Code(101);
/// A value of the wrong type.
pub const WRONG_TYPE: Code = Code(102);
/// A key that is needed is missing.
pub const MISSING_KEY: Code = Code(103);
/// A number outside its bounds.
pub const OUT_OF_BOUNDS: Code = Code(104);
/// A text, list or map is empty where something is needed.
pub const EMPTY: Code = Code(105);
/// A name or another text that is too long or has characters that cannot be used.
pub const BAD_TEXT: Code = Code(106);
/// A length of time that cannot be read.
pub const NOT_A_DURATION: Code = Code(107);
/// A word that is none of the possible ones.
pub const UNKNOWN_WORD: Code = Code(108);
/// Two keys that exclude each other.
pub const CONFLICT: Code = Code(109);
/// More items than the limit.
pub const TOO_MANY: Code = Code(110);
/// The whole specification is too large.
pub const TOO_LARGE: Code = Code(111);
/// Something that this version cannot do.
pub const NOT_SUPPORTED: Code = Code(112);
/// Nothing would ever end the experiment.
pub const NEVER_ENDS: Code = Code(113);
/// The number of patterns, keys or tags differs from the number of metrics.
pub const METRIC_COUNT: Code = Code(114);
/// A pattern has no group, or several.
pub const PATTERN_GROUPS: Code = Code(115);
/// A pattern is not a regular expression.
pub const BAD_PATTERN: Code = Code(116);
/// A metric that the objective does not have.
pub const UNKNOWN_METRIC: Code = Code(117);
/// A task that the trial does not have.
pub const NO_SUCH_TASK: Code = Code(118);
/// `run` names no backend, or several.
pub const ONE_BACKEND: Code = Code(119);
/// A backend that does not exist.
pub const UNKNOWN_BACKEND: Code = Code(120);
/// A command that cannot be run.
pub const BAD_COMMAND: Code = Code(121);
/// An environment variable that cannot be set.
pub const BAD_ENVIRONMENT: Code = Code(122);
/// A template that cannot be read as source and target.
pub const BAD_TEMPLATE: Code = Code(123);
/// An algorithm that is not written as a name with arguments.
pub const BAD_ALGORITHM: Code = Code(124);
/// A placeholder that nothing replaces (a warning).
pub const UNKNOWN_PLACEHOLDER: Code = Code(125);
/// A part that cannot change once the experiment exists.
pub const FIXED: Code = Code(126);
/// A setting of another tool's file that has no effect here (a warning).
pub const NO_EFFECT: Code = Code(127);
/// A credential in the file (a warning).
pub const CREDENTIAL: Code = Code(128);
/// A line of an `ini` file that cannot be read.
pub const INI_SYNTAX: Code = Code(129);
/// A companion file that is named but was not found.
pub const MISSING_FILE: Code = Code(130);
/// A bound on a metric that cannot be read.
pub const OUTCOME_CONSTRAINT: Code = Code(131);
/// Tasks name what they write by the attempt, and later attempts skip them (a warning).
pub const RENAMED: Code = Code(132);
/// An address or a setting that holds a secret, which would be recorded.
pub const SECRET_ADDRESS: Code = Code(133);
