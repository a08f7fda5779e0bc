//! Successive halving's ladder: at which steps trials are compared, and how each of them stood there.
//!
//! A rung is a step. What counts of a trial at a rung is the value that it reported first at or past that step, by
//! the number of the step: steps may be sparse and come in any order; of two reports of one step the later one counts.

use super::quantile::{Peers, Quantile, Rank};
use engine::id::TrialId;
use engine::ports::early_stop::Verdict;
use engine::ports::sampler::TrialResult;
use engine::value::Goal;
use std::collections::BTreeMap;

/// Where the rungs are, and how many go on from each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ladder {
    /// The step of the first rung, `r`; at least 1.
    pub first: u64,
    /// Each rung is at this multiple of the one before, `eta`; at least 2. One in `eta` goes on.
    pub factor: u64,
    /// The step at which trials end, `R`: rungs lie before it.
    pub last: u64,
    /// How many trials must have reached a rung before it stops any; at least 2.
    pub least_trials: usize,
}

impl Ladder {
    /// The steps of the rungs, ascending.
    pub fn steps(self) -> impl Iterator<Item = u64> {
        let next = move |step: &u64| step.checked_mul(self.factor);
        std::iter::successors(Some(self.first.max(1)), next).take_while(move |step| *step < self.last)
    }
}

/// What a trial has at a rung: the step of the report, and its loss.
type Entry = (u64, f64);

/// The trials on one ladder.
#[derive(Debug)]
pub(super) struct Rungs {
    goal: Goal,
    ladder: Ladder,
    /// By the step of a rung: the losses of all trials that have reached it.
    losses: BTreeMap<u64, Quantile>,
    /// The entries of running trials, by the step of the rung.
    running: BTreeMap<TrialId, BTreeMap<u64, Entry>>,
}

impl Rungs {
    pub(super) fn new(goal: Goal, ladder: Ladder) -> Self {
        Self { goal, ladder, losses: BTreeMap::new(), running: BTreeMap::new() }
    }

    /// Takes a report in.
    pub(super) fn reported(&mut self, trial: TrialId, step: u64, value: f64) {
        // What is not a number is worse than every number.
        let loss = if value.is_finite() { self.goal.loss(value) } else { f64::INFINITY };
        for rung in self.ladder.steps().take_while(|rung| *rung <= step) {
            let own = self.running.entry(trial).or_default();
            let before = own.get(&rung).copied();
            if before.is_some_and(|(earlier, _)| earlier < step) {
                continue;
            }
            own.insert(rung, (step, loss));
            let factor = self.ladder.factor;
            let losses =
                self.losses.entry(rung).or_insert_with(|| Quantile::new(Rank::Top(factor), Peers::All));
            if let Some((_, before)) = before {
                losses.remove(trial.0, before);
            }
            losses.insert(trial.0, loss);
        }
    }

    /// Forgets whose the entries of an ended trial are; they remain for the others, unless it has failed.
    pub(super) fn ended(&mut self, trial: TrialId, result: TrialResult) {
        let own = self.running.remove(&trial).filter(|_| result == TrialResult::Failed);
        for (rung, (_, loss)) in own.into_iter().flatten() {
            if let Some(losses) = self.losses.get_mut(&rung) {
                losses.remove(trial.0, loss);
            }
        }
    }

    /// The rungs that a running trial has reached, ascending, and its loss at each.
    pub(super) fn entries(&self, trial: TrialId) -> impl DoubleEndedIterator<Item = (u64, f64)> {
        self.running.get(&trial).into_iter().flatten().map(|(rung, (_, loss))| (*rung, *loss))
    }

    /// Judges a trial at the highest rung that it has reached.
    pub(super) fn judge(&self, trial: TrialId) -> Verdict {
        let own = self.running.get(&trial).and_then(BTreeMap::last_key_value);
        let Some((rung, (step, loss))) = own else { return Verdict::Continue };
        let Some(losses) = self.losses.get(rung) else { return Verdict::Continue };
        let all = losses.len();
        if all < self.ladder.least_trials {
            return Verdict::Continue;
        }
        match losses.value(None) {
            Some(limit) if *loss > limit => {
                let (value, limit) = (self.goal.loss(*loss), self.goal.loss(limit));
                let why = format!(
                    "at step {step}, the first from {rung} on, the value is {value}; to be in the best 1/{} of {all} trials \
                     it has to reach {limit}",
                    self.ladder.factor
                );
                Verdict::Stop { why }
            }
            _ => Verdict::Continue,
        }
    }
}
