//! The default: a Gaussian process and TPE take turns.
//!
//! A Gaussian process finds the most with few trials, TPE the most for its time with many. Neither is best
//! everywhere: a jump or a plateau misleads the one, a valley the other. So each has turns all along, more of them
//! where its trials turn out well, and what one finds the other learns.
//!
//! Read [`Auto`], then [`Auto::turn`].

use crate::arguments::Arguments;
use crate::early_stop::quantile::{Peers, Quantile, Rank};
use crate::gp::{self, Gp};
use crate::math::pareto::dominates;
use crate::random::Random;
use crate::search::{Found, Search};
use crate::tpe::{self, Tpe};
use crate::unique::Unique;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem, Sampler, TrialResult};
use engine::spec::Outcomes;
use engine::value::{Goal, Point};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A space of at most so many points is tried in random order.
pub const TINY_SPACE: u64 = 32;
/// In a space of more parameters TPE has all turns: a model would cost too much for what it learns.
pub const MOST_MODELLED: usize = 200;
/// Up to so many trials the model sees all of them, and has most turns.
const FEW: u32 = 400;
/// With several objectives it has turns up to so many trials: a model of each, and the front to be improved, cost too much beyond.
const MOST_OF_SEVERAL: u32 = 600;
/// Up to so many it has half of them, and few beyond.
const MANY: u32 = 2_000;
/// A trial counts as a success if it is within this share of the best feasible ones when it ends; of several objectives, if
/// no feasible one dominates it then.
const SUCCESS: f64 = 0.15;
/// How much less an earlier trial counts than the one after it, of the same turn.
const FADING: f64 = 0.93;
/// What each turn is believed to have achieved before it had any: this many trials, with this share of successes.
const PRIOR: (f64, f64) = (4.0, 0.3);
/// TPE gets more turns where its share of successes is so many times that of the model.
const CLEARLY: f64 = 1.5;

/// Who proposed a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Model,
    Density,
}

impl Turn {
    /// The first byte of a memo.
    const fn byte(self) -> u8 {
        match self {
            Self::Model => 1,
            Self::Density => 2,
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Model),
            2 => Some(Self::Density),
            _ => None,
        }
    }
}

/// How the trials of a turn ended lately.
#[derive(Debug, Clone, Copy, Default)]
struct Record {
    trials: f64,
    successes: f64,
}

impl Record {
    fn add(&mut self, success: bool) {
        self.trials = self.trials * FADING + 1.0;
        self.successes = self.successes * FADING + f64::from(u8::from(success));
    }

    fn share(self) -> f64 {
        let (trials, share) = PRIOR;
        (self.successes + trials * share) / (self.trials + trials)
    }
}

/// Makes the sampler; its only argument is `seed`.
pub(crate) fn read(
    mut arguments: Arguments<'_>,
    problem: &Problem,
) -> Result<Box<dyn Sampler>, Vec<SpecError>> {
    arguments.optimize_mode(problem.goal);
    let seed = arguments.seed().unwrap_or(problem.seed);
    arguments.finish()?;
    if problem.space.cardinality().is_some_and(|points| points <= TINY_SPACE) {
        return Ok(Box::new(Unique::new(Random::new("auto", problem, seed), problem, seed)));
    }
    Ok(Box::new(Unique::new(Auto::new(problem, seed), problem, seed)))
}

/// The sampler.
#[derive(Debug)]
pub struct Auto {
    gp: Gp,
    tpe: Tpe,
    goal: Goal,
    outcomes: Arc<Outcomes>,
    /// Of several objectives: what no feasible trial dominates.
    front: Vec<Vec<f64>>,
    /// Whether the model can cope with the space.
    modelled: bool,
    /// Whose turn a pending trial was.
    pending: BTreeMap<u32, Turn>,
    bound: Quantile,
    model: Record,
    density: Record,
}

impl Auto {
    /// The sampler for a problem.
    pub fn new(problem: &Problem, seed: u64) -> Self {
        Self {
            gp: Gp::new("auto", problem, seed, gp::Settings::default()),
            tpe: Tpe::new("auto", problem, seed, tpe::Settings::of(problem)),
            goal: problem.goal,
            outcomes: Arc::clone(&problem.outcomes),
            front: Vec::new(),
            modelled: problem.space.leaves().len() <= MOST_MODELLED,
            pending: BTreeMap::new(),
            bound: Quantile::new(Rank::Share(SUCCESS), Peers::All),
            model: Record::default(),
            density: Record::default(),
        }
    }

    /// Whether a trial that ran to its end turned out well; later ones are compared with it.
    fn succeeds(&mut self, trial: TrialId, value: f64, metrics: &[f64]) -> bool {
        if !self.outcomes.is_feasible(metrics) {
            return false;
        }
        if self.outcomes.is_multi() {
            let losses = self.outcomes.losses(metrics);
            if losses.is_empty() || self.front.iter().any(|other| dominates(other, &losses)) {
                return false;
            }
            self.front.retain(|other| !dominates(&losses, other));
            self.front.push(losses);
            return true;
        }
        let loss = self.goal.loss(value);
        let success = self.bound.value(None).is_none_or(|bound| loss <= bound);
        self.bound.insert(trial.0, loss);
        success
    }

