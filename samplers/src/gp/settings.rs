//! What can be set about the Gaussian process.

/// The settings of the Gaussian process.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Trials before the model is used.
    pub startup: u32,
    /// Points drawn from everywhere for one suggestion.
    pub anywhere: u32,
    /// Points drawn around each of the best trials.
    pub around: u32,
    /// How many of the best trials points are drawn around.
    pub centres: u32,
    /// Points that are improved step by step.
    pub starts: u32,
    /// Observations that the model uses at most: the best, the newest, and a fixed random part of the others.
    pub observations: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { startup: 10, anywhere: 200, around: 24, centres: 5, starts: 4, observations: 400 }
    }
}
