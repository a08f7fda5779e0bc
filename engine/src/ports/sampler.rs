//! Samplers: what is tried next.

use crate::id::TrialId;
use crate::space::SearchSpace;
use crate::spec::{Known, Outcomes, Prior};
use crate::value::{Goal, Point};
use std::sync::Arc;

/// What a sampler is made for. Constant while the sampler lives.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Where to search.
    pub space: Arc<SearchSpace>,
    /// Which way is better.
    pub goal: Goal,
    /// Keys all random streams.
    pub seed: u64,
    /// Whether the same point may give different values: if not, no point is proposed twice.
    pub noisy: bool,
    /// How many trials each point gets: more than one only if `noisy`. Then a sampler's own points are distinct all the same.
    pub replicates: u32,
    /// How many trials are planned, if that is known.
    pub trials: Option<u32>,
    /// How many run at once.
    pub concurrency: u32,
    /// Results from elsewhere: points of the space with their values, in the user's direction.
    pub known: Arc<[Known]>,
    /// Where good values are expected before the first trial.
    pub prior: Arc<Prior>,
    /// What is asked of the metrics of a trial beyond one value.
    pub outcomes: Arc<Outcomes>,
    /// What all trials may cost together, in the unit of the metric that says what one has cost.
    pub cost_budget: Option<f64>,
    /// An expected improvement that is too small to go on for, in the unit of the value.
    pub gain: Option<f64>,
}

impl Problem {
    /// The plainest problem: deterministic, one trial after the other, without an end, with nothing known.
    pub fn new(space: Arc<SearchSpace>, goal: Goal) -> Self {
        Self {
            space,
            goal,
            seed: 0,
            noisy: false,
            replicates: 1,
            trials: None,
            concurrency: 1,
            known: [].into(),
            prior: Arc::default(),
            outcomes: Arc::default(),
            cost_budget: None,
            gain: None,
        }
    }
}

/// How a trial ended, as far as a sampler is concerned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrialResult {
    /// With this finite value, in the user's direction.
    Value(f64),
    /// Stopped early with what it had reached by then, if anything.
    Stopped(Option<f64>),
    /// Failed, lost or cancelled: no value.
    Failed,
}

/// What a sampler learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Observation<'a> {
    /// A trial exists, proposed by this sampler or put in by a person; it is pending until it ends. Trials come in
    /// the order of their ids, without gaps.
    Suggested {
        /// The trial.
        trial: TrialId,
        /// Its point.
        point: &'a Point,
        /// What the sampler asked to remember with it; empty if it asked nothing or did not propose it.
        memo: &'a [u8],
    },
    /// A trial has ended.
    Ended {
        /// The trial.
        trial: TrialId,
        /// How. With several objectives the value is that of the first one: see `metrics`.
        result: TrialResult,
        /// What it reached in every metric of the objective, in order and finite; empty if there is only one of which nothing
        /// is asked but its value, or nothing was reached.
        metrics: &'a [f64],
    },
}

/// What a sampler answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Proposal {
    /// Try this point.
    Point {
        /// The point, inside the space.
        point: Point,
        /// What to hand back with the observation of this trial, for samplers that need it to go on after a
        /// crash. At most [`crate::limits::MAX_MEMO_BYTES`].
        memo: Vec<u8>,
        /// The trial from whose checkpoint this one goes on: it must have ended. `None` begins anew.
        parent: Option<TrialId>,
    },
    /// Ask again after a pending trial has ended.
    Wait,
    /// There is no further point.
    Exhausted,
    /// No further improvement worth [`Problem::gain`] is to be expected.
    Enough {
        /// The improvement that is expected of the best further trial, in the unit of the value.
        expected: f64,
    },
}

/// Proposes points.
///
/// **Determinism**: a proposal is a function of the problem, the trial's number, the trials observed so far with their points and
/// memos, and the order in which trials ended, bit for bit on every machine. How `Suggested` and `Ended` observations of different
/// trials were interleaved must not matter: after a crash all `Suggested` are handed in first. Whatever else a
/// sampler keeps is a cache that never changes a result.
pub trait Sampler: Send {
    /// The name under which it is configured.
    fn name(&self) -> &'static str;

    /// Changes whenever the same observations give other bits.
    fn version(&self) -> u16;

    /// Takes in what a trial has reported on its way, right before the observation that it has ended: the steps, ascending, and the
    /// finite values that count. Nothing is handed in of a trial that has reported nothing.
    fn reported(&mut self, _trial: TrialId, _reports: &[(u64, f64)]) {}

    /// Takes one observation in.
    fn observe(&mut self, observation: Observation<'_>);

    /// Proposes the point of the next trial, whose number is `trial`.
    fn suggest(&mut self, trial: TrialId) -> Proposal;
}
