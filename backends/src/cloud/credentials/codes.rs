//! The error numbers of credentials, E0570 to E0579. Each has a page in `docs/errors/`; a number is never reused.

use engine::error::Code;

/// No place of the chain has credentials.
pub const NO_CREDENTIALS: Code = Code(570);
/// The name of a credential cannot be used: no such profile, or not a name at all.
pub const BAD_NAME: Code = Code(571);
/// Credentials of a kind that is not used.
pub const UNUSABLE_KIND: Code = Code(572);
/// The settings of a credential are incomplete or cannot be read.
pub const BAD_SETTINGS: Code = Code(573);
/// The service that gives out credentials has refused.
pub const REFUSED: Code = Code(574);
/// The service that gives out credentials cannot be reached or understood.
pub const UNREACHABLE: Code = Code(575);

/// Every code of this module with its title, in order.
pub const ALL: &[(Code, &str)] = &[
    (NO_CREDENTIALS, "there are no credentials"),
    (BAD_NAME, "the name of a credential cannot be used"),
    (UNUSABLE_KIND, "credentials of this kind are not used"),
    (BAD_SETTINGS, "the settings of a credential cannot be used"),
    (REFUSED, "credentials were refused"),
    (UNREACHABLE, "credentials cannot be fetched"),
];
