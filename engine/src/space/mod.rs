//! The search space: domains, nested parameters, constraints and the unit cube.
//!
//! Read [`SearchSpace`] first, then [`Domain`]. A space is a list of [`Leaf`]s, parents before children; a
//! [`Point`](crate::value::Point) holds the value of every leaf that exists at it. Nothing here draws random
//! numbers: a domain maps the unit interval to its values and back, and a sampler brings the numbers.
//! Transcendental functions come from `libm`, so that every machine computes the same bits.

pub mod codes;
mod constraint;
mod constraint_text;
mod count;
mod domain;
mod domain_form;
mod draft;
mod forbidden;
mod label;
mod lattice;
pub(crate) mod names;
pub mod normal;
mod params;
mod present;
mod scale;
mod tree;

pub use constraint::{Comparison, LinearConstraint};
pub use domain::Domain;
pub use label::Label;
pub use tree::{Leaf, Parent, SearchSpace};

#[cfg(test)]
mod constraint_tests;
#[cfg(test)]
mod domain_tests;
#[cfg(test)]
mod params_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod space_tests;
