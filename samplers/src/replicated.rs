//! Several trials of each point, for objectives whose values vary: the layer around a sampler that sees points only.
//!
//! The sampler inside is asked for points and learns the mean of each. Which trials belong to a point follows from the
//! points alone, and when a point is done from the order in which its trials ended, so that a rebuilt layer goes on
//! like the one before a crash.

use engine::id::TrialId;
use engine::limits::MAX_FAILED_REPLICATES;
use engine::ports::sampler::{Observation, Problem, Proposal, Sampler, TrialResult};
use engine::value::{Point, mean};
use std::collections::{BTreeMap, BTreeSet};

/// The trials of one point.
#[derive(Debug, Default)]
struct Group {
    point: Point,
    pending: u32,
    failed: u32,
    /// Of the trials that ran to their end: value and metrics.
    values: Vec<(f64, Vec<f64>)>,
}

impl Group {
    /// Their mean, and that of each metric.
    fn mean(&self) -> (f64, Vec<f64>) {
        let count = self.values.iter().map(|(_, metrics)| metrics.len()).min().unwrap_or(0);
        let of = |at: usize| self.values.iter().filter_map(move |(_, metrics)| metrics.get(at).copied());
        let values = self.values.iter().map(|(value, _)| *value);
        (mean(values), (0..count).map(|at| mean(of(at))).collect())
    }
}

/// A sampler each of whose points is tried several times. For it, trials are points, and numbered as such.
pub(crate) struct Replicated {
    inner: Box<dyn Sampler>,
    replicates: usize,
    /// By point: its group.
    points: BTreeMap<Vec<(u16, u8, u64)>, u32>,
    groups: Vec<Group>,
    /// By pending trial: its group.
    trials: BTreeMap<u32, u32>,
    /// Groups of which the sampler has not been told the end.
    open: BTreeSet<u32>,
    /// What the trial that ends next has reported.
    reports: Vec<(u64, f64)>,
}

impl Replicated {
    /// The layer around a sampler that was made for [`Self::problem`].
    pub(crate) fn new(inner: Box<dyn Sampler>, problem: &Problem) -> Self {
        Self {
            inner,
            replicates: problem.replicates as usize,
            points: BTreeMap::new(),
            groups: Vec::new(),
            trials: BTreeMap::new(),
            open: BTreeSet::new(),
            reports: Vec::new(),
        }
    }

    /// The problem as the sampler inside has it, with so many times fewer trials.
    pub(crate) fn problem(problem: &Problem) -> Problem {
        Problem {
            trials: problem.trials.map(|trials| trials.div_ceil(problem.replicates)),
            cost_budget: problem.cost_budget.map(|cost| cost / f64::from(problem.replicates)),
            ..problem.clone()
        }
    }

    fn suggested(&mut self, trial: TrialId, point: &Point, memo: &[u8]) {
        let next = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        let number = *self.points.entry(point.key()).or_insert(next);
        if number == next {
            self.groups.push(Group { point: point.clone(), ..Group::default() });
            self.open.insert(number);
            self.inner.observe(Observation::Suggested { trial: TrialId(number), point, memo });
        }
        self.trials.insert(trial.0, number);
        if let Some(group) = self.groups.get_mut(number as usize) {
            group.pending += 1;
        }
    }

    /// A point is done when enough of its trials have a value. It is given up when one was stopped early, since the others would be, or
    /// when several have failed.
    fn ended(&mut self, trial: TrialId, result: TrialResult, metrics: &[f64]) {
        let reports = std::mem::take(&mut self.reports);
        let Some(number) = self.trials.remove(&trial.0) else { return };
        let Some(group) = self.groups.get_mut(number as usize) else { return };
        group.pending = group.pending.saturating_sub(1);
        if !self.open.contains(&number) {
            return;
        }
        let (result, metrics) = match result {
            TrialResult::Value(value) => {
                group.values.push((value, metrics.to_vec()));
                if group.values.len() < self.replicates {
                    return;
                }
                let (value, metrics) = group.mean();
                (TrialResult::Value(value), metrics)
            }
            TrialResult::Stopped(value) => (TrialResult::Stopped(value), metrics.to_vec()),
            TrialResult::Failed => {
                group.failed += 1;
                if group.failed < MAX_FAILED_REPLICATES {
                    return;
                }
                (TrialResult::Failed, Vec::new())
            }
        };
        self.open.remove(&number);
        // The last trial of a point stands for the way there.
        if !reports.is_empty() {
            self.inner.reported(TrialId(number), &reports);
        }
        self.inner.observe(Observation::Ended { trial: TrialId(number), result, metrics: &metrics });
    }
}

impl Sampler for Replicated {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn version(&self) -> u16 {
        self.inner.version()
    }

    fn reported(&mut self, _: TrialId, reports: &[(u64, f64)]) {
        self.reports = reports.to_vec();
    }

    fn observe(&mut self, observation: Observation<'_>) {
        match observation {
            Observation::Suggested { trial, point, memo } => self.suggested(trial, point, memo),
            Observation::Ended { trial, result, metrics } => self.ended(trial, result, metrics),
        }
    }

