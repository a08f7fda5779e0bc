//! The problems: what each is called, where it is searched, and what a point is worth. Read [`all`] first.
//!
//! Every value is minimised. Nothing is downloaded: formulas are published ones or made here, data is that of the
//! examples.

use crate::bbob::{Function, KINDS};
use crate::classic;
use crate::constrained;
use crate::planted::{self, Ring, Tree};
use crate::several;
use crate::training;
use anyhow::{Context, Result, anyhow};
use engine::space::SearchSpace;
use engine::spec::Outcomes;
use engine::value::Point;
use serde_json::{Map, Value as Json, json};
use std::sync::{Arc, OnceLock};

/// What a point is worth; the number stands for the noise of one trial, none for the mean over noise.
pub(crate) type Objective = Box<dyn Fn(&SearchSpace, &Point, Option<u64>) -> Result<f64> + Send + Sync>;
/// All metrics of a point, in the order of [`Outcomes`].
pub(crate) type Measured = Box<dyn Fn(&SearchSpace, &Point) -> Result<Vec<f64>> + Send + Sync>;

/// What a problem measures.
enum Measure {
    One(Objective),
    Many(Measured),
}

/// One problem.
pub(crate) struct Problem {
    pub(crate) name: String,
    /// Problems of one class are averaged.
    pub(crate) class: &'static str,
    /// The space as an experiment file has it.
    pub(crate) form: Json,
    pub(crate) space: Arc<SearchSpace>,
    /// The least value; the best known one, if `noisy` or a training.
    pub(crate) optimum: f64,
    /// Whether a point has another value each time.
    pub(crate) noisy: bool,
    /// A point near the optimum, once it has been looked for: what a user's prior is made of.
    pub(crate) near_optimum: OnceLock<Option<Point>>,
    /// What the metrics of a trial mean, if there is more than one.
    pub(crate) outcomes: Arc<Outcomes>,
    /// With several objectives: up to where the hypervolume counts, and the most that there can be.
    pub(crate) extent: (Vec<f64>, f64),
    measure: Measure,
}

impl Problem {
    fn new(name: String, class: &'static str, form: Json, optimum: f64, measure: Measure) -> Result<Self> {
        Ok(Self {
            name,
            class,
            space: Arc::new(parse(&form)?),
            form,
            optimum,
            noisy: false,
            near_optimum: OnceLock::new(),
            outcomes: Arc::default(),
            extent: (Vec::new(), 0.0),
            measure,
        })
    }

    /// A problem with several metrics.
    pub(crate) fn measured(
        name: &str,
        class: &'static str,
        form: Json,
        outcomes: Outcomes,
        measured: Measured,
    ) -> Result<Self> {
        let mut problem = Self::new(name.to_owned(), class, form, 0.0, Measure::Many(measured))?;
        problem.outcomes = Arc::new(outcomes);
        Ok(problem)
    }

    /// Whether trials have one metric, which is what counts.
    pub(crate) const fn is_plain(&self) -> bool {
        matches!(self.measure, Measure::One(_))
    }

    /// The metrics of one trial with its own noise, or without noise.
    pub(crate) fn metrics(&self, point: &Point, noise: Option<u64>) -> Result<Vec<f64>> {
        match &self.measure {
            Measure::One(objective) => Ok(vec![objective(&self.space, point, noise)?]),
            Measure::Many(measured) => measured(&self.space, point),
        }
    }

    /// The first metric.
    pub(crate) fn value(&self, point: &Point, noise: Option<u64>) -> Result<f64> {
        self.metrics(point, noise)?.first().copied().context("no metric")
    }
}

/// The classes, in the order of the tables.
pub(crate) const CLASSES: [&str; 7] = [
    "continuous",
    "mixed-integer",
    "conditional",
    "categorical",
    "training",
    several::CLASS,
    constrained::CLASS,
];

