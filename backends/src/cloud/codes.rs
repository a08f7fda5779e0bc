//! The error numbers of the clients, E0520 to E0539. Each has a page in `docs/errors/`; a number is never reused.

use engine::error::Code;

/// A request is too large for the service.
pub const REQUEST_TOO_LARGE: Code = Code(520);
/// The service cannot be reached.
pub const UNREACHABLE: Code = Code(521);
/// The service gave no usable answer.
pub const NO_ANSWER: Code = Code(522);
/// The service asks for fewer requests.
pub const THROTTLED: Code = Code(523);
/// The service refuses a request.
pub const REQUEST_REFUSED: Code = Code(524);
/// The access key is not accepted.
pub const KEY_REFUSED: Code = Code(525);
/// The permission is missing.
pub const NO_PERMISSION: Code = Code(526);
/// The clock differs too much from that of the service.
pub const CLOCK_WRONG: Code = Code(527);
/// The security token is not accepted.
pub const TOKEN_REFUSED: Code = Code(528);
/// The endpoint cannot be used.
pub const BAD_ENDPOINT: Code = Code(529);
/// Requests cannot be sent from here.
pub const NO_CLIENT: Code = Code(530);
/// The service does not know what was asked for.
pub const NOT_FOUND: Code = Code(531);
/// An earlier copy of a submission is being carried out.
pub const PENDING: Code = Code(532);

/// Every code of the clients with its title, in order.
pub const ALL: &[(Code, &str)] = &[
    (REQUEST_TOO_LARGE, "a request is too large for the service"),
    (UNREACHABLE, "the service cannot be reached"),
    (NO_ANSWER, "the service gave no usable answer"),
    (THROTTLED, "the service asks for fewer requests"),
    (REQUEST_REFUSED, "the service refuses a request"),
    (KEY_REFUSED, "the access key is not accepted"),
    (NO_PERMISSION, "the permission is missing"),
    (CLOCK_WRONG, "the clock differs too much from that of the service"),
    (TOKEN_REFUSED, "the security token is not accepted"),
    (BAD_ENDPOINT, "the endpoint cannot be used"),
    (NO_CLIENT, "requests cannot be sent from here"),
    (NOT_FOUND, "the service does not know what was asked for"),
    (PENDING, "an earlier copy of a submission is being carried out"),
];
