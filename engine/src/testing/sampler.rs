//! What every [`Sampler`] must do, as a suite that each of them runs: see [`CASES`].

use super::outcomes::{
    constraints_on_outcomes_and_costs_do_no_harm, nothing_that_keeps_the_constraints_does_no_harm,
};
use crate::id::TrialId;
use crate::limits::MAX_MEMO_BYTES;
use crate::ports::sampler::{Observation, Problem, Proposal, Sampler, TrialResult};
use crate::space::SearchSpace;
use crate::spec::Spec;
use crate::value::{Goal, Point};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Makes the sampler under test.
pub type Maker<'a> = &'a dyn Fn(&Problem) -> Box<dyn Sampler>;
/// What a sampler did that it must not do.
pub type Violation = String;
/// One case.
pub type Case = fn(Maker<'_>) -> Result<(), Violation>;

cases! {
    /// What every sampler must do, with names.
    CASES:
    points_of_every_domain_type_are_valid,
    nested_parameters_exist_where_they_should,
    constraints_hold,
    a_space_of_one_point_is_used_up_by_it,
    a_finite_space_is_used_up_to_its_last_point,
    a_finite_space_with_constraints_is_used_up_to_its_last_feasible_point,
    a_mixed_space_gives_no_point_twice,
    a_point_put_in_by_a_person_is_not_proposed_again,
    equal_values_do_no_harm,
    failures_do_no_harm,
    extreme_values_do_no_harm,
    many_pending_trials_get_different_points,
    ten_thousand_trials_do_no_harm,
    the_same_history_gives_the_same_bits,
    a_rebuilt_sampler_goes_on_like_one_that_was_kept,
    asking_more_often_changes_nothing,
    what_is_expected_to_be_best_comes_first,
    maximizing_is_minimizing_the_negative,
    constraints_on_outcomes_and_costs_do_no_harm,
    nothing_that_keeps_the_constraints_does_no_harm,
}

/// One trial of the suite.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub(super) point: Point,
    pub(super) memo: Vec<u8>,
    pub(super) parent: Option<TrialId>,
}

/// A sampler with its history.
pub(super) struct Run<'a> {
    pub(super) problem: Problem,
    make: Maker<'a>,
    sampler: Box<dyn Sampler>,
    pub(super) trials: Vec<Trial>,
    ended: Vec<(TrialId, TrialResult, Vec<f64>)>,
}

impl<'a> Run<'a> {
    pub(super) fn new(make: Maker<'a>, problem: Problem) -> Self {
        Self { sampler: make(&problem), problem, make, trials: Vec::new(), ended: Vec::new() }
    }

    pub(super) fn next(&self) -> TrialId {
        TrialId(self.trials.len() as u32)
    }

    /// Asks for a point and takes it; none if there is no further one.
    pub(super) fn ask(&mut self) -> Result<Option<TrialId>, Violation> {
        let trial = self.next();
        match self.sampler.suggest(trial) {
            Proposal::Exhausted => Ok(None),
            Proposal::Enough { expected } => {
                Err(format!("trial {}: enough at {expected}, and nobody asked", trial.0))
            }
            Proposal::Wait => Err(format!("trial {} has to wait", trial.0)),
            Proposal::Point { point, memo, parent } => {
                if let Some(parent) =
                    parent.filter(|parent| self.ended.iter().all(|(ended, ..)| ended != parent))
                {
                    return Err(format!(
                        "trial {} goes on from trial {}, which has not ended",
                        trial.0, parent.0
                    ));
                }
                if let Err(errors) = self.problem.space.check(&point) {
                    return Err(format!("trial {}: {point:?} is not valid: {errors:?}", trial.0));
                }
                if memo.len() > MAX_MEMO_BYTES {
                    return Err(format!("trial {}: a memo of {} bytes", trial.0, memo.len()));
                }
                self.take(Trial { point, memo, parent });
                Ok(Some(trial))
            }
        }
    }

    /// Asks where a further point must exist.
    pub(super) fn must(&mut self) -> Result<TrialId, Violation> {
        let number = self.trials.len();
        self.ask()?.ok_or_else(|| format!("no point for trial {number}, although there are more"))
    }

    pub(super) fn take(&mut self, trial: Trial) {
        let observation =
            Observation::Suggested { trial: self.next(), point: &trial.point, memo: &trial.memo };
        self.sampler.observe(observation);
        self.trials.push(trial);
    }