/// All problems.
pub(crate) fn all() -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for dimension in [5, 10] {
        for kind in KINDS {
            let name = format!("bbob_f{:02}_d{dimension:02}", kind as u32);
            let function = Function::new(kind, dimension, 2026);
            let values = move |x: &[f64]| function.value(x);
            problems.push(numbers(name, "continuous", lines(dimension, -5.0, 5.0), 0.0, values)?);
        }
    }
    let space = json!({"x0": {"uniform": [-5.0, 10.0]}, "x1": {"uniform": [0.0, 15.0]}});
    let branin = |x: &[f64]| classic::branin(x[0], x[1]);
    problems.push(numbers("branin".to_owned(), "continuous", space, classic::BRANIN, branin)?);
    let (name, least) = ("hartmann6".to_owned(), classic::HARTMANN);
    problems.push(numbers(name, "continuous", lines(6, 0.0, 1.0), least, classic::hartmann)?);
    for (kind, dimension) in [(0, 5), (1, 5), (2, 10), (4, 5), (5, 10)] {
        problems.push(mixed_integer(Function::new(KINDS[kind], dimension, 509), KINDS[kind] as u32)?);
    }
    for (name, form, seed) in
        [("tree_a", small_tree(), 1), ("tree_b", small_tree(), 2), ("tree_c", tall_tree(), 3)]
    {
        let space = parse(&form)?;
        let tree = Tree::new(&space, seed);
        let objective: Objective = Box::new(move |space, point, _| Ok(tree.value(space, point)));
        problems.push(problem(name.to_owned(), "conditional", form, 0.0, objective)?);
    }
    for (choices, options, numbers) in [(4, 3, 3), (6, 4, 2), (8, 3, 0)] {
        problems.push(ring(choices, options, numbers)?);
    }
    problems.extend(training::all()?);
    problems.extend(several::all()?);
    problems.extend(constrained::all()?);
    Ok(problems)
}

/// A problem from its parts.
pub(crate) fn problem(
    name: String,
    class: &'static str,
    form: Json,
    optimum: f64,
    objective: Objective,
) -> Result<Problem> {
    Problem::new(name, class, form, optimum, Measure::One(objective))
}

