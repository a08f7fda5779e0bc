//! Problems with constraints that only a trial shows. What counts is the best feasible trial.

use crate::classic;
use crate::planted::{self, Tree};
use crate::problem::{Measured, Problem, lines, parse, small_tree};
use anyhow::Result;
use engine::spec::{OutcomeConstraint, Outcomes};
use serde_json::{Value as Json, json};

/// The class of these problems.
pub(crate) const CLASS: &str = "constrained";

/// All of them.
pub(crate) fn all() -> Result<Vec<Problem>> {
    let square = json!({"x0": {"uniform": [0.0, 6.0]}, "x1": {"uniform": [0.0, 6.0]}});
    let plane = json!({"x0": {"uniform": [-5.0, 10.0]}, "x1": {"uniform": [0.0, 15.0]}});
    Ok(vec![
        // J. R. Gardner et al., "Bayesian optimization with inequality constraints", ICML 2014, both simulations.
        numbers("gardner1", square.clone(), -2.0, &[0.5], |x| {
            let limit = libm::cos(x[0]) * libm::cos(x[1]) - libm::sin(x[0]) * libm::sin(x[1]);
            vec![libm::cos(2.0 * x[0]) * libm::cos(x[1]) + libm::sin(x[0]), limit]
        })?,
        // The optimum is at sin(x0) = -1 and sin(x1) = 0.95.
        numbers("gardner2", square, libm::asin(0.95) - 1.0, &[-0.95], |x| {
            vec![libm::sin(x[0]) + x[1], libm::sin(x[0]) * libm::sin(x[1])]
        })?,
        // One of the three optima lies inside of the circle.
        numbers("branin_circle", plane, classic::BRANIN, &[50.0], |x| {
            let off = (x[0] - 2.5) * (x[0] - 2.5) + (x[1] - 7.5) * (x[1] - 7.5);
            vec![classic::branin(x[0], x[1]), off]
        })?,
        numbers("hartmann6_ball", lines(6, 0.0, 1.0), classic::HARTMANN, &[1.0], |x| {
            vec![classic::hartmann(x), x.iter().map(|x| x * x).sum::<f64>().sqrt()]
        })?,
        numbers("vessel", vessel_space(), VESSEL, &[0.0; 3], vessel)?,
        tree()?,
    ])
}

/// The least feasible values: as published, and the best of long runs.
const VESSEL: f64 = 6_059.714_335;
const TREE: f64 = 0.016_63;

/// A problem over numbers: objective first, then what must be at most the bounds.
fn numbers(
    name: &str,
    form: Json,
    optimum: f64,
    bounds: &[f64],
    values: impl Fn(&[f64]) -> Vec<f64> + Send + Sync + 'static,
) -> Result<Problem> {
    let measured: Measured = Box::new(move |space, point| Ok(values(&planted::numbers(space, point))));
    problem(name, form, optimum, bounds, measured)
}

fn problem(name: &str, form: Json, optimum: f64, bounds: &[f64], measured: Measured) -> Result<Problem> {
    let constraint =
        |(metric, bound): (usize, &f64)| OutcomeConstraint { metric, bound: *bound, at_most: true };
    let constraints = (1..).zip(bounds).map(constraint).collect();
    let outcomes = Outcomes { constraints, ..Outcomes::default() };
    let mut problem = Problem::measured(name, CLASS, form, outcomes, measured)?;
    problem.optimum = optimum;
    Ok(problem)
}

/// The cost of a cylindrical pressure vessel. B. K. Kannan and S. N. Kramer, "An augmented Lagrange multiplier based method for mixed
/// integer discrete continuous optimization and its applications to mechanical design", Journal of Mechanical Design 116
/// (1994). Thicknesses are multiples of a sixteenth of an inch.
fn vessel(x: &[f64]) -> Vec<f64> {
    let (shell, head, radius, length) = (0.0625 * x[0], 0.0625 * x[1], x[2], x[3]);
    let cost = 0.6224 * shell * radius * length
        + 1.7781 * head * radius * radius
        + 3.1661 * shell * shell * length
        + 19.84 * shell * shell * radius;
    let volume = std::f64::consts::PI * radius * radius * (length + 4.0 / 3.0 * radius);
    vec![cost, 0.0193 * radius - shell, 0.009_54 * radius - head, 1.0 - volume / 1_296_000.0]
}

fn vessel_space() -> Json {
    json!({"shell": {"randint": [1, 100]}, "head": {"randint": [1, 100]},
        "radius": {"uniform": [10.0, 200.0]}, "length": {"uniform": [10.0, 240.0]}})
}

/// A tree of parameters, and another function of it that must be small.
fn tree() -> Result<Problem> {
    let space = parse(&small_tree())?;
    let trees = [31, 32].map(|seed| Tree::new(&space, seed));
    let measured: Measured =
        Box::new(move |space, point| Ok(trees.iter().map(|tree| tree.value(space, point)).collect()));
    problem("tree_limit", small_tree(), TREE, &[0.6], measured)
}
