//! Who goes on from whose checkpoint, and with which parameters.

use super::*;
use engine::value::Goal;
use serde_json::json;
use std::sync::Arc;

fn problem() -> Problem {
    let space =
        json!({"lr": {"loguniform": [1e-4, 1.0]}, "batch": [8, 16, 32], "depth": {"randint": [1, 9]}});
    let space = SearchSpace::parse(&space, None, "space").unwrap();
    Problem { seed: 5, concurrency: 3, ..Problem::new(Arc::new(space), Goal::Maximize) }
}

#[derive(Clone)]
struct Trial {
    point: Point,
    memo: Vec<u8>,
    parent: Option<TrialId>,
}

/// A training of which each interval adds what its learning rate is worth then.
struct Lab {
    sampler: Pbt,
    trials: Vec<Trial>,
    reached: BTreeMap<u32, f64>,
    ended: Vec<(TrialId, TrialResult)>,
}

fn settings() -> Settings {
    Settings { population: 6, ..Settings::default() }
}

impl Lab {
    fn new() -> Self {
        Self::of(Pbt::new(&problem(), 5, settings()))
    }

    fn of(sampler: Pbt) -> Self {
        Self { sampler, trials: Vec::new(), reached: BTreeMap::new(), ended: Vec::new() }
    }

    fn ask(&mut self) -> Option<TrialId> {
        let trial = TrialId(self.trials.len() as u32);
        let Proposal::Point { point, memo, parent } = self.sampler.suggest(trial) else { return None };
        self.sampler.observe(Observation::Suggested { trial, point: &point, memo: &memo });
        self.trials.push(Trial { point, memo, parent });
        Some(trial)
    }

    fn tell(&mut self, trial: TrialId, result: TrialResult) {
        self.sampler.observe(Observation::Ended { trial, result, metrics: &[] });
        self.ended.push((trial, result));
    }

    fn lr(&self, trial: TrialId) -> f64 {
        let Some(Value::Float(lr)) = self.trials[trial.0 as usize].point.get(0) else { unreachable!() };
        lr
    }

    /// The wanted learning rate falls from generation to generation.
    fn run(&mut self, trial: TrialId) {
        let known = &self.trials[trial.0 as usize];
        let (_, generation, _) = remembered(&known.memo).unwrap();
        let before = known.parent.map_or(0.0, |parent| self.reached[&parent.0]);
        let wanted = 0.3 * 0.85f64.powi(i32::try_from(generation).unwrap());
        let gain = 1.0 / (1.0 + libm::log(self.lr(trial) / wanted).abs());
        self.reached.insert(trial.0, before + gain);
        self.tell(trial, TrialResult::Value(before + gain));
    }
}

#[test]
fn the_worst_go_on_from_the_best_and_the_others_from_themselves() {
    let mut lab = Lab::new();
    for _ in 0..6 {
        let trial = lab.ask().unwrap();
        lab.run(trial);
    }
    let best = (0..6).max_by(|a, b| lab.reached[a].total_cmp(&lab.reached[b])).unwrap();
    let worst = (0..6).min_by(|a, b| lab.reached[a].total_cmp(&lab.reached[b])).unwrap();
    for member in 0..6 {
        let trial = lab.ask().unwrap();
        let known = lab.trials[trial.0 as usize].clone();
        assert_eq!(remembered(&known.memo), Some((member, 1, None)));
        if member == worst {
            assert_eq!(known.parent, Some(TrialId(best)));
            assert_ne!(known.point, lab.trials[best as usize].point);
        } else {
            assert_eq!(known.parent, Some(TrialId(member)));
            assert_eq!(known.point, lab.trials[member as usize].point);
        }
        lab.run(trial);
    }
}

