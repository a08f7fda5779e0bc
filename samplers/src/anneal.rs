//! Annealing: draws around good trials, from a neighbourhood that shrinks as trials are seen.
//!
//! The rule is that of Hyperopt's `anneal`, which NNI's `Anneal` uses: J. Bergstra, D. Yamins and D. D. Cox, "Making a science of
//! model search", ICML 2013. Each parameter chooses a good trial of its own, the best most often, and takes a value from a
//! window around that trial's; the window is `1 / (1 + shrink_coef T)` of the range after `T` trials that had the parameter.

use crate::arguments::Arguments;
use crate::axis::{self, Axis, Kind};
use crate::outcome::{Judge, Outcome};
use crate::search::{Found, Search};
use crate::stream::{Purpose, Stream};
use crate::unique::Unique;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem, Sampler};
use engine::value::Point;
use std::collections::BTreeMap;

/// Draws for one proposal.
const DRAWS: u32 = 64;
/// How many of the best trials a parameter remembers. That a later one is chosen is less likely than one in a million, with
/// the default for the mean place of the chosen one.
const MOST_BEST: usize = 32;

/// The settings of annealing.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The mean place, counted from 1, of the trial that is chosen among those sorted by their values.
    pub avg_best_idx: f64,
    /// How fast the window shrinks.
    pub shrink_coef: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { avg_best_idx: 2.0, shrink_coef: 0.1 }
    }
}

/// What is known of one parameter.
#[derive(Debug, Clone, Default)]
struct Known {
    /// Ended trials with a value that had it.
    seen: u32,
    /// The best of them: their rank and the coordinate.
    best: Vec<((Outcome, u32), f64)>,
}

impl Known {
    fn add(&mut self, rank: (Outcome, u32), x: f64) {
        self.seen += 1;
        let place = self.best.partition_point(|(other, _)| *other < rank);
        if place < MOST_BEST {
            self.best.insert(place, (rank, x));
            self.best.truncate(MOST_BEST);
        }
    }
}

/// Annealing.
#[derive(Debug)]
pub struct Anneal {
    judge: Judge,
    seed: u64,
    settings: Settings,
    axes: Vec<Axis>,
    known: Vec<Known>,
    pending: BTreeMap<u32, Vec<f64>>,
}

/// The sampler for these arguments.
pub(crate) fn read(
    mut arguments: Arguments<'_>,
    problem: &Problem,
) -> Result<Box<dyn Sampler>, Vec<SpecError>> {
    let mut settings = Settings::default();
    arguments.optimize_mode(problem.goal);
    if let Some(x) = arguments.number(&["avg_best_idx"], 1.0..=10.0) {
        settings.avg_best_idx = x;
    }
    if let Some(x) = arguments.number(&["shrink_coef"], 0.0..=10.0) {
        settings.shrink_coef = x;
    }
    let seed = arguments.seed().unwrap_or(problem.seed);
    arguments.finish()?;
    Ok(Box::new(Unique::new(Anneal::new(problem, seed, settings), problem, seed)))
}

impl Anneal {
    /// Annealing for a problem.
    pub fn new(problem: &Problem, seed: u64, settings: Settings) -> Self {
        let axes: Vec<Axis> = problem.space.leaves().iter().map(Axis::new).collect();
        let known = vec![Known::default(); axes.len()];
        Self { judge: Judge::new(problem), seed, settings, axes, known, pending: BTreeMap::new() }
    }

    /// A coordinate of a parameter. Takes three numbers from the stream, whatever it does.
    fn coordinate(&self, axis: &Axis, known: &Known, stream: &mut Stream) -> f64 {
        let (choice, u, keep) = (stream.open(), stream.open(), stream.uniform());
        // A geometric distribution; with a mean of 1 always the best.
        let others = 1.0 - 1.0 / self.settings.avg_best_idx;
        let place = if others > 0.0 { libm::log(choice) / libm::log(others) } else { 0.0 };
        let last = known.best.len().saturating_sub(1);
        let Some((_, centre)) = known.best.get((place as usize).min(last)) else { return axis.snap(u) };
        let window = 1.0 / (1.0 + self.settings.shrink_coef * f64::from(known.seen));
        if let Kind::Options(_) = axis.kind {
            return if keep < window { axis.snap(u) } else { *centre };
        }
        let low = (centre - window / 2.0).min(1.0 - window).max(0.0);
        axis.snap(low + window * u)
    }
}

