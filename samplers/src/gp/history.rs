//! The trials as the model sees them.

use super::curves::Curves;
use crate::axis::{self, Axis};
use crate::math::pareto::dominates;
use crate::stream::mix;
use engine::id::TrialId;
use engine::ports::sampler::{Problem, TrialResult};
use engine::spec::Outcomes;
use engine::value::{Goal, Point};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Finished,
    /// Early, with what it had reached.
    Stopped,
    /// Without a value.
    Failed,
}

/// A trial that has ended.
#[derive(Debug)]
struct Ended {
    trial: u32,
    end: End,
    /// By objective; empty if it failed.
    losses: Vec<f64>,
    /// All metrics, if the objective has several.
    metrics: Vec<f64>,
    /// How far it is from being feasible; 0 if it is, or if there are no constraints.
    violation: f64,
}

/// A trial as the models learn from it.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) trial: u32,
    /// By objective: to be minimized.
    pub(super) losses: Vec<f64>,
    /// All metrics, if the objective has several and the trial has reached any.
    pub(super) metrics: &'a [f64],
    /// As that of [`Outcomes::violation`].
    pub(super) violation: f64,
    /// Whether it ran to its end.
    pub(super) finished: bool,
}

/// All trials.
#[derive(Debug)]
pub(super) struct History {
    goal: Goal,
    outcomes: Arc<Outcomes>,
    /// By trial: its coordinates, NaN where a parameter does not exist.
    coordinates: Vec<Vec<f64>>,
    /// In the order in which they ended.
    ended: Vec<Ended>,
    informed: usize,
    pub(super) pending: BTreeSet<u32>,
    /// What trials have reported on their way, of the only objective.
    curves: Curves,
    /// What trials have cost together, and what the first ones had, so many as the model waits for.
    pub(super) spent: f64,
    pub(super) spent_first: f64,
    first: usize,
    /// The least loss of a feasible trial that ran to its end.
    pub(super) best: f64,
    /// Of several objectives: places of the feasible ones that ran to their end and that none dominates, ascending.
    front: Vec<usize>,
}

impl History {
    pub(super) fn new(problem: &Problem, first: usize) -> Self {
        Self {
            goal: problem.goal,
            outcomes: Arc::clone(&problem.outcomes),
            coordinates: Vec::new(),
            ended: Vec::new(),
            informed: 0,
            pending: BTreeSet::new(),
            curves: Curves::default(),
            spent: 0.0,
            spent_first: 0.0,
            first,
            best: f64::INFINITY,
            front: Vec::new(),
        }
    }

    pub(super) fn suggested(&mut self, trial: TrialId, point: &Point, axes: &[Axis]) {
        let at = trial.0 as usize;
        if self.coordinates.len() <= at {
            self.coordinates.resize(at + 1, Vec::new());
        }
        if let Some(slot) = self.coordinates.get_mut(at) {
            *slot = axis::coordinates(axes, point);
        }
        self.pending.insert(trial.0);
    }

    pub(super) fn reported(&mut self, trial: TrialId, reports: &[(u64, f64)]) {
        let losses = reports.iter().map(|(step, value)| (*step, self.goal.loss(*value)));
        self.curves.reported(trial.0, losses);
    }

    pub(super) fn ended(&mut self, trial: TrialId, result: TrialResult, metrics: &[f64]) {
        if !self.pending.remove(&trial.0) {
            return;
        }
        let losses = |value: f64| {
            if self.outcomes.is_multi() { self.outcomes.losses(metrics) } else { vec![self.goal.loss(value)] }
        };
        let (mut end, losses) = match result {
            TrialResult::Value(value) => (End::Finished, losses(value)),
            TrialResult::Stopped(Some(value)) => (End::Stopped, losses(value)),
            TrialResult::Stopped(None) | TrialResult::Failed => (End::Failed, Vec::new()),
        };
        if losses.is_empty() {
            // One value alone does not say what several objectives are.
            end = End::Failed;
        }
        if let Some(cost) = self.outcomes.cost.and_then(|cost| metrics.get(cost)) {
            self.spent += cost.max(0.0);
            if self.informed < self.first {
                self.spent_first = self.spent;
            }
        }
        let violation = match end {
            _ if self.outcomes.constraints.is_empty() => 0.0,
            End::Failed => f64::INFINITY,
            End::Finished | End::Stopped => self.outcomes.violation(metrics),
        };
        if let (End::Finished, [loss]) = (end, losses.as_slice()) {
            self.curves.finished(trial.0, *loss);
            if violation <= 0.0 {
                self.best = self.best.min(*loss);
            }
        }
        self.informed += usize::from(end != End::Failed);
        self.ended.push(Ended { trial: trial.0, end, losses, metrics: metrics.to_vec(), violation });
        self.join_front(self.ended.len() - 1);
    }

