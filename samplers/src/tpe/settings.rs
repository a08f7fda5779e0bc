//! What can be set about TPE.

use engine::ports::sampler::Problem;

/// How many of the finished trials count as good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gamma {
    /// This share of them (Optuna's rule; 0.1).
    Share(f64),
    /// This multiple of the root of their number (Hyperopt's and NNI's rule; 0.25).
    Root(f64),
}

/// What a pending trial is taken for, so that parallel trials keep apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liar {
    /// Bad.
    Worst,
    /// As good as the mean of all values.
    Mean,
    /// Good.
    Best,
    /// Pending trials are not looked at.
    None,
}

/// The settings of TPE.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Trials before the model is used.
    pub startup: u32,
    /// Candidates among which the model chooses.
    pub candidates: u32,
    /// How many trials are good.
    pub gamma: Gamma,
    /// Most good trials.
    pub most_good: u32,
    /// Weight of the space's own distribution, in trials.
    pub prior_weight: f64,
    /// The newest trials that have full weight; older ones fade linearly. 0: all have full weight.
    pub recent: u32,
    /// What pending trials are taken for.
    pub liar: Liar,
    /// Bad trials that the model keeps; beyond it, half are the newest and half a fixed random part of the others.
    pub reference: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            startup: 10,
            candidates: 24,
            gamma: Gamma::Share(0.1),
            most_good: 25,
            prior_weight: 1.0,
            recent: 25,
            liar: Liar::Worst,
            reference: 800,
        }
    }
}

impl Settings {
    /// The defaults for a problem. A front needs more good trials than an optimum does.
    pub fn of(problem: &Problem) -> Self {
        if problem.outcomes.is_multi() {
            Self { startup: 20, most_good: 50, ..Self::default() }
        } else {
            Self::default()
        }
    }

    /// How many of `n` ranked trials are good.
    pub(super) fn good(&self, n: usize) -> usize {
        let wanted = match self.gamma {
            Gamma::Share(share) => (share * n as f64).ceil(),
            Gamma::Root(factor) => (factor * (n as f64).sqrt()).ceil(),
        };
        (wanted as usize).min(self.most_good as usize).min(n)
    }

    /// The weight of the trial of this age (0: the newest) among `n`.
    pub(super) fn weight(&self, age: f64, n: f64) -> f64 {
        let recent = f64::from(self.recent);
        if self.recent == 0 || n < recent || age < recent {
            return 1.0;
        }
        // From 1 / n for the oldest to 1 for the oldest of the recent ones.
        let span = (n - recent - 1.0).max(1.0);
        let place = ((n - 1.0 - age) / span).min(1.0);
        1.0 / n + place * (1.0 - 1.0 / n)
    }
}