impl Search for Anneal {
    fn name(&self) -> &'static str {
        "anneal"
    }

    fn version(&self) -> u16 {
        1
    }

    fn observe(&mut self, observation: Observation<'_>) {
        match observation {
            Observation::Suggested { trial, point, .. } => {
                self.pending.insert(trial.0, axis::coordinates(&self.axes, point));
            }
            Observation::Ended { trial, result, metrics } => {
                let outcome = self.judge.outcome(result, metrics);
                let Some(coordinates) = self.pending.remove(&trial.0).filter(|_| outcome.informs()) else {
                    return;
                };
                for (known, x) in self.known.iter_mut().zip(coordinates) {
                    if !x.is_nan() {
                        known.add((outcome, trial.0), x);
                    }
                }
            }
        }
    }

    fn find(&mut self, trial: TrialId, accept: &mut dyn FnMut(&Point) -> bool) -> Found {
        for round in 0..DRAWS {
            let mut stream = Stream::new(self.seed, trial, Purpose::Candidates, round);
            let mut coordinates = Vec::with_capacity(self.axes.len());
            for (axis, known) in self.axes.iter().zip(&self.known) {
                let x = self.coordinate(axis, known, &mut stream);
                // Parents come before their children.
                let exists = axis.exists(&coordinates);
                coordinates.push(if exists { x } else { f64::NAN });
            }
            let point = axis::point(&self.axes, &coordinates);
            if accept(&point) {
                return Found::Point(point, Vec::new());
            }
        }
        Found::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::ports::sampler::TrialResult;
    use engine::space::SearchSpace;
    use engine::value::{Goal, Value};
    use serde_json::json;
    use std::sync::Arc;

    fn anneal(settings: Settings) -> Anneal {
        let space = json!({"x": {"uniform": [0, 1]}, "k": {"choice": ["u", "v", "w"]}});
        let problem = Problem {
            seed: 4,
            ..Problem::new(Arc::new(SearchSpace::parse(&space, None, "").unwrap()), Goal::Minimize)
        };
        Anneal::new(&problem, 4, settings)
    }

    /// After `trials` trials, of which the first is the best, at 0.9 and `w`.
    fn after(trials: u32, settings: Settings) -> Anneal {
        let mut search = anneal(settings);
        for trial in 0..trials {
            let (x, option) = if trial == 0 { (0.9, 2) } else { (0.1, 0) };
            let point = Point(vec![(0, Value::Float(x)), (1, Value::Option(option))]);
            let trial = TrialId(trial);
            search.observe(Observation::Suggested { trial, point: &point, memo: &[] });
            let result = TrialResult::Value(f64::from(trial.0));
            search.observe(Observation::Ended { trial, result, metrics: &[] });
        }
        search
    }

    fn draws(search: &mut Anneal) -> Vec<(f64, u32)> {
        let one = |trial| {
            let Found::Point(point, _) = search.find(TrialId(trial), &mut |_| true) else { panic!() };
            match point.0.as_slice() {
                [(0, Value::Float(x)), (1, Value::Option(option))] => (*x, *option),
                other => panic!("{other:?}"),
            }
        };
        (1_000..2_000).map(one).collect()
    }

    #[test]
    fn the_window_shrinks_as_the_rule_says_and_stays_inside_of_the_range() {
        let greedy = Settings { avg_best_idx: 1.0, shrink_coef: 0.1 };
        for (trials, window) in [(0, 1.0), (10, 0.5), (90, 0.1)] {
            let drawn = draws(&mut after(trials, greedy.clone()));
            let (low, high) = drawn.iter().fold((1.0f64, 0.0f64), |(l, h), (x, _)| (l.min(*x), h.max(*x)));
            let least = if trials == 0 { 0.0 } else { (0.9 - window / 2.0f64).min(1.0 - window) };
            assert!(
                (low - least).abs() < 0.02 && (high - least - window).abs() < 0.02,
                "{trials}: {low} {high}"
            );
            let best = drawn.iter().filter(|(_, option)| *option == 2).count() as f64 / 1_000.0;
            let share = if trials == 0 { 1.0 / 3.0 } else { 1.0 - window + window / 3.0 };
            assert!((best - share).abs() < 0.06, "{trials}: {best}");
        }
    }

    #[test]
    fn half_of_the_draws_are_around_the_best_and_half_around_the_others() {
        let drawn = draws(&mut after(400, Settings::default()));
        let near = drawn.iter().filter(|(x, _)| *x > 0.5).count();
        assert!((440..560).contains(&near), "{near}");
    }

    #[test]
    fn failures_teach_nothing_and_only_the_best_are_remembered() {
        let mut search = after(200, Settings::default());
        assert_eq!(search.known[0].best.len(), MOST_BEST);
        let places: Vec<u32> = search.known[0].best.iter().map(|((_, trial), _)| *trial).collect();
        assert_eq!(places, (0..32).collect::<Vec<u32>>());
        let point = Point(vec![(0, Value::Float(0.5)), (1, Value::Option(1))]);
        let trial = TrialId(200);
        search.observe(Observation::Suggested { trial, point: &point, memo: &[] });
        search.observe(Observation::Ended { trial, result: TrialResult::Failed, metrics: &[] });
        assert_eq!(search.known[0].seen, 200);
    }
}
