//! Problems with several objectives. What counts is the hypervolume of the front that was found.
//!
//! The places of the optima are planted inside of the ranges: a front at the bounds, as the published ones have it, would favour
//! whoever tries bounds.

use crate::planted::{self, Tree};
use crate::problem::{Measured, Problem, lines, parse};
use anyhow::Result;
use engine::id::TrialId;
use engine::space::SearchSpace;
use engine::spec::Outcomes;
use engine::value::{Goal, Point};
use samplers::stream::{Purpose, Stream};
use serde_json::{Value as Json, json};
use std::f64::consts::{FRAC_PI_2, PI};

/// The class of these problems.
pub(crate) const CLASS: &str = "multi-objective";

/// How the second objective of a ZDT problem follows from the share of the first.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Convex = 1,
    Concave = 2,
    Broken = 3,
}

/// All of them.
pub(crate) fn all() -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    // The areas between the fronts and the first axis: by formula, the third by a fine grid.
    for (shape, below) in [(Shape::Convex, 1.0 / 3.0), (Shape::Concave, 2.0 / 3.0), (Shape::Broken, BROKEN)] {
        let places = planted_places(10, shape as u64);
        let name = format!("zdt{}", shape as u32);
        let values = move |x: &[f64]| zdt(shape, x, &places);
        problems.push(numbers(&name, 10, vec![1.1, 4.0], 1.1 * 4.0 - below, values)?);
    }
    let places = planted_places(8, 4);
    let values = move |x: &[f64]| dtlz2(x, &places);
    problems.push(numbers("dtlz2", 8, vec![1.5; 3], 1.5 * 1.5 * 1.5 - PI / 6.0, values)?);
    for (name, form, seeds, reference, most) in [
        ("two_mixed", mixed(), [11, 12], 3.0, 6.829_2),
        ("two_trees", crate::problem::small_tree(), [21, 22], 1.5, 2.036),
    ] {
        problems.push(trees(name, form, seeds, reference, most)?);
    }
    Ok(problems)
}

/// The area between the front of ZDT3 and the first axis, up to 1.1.
const BROKEN: f64 = -0.121_762_9;

/// Best places from 0.2 to 0.8, one for each parameter.
fn planted_places(count: usize, seed: u64) -> Vec<f64> {
    let mut draws = Stream::new(seed, TrialId(0), Purpose::Other, 21);
    (0..count).map(|_| 0.2 + 0.6 * draws.uniform()).collect()
}

/// E. Zitzler, K. Deb and L. Thiele, "Comparison of multiobjective evolutionary algorithms", Evolutionary Computation 8 (2000).
fn zdt(shape: Shape, x: &[f64], places: &[f64]) -> Vec<f64> {
    let off = x.iter().zip(places).skip(1).map(|(x, place)| (x - place).abs() / place.max(1.0 - place));
    let g = 1.0 + 9.0 * off.sum::<f64>() / (x.len() - 1) as f64;
    let first = x[0];
    let share = first / g;
    let second = match shape {
        Shape::Convex => 1.0 - share.sqrt(),
        Shape::Concave => 1.0 - share * share,
        Shape::Broken => 1.0 - share.sqrt() - share * libm::sin(10.0 * PI * first),
    };
    vec![first, g * second]
}

/// K. Deb, L. Thiele, M. Laumanns and E. Zitzler, "Scalable multi-objective optimization test problems", CEC 2002: three
/// objectives, the front is an eighth of a sphere.
fn dtlz2(x: &[f64], places: &[f64]) -> Vec<f64> {
    let off = x.iter().zip(places).skip(2).map(|(x, place)| (x - place) * (x - place));
    let radius = 1.0 + off.sum::<f64>();
    let (a, b) = (x[0] * FRAC_PI_2, x[1] * FRAC_PI_2);
    vec![radius * libm::cos(a) * libm::cos(b), radius * libm::cos(a) * libm::sin(b), radius * libm::sin(a)]
}

/// A problem over the unit cube.
fn numbers(
    name: &str,
    dimension: usize,
    reference: Vec<f64>,
    most: f64,
    values: impl Fn(&[f64]) -> Vec<f64> + Send + Sync + 'static,
) -> Result<Problem> {
    let measured: Measured = Box::new(move |space, point| Ok(values(&planted::numbers(space, point))));
    problem(name, lines(dimension, 0.0, 1.0), reference, most, measured)
}

/// Two functions of one space whose optima lie apart.
fn trees(name: &str, form: Json, seeds: [u64; 2], reference: f64, most: f64) -> Result<Problem> {
    let space = parse(&form)?;
    let trees = seeds.map(|seed| Tree::new(&space, seed));
    let measured: Measured = Box::new(move |space: &SearchSpace, point: &Point| {
        Ok(trees.iter().map(|tree| tree.value(space, point)).collect())
    });
    problem(name, form, vec![reference; 2], most, measured)
}

/// Numbers, whole numbers and options.
fn mixed() -> Json {
    json!({
        "a": {"uniform": [0.0, 1.0]}, "b": {"uniform": [0.0, 1.0]}, "c": {"loguniform": [1e-4, 1.0]},
        "d": {"randint": [0, 8]}, "e": {"randint": [0, 16]}, "f": {"qloguniform": [1, 256, 1]},
        "g": {"choice": ["u", "v", "w"]}, "h": {"choice": ["p", "q", "r", "s"]}
    })
}

fn problem(name: &str, form: Json, reference: Vec<f64>, most: f64, measured: Measured) -> Result<Problem> {
    let outcomes = Outcomes { goals: vec![Goal::Minimize; reference.len()], ..Outcomes::default() };
    let mut problem = Problem::measured(name, CLASS, form, outcomes, measured)?;
    problem.extent = (reference, most);
    Ok(problem)
}
