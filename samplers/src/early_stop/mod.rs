//! Early stopping rules. Each takes reports in at a cost that is logarithmic in their number.
//!
//! [`median`] and [`pai_assessor`] compare a trial with others at the same step, [`threshold`] and [`patience`] look at
//! the trial alone.

pub mod median;
pub mod pai_assessor;
pub mod patience;
mod quantile;
pub mod threshold;
