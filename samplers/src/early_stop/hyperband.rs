//! Hyperband: successive halving with several first rungs at once.
//!
//! L. Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", JMLR 18, 2018; asynchronous as in
//! Li et al. 2020. With rungs at `r`, `r * eta`, ... before `R` there are as many brackets as rungs and one more: bracket
//! `s` leaves its first `s` rungs out, so that the last bracket stops nothing. A trial belongs to one bracket and is compared
//! within it.
//!
//! Brackets are given by the trial's number alone, in proportion to the `n` of the paper's algorithm 1. They are spread evenly
//! along the numbers (a Kronecker sequence of the golden ratio), so that every budget of trials has them all.

use super::asha::{LAST, check, read_ladder};
use super::rungs::{Ladder, Rungs};
use crate::arguments::Arguments;
use crate::codes;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::early_stop::{EarlyStop, Verdict};
use engine::ports::sampler::TrialResult;
use engine::value::Goal;

/// 2^64 over the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

#[derive(Debug)]
struct Bracket {
    /// How many trials it takes for each that the others take by theirs.
    share: u64,
    rungs: Rungs,
}

/// The rule.
#[derive(Debug)]
pub struct Hyperband {
    brackets: Vec<Bracket>,
}

pub(crate) fn read(mut arguments: Arguments<'_>, goal: Goal) -> Result<Box<dyn EarlyStop>, Vec<SpecError>> {
    arguments.optimize_mode(goal);
    let ladder = read_ladder(&mut arguments, 3);
    // Brackets never wait for each other here: NNI's `parallelism`.
    let mode = arguments.word(&["exec_mode"], &["parallelism", "serial"]);
    if mode == Some("serial") {
        let message = "brackets run side by side here; `exec_mode: serial` lets each wait for the one before";
        let cure = "leave `exec_mode` out, or write `parallelism`";
        arguments.mistake(codes::CONTRADICTION, "exec_mode", message.to_owned(), cure);
    }
    if arguments.is_given(&LAST) {
        check(&mut arguments, ladder);
    } else {
        arguments.mistake(
            codes::MISSING_ARGUMENT,
            "max_resource",
            "hyperband makes its brackets by the last step of a trial, and `max_resource` is not given"
                .to_owned(),
            "add `max_resource` with the number of the last step that a trial reports, or use `asha`",
        );
    }
    arguments.finish()?;
    Ok(Box::new(Hyperband::new(goal, ladder)))
}

impl Hyperband {
    /// The rule; the first bracket has this ladder.
    pub fn new(goal: Goal, ladder: Ladder) -> Self {
        let firsts: Vec<u64> = ladder.steps().chain([ladder.last]).collect();
        let count = firsts.len() as u64;
        let bracket = |(skipped, first): (u64, &u64)| {
            let left = count - 1 - skipped;
            let trials = ladder.factor.saturating_pow(u32::try_from(left).unwrap_or(u32::MAX));
            // Far beyond what can be told apart; the sum must not overflow.
            let share = trials.min(1 << 40).saturating_mul(count).div_ceil(left + 1);
            Bracket { share, rungs: Rungs::new(goal, Ladder { first: *first, ..ladder }) }
        };
        Self { brackets: (0..).zip(&firsts).map(bracket).collect() }
    }

    /// The bracket of a trial.
    fn place(&self, trial: TrialId) -> usize {
        let all: u64 = self.brackets.iter().map(|bracket| bracket.share).sum();
        let fraction = u64::from(trial.0).wrapping_mul(GOLDEN);
        let mut at = ((u128::from(fraction) * u128::from(all)) >> 64) as u64;
        for (place, bracket) in self.brackets.iter().enumerate() {
            match at.checked_sub(bracket.share) {
                Some(rest) => at = rest,
                None => return place,
            }
        }
        0
    }

    fn bracket(&mut self, trial: TrialId) -> Option<&mut Bracket> {
        let place = self.place(trial);
        self.brackets.get_mut(place)
    }
}

impl EarlyStop for Hyperband {
    fn name(&self) -> &'static str {
        "hyperband"
    }

    fn reported(&mut self, trial: TrialId, step: u64, value: f64) {
        if let Some(bracket) = self.bracket(trial) {
            bracket.rungs.reported(trial, step, value);
        }
    }

    fn ended(&mut self, trial: TrialId, result: TrialResult) {
        if let Some(bracket) = self.bracket(trial) {
            bracket.rungs.ended(trial, result);
        }
    }

    fn judge(&self, trial: TrialId) -> Verdict {
        let place = self.place(trial);
        let verdict =
            self.brackets.get(place).map_or(Verdict::Continue, |bracket| bracket.rungs.judge(trial));
        match verdict {
            Verdict::Stop { why } => Verdict::Stop { why: format!("bracket {place}: {why}") },
            Verdict::Continue => Verdict::Continue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Hyperband {
        Hyperband::new(Goal::Minimize, Ladder { first: 1, factor: 3, last: 81, least_trials: 2 })
    }

    #[test]
    fn the_brackets_are_those_of_the_paper() {
        // Table 1 for R = 81 and eta = 3.
        let shares: Vec<u64> = rule().brackets.iter().map(|bracket| bracket.share).collect();
        assert_eq!(shares, [81, 34, 15, 8, 5]);
    }

    #[test]
    fn every_stretch_of_trials_has_brackets_in_proportion() {
        let rule = rule();
        for start in [0, 1000] {
            let mut counts = [0u32; 5];
            for trial in start..start + 143 {
                counts[rule.place(TrialId(trial))] += 1;
            }
            for (count, bracket) in counts.iter().zip(&rule.brackets) {
                assert!((f64::from(*count) - bracket.share as f64).abs() < 3.0, "{counts:?}");
            }
        }
        let early: Vec<usize> = (0..12).map(|trial| rule.place(TrialId(trial))).collect();
        assert!(early.iter().filter(|place| **place > 0).count() >= 4, "{early:?}");
    }

    #[test]
    fn a_trial_is_compared_within_its_bracket_and_the_last_bracket_stops_nothing() {
        let mut rule = rule();
        let of = |rule: &Hyperband, place| -> Vec<TrialId> {
            (0..143).map(TrialId).filter(|trial| rule.place(*trial) == place).take(2).collect()
        };
        for place in 0..5 {
            let [good, bad] = of(&rule, place)[..] else { unreachable!() };
            rule.reported(good, 1, 1.0);
            rule.reported(bad, 1, 2.0);
            let stopped = matches!(rule.judge(bad), Verdict::Stop { why } if why.starts_with("bracket 0"));
            assert_eq!(stopped, place == 0, "{place}");
            assert_eq!(rule.judge(good), Verdict::Continue);
            rule.reported(good, 80, 1.0);
            rule.reported(bad, 80, 2.0);
            assert_eq!(matches!(rule.judge(bad), Verdict::Stop { .. }), place < 4, "{place}");
        }
    }
}