    pub(super) fn end(&mut self, trial: TrialId, result: TrialResult) {
        self.end_with(trial, result, &[]);
    }

    pub(super) fn end_with(&mut self, trial: TrialId, result: TrialResult, metrics: &[f64]) {
        hand_in_reports(self.sampler.as_mut(), &self.problem, trial, result);
        self.sampler.observe(Observation::Ended { trial, result, metrics });
        self.ended.push((trial, result, metrics.to_vec()));
    }

    /// Ends a trial with these metrics, the first of which is its value.
    pub(super) fn reach(&mut self, trial: TrialId, metrics: &[f64]) {
        let value = metrics.first().copied().unwrap_or_default();
        self.end_with(trial, TrialResult::Value(value), metrics);
    }

    /// Three metrics of a trial's point that pull apart: how far it is from one corner, from the other, and the sum of both.
    pub(super) fn metrics(&self, trial: TrialId) -> Vec<f64> {
        let Some(own) = self.trials.get(trial.0 as usize) else { return vec![0.0; 3] };
        let units = own
            .point
            .0
            .iter()
            .filter_map(|(leaf, value)| self.problem.space.leaf(*leaf)?.domain.to_unit(*value));
        let (near, far) =
            units.fold((0.0, 0.0), |(near, far), u| (near + u * u, far + (u - 0.8) * (u - 0.8)));
        vec![near, far, near + far]
    }

    /// Puts in so many random points; `end` ends each.
    pub(super) fn fill(&mut self, count: u32, mut state: u64, end: fn(&mut Self, TrialId)) {
        for _ in 0..count {
            let mut next = || {
                // Knuth's MMIX generator: good enough to fill a history.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / 9_007_199_254_740_992.0
            };
            let point = self.problem.space.build(|_, leaf| leaf.domain.from_unit(next()));
            let trial = self.next();
            self.take(Trial { point, memo: Vec::new(), parent: None });
            end(self, trial);
        }
    }

    /// The value of a trial's point: some function of it.
    fn value(&self, trial: TrialId) -> f64 {
        let Some(own) = self.trials.get(trial.0 as usize) else { return 0.0 };
        own.point
            .0
            .iter()
            .filter_map(|(leaf, value)| self.problem.space.leaf(*leaf)?.domain.to_unit(*value))
            .map(|u| (u - 0.3) * (u - 0.3))
            .sum()
    }

    /// A sampler that has been handed the whole history at once, as after a crash.
    fn rebuilt(&self) -> Box<dyn Sampler> {
        let mut sampler = (self.make)(&self.problem);
        for (number, trial) in (0u32..).zip(&self.trials) {
            let observation =
                Observation::Suggested { trial: TrialId(number), point: &trial.point, memo: &trial.memo };
            sampler.observe(observation);
        }
        for (trial, result, metrics) in &self.ended {
            hand_in_reports(sampler.as_mut(), &self.problem, *trial, *result);
            sampler.observe(Observation::Ended { trial: *trial, result: *result, metrics });
        }
        sampler
    }

    pub(super) fn distinct(&self) -> Result<(), Violation> {
        let mut seen = BTreeSet::new();
        for (number, trial) in self.trials.iter().enumerate() {
            if !seen.insert(trial.point.key()) {
                return Err(format!("the point of trial {number} was proposed before: {:?}", trial.point));
            }
        }
        Ok(())
    }
}

/// Some trials have reported on their way, and those that were stopped fewer steps.
fn hand_in_reports(sampler: &mut dyn Sampler, problem: &Problem, trial: TrialId, result: TrialResult) {
    let (steps, value): (&[u64], f64) = match result {
        TrialResult::Value(value) => (&[1, 3, 9], value),
        TrialResult::Stopped(Some(value)) => (&[1, 3], value),
        TrialResult::Stopped(None) | TrialResult::Failed => return,
    };
    if trial.0 % 4 == 3 {
        return;
    }
    let last = steps.last().copied().unwrap_or_default();
    let at = |step: &u64| {
        let loss = problem.goal.loss(value) + 0.5 * (last - step) as f64;
        (*step, problem.goal.loss(loss))
    };
    sampler.reported(trial, &steps.iter().map(at).collect::<Vec<_>>());
}

