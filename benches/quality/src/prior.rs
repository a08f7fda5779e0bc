//! Priors as a user would have them: right, vague and wrong. A solver such as `auto+wrong` is the sampler with one.

use crate::problem::Problem;
use crate::race::Race;
use anyhow::{Context, Result, anyhow, bail};
use engine::id::TrialId;
use engine::space::Leaf;
use engine::spec::{Prior, Spec};
use engine::value::{Point, Value};
use samplers::stream::{Purpose, Stream};
use serde_json::{Map, Value as Json, json};

/// The searches whose best point stands for the optimum, and their trials.
const SCOUTS: [&str; 2] = ["tpe", "cma_es"];
const SCOUTING: u32 = 1_000;
/// How far off a good prior is, in parts of the unit interval: the deviation.
const OFF: f64 = 0.07;
/// The width of a vague range.
const WIDTH: f64 = 0.5;

/// The sampler of a solver, and its prior for a run of this seed.
pub(crate) fn of<'a>(solver: &'a str, problem: &Problem, seed: u64) -> Result<(&'a str, Prior)> {
    let Some((sampler, kind)) = solver.split_once('+') else { return Ok((solver, Prior::default())) };
    let near = problem.near_optimum.get_or_init(|| scout(problem).ok());
    let near = near.as_ref().with_context(|| format!("no point of {} was found", problem.name))?;
    let mut stream = Stream::new(seed, TrialId(0), Purpose::Other, 13);
    let mut expected = Map::new();
    for (index, value) in &near.0 {
        let leaf = problem.space.leaf(*index).context("a point has a parameter too many")?;
        expected.insert(leaf.name.clone(), expect(kind, leaf, *value, &mut stream)?);
    }
    let document =
        json!({"space": problem.form, "objective": "minimize", "budget": {"trials": 1}, "prior": expected});
    let (spec, _) = Spec::parse(&document, "").map_err(|errors| anyhow!("{errors:?}"))?;
    Ok((sampler, spec.prior))
}

/// What is said of one parameter whose best value is near this one.
fn expect(kind: &str, leaf: &Leaf, value: Value, stream: &mut Stream) -> Result<Json> {
    let domain = &leaf.domain;
    let other = |stream: &mut Stream| {
        let options = domain.cardinality().unwrap_or(1);
        let step = 1 + stream.below(options.saturating_sub(1).max(1));
        domain.nth((domain.index_of(value).unwrap_or(0) + step) % options).unwrap_or(value)
    };
    let json = |value| domain.value_json(value);
    if domain.is_categorical() {
        return Ok(match kind {
            "good" => json(value),
            "vague" => json!([json(other(stream)), json(value)]),
            "wrong" => json(other(stream)),
            _ => bail!("there is no prior {kind}: good, vague or wrong"),
        });
    }
    let u = domain.to_unit(value).context("a value outside of its domain")?;
    let at = |u: f64| json(domain.from_unit(u.clamp(0.0, 1.0)));
    Ok(match kind {
        "good" => at(u + OFF * stream.normal()),
        "vague" => {
            let low = (u - WIDTH * stream.uniform()).clamp(0.0, 1.0 - WIDTH);
            json!([at(low), at(low + WIDTH)])
        }
        "wrong" => at(if u < 0.5 { u + 0.5 } else { u - 0.5 }),
        _ => bail!("there is no prior {kind}: good, vague or wrong"),
    })
}

/// The best point of long searches.
fn scout(problem: &Problem) -> Result<Point> {
    let mut best: Option<(f64, Point)> = None;
    for sampler in SCOUTS {
        let race = Race { problem, sampler, seed: 1_000, trials: SCOUTING, concurrency: 1 };
        let (value, point) = race.search()?.best.context("no trial")?;
        if best.as_ref().is_none_or(|(least, _)| value < *least) {
            best = Some((value, point));
        }
    }
    best.map(|(_, point)| point).context("no trial")
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::spec::Expected;

    #[test]
    fn a_good_prior_is_near_the_optimum_and_a_wrong_one_is_not() {
        let problems = crate::problem::all().unwrap();
        let problem = problems.iter().find(|problem| problem.name == "branin").unwrap();
        let value = |kind: &str| {
            let (sampler, prior) = of(kind, problem, 1).unwrap();
            assert_eq!(sampler, "auto");
            problem.value(&prior.mode(&problem.space), None).unwrap()
        };
        assert!(value("auto+good") < 10.0 && value("auto+wrong") > 10.0);
        let (_, vague) = of("tpe+vague", problem, 1).unwrap();
        assert!(matches!(vague.of(0), Some(Expected::Within(..))), "{vague:?}");
        assert!(of("tpe", problem, 1).unwrap().1.is_empty());
        assert!(of("tpe+good?", problem, 1).is_err());
    }
}
