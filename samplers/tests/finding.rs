//! Searches that learn find more than random draws do, with many trials at once as well, and go on after a crash as before.

use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem, Proposal, Sampler, TrialResult};
use engine::space::SearchSpace;
use engine::value::{Goal, Point, Value as Entry};
use serde_json::{Value, json};
use std::sync::Arc;

/// What a point of a space is worth: smaller is better, 0 is the best.
type Objective = fn(&SearchSpace, &Point) -> f64;

fn problem(space: &Value, seed: u64, concurrency: u32) -> Problem {
    Problem {
        seed,
        trials: Some(200),
        concurrency,
        ..Problem::new(Arc::new(SearchSpace::parse(space, None, "space").unwrap()), Goal::Minimize)
    }
}

fn make(name: &str, problem: &Problem) -> Box<dyn Sampler> {
    retrial_samplers::sampler(name, &Value::Null, problem, "sampler").unwrap_or_else(|e| panic!("{e:?}"))
}

/// The unit coordinates of a point; none where a parameter does not exist.
fn units(space: &SearchSpace, point: &Point) -> Vec<Option<f64>> {
    space.point_to_unit(point)
}

fn sphere(space: &SearchSpace, point: &Point) -> f64 {
    units(space, point).iter().flatten().map(|u| (u - 0.71) * (u - 0.71)).sum()
}

fn sphere_space() -> Value {
    json!({"a": {"uniform": [0, 1]}, "b": {"uniform": [-5, 5]}, "c": {"loguniform": [1e-4, 1]},
        "d": {"uniform": [0, 1]}, "e": {"normal": [0, 1]}})
}

/// Distances on lines and lattices, and a price for every wrong option.
fn mixed(space: &SearchSpace, point: &Point) -> f64 {
    let mut sum = 0.0;
    for (leaf, value) in &point.0 {
        let domain = &space.leaf(*leaf).unwrap().domain;
        sum += match value {
            Entry::Option(option) if domain.is_categorical() => 0.2 * f64::from(u8::from(*option != 1)),
            _ => {
                let off = domain.to_unit(*value).unwrap() - 0.3;
                off * off
            }
        };
    }
    sum
}

fn mixed_space() -> Value {
    json!({"a": {"uniform": [0, 1]}, "b": {"loguniform": [1e-5, 1]}, "n": {"randint": [0, 41]},
        "q": {"quniform": [0, 1, 0.05]}, "o": {"ordinal": [1, 2, 4, 8, 16]},
        "k": {"choice": ["u", "v", "w"]}, "l": {"choice": [0, 1, 2, 3]}})
}

fn tree_space() -> Value {
    json!({"a": {"uniform": [0, 1]}, "m": {"choice": [
        {"_name": "p", "x": {"uniform": [0, 1]}, "y": {"randint": [0, 100]}},
        {"_name": "q", "z": {"uniform": [0, 1]}, "w": {"loguniform": [1e-3, 1]}, "v": {"uniform": [0, 1]}},
        {"_name": "r"}]}})
}

fn rebuilt(
    name: &str,
    problem: &Problem,
    trials: &[(Point, Vec<u8>)],
    ended: &[(u32, f64)],
) -> Box<dyn Sampler> {
    let mut sampler = make(name, problem);
    for (trial, (point, memo)) in (0..).zip(trials) {
        sampler.observe(Observation::Suggested { trial: TrialId(trial), point, memo });
    }
    for (trial, value) in ended {
        let result = TrialResult::Value(*value);
        sampler.observe(Observation::Ended { trial: TrialId(*trial), result, metrics: &[] });
    }
    sampler
}

/// The best of a number of trials, of which so many are pending at a time and end in another order than they began. If
/// `crash` is given, the sampler is built anew from its history before every such trial.
fn best(name: &str, problem: &Problem, objective: Objective, trials: u32, crash: Option<u32>) -> f64 {
    let mut sampler = make(name, problem);
    let (mut known, mut ended, mut pending) = (Vec::new(), Vec::new(), Vec::new());
    let mut best = f64::INFINITY;
    for trial in 0..trials {
        if crash.is_some_and(|every| trial % every == every - 1) {
            let mut other = rebuilt(name, problem, &known, &ended);
            assert_eq!(other.suggest(TrialId(trial)), sampler.suggest(TrialId(trial)), "{name}: {trial}");
            sampler = other;
        }
        let Proposal::Point { point, memo, .. } = sampler.suggest(TrialId(trial)) else { break };
        sampler.observe(Observation::Suggested { trial: TrialId(trial), point: &point, memo: &memo });
        pending.push((trial, objective(&problem.space, &point)));
        known.push((point, memo));
        if pending.len() as u32 >= problem.concurrency {
            let (trial, value) = pending.remove(trial as usize * 7 % pending.len());
            best = best.min(value);
            ended.push((trial, value));
            let result = TrialResult::Value(value);
            sampler.observe(Observation::Ended { trial: TrialId(trial), result, metrics: &[] });
        }
    }
    best
}

/// The mean over seeds of the logarithm of the best of 200 trials.
fn found(name: &str, space: &Value, objective: Objective, concurrency: u32) -> f64 {
    let one =
        |seed| libm::log10(best(name, &problem(space, seed, concurrency), objective, 200, None).max(1e-12));
    (0..3).map(one).sum::<f64>() / 3.0
}

/// By how many powers of ten each sampler must be closer to the optimum than random search, on the three spaces.
const GAINS: [(&str, [f64; 3]); 4] = [
    ("anneal", [1.5, 1.5, 1.0]),
    ("forest", [0.5, 0.5, 0.5]),
    ("cma_es", [2.0, 0.8, 0.5]),
    ("evolution", [0.8, 0.8, 0.5]),
];

#[test]
fn a_search_that_learns_comes_much_closer_than_random_draws() {
    let spaces: [(Value, Objective); 3] =
        [(sphere_space(), sphere), (mixed_space(), mixed), (tree_space(), mixed)];
    for (at, (space, objective)) in spaces.iter().enumerate() {
        let random = found("random", space, *objective, 1);
        for (name, gains) in GAINS {
            let own = found(name, space, *objective, 1);
            println!("{name} {at}: {:.2}", random - own);
            assert!(random - own >= gains[at], "{name}, space {at}: 10^{own}, random 10^{random}");
        }
    }
}

#[test]
fn a_search_that_learns_also_does_with_sixteen_trials_at_once() {
    let random = found("random", &sphere_space(), sphere, 16);
    for (name, _) in GAINS {
        let own = found(name, &sphere_space(), sphere, 16);
        println!("{name}: {:.2}", random - own);
        assert!(random - own >= 0.4, "{name}: 10^{own}, random 10^{random}");
    }
}

#[test]
fn a_search_that_is_built_anew_from_its_history_proposes_the_same() {
    for (name, _) in GAINS {
        for space in [mixed_space(), tree_space()] {
            best(name, &problem(&space, 3, 24), mixed, 300, Some(37));
        }
    }
}