/// A problem of the suite.
pub(super) fn problem(space: &Json, constraints: Option<&Json>) -> Result<Problem, Violation> {
    let space = SearchSpace::parse(space, constraints, "space").map_err(|errors| format!("{errors:?}"))?;
    Ok(Problem { seed: 20_260_907, ..Problem::new(Arc::new(space), Goal::Minimize) })
}

pub(super) fn every_domain() -> Json {
    json!({
        "a": {"uniform": [-1.0, 2.0]}, "b": {"quniform": [0.0, 1.0, 0.05]}, "c": {"loguniform": [1e-5, 1.0]},
        "d": {"qloguniform": [8, 256, 8]}, "e": {"normal": [0.0, 2.0]}, "f": {"qnormal": [10.0, 3.0, 1.0]},
        "g": {"lognormal": [0.0, 1.0]}, "h": {"qlognormal": [3.0, 1.0, 5.0]}, "i": {"randint": [-3, 1000]},
        "j": {"choice": ["x", "y", "z"]}, "k": {"ordinal": [1, 2, 4, 8]}, "l": {"choice": ["only"]}
    })
}

pub(super) fn nested() -> Json {
    json!({
        "model": {"choice": [
            {"_name": "net", "lr": {"loguniform": [1e-4, 1.0]}, "layers": {"randint": [1, 5]},
             "optimizer": {"choice": [{"_name": "sgd", "momentum": {"uniform": [0.0, 1.0]}}, {"_name": "adam"}]}},
            {"_name": "tree", "depth": {"randint": [1, 20]}},
            {"_name": "none"}
        ]},
        "seed": {"randint": [0, 1000]}
    })
}

pub(super) fn finite() -> Json {
    json!({"a": {"randint": [0, 6]}, "b": {"choice": ["x", "y"]}, "c": {"quniform": [0, 1, 0.5]}})
}

/// Asks and ends `count` trials one after another.
fn steps(run: &mut Run<'_>, count: u32) -> Result<(), Violation> {
    for _ in 0..count {
        let trial = run.must()?;
        run.end(trial, TrialResult::Value(run.value(trial)));
    }
    Ok(())
}

/// A history of all sorts of ends, four trials at once.
fn varied(run: &mut Run<'_>, count: u32) -> Result<(), Violation> {
    let mut pending = Vec::new();
    for number in 0..count {
        pending.push(run.must()?);
        if pending.len() == 4 {
            let trial = pending.remove((number as usize * 7) % 4);
            let value = run.value(trial);
            run.end(
                trial,
                match number % 11 {
                    3 => TrialResult::Failed,
                    5 => TrialResult::Stopped(Some(value + 1.0)),
                    7 => TrialResult::Stopped(None),
                    _ => TrialResult::Value(value),
                },
            );
        }
    }
    Ok(())
}

fn points_of_every_domain_type_are_valid(make: Maker<'_>) -> Result<(), Violation> {
    steps(&mut Run::new(make, problem(&every_domain(), None)?), 80)
}

fn nested_parameters_exist_where_they_should(make: Maker<'_>) -> Result<(), Violation> {
    let mut run = Run::new(make, problem(&nested(), None)?);
    steps(&mut run, 80)?;
    run.distinct()
}

fn constraints_hold(make: Maker<'_>) -> Result<(), Violation> {
    let space = json!({"x": {"uniform": [0, 1]}, "y": {"uniform": [0, 1]}, "n": {"randint": [0, 10]}});
    let constraints = json!(["x + y <= 0.7", "n + 10*x >= 3"]);
    steps(&mut Run::new(make, problem(&space, Some(&constraints))?), 60)
}

fn a_space_of_one_point_is_used_up_by_it(make: Maker<'_>) -> Result<(), Violation> {
    let space = json!({"a": {"randint": [3, 4]}, "b": {"choice": ["only"]}});
    let mut run = Run::new(make, problem(&space, None)?);
    run.must()?;
    // While it is pending as well as after it has ended.
    for _ in 0..2 {
        if run.ask()?.is_some() {
            return Err("the only point was proposed twice".to_owned());
        }
        run.end(TrialId(0), TrialResult::Value(1.0));
    }
    Ok(())
}

