//! What can be set about NSGA-II and NSGA-III.

use crate::arguments::Arguments;

/// The settings of both.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How many trials live.
    pub population: u32,
    /// Trials with a value before there are children.
    pub startup: u32,
    /// The share of children with two parents.
    pub crossover: f64,
    /// How near to their parents the numbers of children lie: the larger, the nearer.
    pub crossover_index: f64,
    /// The probability that a parameter changes; if none, one in the number of parameters.
    pub mutation: Option<f64>,
    /// How small the changes of numbers are: the larger, the smaller.
    pub mutation_index: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            population: 20,
            startup: 20,
            crossover: 0.9,
            crossover_index: 5.0,
            mutation: None,
            mutation_index: 10.0,
        }
    }
}

impl Settings {
    /// Those that are given, under our names and Optuna's.
    pub(super) fn read(arguments: &mut Arguments<'_>) -> Self {
        let mut settings = Self::default();
        if let Some(n) = arguments.whole(&["population", "population_size"], 2..=1_000) {
            settings.population = n as u32;
        }
        if let Some(n) = arguments.whole(&["startup"], 1..=99_999) {
            settings.startup = n as u32;
        }
        if let Some(x) = arguments.number(&["crossover", "crossover_prob"], 0.0..=1.0) {
            settings.crossover = x;
        }
        if let Some(x) = arguments.number(&["crossover_index"], 0.0..=1_000.0) {
            settings.crossover_index = x;
        }
        if let Some(x) = arguments.number(&["mutation", "mutation_prob"], 0.0..=1.0) {
            settings.mutation = Some(x);
        }
        if let Some(x) = arguments.number(&["mutation_index"], 0.0..=1_000.0) {
            settings.mutation_index = x;
        }
        settings
    }
}
