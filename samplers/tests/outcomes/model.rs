//! The Gaussian process with more than one value.

use crate::driver::{self, History};
use engine::ports::sampler::Problem;
use engine::space::SearchSpace;
use engine::spec::{OutcomeConstraint, Outcomes};
use engine::value::Goal;
use serde_json::{Value, json};
use std::sync::Arc;

fn square() -> Value {
    json!({"x": {"uniform": [0, 1]}, "y": {"uniform": [0, 1]}})
}

fn problem(space: &Value, outcomes: Outcomes) -> Problem {
    let space = SearchSpace::parse(space, None, "space").unwrap();
    let plain = Problem::new(Arc::new(space), Goal::Minimize);
    Problem { seed: 5, trials: Some(60), outcomes: Arc::new(outcomes), ..plain }
}

/// The metrics of a place in the unit cube; none if the trial fails.
type Metrics = fn(&[f64]) -> Option<Vec<f64>>;

/// Every eleventh suggestion is made by a sampler that was built anew as well.
fn run(name: &str, problem: &Problem, trials: u32, at_once: u32, metrics: Metrics) -> History {
    driver::run(name, problem, trials, at_once, Some(11), &|space, point| {
        let at: Vec<f64> = space.point_to_unit(point).into_iter().map(|u| u.unwrap_or(0.5)).collect();
        metrics(&at)
    })
}

/// The metrics of the trials that kept all bounds.
fn feasible<'a>(history: &'a History, problem: &'a Problem) -> impl Iterator<Item = &'a Vec<f64>> {
    history.metrics().filter(|metrics| problem.outcomes.is_feasible(metrics))
}

fn at_most(metric: usize, bound: f64) -> OutcomeConstraint {
    OutcomeConstraint { metric, bound, at_most: true }
}

/// The best is at (0.3, 0.3), which is outside of a disc around (0.8, 0.8) with a radius of 0.2.
#[expect(clippy::unnecessary_wraps, reason = "other metrics fail at some points")]
fn disc(u: &[f64]) -> Option<Vec<f64>> {
    let distance = |at: f64| libm::hypot(u[0] - at, u[1] - at);
    Some(vec![distance(0.3), distance(0.8)])
}

#[test]
fn a_bound_on_a_metric_that_few_points_keep_is_found_and_followed_to_its_edge() {
    let outcomes = Outcomes { constraints: vec![at_most(1, 0.2)], ..Outcomes::default() };
    for at_once in [1, 6] {
        let problem = problem(&square(), outcomes.clone());
        let history = run("gp", &problem, 50, at_once, disc);
        let best = feasible(&history, &problem).map(|metrics| metrics[0]).fold(f64::INFINITY, f64::min);
        let edge = libm::hypot(0.5, 0.5) - 0.2;
        assert!(best < edge + 0.02, "{at_once} at once: {best}, {edge} is possible");
        let kept = feasible(&history, &problem).count();
        assert!(kept >= 10, "{at_once} at once: {kept}");
    }
}

#[test]
fn bounds_that_nothing_keeps_and_trials_that_fail_do_no_harm() {
    let constraints = vec![at_most(1, -1.0), OutcomeConstraint { metric: 2, bound: 0.0, at_most: false }];
    let problem = problem(&square(), Outcomes { constraints, cost: Some(2), ..Outcomes::default() });
    let metrics: Metrics = |u| (u[0] > 0.2).then(|| vec![u[0], 1e300 * u[1], 0.0]);
    assert_eq!(run("gp", &problem, 45, 4, metrics).trials.len(), 45);
    assert_eq!(run("gp", &problem, 30, 1, |_| None).trials.len(), 30);
}

/// Which part of the unit square points dominate.
fn area(points: impl Iterator<Item = (f64, f64)>) -> f64 {
    let mut points: Vec<(f64, f64)> = points.filter(|(a, b)| *a < 1.0 && *b < 1.0).collect();
    points.sort_by(|a, b| a.partial_cmp(b).unwrap());
    let (mut area, mut upto) = (0.0, 1.0f64);
    for (a, b) in points {
        area += (1.0 - a) * (upto - b).max(0.0);
        upto = upto.min(b);
    }
    area
}

#[test]
fn two_objectives_are_followed_along_their_front() {
    // Squared distances from two corners: the front is between them; a maximum is a minimum turned over.
    let metrics: Metrics = |u| {
        let to = |x: f64, y: f64| (u[0] - x).powi(2) + (u[1] - y).powi(2);
        Some(vec![to(0.2, 0.2), -to(0.8, 0.8)])
    };
    let goals = vec![Goal::Minimize, Goal::Maximize];
    let plain = problem(&square(), Outcomes { goals: goals.clone(), ..Outcomes::default() });
    let dominated = |name: &str, at_once| {
        let history = run(name, &plain, 60, at_once, metrics);
        area(feasible(&history, &plain).map(|m| (m[0], -m[1])))
    };
    // With a distance of d, the front is (d t)^2 and (d (1 - t))^2.
    let all = 0.86;
    let random = dominated("random", 1);
    for at_once in [1, 8] {
        let own = dominated("gp", at_once);
        assert!(all - own < 0.4 * (all - random), "{at_once} at once: {own}, random {random}");
    }
    // A bound on an objective cuts the front.
    let bounded =
        problem(&square(), Outcomes { goals, constraints: vec![at_most(0, 0.1)], ..Outcomes::default() });
    let history = run("gp", &bounded, 40, 1, metrics);
    assert!(feasible(&history, &bounded).count() >= 20);
}

#[test]
fn costs_are_saved_where_trials_report_them() {
    // The best of what may be spent; the dear half of one parameter does nothing for the value.
    let metrics: Metrics = |u| {
        let value = u.iter().take(4).map(|u| (u - 0.4) * (u - 0.4)).sum();
        Some(vec![value, libm::exp(5.0 * u[0])])
    };
    let space = json!({"a": {"uniform": [0, 1]}, "b": {"uniform": [0, 1]}, "c": {"uniform": [0, 1]},
        "d": {"uniform": [0, 1]}});
    let trials = |cost: Option<usize>, budget: Option<f64>| {
        let plain = problem(&space, Outcomes { cost, ..Outcomes::default() });
        let problem = Problem { trials: None, cost_budget: budget, ..plain };
        let mut spent = 0.0;
        let history = run("gp", &problem, 60, 1, metrics);
        history.metrics().skip(10).take_while(|metrics| (spent += metrics[1], spent < 150.0).1).count()
    };
    let blind = trials(None, None);
    for budget in [None, Some(600.0)] {
        let aware = trials(Some(1), budget);
        assert!(aware as f64 > 1.1 * blind as f64, "{budget:?}: {aware} trials beside {blind}");
    }
}

#[test]
fn a_search_ends_once_nothing_more_is_to_be_gained_and_not_while_much_is() {
    let metrics: Metrics = |u| Some(vec![(u[0] - 0.3).powi(2) + (u[1] - 0.6).powi(2)]);
    let trials = |gain| {
        let problem = Problem { gain: Some(gain), ..problem(&square(), Outcomes::default()) };
        let history = run("gp", &problem, 120, 1, metrics);
        let best = history.metrics().map(|m| m[0]).fold(1.0, f64::min);
        (history.trials.len(), best)
    };
    let (soon, best) = trials(1e-3);
    assert!((25..=70).contains(&soon) && best < 1e-3, "{soon}: {best}");
    assert_eq!(trials(0.0).0, 120);
}
