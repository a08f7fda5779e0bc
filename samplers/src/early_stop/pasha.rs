//! Progressive asynchronous successive halving.
//!
//! O. Bohdal et al., "PASHA: Efficient HPO and NAS with Progressive Resource Allocation", ICLR 2023, as a rule that stops trials. Like
//! [`super::asha`], but trials are only let past the *top* rung if there is something to be learnt there: the first rung but one
//! at which the trials that have reached it stand in the same order as at the rung before. While the order changes, the
//! next rung is the top. From the top on only the best trial goes on, so that there is one that runs to its end.
//!
//! Orders are compared softly: the trial in a place may be any whose loss at the rung before was as good as that of the trial that
//! had the place there, within `epsilon` standard deviations.

use super::asha::read_ladder;
use super::rungs::{Ladder, Rungs};
use crate::arguments::Arguments;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::early_stop::{EarlyStop, Verdict};
use engine::ports::sampler::TrialResult;
use engine::value::Goal;
use std::collections::BTreeMap;

/// The losses of trials at one rung.
type Losses = BTreeMap<TrialId, f64>;

/// The rule.
#[derive(Debug)]
pub struct Pasha {
    goal: Goal,
    ladder: Ladder,
    epsilon: f64,
    rungs: Rungs,
    /// By the step of a rung.
    losses: BTreeMap<u64, Losses>,
    /// The step of the top rung; none while no order has settled.
    top: Option<u64>,
}

pub(crate) fn read(mut arguments: Arguments<'_>, goal: Goal) -> Result<Box<dyn EarlyStop>, Vec<SpecError>> {
    arguments.optimize_mode(goal);
    let ladder = read_ladder(&mut arguments, 3);
    let epsilon = arguments.number(&["epsilon", "epsilon_scaling"], 0.0..=10.0).unwrap_or(0.25);
    super::asha::check(&mut arguments, ladder);
    arguments.finish()?;
    Ok(Box::new(Pasha::new(goal, ladder, epsilon)))
}

impl Pasha {
    /// The rule on a ladder; trials that differ by less than `epsilon` standard deviations count as equal.
    pub fn new(goal: Goal, ladder: Ladder, epsilon: f64) -> Self {
        let top = ladder.steps().nth(1);
        Self { goal, ladder, epsilon, rungs: Rungs::new(goal, ladder), losses: BTreeMap::new(), top }
    }

    fn find_top(&mut self) {
        let (steps, nothing) = (self.ladder.steps(), Losses::new());
        let rung = |step: &u64| self.losses.get(step).unwrap_or(&nothing);
        self.top = steps
            .zip(self.ladder.steps().skip(1))
            .find(|(before, step)| settled(rung(before), rung(step), self.epsilon))
            .map(|(_, step)| step);
    }
}

/// Whether the trials at a rung stand in the order in which they stood at the one before.
fn settled(before: &Losses, now: &Losses, epsilon: f64) -> bool {
    let mut pairs: Vec<(f64, f64)> = now
        .iter()
        .filter_map(|(trial, loss)| Some((*loss, *before.get(trial)?)))
        .filter(|(now, before)| now.is_finite() && before.is_finite())
        .collect();
    let n = pairs.len() as f64;
    let mean = pairs.iter().map(|(_, before)| before / n).sum::<f64>();
    let variance = pairs.iter().map(|(_, before)| (before - mean) * (before - mean) / n).sum::<f64>();
    let near = epsilon * variance.sqrt();
    let mut earlier: Vec<f64> = pairs.iter().map(|(_, before)| *before).collect();
    earlier.sort_by(f64::total_cmp);
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    pairs.iter().zip(&earlier).all(|((_, before), place)| (before - place).abs() <= near)
}

