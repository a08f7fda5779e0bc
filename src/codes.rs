//! Error numbers of the program around the core; each has a page in `docs/errors/`.

use engine::error::Code;

/// The device of the store has little room left.
pub const NO_ROOM: Code = Code(600);
/// Another process holds the store.
pub const STORE_BUSY: Code = Code(601);
/// The history is damaged in both copies.
pub const STORE_CORRUPT: Code = Code(602);
/// The store was written by a newer version.
pub const STORE_NEWER: Code = Code(603);
/// The device of the store is full.
pub const STORE_FULL: Code = Code(604);
/// The store could not be read or written.
pub const STORE_IO: Code = Code(605);
/// The history does not fit the rules.
pub const REPLAY: Code = Code(606);
/// The search of a recorded experiment cannot be rebuilt.
pub const SEARCH: Code = Code(607);
/// No experiment, or more than one, is meant.
pub const WHICH_EXPERIMENT: Code = Code(608);
/// The experiment file differs from the unfinished experiment of that name.
pub const CHANGED_SPEC: Code = Code(609);
/// The backend is not available.
pub const NO_BACKEND: Code = Code(610);
/// A request line of `ask-tell` is not understood.
pub const BAD_REQUEST: Code = Code(611);
/// There is no such store.
pub const NO_STORE: Code = Code(612);
/// A simulator does not start.
pub const SIMULATOR: Code = Code(620);
