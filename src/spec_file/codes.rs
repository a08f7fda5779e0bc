//! The error numbers of experiment files before anything in them is understood: E0180 to E0199.

use engine::error::Code;

/// The file cannot be opened or read.
pub const UNREADABLE: Code = Code(180);
/// The file is larger than the limit.
pub const TOO_BIG: Code = Code(181);
/// The file is not UTF-8 text.
pub const NOT_UTF8: Code = Code(182);
/// The file holds nothing.
pub const EMPTY_FILE: Code = Code(183);
/// The text is not YAML, JSON or TOML.
pub const SYNTAX: Code = Code(184);
/// A tab where YAML allows only spaces.
pub const TAB: Code = Code(185);
/// A key is given twice.
pub const DUPLICATE_KEY: Code = Code(186);
/// A part of YAML or TOML that an experiment file cannot use.
pub const NOT_DATA: Code = Code(187);
/// A number that is infinite, or no number at all.
pub const NOT_FINITE: Code = Code(188);
/// Values are nested too deeply, or there are too many of them.
pub const TOO_MUCH: Code = Code(189);
