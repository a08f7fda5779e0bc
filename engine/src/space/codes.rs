//! The error numbers of the search space: E0200 to E0249.

use crate::error::Code;

/// The space is not a map of names to domains.
pub const NOT_A_MAP: Code = Code(200);
/// The space has no parameter.
pub const EMPTY_SPACE: Code = Code(201);
/// A parameter's name cannot be used in `${name}`.
pub const BAD_NAME: Code = Code(202);
/// A parameter's name has a meaning of its own.
pub const RESERVED_NAME: Code = Code(203);
/// Two parameters have one name.
pub const DUPLICATE_NAME: Code = Code(204);
/// The domain's type does not exist.
pub const UNKNOWN_TYPE: Code = Code(205);
/// The text or map does not have the form of a domain.
pub const BAD_FORM: Code = Code(206);
/// `_type` without `_value`.
pub const MISSING_VALUE: Code = Code(207);
/// A key beside `_type` and `_value`.
pub const UNKNOWN_KEY: Code = Code(208);
/// A domain has too few or too many numbers.
pub const WRONG_ARITY: Code = Code(209);
/// A bound, a step or a deviation is not a finite number.
pub const NOT_A_NUMBER: Code = Code(210);
/// The upper bound is not above the lower bound.
pub const EMPTY_RANGE: Code = Code(211);
/// A step, a deviation or the lower bound of a log domain is not above zero.
pub const NOT_POSITIVE: Code = Code(212);
/// A bound of `randint` is not a whole number.
pub const NOT_WHOLE: Code = Code(213);
/// The step is so small that neighbouring values cannot be told apart.
pub const TOO_FINE: Code = Code(214);
/// The domain reaches beyond the numbers that a machine can hold.
pub const TOO_WIDE: Code = Code(215);
/// A choice or an ordinal has no options.
pub const NO_OPTIONS: Code = Code(216);
/// An option is neither a plain value nor a nested option.
pub const BAD_OPTION: Code = Code(217);
/// Two options are equal.
pub const DUPLICATE_OPTION: Code = Code(218);
/// A nested option has no `_name`.
pub const NO_OPTION_NAME: Code = Code(219);
/// More parameters, options or constraints than the limit.
pub const TOO_MANY: Code = Code(220);
/// Choices are nested too deeply.
pub const TOO_DEEP: Code = Code(221);
/// The constraint cannot be read.
pub const CONSTRAINT_SYNTAX: Code = Code(230);
/// A constraint names a parameter that does not exist.
pub const CONSTRAINT_UNKNOWN_NAME: Code = Code(231);
/// A constraint names a parameter that has no numbers.
pub const CONSTRAINT_NOT_NUMERIC: Code = Code(232);
/// A constraint names no parameter, or its parameters cancel out.
pub const CONSTRAINT_WITHOUT_NAMES: Code = Code(233);
/// The parameters are not a map of names to values.
pub const PARAMS_NOT_A_MAP: Code = Code(240);
/// A value is given for a parameter that the space does not have.
pub const UNKNOWN_PARAMETER: Code = Code(241);
/// A parameter has no value.
pub const MISSING_PARAMETER: Code = Code(242);
/// A value is given for a nested parameter that does not exist under the option taken.
pub const ABSENT_PARAMETER: Code = Code(243);
/// A value has the wrong type.
pub const WRONG_TYPE: Code = Code(244);
/// A value lies outside its domain.
pub const OUT_OF_DOMAIN: Code = Code(245);
/// The point breaks a constraint.
pub const CONSTRAINT_BROKEN: Code = Code(246);
/// The recorded point is not in order of its leaves, or names a leaf twice.
pub const BAD_POINT: Code = Code(247);
