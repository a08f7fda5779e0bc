//! What samplers must do with more than one value: several objectives, constraints on outcomes, costs.

use super::sampler::{
    Case, Maker, Run, Violation, every_domain, finite, nested, problem, same_next, same_points,
};
use crate::ports::sampler::{Problem, TrialResult};
use crate::spec::{OutcomeConstraint, Outcomes};
use crate::value::Goal;
use serde_json::Value as Json;
use std::sync::Arc;

cases! {
    /// What those must do that search for several objectives, with names.
    SEVERAL_OBJECTIVES:
    several_objectives_and_all_sorts_of_ends_do_no_harm,
    equal_and_extreme_metrics_do_no_harm,
    the_ways_of_objectives_are_only_signs,
    many_trials_of_several_objectives_do_no_harm,
}

/// A problem with a bound on its second metric and a cost as the third.
fn constrained(bound: f64) -> Result<Problem, Violation> {
    let constraints = vec![OutcomeConstraint { metric: 1, bound, at_most: true }];
    let outcomes = Outcomes { constraints, cost: Some(2), ..Outcomes::default() };
    Ok(Problem { outcomes: Arc::new(outcomes), cost_budget: Some(500.0), ..problem(&every_domain(), None)? })
}

/// A history of trials that end in all sorts of ways, four at once, with metrics.
fn varied_outcomes(run: &mut Run<'_>, count: u32) -> Result<(), Violation> {
    let mut pending = Vec::new();
    for number in 0..count {
        pending.push(run.must()?);
        if pending.len() == 4 {
            let trial = pending.remove((number as usize * 7) % 4);
            let metrics = run.metrics(trial);
            let value = metrics.first().copied();
            match number % 11 {
                3 => run.end(trial, TrialResult::Failed),
                5 => run.end_with(trial, TrialResult::Stopped(value), &metrics),
                7 => run.end(trial, TrialResult::Stopped(None)),
                _ => run.reach(trial, &metrics),
            }
        }
    }
    Ok(())
}

pub(super) fn constraints_on_outcomes_and_costs_do_no_harm(make: Maker<'_>) -> Result<(), Violation> {
    let mut run = Run::new(make, constrained(2.0)?);
    for _ in 0..6 {
        varied_outcomes(&mut run, 11)?;
        same_next(&mut run, 2)?;
    }
    Ok(())
}

pub(super) fn nothing_that_keeps_the_constraints_does_no_harm(make: Maker<'_>) -> Result<(), Violation> {
    for bound in [-1.0, f64::MAX] {
        let mut run = Run::new(make, constrained(bound)?);
        varied_outcomes(&mut run, 40)?;
        same_next(&mut run, 4)?;
    }
    Ok(())
}

/// A problem of several objectives: the first metrics, with a bound on the last one.
fn several(space: &Json, goals: &[Goal]) -> Result<Problem, Violation> {
    let constraints = vec![OutcomeConstraint { metric: 2, bound: 0.5, at_most: false }];
    let outcomes = Outcomes { goals: goals.to_vec(), constraints, cost: None };
    let goal = goals.first().copied().unwrap_or(Goal::Minimize);
    Ok(Problem { goal, outcomes: Arc::new(outcomes), ..problem(space, None)? })
}

fn several_objectives_and_all_sorts_of_ends_do_no_harm(make: Maker<'_>) -> Result<(), Violation> {
    for goals in [&[Goal::Minimize, Goal::Minimize][..], &[Goal::Minimize, Goal::Minimize, Goal::Maximize]] {
        for space in [every_domain(), nested()] {
            let mut run = Run::new(make, several(&space, goals)?);
            for _ in 0..5 {
                varied_outcomes(&mut run, 12)?;
                same_next(&mut run, 2)?;
            }
        }
    }
    let mut run = Run::new(make, several(&finite(), &[Goal::Minimize; 2])?);
    while let Some(trial) = run.ask()? {
        let metrics = run.metrics(trial);
        run.reach(trial, &metrics);
    }
    if run.trials.len() != 36 {
        return Err(format!("{} of 36 points were proposed", run.trials.len()));
    }
    run.distinct()
}

fn equal_and_extreme_metrics_do_no_harm(make: Maker<'_>) -> Result<(), Violation> {
    let extreme = [f64::MAX, f64::MIN, 0.0, -0.0, 5e-324, 1e300, 1.0];
    for equal in [true, false] {
        let mut run = Run::new(make, several(&every_domain(), &[Goal::Minimize, Goal::Maximize])?);
        for number in 0..50usize {
            let trial = run.must()?;
            let of = |step: usize| extreme.get(number * step % extreme.len()).copied().unwrap_or_default();
            let metrics = if equal { [1.5; 3] } else { [of(1), of(3), of(2)] };
            run.reach(trial, &metrics);
        }
        same_next(&mut run, 3)?;
    }
    Ok(())
}

fn the_ways_of_objectives_are_only_signs(make: Maker<'_>) -> Result<(), Violation> {
    let mut down = Run::new(make, several(&every_domain(), &[Goal::Minimize, Goal::Minimize])?);
    let mut up = Run::new(make, several(&every_domain(), &[Goal::Minimize, Goal::Maximize])?);
    for _ in 0..40 {
        let (a, b) = (down.must()?, up.must()?);
        let metrics = down.metrics(a);
        down.reach(a, &metrics);
        let flipped: Vec<f64> =
            metrics.iter().enumerate().map(|(place, x)| if place == 1 { -x } else { *x }).collect();
        up.reach(b, &flipped);
    }
    same_points(&down, &up)
}

fn many_trials_of_several_objectives_do_no_harm(make: Maker<'_>) -> Result<(), Violation> {
    let mut run = Run::new(make, several(&every_domain(), &[Goal::Minimize, Goal::Minimize])?);
    run.fill(3_000, 7, |run, trial| {
        let metrics = run.metrics(trial);
        run.reach(trial, &metrics);
    });
    same_next(&mut run, 5)
}