fn used_up(make: Maker<'_>, constraints: Option<&Json>, points: usize) -> Result<(), Violation> {
    let mut run = Run::new(make, problem(&finite(), constraints)?);
    while let Some(trial) = run.ask()? {
        if run.trials.len() > points {
            break;
        }
        // Some stay pending.
        if trial.0 % 3 != 0 {
            run.end(trial, TrialResult::Value(run.value(trial)));
        }
    }
    if run.trials.len() != points {
        return Err(format!("{} of {points} points were proposed", run.trials.len()));
    }
    run.distinct()
}

fn a_finite_space_is_used_up_to_its_last_point(make: Maker<'_>) -> Result<(), Violation> {
    used_up(make, None, 36)
}

fn a_finite_space_with_constraints_is_used_up_to_its_last_feasible_point(
    make: Maker<'_>,
) -> Result<(), Violation> {
    // Of the 6 * 3 combinations of a and c, 3 * 3 are feasible.
    used_up(make, Some(&json!(["a <= 2"])), 18)?;
    // One value of a and one of c never meet.
    used_up(make, Some(&json!(["a <= 2", {"forbid": {"a": 1, "c": 0.5}}])), 16)
}

fn a_mixed_space_gives_no_point_twice(make: Maker<'_>) -> Result<(), Violation> {
    let space = json!({"m": {"choice": [{"_name": "p", "x": {"uniform": [0, 1]}}, {"_name": "q"}]},
        "a": {"choice": [1, 2, 3]}, "b": {"randint": [0, 3]}});
    let mut run = Run::new(make, problem(&space, None)?);
    steps(&mut run, 120)?;
    run.distinct()
}

fn a_point_put_in_by_a_person_is_not_proposed_again(make: Maker<'_>) -> Result<(), Violation> {
    let mut run = Run::new(make, problem(&finite(), None)?);
    let cardinality = run.problem.space.cardinality().unwrap_or_default();
    for index in [0, 7, 20, 35] {
        let point = run.problem.space.nth_point(index).ok_or("the space has fewer points")?;
        run.take(Trial { point, memo: Vec::new(), parent: None });
    }
    while run.ask()?.is_some() && run.trials.len() as u64 <= cardinality {}
    if run.trials.len() as u64 != cardinality {
        return Err(format!("{} of {cardinality} points were tried", run.trials.len()));
    }
    run.distinct()
}

fn equal_values_do_no_harm(make: Maker<'_>) -> Result<(), Violation> {
    let mut run = Run::new(make, problem(&every_domain(), None)?);
    for _ in 0..60 {
        let trial = run.must()?;
        run.end(trial, TrialResult::Value(1.5));
    }
    Ok(())
}

fn failures_do_no_harm(make: Maker<'_>) -> Result<(), Violation> {
    let mut run = Run::new(make, problem(&nested(), None)?);
    for _ in 0..40 {
        let trial = run.must()?;
        run.end(trial, TrialResult::Failed);
    }
    varied(&mut run, 60)
}

fn extreme_values_do_no_harm(make: Maker<'_>) -> Result<(), Violation> {
    let mut run = Run::new(make, problem(&every_domain(), None)?);
    for number in 0..60u32 {
        let trial = run.must()?;
        let value = [f64::MAX, f64::MIN, 0.0, -0.0, 5e-324, 1e300].get(number as usize % 6).copied();
        run.end(trial, TrialResult::Value(value.unwrap_or_default()));
    }
    Ok(())
}

fn many_pending_trials_get_different_points(make: Maker<'_>) -> Result<(), Violation> {
    for pending in [1, 8, 64] {
        let mut run = Run::new(make, problem(&every_domain(), None)?);
        let mut waiting = Vec::new();
        for _ in 0..(2 * pending + 30) {
            waiting.push(run.must()?);
            if waiting.len() > pending {
                let trial = waiting.remove(pending / 2);
                run.end(trial, TrialResult::Value(run.value(trial)));
            }
        }
        run.distinct()?;
    }
    Ok(())
}

fn ten_thousand_trials_do_no_harm(make: Maker<'_>) -> Result<(), Violation> {
    let mut run = Run::new(make, problem(&every_domain(), None)?);
    run.fill(10_000, 1, |run, trial| run.end(trial, TrialResult::Value(run.value(trial))));
    steps(&mut run, 20)?;
    same_next(&mut run, 5)
}

