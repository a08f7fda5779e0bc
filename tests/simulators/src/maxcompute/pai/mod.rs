//! Some of PAI's algorithms, done for real: what an experiment tunes on them really gets better or worse.
//!
//! Read [`run()`] first. Names of parameters, their defaults and bounds, and the columns of the tables that come out
//! are those of PAI's documents (algorithms of `algo_public`); where these say nothing, the place says what is done.
//! Unlike with PAI, the same input, parameters and seed always give the same output, and a table or model that is
//! there is replaced.

pub mod boosting;
pub mod cluster_evaluation;
pub mod evaluation;
pub mod kmeans;
pub mod logistic_regression;
pub mod model;
pub mod parameters;
pub mod prediction;
pub mod run;
pub mod samples;
pub mod split;

pub use model::Model;
pub use parameters::Parameters;
pub use run::{Output, run};
