//! The searches that compare trials, with several objectives and constraints that only a trial shows.

use crate::driver::{History, Metrics, run};
use engine::ports::sampler::Problem;
use engine::space::SearchSpace;
use engine::spec::{OutcomeConstraint, Outcomes};
use engine::value::{Goal, Point};
use retrial_samplers::math::hypervolume::hypervolume;
use serde_json::{Value, json};
use std::sync::Arc;

const FOR_SEVERAL: [&str; 3] = ["tpe", "nsga2", "nsga3"];
/// Those that compare trials, and so may be told to keep constraints.
const COMPARING: [&str; 7] = ["tpe", "nsga2", "nsga3", "evolution", "anneal", "cma_es", "forest"];

fn problem(space: &Value, seed: u64, concurrency: u32, outcomes: Outcomes) -> Problem {
    let goal = outcomes.goals.first().copied().unwrap_or(Goal::Minimize);
    Problem {
        seed,
        concurrency,
        outcomes: Arc::new(outcomes),
        ..Problem::new(Arc::new(SearchSpace::parse(space, None, "space").unwrap()), goal)
    }
}

fn goals(goals: &[Goal]) -> Outcomes {
    Outcomes { goals: goals.to_vec(), ..Outcomes::default() }
}

fn mixed_space() -> Value {
    json!({"a": {"uniform": [0, 1]}, "b": {"loguniform": [1e-5, 1]}, "n": {"randint": [0, 41]},
        "k": {"choice": ["u", "v", "w"]}, "m": {"choice": [
            {"_name": "p", "x": {"uniform": [0, 1]}, "y": {"randint": [0, 100]}},
            {"_name": "q", "z": {"uniform": [0, 1]}}]}})
}

/// The mean square distance from a place.
fn off(space: &SearchSpace, point: &Point, place: f64) -> f64 {
    let units: Vec<f64> = space.point_to_unit(point).into_iter().flatten().collect();
    units.iter().map(|u| (u - place) * (u - place)).sum::<f64>() / units.len() as f64
}

/// The first parameter says how much of one loss is traded for the other; the further the rest is from a place, the worse are
/// both. Some points fail.
fn two_losses(space: &SearchSpace, point: &Point) -> Option<Vec<f64>> {
    let share = space.point_to_unit(point).first().copied().flatten()?;
    let off = 10.0 * off(space, point, 0.7);
    (share < 0.98).then_some(vec![share + off, 1.0 - share.sqrt() + off])
}

/// Runs as many trials at once as the problem says.
fn go(name: &str, problem: &Problem, trials: u32, crash: Option<u32>, metrics: Metrics<'_>) -> History {
    run(name, problem, trials, problem.concurrency, crash, metrics)
}

#[test]
fn a_front_is_found_one_by_one_and_with_many_trials_at_once() {
    for concurrency in [1, 16] {
        let volume = |name: &str| {
            let one = |seed| {
                let problem = problem(&mixed_space(), seed, concurrency, goals(&[Goal::Minimize; 2]));
                let points = go(name, &problem, 200, None, &two_losses);
                hypervolume(&points.metrics().collect::<Vec<_>>(), &[1.5, 1.5])
            };
            (0..4).map(one).sum::<f64>() / 4.0
        };
        let random = volume("random");
        for name in FOR_SEVERAL {
            let own = volume(name);
            println!("{name}, {concurrency} at once: {own:.4}, random {random:.4}");
            assert!(own > 1.1 * random, "{name}, {concurrency} at once: {own}, random {random}");
        }
    }
}

#[test]
fn a_search_for_several_objectives_that_is_built_anew_proposes_the_same() {
    for name in FOR_SEVERAL {
        for (concurrency, crash) in [(1, 23), (24, 37)] {
            let problem = problem(&mixed_space(), 3, concurrency, goals(&[Goal::Minimize; 2]));
            go(name, &problem, 250, Some(crash), &two_losses);
        }
    }
}

#[test]
fn goals_and_units_change_nothing() {
    let turned: Metrics<'_> =
        &|space, point| two_losses(space, point).map(|l| vec![l[0] * 1_024.0, l[1] / -8.0]);
    for name in FOR_SEVERAL {
        let plain = problem(&mixed_space(), 5, 4, goals(&[Goal::Minimize; 2]));
        let other = problem(&mixed_space(), 5, 4, goals(&[Goal::Minimize, Goal::Maximize]));
        let plain = go(name, &plain, 120, None, &two_losses);
        assert_eq!(go(name, &other, 120, None, turned).trials, plain.trials, "{name}");
    }
}

#[test]
fn extreme_and_equal_metrics_do_no_harm() {
    let equal: Metrics<'_> = &|_, _| Some(vec![1.0, -2.0, 3.0]);
    let extreme: Metrics<'_> = &|space, point| {
        let sign = |place| if off(space, point, place) > 0.15 { f64::MAX } else { f64::MIN };
        Some(vec![sign(0.2), sign(0.5), sign(0.8)])
    };
    for name in FOR_SEVERAL {
        for metrics in [equal, extreme] {
            let problem = problem(&mixed_space(), 1, 3, goals(&[Goal::Minimize; 3]));
            let run = go(name, &problem, 150, Some(40), metrics);
            assert_eq!(run.trials.len(), 150, "{name}");
        }
    }
}

/// The smaller the better, but all within a distance of another place.
#[expect(clippy::unnecessary_wraps, reason = "other metrics fail at some points")]
fn limited(space: &SearchSpace, point: &Point) -> Option<Vec<f64>> {
    Some(vec![off(space, point, 0.1), off(space, point, 0.6)])
}

fn limit() -> Outcomes {
    let within = OutcomeConstraint { metric: 1, bound: 0.025, at_most: true };
    Outcomes { constraints: vec![within], ..Outcomes::default() }
}

#[test]
fn trials_that_break_a_constraint_lead_to_feasible_ones() {
    let best = |name: &str| {
        let one = |seed| {
            let run = go(name, &problem(&mixed_space(), seed, 4, limit()), 150, None, &limited);
            run.metrics().filter(|metrics| metrics[1] <= 0.025).map(|metrics| metrics[0]).fold(0.5, f64::min)
        };
        (0..4).map(one).sum::<f64>() / 4.0
    };
    let random = best("random");
    for name in COMPARING {
        let own = best(name);
        println!("{name}: {own:.4}, random {random:.4}");
        assert!(own < 0.9 * random, "{name}: {own}, random {random}");
    }
}

#[test]
fn a_search_under_constraints_that_is_built_anew_proposes_the_same() {
    for name in COMPARING {
        go(name, &problem(&mixed_space(), 2, 8, limit()), 120, Some(29), &limited);
        let outcomes = Outcomes { goals: vec![Goal::Minimize; 2], ..limit() };
        if FOR_SEVERAL.contains(&name) {
            go(name, &problem(&mixed_space(), 2, 8, outcomes), 120, Some(29), &limited);
        }
    }
}