impl EarlyStop for Pasha {
    fn name(&self) -> &'static str {
        "pasha"
    }

    fn reported(&mut self, trial: TrialId, step: u64, value: f64) {
        self.rungs.reported(trial, step, value);
        let (mut changed, mut reached) = (false, 0);
        for (rung, loss) in self.rungs.entries(trial) {
            changed |= self.losses.entry(rung).or_default().insert(trial, loss) != Some(loss);
            reached += 1;
        }
        // With one rung only a trial has no part in any order.
        if changed && reached > 1 {
            self.find_top();
        }
    }

    fn ended(&mut self, trial: TrialId, result: TrialResult) {
        self.rungs.ended(trial, result);
        if result == TrialResult::Failed {
            for losses in self.losses.values_mut() {
                losses.remove(&trial);
            }
            self.find_top();
        }
    }

    fn judge(&self, trial: TrialId) -> Verdict {
        let Some((rung, loss)) = self.rungs.entries(trial).last() else { return Verdict::Continue };
        let Some(top) = self.top.filter(|top| rung >= *top) else { return self.rungs.judge(trial) };
        let rivals = self.losses.get(&rung).into_iter().flatten();
        let best = rivals.min_by(|a, b| a.1.total_cmp(b.1));
        match best {
            Some((rival, least)) if *least < loss => {
                let (own, theirs) = (self.goal.loss(loss), self.goal.loss(*least));
                let why = format!(
                    "from step {top} on, where the order of the trials has settled, only the best goes on: the value at \
                     step {rung} is {own}, that of trial {rival} {theirs}"
                );
                Verdict::Stop { why }
            }
            _ => Verdict::Continue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LADDER: Ladder = Ladder { first: 1, factor: 3, last: 81, least_trials: 2 };

    /// Trials with their losses at the steps 1, 3, 9, ...
    fn rule(curves: &[&[f64]]) -> Pasha {
        let mut rule = Pasha::new(Goal::Minimize, LADDER, 0.25);
        for (trial, curve) in (0..).zip(curves) {
            for (step, loss) in LADDER.steps().zip(*curve) {
                rule.reported(TrialId(trial), step, *loss);
            }
        }
        rule
    }

    fn stopped(rule: &Pasha, trial: u32) -> bool {
        matches!(rule.judge(TrialId(trial)), Verdict::Stop { .. })
    }

    #[test]
    fn while_the_order_stays_only_the_best_passes_the_second_rung() {
        let rule = rule(&[&[1.0, 0.5], &[2.0, 0.7], &[3.0, 0.9], &[4.0, 1.0], &[5.0, 1.1], &[6.0, 1.2]]);
        assert_eq!(rule.top, Some(3));
        let stops: Vec<bool> = (0..6).map(|trial| stopped(&rule, trial)).collect();
        assert_eq!(stops, [false, true, true, true, true, true], "two of six would go on otherwise");
    }

    #[test]
    fn an_order_that_changes_raises_the_top_and_the_best_third_goes_on() {
        let rule = rule(&[&[1.0, 0.9], &[2.0, 0.7], &[3.0, 0.5], &[4.0, 1.0], &[5.0, 1.1], &[6.0, 1.2]]);
        assert_eq!(rule.top, Some(9));
        let stops: Vec<bool> = (0..6).map(|trial| stopped(&rule, trial)).collect();
        assert_eq!(stops, [true, false, false, true, true, true]);
    }

    #[test]
    fn neighbours_may_change_places() {
        let rule = rule(&[&[1.0, 0.6], &[1.01, 0.5], &[3.0, 0.9], &[4.0, 1.0]]);
        assert_eq!(rule.top, Some(3));
        assert_eq!((stopped(&rule, 0), stopped(&rule, 1)), (true, false));
    }

    #[test]
    fn a_failed_trial_unsettles_nothing() {
        let mut rule = rule(&[&[1.0, 0.6], &[2.0, 0.7], &[9.0, 0.1]]);
        assert_eq!(rule.top, Some(9));
        rule.ended(TrialId(2), TrialResult::Failed);
        assert_eq!(rule.top, Some(3));
        assert!(!stopped(&rule, 0));
    }

    #[test]
    fn where_no_order_settles_it_is_plain_successive_halving() {
        let good = [1.0, 1.0, 0.1, 0.9];
        let bad = [2.0, 0.5, 0.2, 0.1];
        let rule = rule(&[&good, &bad]);
        assert_eq!(rule.top, None);
        assert_eq!((stopped(&rule, 0), stopped(&rule, 1)), (true, false));
    }
}
