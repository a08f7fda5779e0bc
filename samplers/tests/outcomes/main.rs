//! Searches that know of more than one value: several objectives, bounds on other metrics, costs, an end for want of gain.

mod comparing;
mod driver;
mod model;
