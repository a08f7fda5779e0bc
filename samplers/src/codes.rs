//! The error numbers of samplers and early stopping rules: E0300 to E0349.

use engine::error::Code;

/// There is no sampler of that name.
pub const UNKNOWN_SAMPLER: Code = Code(300);
/// There is no early stopping rule of that name.
pub const UNKNOWN_EARLY_STOP: Code = Code(301);
/// The arguments are not a map of names to values.
pub const ARGUMENTS_NOT_A_MAP: Code = Code(302);
/// The sampler or rule has no such argument.
pub const UNKNOWN_ARGUMENT: Code = Code(303);
/// An argument has the wrong type.
pub const WRONG_TYPE: Code = Code(304);
/// An argument lies outside its bounds.
pub const OUT_OF_RANGE: Code = Code(305);
/// An argument is given twice, under two of its names.
pub const GIVEN_TWICE: Code = Code(306);
/// A rule has none of the arguments that it needs.
pub const MISSING_ARGUMENT: Code = Code(307);
/// Two arguments contradict each other.
pub const CONTRADICTION: Code = Code(308);
/// No point of the space fulfils all constraints, as far as could be found.
pub const NO_POINT: Code = Code(309);