    fn join_front(&mut self, place: usize) {
        let Some(own) = self.ended.get(place) else { return };
        if !self.outcomes.is_multi() || own.end != End::Finished || own.violation > 0.0 {
            return;
        }
        let losses = |place: usize| self.ended.get(place).map_or([].as_slice(), |other| &other.losses);
        if self.front.iter().any(|other| dominates(losses(*other), &own.losses)) {
            return;
        }
        let kept = self.front.iter().copied().filter(|other| !dominates(&own.losses, losses(*other)));
        self.front = kept.chain([place]).collect();
    }

    /// How many trials have a value.
    pub(super) const fn informed(&self) -> usize {
        self.informed
    }

    pub(super) fn coordinates(&self, trial: u32) -> &[f64] {
        self.coordinates.get(trial as usize).map_or(&[], Vec::as_slice)
    }

    /// Trials and their losses, in the order in which they ended, at most `most` of them.
    ///
    /// A trial that failed counts as bad as the worst; one that was stopped as what it would have come to, but at least as bad
    /// as the median of those that ran to their end.
    pub(super) fn rows(&self, most: usize) -> Vec<Row<'_>> {
        let marks: Vec<Marks> =
            (0..self.outcomes.goals.len().max(1)).map(|objective| self.marks(objective)).collect();
        let stops = self.ended.iter().filter(|ended| ended.end == End::Stopped);
        let steps: BTreeSet<u64> = stops.filter_map(|ended| self.curves.last_step(ended.trial)).collect();
        let gains: BTreeMap<u64, f64> =
            steps.into_iter().filter_map(|step| Some((step, self.curves.gain(step)?))).collect();
        let gain = |trial| {
            self.curves.last_step(trial).and_then(|step| gains.get(&step).copied()).unwrap_or_default()
        };
        let loss = |ended: &Ended, objective: usize, marks: &Marks| {
            let loss = ended.losses.get(objective).copied();
            match (ended.end, loss) {
                (End::Finished, Some(loss)) => loss,
                (End::Stopped, Some(loss)) => {
                    let on = loss + gain(ended.trial);
                    if on.is_finite() { on.max(marks.median) } else { loss.max(marks.median) }
                }
                _ => marks.worst,
            }
        };
        let row = |ended: &'_ Ended| -> Vec<f64> {
            marks.iter().enumerate().map(|(objective, marks)| loss(ended, objective, marks)).collect()
        };
        let mut places: Vec<usize> = (0..self.ended.len()).collect();
        if places.len() > most {
            let losses: Vec<Vec<f64>> = self.ended.iter().map(row).collect();
            let merits = self.merits(&losses);
            let all: Vec<(u32, (f64, f64))> =
                self.ended.iter().zip(merits).map(|(ended, merit)| (ended.trial, merit)).collect();
            places = select(&all, most);
        }
        let rows = places.iter().filter_map(|place| self.ended.get(*place)).map(|ended| Row {
            trial: ended.trial,
            losses: row(ended),
            metrics: &ended.metrics,
            violation: ended.violation,
            finished: ended.end == End::Finished,
        });
        rows.collect()
    }

    fn marks(&self, objective: usize) -> Marks {
        let loss = |ended: &Ended| ended.losses.get(objective).copied();
        let of = |end: End| self.ended.iter().filter(move |ended| ended.end == end).filter_map(loss);
        let mut finished: Vec<f64> = of(End::Finished).collect();
        finished.sort_by(f64::total_cmp);
        let median = finished.get(finished.len() / 2).copied().unwrap_or(f64::NEG_INFINITY);
        let worst = finished.last().copied().unwrap_or(f64::NEG_INFINITY);
        Marks { median, worst: of(End::Stopped).fold(worst, f64::max) }
    }

    /// By trial that has ended, given its losses: how good it is, smaller being better. With several objectives those on the front
    /// come first, the others by the sum of their places in each objective.
    fn merits(&self, losses: &[Vec<f64>]) -> Vec<(f64, f64)> {
        if !self.outcomes.is_multi() {
            let single = losses.iter().map(|losses| losses.first().copied().unwrap_or_default());
            return self.ended.iter().map(|ended| ended.violation).zip(single).collect();
        }
        let mut sums = vec![0.0; losses.len()];
        for objective in 0..self.outcomes.goals.len() {
            let at = |place: &usize| {
                losses.get(*place).and_then(|l| l.get(objective)).copied().unwrap_or_default()
            };
            let mut order: Vec<usize> = (0..losses.len()).collect();
            order.sort_by(|a, b| at(a).total_cmp(&at(b)).then(a.cmp(b)));
            for (position, place) in order.into_iter().enumerate() {
                if let Some(sum) = sums.get_mut(place) {
                    *sum += position as f64;
                }
            }
        }
        let on_front: BTreeSet<usize> = self.front.iter().copied().collect();
        let class =
            |(place, ended): (usize, &Ended)| if on_front.contains(&place) { -1.0 } else { ended.violation };
        self.ended.iter().enumerate().map(class).zip(sums).collect()
    }
}

/// What counts for a trial whose own value does not say enough.
#[derive(Debug, Clone, Copy)]
struct Marks {
    /// The median of the trials that ran to their end.
    median: f64,
    /// The worst of all.
    worst: f64,
}

