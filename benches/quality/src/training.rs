//! Real trainings on the data of the examples, made short. Their optima are the best values ever seen.

use crate::problem::{Objective, Problem, problem};
use anyhow::{Result, anyhow};
use serde_json::{Value as Json, json};

/// How many seeds the mean over noise is taken over.
const REPEATS: u64 = 5;

/// The trainings.
pub(crate) fn all() -> Result<Vec<Problem>> {
    let digits = json!({
        "lr": {"loguniform": [1e-4, 0.5]},
        "hidden": {"qloguniform": [4, 32, 1]},
        "momentum": {"uniform": [0.0, 0.99]},
        "activation": {"choice": ["relu", "tanh"]},
        "batch": {"qloguniform": [8, 128, 1]},
        "weight-decay": {"loguniform": [1e-6, 0.1]}
    });
    let network: Objective = Box::new(|space, point, noise| {
        let params = Json::Object(space.to_json(point));
        match noise {
            Some(seed) => loss(&params, seed),
            None => {
                let seeds = (0..REPEATS).map(|seed| loss(&params, 1_000_000 + seed));
                Ok(seeds.sum::<Result<f64>>()? / REPEATS as f64)
            }
        }
    });
    let mut network = problem("digits".to_owned(), "training", digits, 0.1736, network)?;
    network.noisy = true;
    let boosting = json!({
        "trees": {"qloguniform": [10, 60, 1]}, "depth": {"randint": [1, 5]},
        "rate": {"loguniform": [0.01, 1.0]}, "rows": {"uniform": [0.2, 1.0]}
    });
    let ridge = json!({"alpha": {"loguniform": [1e-3, 1e5]}, "degree": {"choice": [1, 2]}});
    let models = json!({"model": {"choice": [named("ridge", &ridge), named("boosting", &boosting)]}});
    let choose: Objective = Box::new(|space, point, _| grams(&Json::Object(space.to_json(point))));
    Ok(vec![network, problem("penguins_models".to_owned(), "training", models, 288.058, choose)?])
}

/// An option with a name and what belongs to it.
fn named(name: &str, rest: &Json) -> Json {
    let mut option = json!({"_name": name});
    if let (Some(option), Some(rest)) = (option.as_object_mut(), rest.as_object()) {
        option.extend(rest.clone());
    }
    option
}

/// The validation loss of the digits network after a few epochs; the seed decides weights and order.
fn loss(params: &Json, seed: u64) -> Result<f64> {
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let given = params.as_object().into_iter().flatten();
    let arguments = given.map(|(name, value)| format!("--{name}={}", text(value)));
    let fixed = ["--epochs=3".to_owned(), "--distorted=0".to_owned(), format!("--seed={seed}")];
    digits_trainer::validation_loss(arguments.chain(fixed)).map_err(|why| anyhow!("digits: {why}"))
}

fn grams(params: &Json) -> Result<f64> {
    penguins_trainer::error_in_grams(&params.to_string()).map_err(|why| anyhow!("penguins: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trainings_are_repeatable_and_their_noise_follows_the_number() {
        for problem in all().unwrap() {
            let small = vec![0.1; problem.space.leaves().len()];
            let point = problem.space.point_from_unit(&small);
            let value = |noise| problem.value(&point, noise).unwrap();
            assert_eq!(value(Some(1)), value(Some(1)), "{}", problem.name);
            assert_eq!(problem.noisy, value(Some(1)) != value(Some(2)), "{}", problem.name);
            assert!(value(None) > 0.0 && value(None).is_finite(), "{}", problem.name);
        }
    }
}
