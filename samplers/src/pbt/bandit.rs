//! Which parameters a member goes on with, by what has been learnt of gains: the bandit of PB2.
//!
//! J. Parker-Holder, V. Nguyen and S. J. Roberts, "Provably efficient online hyperparameter optimization with
//! population-based bandits", `NeurIPS` 2020. What an interval brought is modelled by a Gaussian process over its parameters and
//! its generation; the numbers with the highest upper confidence bound come next. Intervals under way count as
//! if they had brought what is expected of them (T. Desautels, A. Krause and J. W. Burdick, "Parallelizing
//! exploration-exploitation tradeoffs in Gaussian process bandit optimization", JMLR 15, 2014), so that members do not all try the same.
//!
//! Two things differ from the paper. Gains are compared within their generation: they shrink as a training goes on, whatever
//! the parameters. And time is one more feature of the same kernel, whose reach is learnt, in place of a rate of forgetting.
//!
//! Read [`Bandit::choose`].

use crate::axis::{self, Axis};
use crate::gp::regression::{Regression, normalized};
use crate::gp::{Features, Metric};
use crate::stream::Stream;
use engine::space::SearchSpace;
use engine::value::Point;
use std::collections::{BTreeMap, BTreeSet};

/// Intervals that the model looks at: the newest.
const WINDOW: usize = 100;
/// Fewer than this teach nothing.
const FEWEST: usize = 3;
/// Points drawn from everywhere for one choice.
const ANYWHERE: u32 = 200;
/// Points drawn around the best one in each round, and the deviation of each round's draws.
const AROUND: u32 = 50;
const ROUNDS: [f64; 4] = [0.2, 0.1, 0.05, 0.02];
/// How bold the bound is in the `n`-th generation: the root of `BOLDNESS.0 + ln(BOLDNESS.1 n)`, as in the paper's experiments.
const BOLDNESS: (f64, f64) = (0.2, 0.4);

/// An interval that has ended with a value.
#[derive(Debug, Clone)]
struct Seen {
    generation: u32,
    features: Vec<f64>,
    /// By how much it lowered the loss, halved, so that even the difference of extreme losses is a number; where it began a training,
    /// which is compared with other beginnings only, from 0.
    gain: f64,
}

/// What has been seen of gains.
#[derive(Debug)]
pub(super) struct Bandit {
    axes: Vec<Axis>,
    features: Features,
    /// In the order in which they ended.
    gains: Vec<Seen>,
}

/// What an interval goes on with.
#[derive(Debug, Clone, Copy)]
pub(super) struct From<'a> {
    /// Its parameters.
    pub(super) point: &'a Point,
    /// Its generation.
    pub(super) generation: u32,
}

impl Bandit {
    pub(super) fn new(space: &SearchSpace) -> Self {
        let axes: Vec<Axis> = space.leaves().iter().map(Axis::new).collect();
        Self { features: Features::new(&axes), axes, gains: Vec::new() }
    }

    /// Takes in an interval that has ended, with the losses at its start, unless it began a training, and at its end.
    pub(super) fn ended(&mut self, point: &Point, generation: u32, before: Option<f64>, after: f64) {
        let gain = before.unwrap_or_default() / 2.0 - after / 2.0;
        self.gains.push(Seen { generation, features: self.row(point), gain });
    }

    fn row(&self, point: &Point) -> Vec<f64> {
        let mut row = Vec::new();
        self.features.of(&axis::coordinates(&self.axes, point), &mut row);
        row
    }

    /// The numbers to go on with, with the options of `from`; none while too little is known.
    ///
    /// `pending` are the intervals under way.
    pub(super) fn choose(
        &self,
        space: &SearchSpace,
        from: From<'_>,
        pending: &[From<'_>],
        stream: &mut Stream,
    ) -> Option<Point> {
        let recent = self.gains.get(self.gains.len().saturating_sub(WINDOW)..)?;
        if recent.len() < FEWEST {
            return None;
        }
        let scale = Scale::of(recent, from.generation);
        let rows: Vec<Vec<f64>> =
            recent.iter().map(|gain| scale.at(gain.features.clone(), gain.generation)).collect();
        let gains: Vec<f64> = recent.iter().map(|gain| scale.relative(gain)).collect();
        let mut metrics: Vec<Metric> = self.features.leaves.iter().map(|(_, metric)| *metric).collect();
        metrics.push(Metric::Ordered);
        let mut model = Regression::fit(&metrics, &rows, &normalized(&gains));
        let place = |from: &From<'_>| scale.at(self.row(from.point), from.generation);
        model.believe(&pending.iter().map(place).collect::<Vec<_>>());
        let (fixed, growing) = BOLDNESS;
        let bold = (fixed + libm::log(growing * f64::from(from.generation)).max(0.0)).sqrt();
        let mut bound = |point: &Point| {
            let (mean, deviation) = model.at(&scale.at(self.row(point), from.generation));
            mean + bold * deviation
        };
        let mut best: Option<(f64, Point)> = None;
        let mut consider = |point: Point, best: &mut Option<(f64, Point)>| {
            if space.feasible(&point) {
                let value = bound(&point);
                if best.as_ref().is_none_or(|(known, _)| value > *known) {
                    *best = Some((value, point));
                }
            }
        };
        consider(from.point.clone(), &mut best);
        for _ in 0..ANYWHERE {
            consider(self.numbers(space, from.point, &mut |_| stream.uniform()), &mut best);
        }
        for width in ROUNDS {
            let Some((_, centre)) = best.clone() else { break };
            for _ in 0..AROUND {
                let mut near = |x: f64| (x + width * stream.normal()).clamp(0.0, 1.0);
                consider(self.numbers(space, &centre, &mut near), &mut best);
            }
        }
        best.map(|(_, point)| point)
    }

    /// A point with the same options and other numbers, given by their coordinates.
    fn numbers(&self, space: &SearchSpace, base: &Point, coordinate: &mut dyn FnMut(f64) -> f64) -> Point {
        space.build(|index, leaf| match (base.get(index), self.axes.get(usize::from(index))) {
            (Some(value), _) if leaf.domain.is_categorical() => value,
            (Some(value), Some(axis)) => leaf.domain.from_unit(coordinate(axis.coordinate(value))),
            _ => leaf.domain.from_unit(coordinate(0.5)),
        })
    }
}

/// What makes gains of different generations comparable.
#[derive(Debug)]
struct Scale {
    /// The first and the last generation.
    span: (f64, f64),
    /// By generation: mean and deviation of gains.
    generations: BTreeMap<u32, (f64, f64)>,
}

impl Scale {
    fn of(gains: &[Seen], newest: u32) -> Self {
        let known: BTreeSet<u32> = gains.iter().map(|gain| gain.generation).collect();
        let oldest = known.first().copied().unwrap_or_default();
        let of = |generation| gains.iter().filter(move |gain| gain.generation == generation);
        let span = (f64::from(oldest), f64::from(newest.max(oldest + 1)));
        Self {
            span,
            generations: known.into_iter().map(|generation| (generation, spread(of(generation)))).collect(),
        }
    }

