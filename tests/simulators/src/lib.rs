//! Simulated clouds.
//!
//! What Retrial's backends speak to in tests, and to try them out without an account. Nothing here is used by
//! the backends, and nothing here uses them: what one side believes of a protocol is not copied to the other.

mod clock;
pub mod dice;
pub mod dlc;
pub mod fault;
pub mod maxcompute;
pub mod oss;
pub mod serving;
pub mod wire;
