//! The error numbers of files elsewhere, E0540 to E0549. Each has a page in `docs/errors/`; a number is never reused.

use engine::error::Code;

/// An address cannot be used.
pub const BAD_ADDRESS: Code = Code(540);
/// There is no such bucket.
pub const NO_BUCKET: Code = Code(541);
/// A bucket is asked for at the wrong endpoint, or it is not known which is the right one.
pub const WRONG_ENDPOINT: Code = Code(542);
/// The permission for a bucket or a file is missing.
pub const NO_PERMISSION: Code = Code(543);
/// The storage cannot be reached.
pub const UNREACHABLE: Code = Code(544);
/// There is no such file.
pub const ABSENT: Code = Code(545);
/// A file is too large.
pub const TOO_LARGE: Code = Code(546);
/// A directory holds too many files.
pub const TOO_MANY: Code = Code(547);
/// The storage does not do what it is asked for.
pub const REFUSED: Code = Code(548);

/// Every code of files elsewhere with its title, in order.
pub const ALL: &[(Code, &str)] = &[
    (BAD_ADDRESS, "an address cannot be used"),
    (NO_BUCKET, "there is no such bucket"),
    (WRONG_ENDPOINT, "the endpoint is not that of the bucket"),
    (NO_PERMISSION, "the permission for a bucket or a file is missing"),
    (UNREACHABLE, "the storage cannot be reached"),
    (ABSENT, "there is no such file"),
    (TOO_LARGE, "a file is too large"),
    (TOO_MANY, "a directory holds too many files"),
    (REFUSED, "the storage does not do what it is asked for"),
];
