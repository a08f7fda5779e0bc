//! What tests of several crates share: one conformance suite per port, and histories to feed them.
//!
//! Behind the feature `testing`; never part of a released program.

/// Names and functions of the cases of a suite.
macro_rules! cases {
    ($(#[$doc:meta])* $all:ident: $($name:ident,)*) => {
        $(#[$doc])*
        pub const $all: &[(&str, Case)] = &[$((stringify!($name), $name)),*];
    };
}

pub mod backend;
pub mod driver;
pub mod early_stop;
pub mod history;
pub mod journal;
pub mod moves;
pub mod outcomes;
pub mod sampler;