fn the_same_history_gives_the_same_bits(make: Maker<'_>) -> Result<(), Violation> {
    let mut one = Run::new(make, problem(&every_domain(), None)?);
    let mut two = Run::new(make, problem(&every_domain(), None)?);
    varied(&mut one, 60)?;
    varied(&mut two, 60)?;
    for (number, (a, b)) in one.trials.iter().zip(&two.trials).enumerate() {
        if a.point.key() != b.point.key() || a.memo != b.memo {
            return Err(format!("trial {number}: {:?} and {:?}", a.point, b.point));
        }
    }
    Ok(())
}

/// Whether two runs have tried the same points.
pub(super) fn same_points(one: &Run<'_>, two: &Run<'_>) -> Result<(), Violation> {
    for (number, (a, b)) in one.trials.iter().zip(&two.trials).enumerate() {
        if a.point.key() != b.point.key() {
            return Err(format!("trial {number}: {:?} and {:?}", a.point, b.point));
        }
    }
    Ok(())
}

/// Whether a rebuilt sampler proposes the same as the one that was kept, for the next trials.
pub(super) fn same_next(run: &mut Run<'_>, count: u32) -> Result<(), Violation> {
    let mut rebuilt = run.rebuilt();
    for _ in 0..count {
        let trial = run.next();
        let other = rebuilt.suggest(trial);
        run.must()?;
        let Some(own) = run.trials.get(trial.0 as usize) else { continue };
        match &other {
            Proposal::Point { point, memo, parent }
                if point.key() == own.point.key() && *memo == own.memo && *parent == own.parent => {}
            _ => return Err(format!("trial {}: kept {:?}, rebuilt {other:?}", trial.0, own.point)),
        }
        rebuilt.observe(Observation::Suggested { trial, point: &own.point, memo: &own.memo });
    }
    Ok(())
}

fn a_rebuilt_sampler_goes_on_like_one_that_was_kept(make: Maker<'_>) -> Result<(), Violation> {
    for space in [every_domain(), nested()] {
        let mut run = Run::new(make, problem(&space, None)?);
        for _ in 0..12 {
            varied(&mut run, 9)?;
            same_next(&mut run, 2)?;
        }
    }
    Ok(())
}

fn asking_more_often_changes_nothing(make: Maker<'_>) -> Result<(), Violation> {
    let mut quiet = Run::new(make, problem(&nested(), None)?);
    let mut nosy = Run::new(make, problem(&nested(), None)?);
    for number in 0..40 {
        let trial = quiet.must()?;
        quiet.end(trial, TrialResult::Value(quiet.value(trial)));
        // Proposals that are not taken leave no trace.
        for _ in 0..2 {
            nosy.sampler.suggest(TrialId(number));
        }
        let trial = nosy.must()?;
        nosy.end(trial, TrialResult::Value(nosy.value(trial)));
    }
    same_points(&quiet, &nosy)
}

fn what_is_expected_to_be_best_comes_first(make: Maker<'_>) -> Result<(), Violation> {
    let document = json!({
        "space": nested(), "objective": "minimize", "budget": {"trials": 1},
        "prior": {"model": ["net", "tree"], "model.lr": 0.01, "model.layers": [2, 4], "seed": 7}
    });
    let (spec, _) = Spec::parse(&document, "").map_err(|errors| format!("{errors:?}"))?;
    let problem = Problem { prior: Arc::new(spec.prior), ..problem(&nested(), None)? };
    let mode = problem.prior.mode(&problem.space);
    let mut run = Run::new(make, problem);
    run.must()?;
    if run.trials.first().is_none_or(|trial| trial.point != mode) {
        return Err(format!("the first trial is {:?}, not {mode:?}", run.trials.first()));
    }
    varied(&mut run, 40)?;
    same_next(&mut run, 8)
}

fn maximizing_is_minimizing_the_negative(make: Maker<'_>) -> Result<(), Violation> {
    let down = problem(&every_domain(), None)?;
    let up = Problem { goal: Goal::Maximize, ..down.clone() };
    let (mut down, mut up) = (Run::new(make, down), Run::new(make, up));
    for _ in 0..40 {
        let (a, b) = (down.must()?, up.must()?);
        down.end(a, TrialResult::Value(down.value(a)));
        up.end(b, TrialResult::Value(-up.value(b)));
    }
    same_points(&down, &up)
}
