//! Which combinations come in which order.

use super::*;
use crate::unique::Unique;
use engine::ports::sampler::{Proposal, Sampler};
use engine::value::Goal;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

fn problem(space: &Json, constraints: Option<&Json>) -> Problem {
    Problem::new(Arc::new(SearchSpace::parse(space, constraints, "").unwrap()), Goal::Minimize)
}

fn grid(space: &Json) -> Grid {
    Grid::new(&problem(space, None))
}

/// The combinations in order, each as the texts of its parameters.
fn order(space: &Json, most: u64) -> Vec<String> {
    let grid = grid(space);
    let text = |point: Point| {
        let params = grid.space.to_json(&point);
        params.values().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    (0..most).map_while(|place| grid.at(place)).map(text).collect()
}

#[test]
fn the_order_is_that_of_nni() {
    // As in the comment of NNI's gridsearch_tuner.py, with a uniform parameter in place of its normal one.
    let space = json!({
        "x": {"_type": "choice", "_value": [5, 7]},
        "y": {"_type": "uniform", "_value": [0, 1]},
        "z": {"_type": "quniform", "_value": [2, 3, 1]},
    });
    let found = order(&space, 12);
    // Half-way, which NNI rounds to the even neighbour.
    let (first, second) = (3, 2);
    let mut expected = vec![format!("5 0.5 {first}"), format!("7 0.5 {first}")];
    for x in [5, 7] {
        expected.push(format!("{x} 0.5 {second}"));
        for y in [0.25, 0.75] {
            expected.extend([format!("{x} {y} {first}"), format!("{x} {y} {second}")]);
        }
    }
    assert_eq!(found, expected);
}

#[test]
fn nested_parameters_come_with_their_option() {
    let space = json!({
        "model": {"_type": "choice", "_value": [
            {"_name": "knn"},
            {"_name": "svm", "c": {"_type": "uniform", "_value": [0, 1]}},
        ]},
        "n": {"_type": "choice", "_value": [1, 2]},
    });
    let knn = |n: u32| format!("{{\"_name\":\"knn\"}} {n}");
    let svm = |c: f64, n: u32| format!("{{\"_name\":\"svm\",\"c\":{c}}} {n}");
    let expected = [
        knn(1),
        knn(2),
        svm(0.5, 1),
        svm(0.5, 2),
        svm(0.25, 1),
        svm(0.25, 2),
        svm(0.75, 1),
        svm(0.75, 2),
        svm(0.125, 1),
    ];
    assert_eq!(order(&space, 9), expected);
}

#[test]
fn every_combination_comes_once_and_a_finite_space_ends() {
    let space = json!({
        "a": {"_type": "randint", "_value": [0, 3]},
        "b": {"_type": "quniform", "_value": [0, 6, 1]},
        "c": {"_type": "choice", "_value": [
            "p",
            {"_name": "q", "d": {"_type": "quniform", "_value": [1, 5, 1]}, "e": {"_type": "choice", "_value": [1, 2]}},
        ]},
        "f": {"_type": "quniform", "_value": [0, 1, 0.25]},
    });
    let found = order(&space, u64::from(u16::MAX));
    let size = grid(&space).space.cardinality().unwrap();
    assert_eq!(size, 3 * 7 * (1 + 5 * 2) * 5);
    assert_eq!(found.len() as u64, size);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len() as u64, size);
}

#[test]
fn combinations_far_ahead_are_not_taken_for_the_end() {
    let space = json!({
        "a": {"_type": "randint", "_value": [0, 600]},
        "b": {"_type": "randint", "_value": [0, 600]},
    });
    let problem = problem(&space, Some(&json!(["a + b >= 1196"])));
    let mut sampler = Unique::new(Grid::new(&problem), &problem, 0);
    let mut points = BTreeSet::new();
    for trial in 0..6 {
        let Proposal::Point { point, memo, .. } = sampler.suggest(TrialId(trial)) else {
            panic!("{} of 6 points were found", points.len())
        };
        sampler.observe(Observation::Suggested { trial: TrialId(trial), point: &point, memo: &memo });
        points.insert(format!("{:?}", problem.space.to_json(&point)));
    }
    assert_eq!(points.len(), 6);
    assert_eq!(sampler.suggest(TrialId(6)), Proposal::Exhausted);
}
