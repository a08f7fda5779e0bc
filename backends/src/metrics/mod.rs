//! Reports, out of what a job writes.
//!
//! Pure: bytes go in, report points come out, and the same bytes in the same order give the same points however
//! they are cut into pieces. After a crash the runtime reads a job's output again from its beginning and counts; so
//! nothing here may depend on when something was read. Read [`Collector`] first.

mod collector;
mod event_proto;
mod json;
mod lines;
mod report;
mod summary;
mod text;

pub use collector::Collector;
pub use engine::spec::MetricSource;
pub use summary::is_event_file;
