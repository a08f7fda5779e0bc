//! Early stopping rules. Each takes reports in at a cost that is logarithmic in their number.
//!
//! [`asha`], [`pasha`] and [`hyperband`] compare at few steps and leave a fixed part; [`median`], [`percentile`] and
//! [`pai_assessor`] compare a trial with others at each step, [`wilcoxon`] with the best one, case by case;
//! [`curve_fitting`] forecasts where a trial leads; [`threshold`] and [`patience`] look at the trial alone.

pub mod asha;
mod curve;
pub mod curve_fitting;
pub mod hyperband;
pub mod median;
pub mod pai_assessor;
pub mod pasha;
pub mod patience;
pub mod percentile;
pub(crate) mod quantile;
mod rungs;
pub mod threshold;
pub mod wilcoxon;

pub use rungs::Ladder;