/// The places of some trials, given how good each is: a quarter are the best, a quarter the newest, and half a random part of the others
/// that changes little from one suggestion to the next.
fn select(all: &[(u32, (f64, f64))], most: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..all.len()).collect();
    let at = |place: &usize| all.get(*place).copied().unwrap_or_default();
    places.sort_by(|a, b| {
        let ((_, (x, y)), (_, (v, w))) = (at(a), at(b));
        x.total_cmp(&v).then(y.total_cmp(&w)).then(a.cmp(b))
    });
    let mut kept: BTreeSet<usize> = places.into_iter().take(most / 4).collect();
    kept.extend((0..all.len()).rev().take(most / 4));
    let mut others: Vec<(u64, usize)> =
        (0..all.len()).filter(|p| !kept.contains(p)).map(|p| (mix(0, u64::from(at(&p).0)), p)).collect();
    others.sort_unstable();
    let room = most - kept.len().min(most);
    kept.extend(others.into_iter().take(room).map(|(_, place)| place));
    kept.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::space::SearchSpace;

    fn history(outcomes: Outcomes) -> History {
        let space =
            SearchSpace::parse(&serde_json::json!({"x": {"uniform": [0, 1]}}), None, "space").unwrap();
        let plain = Problem::new(Arc::new(space), Goal::Minimize);
        History::new(&Problem { outcomes: Arc::new(outcomes), ..plain }, 2)
    }

    #[test]
    fn of_too_many_trials_the_best_the_newest_and_some_others_are_kept() {
        let all: Vec<(u32, (f64, f64))> =
            (0..1_000).map(|t| (t, (0.0, f64::from(t * 389 % 1_000)))).collect();
        let kept = select(&all, 100);
        assert_eq!(kept.len(), 100);
        assert!(kept.is_sorted());
        assert_eq!(kept.iter().filter(|place| all[**place].1.1 < 25.0).count(), 25);
        assert!(kept.iter().rev().take(25).all(|place| *place >= 975));
        let next = select(&all[..999], 100);
        let same = next.iter().filter(|row| kept.contains(row)).count();
        assert!(same >= 96, "{same}");
    }

    #[test]
    fn failures_count_as_the_worst_and_stopped_trials_never_as_good() {
        let mut history = history(Outcomes::default());
        let ends = [
            TrialResult::Value(1.0),
            TrialResult::Value(5.0),
            TrialResult::Value(3.0),
            TrialResult::Failed,
            TrialResult::Stopped(Some(0.0)),
            TrialResult::Stopped(Some(9.0)),
            TrialResult::Stopped(None),
        ];
        for (trial, result) in (0..).zip(ends) {
            history.suggested(TrialId(trial), &Point::default(), &[]);
            history.ended(TrialId(trial), result, &[]);
        }
        let losses: Vec<f64> = history.rows(100).into_iter().map(|row| row.losses[0]).collect();
        assert_eq!(losses, [1.0, 5.0, 3.0, 9.0, 3.0, 9.0, 9.0]);
        assert_eq!(history.informed(), 5);
    }

    #[test]
    fn a_stopped_trial_counts_as_what_others_came_to_from_its_last_step() {
        let mut history = history(Outcomes::default());
        let trials = [
            (vec![(1, 8.0), (3, 5.0)], TrialResult::Value(4.0)),
            (vec![(1, 9.0)], TrialResult::Stopped(Some(9.0))),
            (vec![(1, 2.0)], TrialResult::Stopped(Some(2.0))),
            (vec![(1, 9.0), (3, 7.0)], TrialResult::Stopped(Some(7.0))),
            (Vec::new(), TrialResult::Stopped(Some(6.5))),
        ];
        for (trial, (reports, result)) in (0..).zip(trials) {
            history.suggested(TrialId(trial), &Point::default(), &[]);
            if !reports.is_empty() {
                history.reported(TrialId(trial), &reports);
            }
            history.ended(TrialId(trial), result, &[]);
        }
        let losses: Vec<f64> = history.rows(100).into_iter().map(|row| row.losses[0]).collect();
        // Four less from step 1 on, one from step 3 on; never better than the median.
        assert_eq!(losses, [4.0, 5.0, 4.0, 6.0, 6.5]);
    }

    #[test]
    fn of_several_objectives_the_front_is_always_kept() {
        let goals = vec![Goal::Minimize, Goal::Maximize];
        let mut history = history(Outcomes { goals, ..Outcomes::default() });
        for trial in 0..1_000u32 {
            let x = f64::from(trial * 389 % 1_000);
            // Every hundredth trial is better than all others in one of both.
            let off = if trial % 100 == 7 { 0.0 } else { 1_000.0 };
            let metrics = [x + off, x - off];
            history.suggested(TrialId(trial), &Point::default(), &[]);
            history.ended(TrialId(trial), TrialResult::Value(metrics[0]), &metrics);
        }
        assert_eq!(history.front.len(), 10);
        let kept: Vec<u32> = history.rows(100).iter().map(|row| row.trial).collect();
        assert!((0..10).all(|k| kept.contains(&(100 * k + 7))));
    }
}
