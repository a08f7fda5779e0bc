//! Population based training.
//!
//! M. Jaderberg et al., "Population based training of neural networks", 2017 (arXiv 1711.09846). A population trains side by
//! side, a generation at a time: one trial is one interval of one member's training. A member that is among the worst of its
//! generation goes on from the checkpoint of one of the best, with parameters near those of that one; the others go on
//! from their own. So parameters change in the course of a training, and a poor beginning costs one interval.
//!
//! Members are compared with others of the same generation only, so nobody has to wait for anybody, and nobody is found wanting
//! for having trained less. Read [`Pbt`], then [`Pbt::next`].
//!
//! `pb2` is the same with a model that chooses the new parameters: see `bandit`.

mod bandit;

use crate::arguments::Arguments;
use crate::axis::{Axis, Kind};
use crate::outcome::{Judge, Outcome};
use crate::random::Random;
use crate::stream::{Purpose, Stream};
use crate::unique::Unique;
use bandit::{Bandit, From};
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem, Proposal, Sampler, TrialResult};
use engine::space::SearchSpace;
use engine::value::{Point, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Draws of changed parameters, until some are feasible; after that the parameters stay.
const DRAWS: u32 = 64;
/// The layout of a memo: this byte, then the member and its generation, little-endian.
const MEMO_VERSION: u8 = 1;
/// The same with the trial that it goes on from at the end.
const MEMO_WITH_PARENT: u8 = 2;

/// What can be set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How many train side by side.
    pub population: u32,
    /// By how much of its value a number is raised or lowered.
    pub factor: f64,
    /// How often a parameter is drawn anew instead.
    pub resample: f64,
    /// The part of a generation that counts as best, and as worst.
    pub fraction: f64,
}

impl Default for Settings {
    /// NNI's defaults.
    fn default() -> Self {
        Self { population: 10, factor: 0.2, resample: 0.25, fraction: 0.2 }
    }
}

/// Makes `pbt`; NNI's names are understood.
pub(crate) fn read(
    mut arguments: Arguments<'_>,
    problem: &Problem,
) -> Result<Box<dyn Sampler>, Vec<SpecError>> {
    let mut settings = Settings::default();
    if let Some(x) = arguments.number(&["factor", "factors"], 0.0..=1.0) {
        settings.factor = x;
    }
    let seed = read_common(&mut arguments, problem, &mut settings);
    arguments.finish()?;
    Ok(Box::new(Pbt::new(problem, seed, settings)))
}

/// Makes `pb2`; Ray's names are understood.
pub(crate) fn read_pb2(
    mut arguments: Arguments<'_>,
    problem: &Problem,
) -> Result<Box<dyn Sampler>, Vec<SpecError>> {
    let mut settings = Settings::default();
    let seed = read_common(&mut arguments, problem, &mut settings);
    arguments.finish()?;
    Ok(Box::new(Pbt::with_bandit(problem, seed, settings)))
}

/// What both understand. Returns the seed.
fn read_common(arguments: &mut Arguments<'_>, problem: &Problem, settings: &mut Settings) -> u64 {
    arguments.optimize_mode(problem.goal);
    if let Some(n) = arguments.whole(&["population", "population_size"], 2..=10_000) {
        settings.population = n as u32;
    }
    if let Some(x) = arguments.number(&["resample", "resample_probability"], 0.0..=1.0) {
        settings.resample = x;
    }
    if let Some(x) = arguments.number(&["fraction", "quantile_fraction"], 0.0..=0.5) {
        settings.fraction = x;
    }
    // Checkpoints are kept by attempt, beside everything else of it.
    arguments.ignore("all_checkpoint_dir");
    arguments.seed().unwrap_or(problem.seed)
}

/// A trial that is an interval of a member's training.
#[derive(Debug, Clone)]
struct Interval {
    member: u32,
    generation: u32,
    point: Point,
    /// What it goes on from, if that was to be remembered.
    parent: Option<u32>,
    /// What it ended with.
    loss: Option<f64>,
}

/// How a member stands.
#[derive(Debug, Clone, Default)]
struct Member {
    /// Its trials that have not ended.
    open: BTreeSet<u32>,
    /// The last interval that ended.
    generation: u32,
    /// Whether that one has a value.
    succeeded: bool,
}

/// A result: outcome, trial, member.
type Ranked = (Outcome, u32, u32);

/// The sampler.
#[derive(Debug)]
pub struct Pbt {
    problem: Problem,
    judge: Judge,
    seed: u64,
    settings: Settings,
    axes: Vec<Axis>,
    /// What chooses new numbers; without it they are shifted.
    bandit: Option<Bandit>,
    /// Where members begin.
    first: Unique<Random>,
    members: BTreeMap<u32, Member>,
    intervals: BTreeMap<u32, Interval>,
    /// By generation, the best first.
    results: BTreeMap<u32, BTreeSet<Ranked>>,
}

