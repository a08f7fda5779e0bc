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
/// A file of users is not as it has to be, or is missing where it is needed.
pub const BAD_ACCESS: Code = Code(630);
/// Nobody known has sent the request.
pub const NOT_AUTHENTICATED: Code = Code(631);
/// Whoever has sent the request may not do that.
pub const NOT_ALLOWED: Code = Code(632);
/// The request is not as it has to be.
pub const BAD_HTTP_REQUEST: Code = Code(633);
/// More requests are under way than are taken.
pub const BUSY: Code = Code(634);
/// An experiment that came over the wire has mistakes.
pub const BAD_SPEC: Code = Code(635);
/// The daemon cannot listen.
pub const CANNOT_LISTEN: Code = Code(636);
/// A certificate or its key cannot be used.
pub const BAD_CERTIFICATE: Code = Code(637);
/// Somebody asks more often than the daemon allows.
pub const TOO_OFTEN: Code = Code(638);
/// A place in the history is one of another history.
pub const OTHER_HISTORY: Code = Code(639);
/// The name or the value of a secret cannot be used.
pub const BAD_SECRET: Code = Code(640);
/// There is no secret of this name.
pub const NO_SECRET: Code = Code(641);
/// The key of the secrets or a sealed file cannot be used.
pub const SECRETS_FILE: Code = Code(642);
/// A simulator does not start.
pub const SIMULATOR: Code = Code(620);
/// A daemon elsewhere is not reached.
pub const NO_DAEMON: Code = Code(650);
/// What answers is no daemon, or one that this program does not understand.
pub const NOT_A_DAEMON: Code = Code(651);
/// A command works on a store of this machine, and a daemon elsewhere is named.
pub const HERE_ONLY: Code = Code(652);
/// The store belongs to another user.
pub const NOT_OURS: Code = Code(653);
/// An archive would be in the folder of its store.
pub const IN_THE_STORE: Code = Code(654);