pub(crate) fn parse(form: &Json) -> Result<SearchSpace> {
    SearchSpace::parse(form, None, "space")
        .map_err(|errors| anyhow!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
}

pub(crate) fn lines(dimension: usize, low: f64, high: f64) -> Json {
    let line = |i| (format!("x{i}"), json!({"uniform": [low, high]}));
    Json::Object((0..dimension).map(line).collect::<Map<_, _>>())
}

/// A problem whose parameters are all numbers.
fn numbers(
    name: String,
    class: &'static str,
    form: Json,
    optimum: f64,
    value: impl Fn(&[f64]) -> f64 + Send + Sync + 'static,
) -> Result<Problem> {
    let objective: Objective = Box::new(move |space, point, _| Ok(value(&planted::numbers(space, point))));
    problem(name, class, form, optimum, objective)
}

/// Four fifths of the coordinates take 2, 4, 8 and 16 values, after T. Tušar, D. Brockhoff and N. Hansen, "Mixed-integer
/// benchmark problems for single- and bi-objective optimization", GECCO 2019. The function is moved so that its
/// optimum is on the lattice.
fn mixed_integer(function: Function, number: u32) -> Result<Problem> {
    let dimension = function.optimum.len();
    let count = move |i: usize| [2_u32, 4, 8, 16].get(i * 5 / dimension).copied();
    let place = |k: f64, count: u32| 10.0 * (k + 1.0) / (f64::from(count) + 1.0) - 5.0;
    let moves: Vec<f64> = (0..dimension)
        .map(|i| {
            let optimum = function.optimum[i];
            count(i).map_or(0.0, |count| {
                let nearest = (0..count)
                    .map(|k| optimum - place(f64::from(k), count))
                    .min_by(|a, b| a.abs().total_cmp(&b.abs()));
                nearest.unwrap_or(0.0)
            })
        })
        .collect();
    let line = |i| {
        let form = match count(i) {
            Some(count) => json!({"randint": [0, count]}),
            None => json!({"uniform": [-5.0, 5.0]}),
        };
        (format!("x{i}"), form)
    };
    let form = Json::Object((0..dimension).map(line).collect());
    let name = format!("mixed_f{number:02}_d{dimension:02}");
    numbers(name, "mixed-integer", form, 0.0, move |x| {
        let at = |(i, x): (usize, &f64)| moves[i] + count(i).map_or(*x, |count| place(*x, count));
        function.value(&x.iter().enumerate().map(at).collect::<Vec<f64>>())
    })
}

pub(crate) fn small_tree() -> Json {
    json!({
        "decay": {"loguniform": [1e-6, 1.0]},
        "model": {"choice": [
            {"_name": "linear", "penalty": {"loguniform": [1e-4, 1e4]}, "degree": {"randint": [1, 4]}},
            {"_name": "network", "rate": {"loguniform": [1e-5, 1.0]}, "drop": {"uniform": [0.0, 0.9]},
             "shape": {"choice": [
                {"_name": "wide", "width": {"qloguniform": [16, 2048, 1]}},
                {"_name": "deep", "layers": {"randint": [2, 17]}, "skip": {"uniform": [0.0, 1.0]}}]}},
            {"_name": "trees", "count": {"qloguniform": [10, 2000, 1]}, "depth": {"randint": [1, 21]},
             "share": {"uniform": [0.1, 1.0]}}]},
        "norm": {"choice": ["none", "batch", "layer"]}
    })
}

fn tall_tree() -> Json {
    let optimizer = json!({"choice": [
        {"_name": "sgd", "momentum": {"uniform": [0.0, 0.99]}, "schedule": {"choice": ["flat", "step", "cosine"]}},
        {"_name": "adam", "beta": {"uniform": [0.8, 0.999]}, "epsilon": {"loguniform": [1e-9, 1e-3]}}]});
    json!({
        "rate": {"loguniform": [1e-5, 1.0]},
        "optimizer": optimizer,
        "augment": {"choice": [
            {"_name": "off"},
            {"_name": "mix", "alpha": {"uniform": [0.0, 1.0]}},
            {"_name": "policy", "count": {"randint": [1, 5]}, "strength": {"uniform": [0.0, 1.0]}}]},
        "head": {"choice": [
            {"_name": "mean"},
            {"_name": "attention", "heads": {"randint": [1, 17]}, "scale": {"loguniform": [0.01, 10.0]}}]},
        "batch": {"qloguniform": [8, 512, 1]}
    })
}

/// Options in a ring, and numbers that depend on them.
fn ring(choices: usize, options: usize, numbers: usize) -> Result<Problem> {
    let letters: Vec<String> = ('a'..='z').take(options).map(String::from).collect();
    let mut form = Map::new();
    for i in 0..choices {
        form.insert(format!("c{i}"), json!({"choice": letters}));
    }
    for i in 0..numbers {
        form.insert(format!("x{i}"), json!({"uniform": [0.0, 1.0]}));
    }
    let function = Ring::new(choices, options, numbers, 77);
    let objective: Objective = Box::new(move |space, point, _| {
        let (taken, rest) = point.0.split_at(choices.min(point.0.len()));
        let taken: Vec<usize> = taken.iter().map(|(_, value)| planted::option(*value)).collect();
        let number = |(leaf, value): &(u16, _)| {
            space.leaf(*leaf).map_or(0.0, |leaf| planted::number(&leaf.domain, *value))
        };
        Ok(function.value(&taken, &rest.iter().map(number).collect::<Vec<f64>>()))
    });
    problem(format!("ring_{choices}x{options}_{numbers}"), "categorical", Json::Object(form), 0.0, objective)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_classes_are_listed() {
        let problems = all().unwrap();
        let names: BTreeSet<&str> = problems.iter().map(|problem| problem.name.as_str()).collect();
        assert_eq!(names.len(), problems.len());
        let classes: BTreeSet<&str> = problems.iter().map(|problem| problem.class).collect();
        assert_eq!(classes, BTreeSet::from(CLASSES));
    }

    #[test]
    fn no_point_of_a_problem_is_below_its_optimum_and_the_same_point_has_the_same_value() {
        for problem in
            all().unwrap().iter().filter(|problem| problem.is_plain() && problem.class != "training")
        {
            let leaves = problem.space.leaves().len();
            for i in 0..50 {
                let cube: Vec<f64> = (0..leaves)
                    .map(|j| f64::from(u32::try_from((i * 7 + j * 13) % 101).unwrap()) / 100.0)
                    .collect();
                let point = problem.space.point_from_unit(&cube);
                let value = problem.value(&point, Some(1)).unwrap();
                assert!(value >= problem.optimum - 1e-9, "{}: {value}", problem.name);
                assert_eq!(value, problem.value(&point, None).unwrap(), "{}", problem.name);
            }
        }
    }

    #[test]
    fn the_optimum_of_a_mixed_integer_problem_is_on_its_lattice() {
        for problem in all().unwrap().iter().filter(|problem| problem.name == "mixed_f01_d05") {
            // The sphere is a sum over coordinates, so each may be improved by itself.
            let mut best = vec![json!(0), json!(0), json!(0), json!(0), json!(0.0)];
            let worth = |x: &[Json]| {
                let params = json!({"x0": x[0], "x1": x[1], "x2": x[2], "x3": x[3], "x4": x[4]});
                problem.value(&problem.space.from_json(&params, "").unwrap(), None).unwrap()
            };
            let mut least = worth(&best);
            for (i, count) in [2, 4, 8, 16, 101].into_iter().enumerate() {
                for k in 0..count {
                    let mut other = best.clone();
                    other[i] = if i == 4 { json!(f64::from(k) / 10.0 - 5.0) } else { json!(k) };
                    if worth(&other) < least {
                        (least, best) = (worth(&other), other);
                    }
                }
            }
            assert!(least < 0.0026, "{least}");
        }
    }
}