impl Pbt {
    /// Plain population based training.
    pub fn new(problem: &Problem, seed: u64, settings: Settings) -> Self {
        Self {
            problem: problem.clone(),
            judge: Judge::new(problem),
            seed,
            settings,
            axes: problem.space.leaves().iter().map(Axis::new).collect(),
            bandit: None,
            first: Unique::new(Random::new("pbt", problem, seed), problem, seed),
            members: BTreeMap::new(),
            intervals: BTreeMap::new(),
            results: BTreeMap::new(),
        }
    }

    /// Population based training with a bandit that chooses new numbers.
    pub fn with_bandit(problem: &Problem, seed: u64, settings: Settings) -> Self {
        Self { bandit: Some(Bandit::new(&problem.space)), ..Self::new(problem, seed, settings) }
    }

    fn begin(&mut self, trial: TrialId, member: u32, generation: u32) -> Proposal {
        match self.first.suggest(trial) {
            Proposal::Point { point, .. } => {
                Proposal::Point { point, memo: self.memo(member, generation, None), parent: None }
            }
            // All of a small space has been drawn, or nothing of it can be: members may begin alike.
            other => match self.intervals.values().next() {
                Some(known) => Proposal::Point {
                    point: known.point.clone(),
                    memo: self.memo(member, generation, None),
                    parent: None,
                },
                None => other,
            },
        }
    }

    /// The newest generation up to one that has results, best first.
    fn generation(&self, most: u32) -> Option<&BTreeSet<Ranked>> {
        self.results.range(..=most).next_back().map(|(_, results)| results)
    }

    /// How many of a generation are its best, and as many its worst.
    fn cut(&self, results: &BTreeSet<Ranked>) -> usize {
        ((results.len() as f64 * self.settings.fraction) as usize).max(1)
    }

    /// The next interval of a member that has none under way.
    fn next(&mut self, trial: TrialId, number: u32, member: &Member) -> Proposal {
        let Some(results) = self.generation(member.generation) else {
            // Nobody has succeeded yet.
            return self.begin(trial, number, member.generation);
        };
        let cut = self.cut(results);
        let own = results.iter().position(|(_, _, of)| *of == number).filter(|_| member.succeeded);
        let hopeless = match own {
            Some(place) => results.len() > 1 && place >= (results.len() - cut).max(1),
            None => true,
        };
        let mut stream = Stream::new(self.seed, trial, Purpose::Candidates, 0);
        let place = if hopeless { stream.below(cut as u64) as usize } else { own.unwrap_or_default() };
        let Some((_, parent, _)) = results.iter().nth(place) else { return Proposal::Wait };
        let Some(interval) = self.intervals.get(parent) else { return Proposal::Wait };
        let point = if hopeless {
            self.chosen(interval, member.generation + 1, trial)
                .unwrap_or_else(|| self.explore(&interval.point, trial))
        } else {
            interval.point.clone()
        };
        let memo = self.memo(number, member.generation + 1, Some(*parent));
        Proposal::Point { point, memo, parent: Some(TrialId(*parent)) }
    }

    /// What the bandit has a member go on with from the end of an interval.
    fn chosen(&self, interval: &Interval, generation: u32, trial: TrialId) -> Option<Point> {
        let bandit = self.bandit.as_ref()?;
        let space: &SearchSpace = &self.problem.space;
        let mut stream = Stream::new(self.seed, trial, Purpose::Candidates, DRAWS + 1);
        let base = space.build(|index, leaf| match interval.point.get(index) {
            Some(value) if !leaf.domain.is_categorical() || stream.uniform() >= self.settings.resample => {
                value
            }
            _ => leaf.domain.from_unit(stream.uniform()),
        });
        let open = self.members.values().flat_map(|member| &member.open);
        let under_way = |trial| {
            let interval = self.intervals.get(trial)?;
            Some(From { point: &interval.point, generation: interval.generation })
        };
        let pending: Vec<From<'_>> = open.filter_map(under_way).collect();
        bandit.choose(space, From { point: &base, generation }, &pending, &mut stream)
    }

    /// The parent is remembered where a bandit needs to know it.
    fn memo(&self, member: u32, generation: u32, parent: Option<u32>) -> Vec<u8> {
        let parent = parent.filter(|_| self.bandit.is_some());
        let version = if parent.is_some() { MEMO_WITH_PARENT } else { MEMO_VERSION };
        let mut memo = vec![version];
        memo.extend_from_slice(&member.to_le_bytes());
        memo.extend_from_slice(&generation.to_le_bytes());
        memo.extend(parent.into_iter().flat_map(u32::to_le_bytes));
        memo
    }

