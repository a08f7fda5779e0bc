//! Which parameters mattered. Read [`Study`] first: it says what the trials are, and each method turns it into shares.
//!
//! [`ped_anova`] asks what set the best trials apart from the others; [`fanova`] how much of the variance over the whole space each
//! parameter and each pair of them explains. Both are functions of the trials alone, the same on every machine.

pub mod fanova;
mod forest;
pub mod ped_anova;

use crate::axis::{self, Axis, Kind};
use engine::space::SearchSpace;
use engine::value::{Goal, Point};
use std::collections::BTreeMap;

/// Finished trials that are needed.
pub const LEAST_TRIALS: usize = 10;

/// Why nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// Too few trials ran to their end.
    #[error("{finished} trials ran to their end; {LEAST_TRIALS} are needed to tell what mattered")]
    TooFew {
        /// How many ran to their end.
        finished: usize,
    },
    /// There is nothing to explain.
    #[error("all trials that ran to their end have the same value, so nothing mattered so far")]
    AllEqual,
}

/// How much a parameter mattered, or two of them together.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The parameter, or both.
    pub names: Vec<String>,
    /// From 0 to 1.
    pub share: f64,
}

/// What was tried and what it gave.
#[derive(Debug)]
pub struct Study {
    axes: Vec<Axis>,
    names: Vec<String>,
    trials: Vec<Trial>,
}

/// A trial by its coordinates, NaN where a parameter does not exist.
#[derive(Debug)]
struct Trial {
    coordinates: Vec<f64>,
    /// None for a trial that was stopped early: it counts as worse than those that ran to their end.
    loss: Option<f64>,
}

impl Study {
    /// A study without trials.
    pub fn new(space: &SearchSpace) -> Self {
        let axes = space.leaves().iter().map(Axis::new).collect();
        let names = space.leaves().iter().map(|leaf| leaf.name.clone()).collect();
        Self { axes, names, trials: Vec::new() }
    }

    /// Adds a trial with its final value, or one that was stopped early without. Failed trials say nothing.
    pub fn push(&mut self, point: &Point, value: Option<f64>, goal: Goal) {
        let coordinates = axis::coordinates(&self.axes, point);
        let loss = value.filter(|value| value.is_finite()).map(|value| goal.loss(value));
        self.trials.push(Trial { coordinates, loss });
    }

    /// How many trials ran to their end.
    pub fn finished(&self) -> usize {
        self.trials.iter().filter(|trial| trial.loss.is_some()).count()
    }

    /// How many trials there are.
    pub fn trials(&self) -> usize {
        self.trials.len()
    }

    /// An error unless there is something to explain.
    fn check(&self) -> Result<(), Unclear> {
        let mut losses = self.trials.iter().filter_map(|trial| trial.loss);
        let first = losses.next();
        let differ = losses.any(|loss| Some(loss) != first);
        match self.finished() {
            finished if finished < LEAST_TRIALS => Err(Unclear::TooFew { finished }),
            _ if !differ => Err(Unclear::AllEqual),
            _ => Ok(()),
        }
    }

    /// Shares by name, the largest first. Parameters that other options define again under their name count as one; those
    /// with a single value cannot matter and are left out.
    fn named(&self, by_axis: &[f64]) -> Vec<Share> {
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        for ((name, axis), share) in self.names.iter().zip(&self.axes).zip(by_axis) {
            if axis.kind != Kind::Fixed {
                *sums.entry(name).or_default() += share;
            }
        }
        let shares = sums.into_iter().map(|(name, share)| Share { names: vec![name.to_owned()], share });
        ranked(shares.collect())
    }
}

/// The largest first.
fn ranked(mut shares: Vec<Share>) -> Vec<Share> {
    shares.sort_by(|a, b| b.share.total_cmp(&a.share));
    shares
}

#[cfg(test)]
mod tests;
