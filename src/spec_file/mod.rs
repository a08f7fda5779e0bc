//! Experiment files: YAML, JSON or TOML, and for each mistake the place in the text.
//!
//! [`load`] reads a file into a [`Loaded`]: the document, and where in the text each of its values stands. [`Loaded::spec`]
//! makes the specification; the mistakes that it, or anything after it, finds are paths into the document, and
//! [`Loaded::errors`] turns them into findings with file, line and a caret. A finding never depends on the order in
//! which mistakes were found.

pub mod codes;
mod finding;
mod foreign;
mod ini;
mod json;
mod known;
mod load;
mod number;
pub mod secret;
mod text;
mod toml;
mod tree;
mod yaml;

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod schema_tests;

pub use finding::{Finding, Findings, Severity, SpecFileError};
pub use load::{Loaded, load, read_edited, read_text};