#[test]
fn a_population_learns_a_schedule_that_no_fixed_parameters_reach() {
    let mut lab = Lab::new();
    for _ in 0..6 * 20 {
        let trial = lab.ask().unwrap();
        lab.run(trial);
    }
    let found = lab.reached.values().copied().fold(0.0, f64::max);
    let fixed = (0..200)
        .map(|i| libm::pow(1e-4, f64::from(i) / 200.0))
        .map(|lr| (0..20).map(|g| 1.0 / (1.0 + libm::log(lr / (0.3 * 0.85f64.powi(g))).abs())).sum::<f64>());
    let fixed = fixed.fold(0.0, f64::max);
    assert!(found > 1.1 * fixed, "{found} and {fixed}");
}

#[test]
fn a_member_waits_for_its_own_interval_only() {
    let mut lab = Lab::new();
    let first: Vec<TrialId> = (0..6).map(|_| lab.ask().unwrap()).collect();
    assert_eq!(lab.ask(), None, "all are under way");
    lab.run(first[4]);
    let next = lab.ask().unwrap();
    let known = lab.trials[next.0 as usize].clone();
    assert_eq!((remembered(&known.memo), known.parent), (Some((4, 1, None)), Some(first[4])));
    assert_eq!(lab.ask(), None);
}

#[test]
fn a_failed_member_goes_on_from_one_of_the_best() {
    let mut lab = Lab::new();
    let first: Vec<TrialId> = (0..6).map(|_| lab.ask().unwrap()).collect();
    lab.tell(first[0], TrialResult::Failed);
    let again = lab.ask().unwrap();
    assert_eq!(lab.trials[again.0 as usize].parent, None, "nobody has succeeded yet");
    for trial in &first[1..] {
        lab.run(*trial);
    }
    lab.tell(again, TrialResult::Failed);
    let next = lab.ask().unwrap();
    let best = first[1..].iter().max_by(|a, b| lab.reached[&a.0].total_cmp(&lab.reached[&b.0])).unwrap();
    assert_eq!(lab.trials[next.0 as usize].parent, Some(*best));
}

#[test]
fn a_rebuilt_population_goes_on_like_the_one_that_was_kept() {
    for make in [Pbt::new, Pbt::with_bandit] {
        let mut lab = Lab::of(make(&problem(), 5, settings()));
        for round in 0..40 {
            let Some(trial) = lab.ask() else { continue };
            if round % 3 != 1 {
                lab.run(trial);
            }
        }
        let mut rebuilt = make(&problem(), 5, settings());
        for (number, trial) in (0u32..).zip(&lab.trials) {
            rebuilt.observe(Observation::Suggested {
                trial: TrialId(number),
                point: &trial.point,
                memo: &trial.memo,
            });
        }
        for (trial, result) in &lab.ended {
            rebuilt.observe(Observation::Ended { trial: *trial, result: *result, metrics: &[] });
        }
        let next = TrialId(lab.trials.len() as u32);
        assert_eq!(rebuilt.suggest(next), lab.sampler.suggest(next));
    }
}

#[test]
fn a_bandit_finds_a_better_schedule_than_chance() {
    let reached = |make: fn(&Problem, u64, Settings) -> Pbt| {
        let best = (0..6u64).map(|seed| {
            let mut lab = Lab::of(make(&problem(), seed, settings()));
            for _ in 0..6 * 20 {
                let trial = lab.ask().unwrap();
                lab.run(trial);
            }
            lab.reached.values().copied().fold(0.0, f64::max)
        });
        best.sum::<f64>()
    };
    let (chance, bandit) = (reached(Pbt::new), reached(Pbt::with_bandit));
    assert!(bandit > 1.05 * chance, "{bandit} and {chance}");
}

#[test]
fn changed_parameters_stay_inside_the_space() {
    let lab = Lab::new();
    let space = problem().space;
    let mut stream = Stream::new(1, TrialId(0), Purpose::Other, 0);
    let mut point = space.build(|_, leaf| leaf.domain.from_unit(stream.uniform()));
    for trial in 0..300 {
        let next = lab.sampler.explore(&point, TrialId(trial));
        assert_eq!(space.check(&next), Ok(()));
        assert_ne!(next, point);
        point = next;
    }
}