    fn suggest(&mut self, _: TrialId) -> Proposal {
        let groups = self.open.iter().filter_map(|number| self.groups.get(*number as usize));
        let mut short =
            groups.filter(|group| group.values.len() + (group.pending as usize) < self.replicates);
        if let Some(group) = short.next() {
            return Proposal::Point { point: group.point.clone(), memo: Vec::new(), parent: None };
        }
        let next = TrialId(u32::try_from(self.groups.len()).unwrap_or(u32::MAX));
        match self.inner.suggest(next) {
            // A trial that fails may have to be made up for.
            Proposal::Exhausted if !self.open.is_empty() => Proposal::Wait,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::space::SearchSpace;
    use engine::value::Goal;
    use serde_json::{Value as Json, json};
    use std::sync::Arc;

    fn make(space: &Json, replicates: u32, name: &str) -> Box<dyn Sampler> {
        let space = SearchSpace::parse(space, None, "space").unwrap();
        let plain = Problem::new(Arc::new(space), Goal::Minimize);
        let problem = Problem { noisy: true, replicates, trials: Some(90), ..plain };
        crate::sampler(name, &Json::Null, &problem, "sampler").unwrap()
    }

    fn line() -> Json {
        json!({"x": {"uniform": [0, 1]}})
    }

    /// A sampler with its history.
    struct Lab {
        sampler: Box<dyn Sampler>,
        trials: Vec<(Point, Vec<u8>)>,
        ends: Vec<(u32, TrialResult)>,
    }

    impl Lab {
        fn new(sampler: Box<dyn Sampler>) -> Self {
            Self { sampler, trials: Vec::new(), ends: Vec::new() }
        }

        fn next(&mut self) -> Option<Point> {
            let trial = TrialId(self.trials.len() as u32);
            let Proposal::Point { point, memo, .. } = self.sampler.suggest(trial) else { return None };
            self.sampler.observe(Observation::Suggested { trial, point: &point, memo: &memo });
            self.trials.push((point.clone(), memo));
            Some(point)
        }

        fn end(&mut self, trial: u32, result: TrialResult) {
            self.sampler.observe(Observation::Ended { trial: TrialId(trial), result, metrics: &[] });
            self.ends.push((trial, result));
        }

        /// As after a crash.
        fn rebuilt(&self, mut sampler: Box<dyn Sampler>) -> Self {
            for (trial, (point, memo)) in (0..).zip(&self.trials) {
                sampler.observe(Observation::Suggested { trial: TrialId(trial), point, memo });
            }
            for (trial, result) in &self.ends {
                sampler.observe(Observation::Ended { trial: TrialId(*trial), result: *result, metrics: &[] });
            }
            Self { sampler, trials: self.trials.clone(), ends: self.ends.clone() }
        }
    }

    #[test]
    fn each_point_is_tried_as_often_as_asked_and_failures_are_made_up_for_once() {
        let mut lab = Lab::new(make(&line(), 3, "random"));
        let points: Vec<Point> = (0..6).map(|_| lab.next().unwrap()).collect();
        assert!(points[0] == points[1] && points[1] == points[2] && points[3] == points[5]);
        assert_ne!(points[0], points[3]);
        lab.end(0, TrialResult::Failed);
        assert_eq!(lab.next().unwrap(), points[0], "trial 6 makes up for trial 0");
        lab.end(3, TrialResult::Failed);
        lab.end(4, TrialResult::Failed);
        let third = lab.next().unwrap();
        assert!(!points.contains(&third), "two failures are enough");
        lab.end(7, TrialResult::Stopped(Some(1.0)));
        assert_ne!(lab.next().unwrap(), third, "what was stopped is not tried again");
    }

    #[test]
    fn the_sampler_learns_the_mean() {
        let mut plain = Lab::new(make(&line(), 1, "tpe"));
        let mut lab = Lab::new(make(&line(), 2, "tpe"));
        for number in 0..30u32 {
            let point = plain.next().unwrap();
            let value = f64::from(number * 7 % 13);
            plain.end(number, TrialResult::Value(value));
            for (trial, noise) in [(2 * number, 0.5), (2 * number + 1, -0.5)] {
                assert_eq!(lab.next().unwrap(), point, "{number}");
                lab.end(trial, TrialResult::Value(value + noise));
            }
        }
    }

    #[test]
    fn a_rebuilt_layer_goes_on_like_one_that_was_kept() {
        let make = || make(&line(), 3, "auto");
        let mut lab = Lab::new(make());
        let mut running: Vec<u32> = Vec::new();
        for number in 0..120u32 {
            lab.next().unwrap();
            running.push(number);
            if running.len() >= 5 {
                let trial = running.remove((number * 5 % 3) as usize);
                lab.end(
                    trial,
                    match number % 11 {
                        4 | 5 => TrialResult::Failed,
                        7 => TrialResult::Stopped(None),
                        _ => TrialResult::Value(f64::from(number * 7 % 13)),
                    },
                );
            }
            if number % 10 == 9 {
                let mut other = lab.rebuilt(make());
                assert_eq!(lab.next(), other.next(), "{number}");
                assert_eq!(lab.trials.last(), other.trials.last());
                lab = lab.rebuilt(make());
                lab.trials.pop();
                lab = lab.rebuilt(make());
            }
        }
    }

    #[test]
    fn a_finite_space_is_used_up_by_so_many_times_its_points() {
        let mut lab = Lab::new(make(&json!({"x": {"choice": [1, 2, 3]}}), 2, "random"));
        for trial in 0..6 {
            lab.next().unwrap();
            if trial < 5 {
                lab.end(trial, TrialResult::Value(1.0));
            }
        }
        assert_eq!(lab.sampler.suggest(TrialId(6)), Proposal::Wait, "the last one may fail");
        lab.end(5, TrialResult::Value(1.0));
        assert_eq!(lab.sampler.suggest(TrialId(6)), Proposal::Exhausted);
    }

    #[test]
    fn a_population_cannot_be_replicated() {
        let space = SearchSpace::parse(&line(), None, "space").unwrap();
        let problem = Problem { replicates: 2, ..Problem::new(Arc::new(space), Goal::Minimize) };
        let Err(errors) = crate::sampler("pbt", &Json::Null, &problem, "sampler") else { unreachable!() };
        assert_eq!(errors[0].path, "objective.replicates");
    }
}