    /// Whose turn a trial is: a function of its number and of how trials ended.
    fn turn(&self, trial: TrialId) -> Turn {
        let n = trial.0;
        if !self.modelled || (self.outcomes.is_multi() && n >= MOST_OF_SEVERAL) {
            return Turn::Density;
        }
        let density = self.density.share() > CLEARLY * self.model.share();
        let every = |k: u32| n % k == k - 1;
        let modelled = if n < FEW {
            if density { every(2) } else { !every(8) }
        } else if n < MANY {
            if density { every(8) } else { every(2) }
        } else {
            every(8)
        };
        if modelled { Turn::Model } else { Turn::Density }
    }
}

impl Search for Auto {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn version(&self) -> u16 {
        3
    }

    fn reported(&mut self, trial: TrialId, reports: &[(u64, f64)]) {
        if self.modelled {
            self.gp.reported(trial, reports);
        }
    }

    fn observe(&mut self, observation: Observation<'_>) {
        self.tpe.observe(observation);
        match observation {
            Observation::Suggested { trial, point, memo } => {
                let turn = memo.split_first().and_then(|(byte, rest)| Some((Turn::of(*byte)?, rest)));
                if let Some((turn, _)) = turn {
                    self.pending.insert(trial.0, turn);
                }
                let memo = turn.map(|(_, rest)| rest).unwrap_or_default();
                if self.modelled {
                    self.gp.observe(Observation::Suggested { trial, point, memo });
                }
            }
            Observation::Ended { trial, result, metrics } => {
                if self.modelled {
                    self.gp.observe(observation);
                }
                let success = match result {
                    TrialResult::Value(value) => self.succeeds(trial, value, metrics),
                    TrialResult::Stopped(_) | TrialResult::Failed => false,
                };
                match self.pending.remove(&trial.0) {
                    Some(Turn::Model) => self.model.add(success),
                    Some(Turn::Density) => self.density.add(success),
                    None => {}
                }
            }
        }
    }

    fn find(&mut self, trial: TrialId, accept: &mut dyn FnMut(&Point) -> bool) -> Found {
        let turn = self.turn(trial);
        let found = match turn {
            Turn::Model => self.gp.find(trial, accept),
            Turn::Density => self.tpe.find(trial, accept),
        };
        match found {
            Found::Point(point, inner) => {
                let mut memo = vec![turn.byte()];
                memo.extend(inner);
                Found::Point(point, memo)
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::space::SearchSpace;
    use engine::value::Value;
    use serde_json::json;
    use std::sync::Arc;

    fn problem() -> Problem {
        let space =
            json!({"x": {"uniform": [0, 1]}, "y": {"uniform": [0, 1]}, "z": {"choice": ["a", "b", "c"]}});
        let space = SearchSpace::parse(&space, None, "space").unwrap();
        Problem { seed: 3, ..Problem::new(Arc::new(space), Goal::Minimize) }
    }

    /// Runs trials whose value depends on whose turn they were. Returns the turns.
    fn turns(trials: u32, value: fn(Turn, &Point) -> f64) -> Vec<Turn> {
        let problem = problem();
        let mut auto = Unique::new(Auto::new(&problem, 3), &problem, 3);
        let mut turns = Vec::new();
        for trial in (0..trials).map(TrialId) {
            let engine::ports::sampler::Proposal::Point { point, memo, .. } = auto.suggest(trial) else {
                unreachable!()
            };
            let turn = Turn::of(memo[0]).unwrap();
            turns.push(turn);
            auto.observe(Observation::Suggested { trial, point: &point, memo: &memo });
            auto.observe(Observation::Ended {
                trial,
                result: TrialResult::Value(value(turn, &point)),
                metrics: &[],
            });
        }
        turns
    }

    fn model(turns: &[Turn]) -> usize {
        turns.iter().filter(|turn| **turn == Turn::Model).count()
    }

    fn x(point: &Point) -> f64 {
        point.0.iter().find_map(|(_, v)| if let Value::Float(x) = v { Some(*x) } else { None }).unwrap()
    }

    #[test]
    fn most_turns_are_the_models_where_it_does_well() {
        let turns = turns(80, |_, point| (x(point) - 0.3).abs());
        assert!(model(&turns[16..]) >= 48, "{}", model(&turns[16..]));
        assert!(model(&turns[16..]) < 64);
    }

    #[test]
    fn tpe_gets_half_of_the_turns_where_only_its_trials_turn_out_well() {
        let turns =
            turns(120, |turn, point| if turn == Turn::Model { 1.0 + x(point) } else { 0.5 * x(point) });
        assert!((38..=50).contains(&model(&turns[40..])), "{}", model(&turns[40..]));
    }
}
