//! What can be set about CMA-ES.

use crate::arguments::Arguments;

/// What follows when a run has converged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// A run with twice the population. A. Auger and N. Hansen, "A restart CMA evolution strategy with increasing
    /// population size", CEC 2005.
    Ipop,
    /// Large and small populations in turn. N. Hansen, "Benchmarking a BI-population CMA-ES on the BBOB-2009 function
    /// testbed", GECCO 2009.
    Bipop,
    /// The same run goes on.
    None,
}

/// The settings of CMA-ES.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Trials of a generation; if none, `4 + 3 ln(parameters)`, and at least half of what runs at once.
    pub population: Option<u32>,
    /// The deviation of the first generation, as a part of each parameter's range.
    pub sigma: f64,
    /// What follows when a run has converged.
    pub restart: Restart,
}

impl Default for Settings {
    fn default() -> Self {
        Self { population: None, sigma: 0.2, restart: Restart::Ipop }
    }
}

impl Settings {
    /// The settings under our names and under those of Optuna.
    pub(super) fn read(arguments: &mut Arguments<'_>) -> Self {
        let mut settings = Self::default();
        if let Some(n) = arguments.whole(&["population", "population_size", "popsize"], 4..=10_000) {
            settings.population = Some(n as u32);
        }
        if let Some(x) = arguments.number(&["sigma", "sigma0"], 1e-3..=1.0) {
            settings.sigma = x;
        }
        settings.restart = match arguments.word(&["restart", "restart_strategy"], &["ipop", "bipop", "none"])
        {
            Some("bipop") => Restart::Bipop,
            Some("none") => Restart::None,
            Some(_) => Restart::Ipop,
            None => settings.restart,
        };
        settings
    }
}