    /// A gain in deviations from what others of its generation gained.
    fn relative(&self, gain: &Seen) -> f64 {
        let (mean, deviation) = self.generations.get(&gain.generation).copied().unwrap_or_default();
        let relative = (gain.gain - mean) / deviation;
        // All alike, or differences beyond the range of numbers.
        if relative.is_finite() { relative.clamp(-3.0, 3.0) } else { 0.0 }
    }

    /// Features with time.
    fn at(&self, mut features: Vec<f64>, generation: u32) -> Vec<f64> {
        let (first, last) = self.span;
        features.push((f64::from(generation) - first) / (last - first));
        features
    }
}

/// Mean and standard deviation.
fn spread<'a>(gains: impl Iterator<Item = &'a Seen> + Clone) -> (f64, f64) {
    let n = gains.clone().count().max(1) as f64;
    let mean = gains.clone().map(|gain| gain.gain / n).sum::<f64>();
    let variance = gains.map(|gain| (gain.gain - mean) * ((gain.gain - mean) / n)).sum::<f64>();
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::value::Value;
    use serde_json::json;

    fn space() -> SearchSpace {
        SearchSpace::parse(&json!({"x": {"uniform": [0, 1]}, "kind": {"choice": ["a", "b"]}}), None, "space")
            .unwrap()
    }

    fn point(x: f64) -> Point {
        Point(vec![(0, Value::Float(x)), (1, Value::Option(1))])
    }

    fn x(point: &Point) -> f64 {
        let Some(Value::Float(x)) = point.get(0) else { unreachable!() };
        x
    }

    /// Twelve generations of four, of which the best `x` moves from 0.2 to 0.8, while gains shrink to a hundredth.
    fn seen() -> Bandit {
        let mut bandit = Bandit::new(&space());
        for generation in 1..=12u32 {
            let wanted = 0.2 + 0.05 * f64::from(generation);
            let size = libm::pow(0.7, f64::from(generation));
            for member in 0..4 {
                let x = (f64::from(member) + 0.5 + 0.3 * f64::from(generation % 3)) / 4.6;
                let gain = size * (1.0 - (x - wanted) * (x - wanted));
                bandit.ended(&point(x), generation, Some(1.0), 1.0 - gain);
            }
        }
        bandit
    }

    #[test]
    fn the_choice_follows_what_was_best_lately() {
        let mut stream = Stream::new(1, engine::id::TrialId(9), crate::stream::Purpose::Other, 0);
        let from = point(0.1);
        let chosen =
            seen().choose(&space(), From { point: &from, generation: 13 }, &[], &mut stream).unwrap();
        assert!((x(&chosen) - 0.85).abs() < 0.12, "{chosen:?}");
        assert_eq!(chosen.get(1), Some(Value::Option(1)), "options are not the bandit's");
    }

    #[test]
    fn members_that_are_under_way_are_given_room() {
        let choose = |bandit: &Bandit, pending: &[From<'_>]| {
            let mut stream = Stream::new(1, engine::id::TrialId(9), crate::stream::Purpose::Other, 0);
            let from = point(0.1);
            x(&bandit.choose(&space(), From { point: &from, generation: 30 }, pending, &mut stream).unwrap())
        };
        let mut bandit = Bandit::new(&space());
        for (known, gain) in [(0.1, 0.1), (0.3, 0.12), (0.9, 0.11)] {
            bandit.ended(&point(known), 29, Some(1.0), 1.0 - gain);
        }
        let alone = choose(&bandit, &[]);
        let taken = point(alone);
        let beside = choose(&bandit, &[From { point: &taken, generation: 30 }]);
        assert!((beside - alone).abs() > 0.05, "{alone} and {beside}");
    }

    #[test]
    fn too_little_teaches_nothing() {
        let mut stream = Stream::new(1, engine::id::TrialId(9), crate::stream::Purpose::Other, 0);
        let from = point(0.1);
        let bandit = Bandit::new(&space());
        assert_eq!(bandit.choose(&space(), From { point: &from, generation: 1 }, &[], &mut stream), None);
    }
}
