//! Trials with several metrics: several objectives, and constraints that only a trial shows.

use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem, Proposal, Sampler, TrialResult};
use engine::space::SearchSpace;
use engine::spec::{OutcomeConstraint, Outcomes};
use engine::value::{Goal, Point};
use retrial_samplers::math::hypervolume::hypervolume;
use serde_json::{Value, json};
use std::sync::Arc;

const FOR_SEVERAL: [&str; 3] = ["tpe", "nsga2", "nsga3"];
/// Those that compare trials, and so may be told to keep constraints.
const COMPARING: [&str; 7] = ["tpe", "nsga2", "nsga3", "evolution", "anneal", "cma_es", "forest"];

/// The metrics of a point; none if the trial fails.
type Metrics = fn(&SearchSpace, &Point) -> Option<Vec<f64>>;

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

/// One run, with its history.
struct Run {
    problem: Problem,
    sampler: Box<dyn Sampler>,
    trials: Vec<(Point, Vec<u8>)>,
    ended: Vec<(u32, Option<Vec<f64>>)>,
    pending: Vec<u32>,
    metrics: Metrics,
}

fn make(name: &str, problem: &Problem) -> Box<dyn Sampler> {
    retrial_samplers::sampler(name, &Value::Null, problem, "sampler").unwrap_or_else(|e| panic!("{e:?}"))
}

fn end(sampler: &mut dyn Sampler, trial: u32, metrics: Option<&Vec<f64>>) {
    let result = metrics.map_or(TrialResult::Failed, |metrics| TrialResult::Value(metrics[0]));
    let metrics = metrics.map(Vec::as_slice).unwrap_or_default();
    sampler.observe(Observation::Ended { trial: TrialId(trial), result, metrics });
}

impl Run {
    fn new(name: &str, problem: Problem, metrics: Metrics) -> Self {
        let sampler = make(name, &problem);
        Self { problem, sampler, trials: Vec::new(), ended: Vec::new(), pending: Vec::new(), metrics }
    }

    /// Trials end in another order than they began; `crash` says before which the sampler is built anew.
    fn go(mut self, name: &str, trials: u32, crash: Option<u32>) -> Self {
        for trial in 0..trials {
            if crash.is_some_and(|every| trial % every == every - 1) {
                let mut other = make(name, &self.problem);
                for (trial, (point, memo)) in (0..).zip(&self.trials) {
                    other.observe(Observation::Suggested { trial: TrialId(trial), point, memo });
                }
                for (trial, metrics) in &self.ended {
                    end(other.as_mut(), *trial, metrics.as_ref());
                }
                let next = other.suggest(TrialId(trial));
                assert_eq!(next, self.sampler.suggest(TrialId(trial)), "{name}: {trial}");
                self.sampler = other;
            }
            let Proposal::Point { point, memo, .. } = self.sampler.suggest(TrialId(trial)) else { break };
            assert_eq!(self.problem.space.check(&point), Ok(()));
            self.sampler.observe(Observation::Suggested {
                trial: TrialId(trial),
                point: &point,
                memo: &memo,
            });
            self.trials.push((point, memo));
            self.pending.push(trial);
            if self.pending.len() as u32 >= self.problem.concurrency {
                let done = self.pending.remove(trial as usize * 7 % self.pending.len());
                let metrics = (self.metrics)(&self.problem.space, &self.trials[done as usize].0);
                end(self.sampler.as_mut(), done, metrics.as_ref());
                self.ended.push((done, metrics));
            }
        }
        self
    }

    fn volume(&self, reference: &[f64]) -> f64 {
        let points: Vec<&Vec<f64>> = self.ended.iter().filter_map(|(_, metrics)| metrics.as_ref()).collect();
        hypervolume(&points, reference)
    }
}

#[test]
fn a_front_is_found_one_by_one_and_with_many_trials_at_once() {
    for concurrency in [1, 16] {
        let volume = |name: &str| {
            let one = |seed| {
                let problem = problem(&mixed_space(), seed, concurrency, goals(&[Goal::Minimize; 2]));
                Run::new(name, problem, two_losses).go(name, 200, None).volume(&[1.5, 1.5])
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
            Run::new(name, problem, two_losses).go(name, 250, Some(crash));
        }
    }
}

#[test]
fn goals_and_units_change_nothing() {
    let turned: Metrics = |space, point| two_losses(space, point).map(|l| vec![l[0] * 1_024.0, l[1] / -8.0]);
    for name in FOR_SEVERAL {
        let plain = problem(&mixed_space(), 5, 4, goals(&[Goal::Minimize; 2]));
        let other = problem(&mixed_space(), 5, 4, goals(&[Goal::Minimize, Goal::Maximize]));
        let plain = Run::new(name, plain, two_losses).go(name, 120, None);
        assert_eq!(Run::new(name, other, turned).go(name, 120, None).trials, plain.trials, "{name}");
    }
}

#[test]
fn extreme_and_equal_metrics_do_no_harm() {
    let equal: Metrics = |_, _| Some(vec![1.0, -2.0, 3.0]);
    let extreme: Metrics = |space, point| {
        let sign = |place| if off(space, point, place) > 0.15 { f64::MAX } else { f64::MIN };
        Some(vec![sign(0.2), sign(0.5), sign(0.8)])
    };
    for name in FOR_SEVERAL {
        for metrics in [equal, extreme] {
            let problem = problem(&mixed_space(), 1, 3, goals(&[Goal::Minimize; 3]));
            let run = Run::new(name, problem, metrics).go(name, 150, Some(40));
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
            let run = Run::new(name, problem(&mixed_space(), seed, 4, limit()), limited).go(name, 150, None);
            let all = run.ended.iter().filter_map(|(_, metrics)| metrics.as_ref());
            all.filter(|metrics| metrics[1] <= 0.025).map(|metrics| metrics[0]).fold(0.5, f64::min)
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
        Run::new(name, problem(&mixed_space(), 2, 8, limit()), limited).go(name, 120, Some(29));
        let outcomes = Outcomes { goals: vec![Goal::Minimize; 2], ..limit() };
        if FOR_SEVERAL.contains(&name) {
            Run::new(name, problem(&mixed_space(), 2, 8, outcomes), limited).go(name, 120, Some(29));
        }
    }
}
