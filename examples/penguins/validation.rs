//! Ten-fold cross-validation: every penguin is predicted once, by a model that has not seen it.

use crate::boosting::Boosting;
use crate::data::{FEATURES, Penguins};
use crate::ridge::{Kernel, Linear};
use crate::settings::Model;

/// Parts that the data is cut into; each is held out once.
pub(crate) const FOLDS: usize = 10;

/// How good a model is on penguins that it has not seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Score {
    /// Root of the mean squared error, in grams.
    pub(crate) rmse: f64,
    /// Share of the variance that is explained: 1 is perfect, 0 is no better than the mean.
    pub(crate) r2: f64,
}

/// A model that has been trained.
pub(crate) trait Fitted {
    fn predict(&self, features: &[f64; FEATURES]) -> f64;
}

/// Trains and judges; `progress` is told each fold's number (from 1) and its error.
///
/// Penguin `i` belongs to fold `i % FOLDS`: the file is sorted by species, so each fold has its share of all.
pub(crate) fn cross_validate(
    penguins: &Penguins,
    model: &Model,
    mut progress: impl FnMut(usize, f64) -> Result<(), String>,
) -> Result<Score, String> {
    let mut total = 0.0;
    for fold in 0..FOLDS {
        let mut training = Penguins { features: Vec::new(), masses: Vec::new() };
        let mut held_out = Vec::new();
        for (index, (features, mass)) in penguins.features.iter().zip(&penguins.masses).enumerate() {
            if index % FOLDS == fold {
                held_out.push((features, mass));
            } else {
                training.features.push(*features);
                training.masses.push(*mass);
            }
        }
        let fitted = fit(&training, model)?;
        let squares: f64 =
            held_out.iter().map(|(features, mass)| (fitted.predict(features) - **mass).powi(2)).sum();
        progress(fold + 1, (squares / held_out.len() as f64).sqrt())?;
        total += squares;
    }
    let count = penguins.masses.len() as f64;
    let mean = penguins.masses.iter().sum::<f64>() / count;
    let spread: f64 = penguins.masses.iter().map(|mass| (mass - mean).powi(2)).sum();
    let score = Score { rmse: (total / count).sqrt(), r2: 1.0 - total / spread };
    if score.rmse.is_finite() { Ok(score) } else { Err("the predictions are not finite numbers".to_owned()) }
}

fn fit(training: &Penguins, model: &Model) -> Result<Box<dyn Fitted>, String> {
    Ok(match *model {
        Model::Ridge { alpha, degree } => Box::new(Linear::fit(training, alpha, degree)?),
        Model::Kernel { alpha, width } => Box::new(Kernel::fit(training, alpha, width)?),
        Model::Boosting { trees, depth, rate, rows } => {
            Box::new(Boosting::fit(training, trees, depth, rate, rows))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::cross_validate;
    use crate::data::Penguins;
    use crate::settings::Model;

    #[test]
    fn every_kind_of_model_explains_most_of_the_variance() -> Result<(), String> {
        let penguins = Penguins::load()?;
        for model in [
            Model::Ridge { alpha: 1.0, degree: 1 },
            Model::Ridge { alpha: 10.0, degree: 2 },
            Model::Kernel { alpha: 0.1, width: 5.0 },
            Model::Boosting { trees: 100, depth: 2, rate: 0.1, rows: 0.8 },
        ] {
            let mut folds = 0;
            let score = cross_validate(&penguins, &model, |_, _| {
                folds += 1;
                Ok(())
            })?;
            assert!(folds == 10 && score.r2 > 0.8 && score.rmse < 350.0, "{model}: {score:?}");
        }
        Ok(())
    }
}