    /// A feasible point near another one.
    fn explore(&self, point: &Point, trial: TrialId) -> Point {
        let space: &SearchSpace = &self.problem.space;
        let changed = (1..=DRAWS).map(|round| {
            let mut stream = Stream::new(self.seed, trial, Purpose::Candidates, round);
            space.build(|index, leaf| match point.get(index) {
                Some(value) if stream.uniform() >= self.settings.resample => {
                    self.shifted(usize::from(index), value, &mut stream)
                }
                _ => leaf.domain.from_unit(stream.uniform()),
            })
        });
        changed.into_iter().find(|changed| space.feasible(changed)).unwrap_or_else(|| point.clone())
    }

    /// A number that is a factor larger or smaller, at least the next value of a lattice; an option as it was.
    fn shifted(&self, leaf: usize, value: Value, stream: &mut Stream) -> Value {
        let up = stream.uniform() < 0.5;
        let (Some(axis), Some(known)) = (self.axes.get(leaf), self.problem.space.leaves().get(leaf)) else {
            return value;
        };
        let factor = if up { 1.0 + self.settings.factor } else { 1.0 - self.settings.factor };
        match (&axis.kind, known.domain.number(value)) {
            (Kind::Fixed | Kind::Options(_), _) => value,
            (Kind::Cells(_), number) => {
                let nearest = number.map(|number| known.domain.nearest(number * factor));
                match nearest.filter(|nearest| *nearest != value) {
                    Some(nearest) => nearest,
                    None => axis.value(axis.beside(axis.coordinate(value), up)),
                }
            }
            (Kind::Line, Some(number)) if number != 0.0 => known.domain.nearest(number * factor),
            (Kind::Line, _) => {
                let step = if up { self.settings.factor } else { -self.settings.factor };
                axis.value((axis.coordinate(value) + step / 2.0).clamp(0.0, 1.0))
            }
        }
    }
}

/// Member, generation and parent of a memo.
fn remembered(memo: &[u8]) -> Option<(u32, u32, Option<u32>)> {
    let (version, rest) = memo.split_first()?;
    let (member, rest) = rest.split_first_chunk::<4>()?;
    let (generation, rest) = rest.split_first_chunk::<4>()?;
    let parent = match (*version, rest.split_first_chunk::<4>()) {
        (MEMO_VERSION, None) if rest.is_empty() => None,
        (MEMO_WITH_PARENT, Some((parent, []))) => Some(u32::from_le_bytes(*parent)),
        _ => return None,
    };
    Some((u32::from_le_bytes(*member), u32::from_le_bytes(*generation), parent))
}

impl Sampler for Pbt {
    fn name(&self) -> &'static str {
        if self.bandit.is_some() { "pb2" } else { "pbt" }
    }

    fn version(&self) -> u16 {
        1
    }

    fn observe(&mut self, observation: Observation<'_>) {
        self.first.observe(observation);
        match observation {
            Observation::Suggested { trial, point, memo } => {
                let Some((member, generation, parent)) = remembered(memo) else { return };
                self.members.entry(member).or_default().open.insert(trial.0);
                let interval = Interval { member, generation, point: point.clone(), parent, loss: None };
                self.intervals.insert(trial.0, interval);
            }
            Observation::Ended { trial, result, metrics } => {
                let Some(interval) = self.intervals.get(&trial.0).cloned() else { return };
                let member = self.members.entry(interval.member).or_default();
                member.open.remove(&trial.0);
                member.generation = interval.generation;
                member.succeeded = matches!(result, TrialResult::Value(_));
                if !member.succeeded {
                    return;
                }
                let outcome = self.judge.outcome(result, metrics);
                let ranked = (outcome, trial.0, interval.member);
                self.results.entry(interval.generation).or_default().insert(ranked);
                let Outcome::Finished(loss) = outcome else { return };
                let before = interval.parent.and_then(|parent| self.intervals.get(&parent)?.loss);
                if let Some(bandit) = &mut self.bandit {
                    bandit.ended(&interval.point, interval.generation, before, loss);
                }
                if let Some(slot) = self.intervals.get_mut(&trial.0) {
                    slot.loss = Some(loss);
                }
            }
        }
    }

    fn suggest(&mut self, trial: TrialId) -> Proposal {
        let begun = (0..self.settings.population).find(|member| !self.members.contains_key(member));
        if let Some(member) = begun {
            return self.begin(trial, member, 0);
        }
        let ready = self.members.iter().filter(|(_, member)| member.open.is_empty());
        match ready.min_by_key(|(number, member)| (member.generation, **number)) {
            Some((number, member)) => {
                let (number, member) = (*number, member.clone());
                self.next(trial, number, &member)
            }
            None => Proposal::Wait,
        }
    }
}

#[cfg(test)]
mod tests;
