//! Stops a trial that is worse than the best one on the same cases, by a paired test.
//!
//! For objectives that are the mean over cases, such as folds or instances: a report's step is the number of a case, and its
//! value what the trial reached on it. F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945;
//! after Optuna's `WilcoxonPruner`. Differences of zero are ranked and then left out (J. W. Pratt, JASA 54, 1959), equal
//! differences share their rank, and up to 50 cases the distribution is exact given these ranks.

use crate::arguments::Arguments;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::early_stop::{EarlyStop, Verdict};
use engine::ports::sampler::TrialResult;
use engine::value::Goal;
use std::collections::BTreeMap;

/// Cases up to which the distribution is exact.
const EXACT: usize = 50;

/// The best trial that ran to its end: its final loss, its number, and by case its loss.
type Best = (f64, TrialId, BTreeMap<u64, f64>);

/// The rule.
#[derive(Debug)]
pub struct Wilcoxon {
    goal: Goal,
    threshold: f64,
    startup_steps: usize,
    running: BTreeMap<TrialId, BTreeMap<u64, f64>>,
    best: Option<Best>,
}

pub(crate) fn read(mut arguments: Arguments<'_>, goal: Goal) -> Result<Box<dyn EarlyStop>, Vec<SpecError>> {
    arguments.optimize_mode(goal);
    let threshold = arguments.number(&["p_threshold", "threshold"], 0.0..=1.0).unwrap_or(0.1);
    let startup = arguments.whole(&["n_startup_steps", "startup_steps"], 0..=1_000_000_000).unwrap_or(0);
    arguments.finish()?;
    Ok(Box::new(Wilcoxon::new(goal, threshold, startup as usize)))
}

impl Wilcoxon {
    /// Stops a trial once the probability of its being no worse than the best is below `threshold`, but not before it
    /// has `startup_steps` cases in common with it.
    pub fn new(goal: Goal, threshold: f64, startup_steps: usize) -> Self {
        Self { goal, threshold, startup_steps, running: BTreeMap::new(), best: None }
    }
}

impl EarlyStop for Wilcoxon {
    fn name(&self) -> &'static str {
        "wilcoxon"
    }

    fn reported(&mut self, trial: TrialId, step: u64, value: f64) {
        self.running.entry(trial).or_default().insert(step, self.goal.loss(value));
    }

    fn ended(&mut self, trial: TrialId, result: TrialResult) {
        let Some(cases) = self.running.remove(&trial) else { return };
        let TrialResult::Value(value) = result else { return };
        let loss = self.goal.loss(value);
        let better =
            self.best.as_ref().is_none_or(|(best, id, _)| loss < *best || (loss == *best && trial < *id));
        if better {
            self.best = Some((loss, trial, cases));
        }
    }

    fn judge(&self, trial: TrialId) -> Verdict {
        let (Some((best, id, theirs)), Some(own)) = (&self.best, self.running.get(&trial)) else {
            return Verdict::Continue;
        };
        // Cases without a number on either side cannot be ranked.
        let differences: Vec<f64> = own
            .iter()
            .filter_map(|(case, loss)| Some(loss - theirs.get(case)?))
            .filter(|difference| difference.is_finite())
            .collect();
        if differences.len() < self.startup_steps.max(1) {
            return Verdict::Continue;
        }
        let p = no_worse(&differences);
        // So far it is as good on the whole as the best: the test has seen too little.
        let finite: Vec<f64> = own.values().copied().filter(|loss| loss.is_finite()).collect();
        let mean = finite.iter().sum::<f64>() / finite.len() as f64;
        if p < self.threshold && mean > *best {
            let why = format!(
                "on {} cases it is worse than trial {id}, the best so far: the signed-rank test gives p = {p:.4}, below {}",
                differences.len(),
                self.threshold
            );
            return Verdict::Stop { why };
        }
        Verdict::Continue
    }
}

/// The probability of differences at least as large as these if none were to be expected.
fn no_worse(differences: &[f64]) -> f64 {
    let ranks = ranks(differences);
    if ranks.len() <= EXACT { exact(&ranks) } else { approximate(&ranks) }
}

/// Twice the rank of each difference but zeros, so that shared ranks are whole, and whether it is for the worse.
fn ranks(differences: &[f64]) -> Vec<(u64, bool)> {
    let mut sorted = differences.to_vec();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let mut ranks: Vec<(u64, bool)> = Vec::with_capacity(sorted.len());
    let mut start = 0;
    for equal in sorted.chunk_by(|a, b| a.abs() == b.abs()) {
        let doubled = (2 * start + 1 + equal.len()) as u64;
        start += equal.len();
        ranks.extend(equal.iter().filter(|x| **x != 0.0).map(|x| (doubled, *x > 0.0)));
    }
    ranks
}

/// The sum of the ranks for the worse, and of all.
fn sums(ranks: &[(u64, bool)]) -> (u64, u64) {
    let worse = ranks.iter().filter(|(_, worse)| *worse).map(|(rank, _)| rank).sum();
    (worse, ranks.iter().map(|(rank, _)| rank).sum())
}

/// The normal distribution in place of the exact one.
fn approximate(ranks: &[(u64, bool)]) -> f64 {
    let (worse, all) = sums(ranks);
    let variance: f64 = ranks.iter().map(|(rank, _)| (*rank as f64) * (*rank as f64)).sum::<f64>() / 4.0;
    let z = (worse as f64 - all as f64 / 2.0) / variance.sqrt();
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}

/// The share of all choices of signs whose ranks for the worse add up to at least as much.
fn exact(ranks: &[(u64, bool)]) -> f64 {
    let (worse, all) = sums(ranks);
    let mut shares = vec![0.0f64; all as usize + 1];
    if let Some(first) = shares.first_mut() {
        *first = 1.0;
    }
    for (rank, _) in ranks {
        let rank = *rank as usize;
        for sum in (0..shares.len()).rev() {
            let with = sum.checked_sub(rank).and_then(|rest| shares.get(rest)).copied().unwrap_or_default();
            if let Some(share) = shares.get_mut(sum) {
                *share = 0.5 * (*share + with);
            }
        }
    }
    shares.iter().skip(worse as usize).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_tables() {
        // scipy.stats.wilcoxon(d, alternative="greater", method="exact").pvalue
        let close = |p: f64, expected: f64| (p - expected).abs() < 1e-12;
        assert!(close(no_worse(&[1.0, 2.0, 3.0, 4.0]), 1.0 / 16.0));
        assert!(close(no_worse(&[-1.0, 2.0, 3.0, 4.0, 5.0]), 2.0 / 32.0));
        assert!(close(no_worse(&[-4.0, -3.0, -2.0, -1.0]), 1.0));
        assert!(close(no_worse(&[0.0, 0.0]), 1.0));
        // Shared ranks 1.5, 1.5, 3: of eight choices three have a sum of at least 4.5.
        assert!(close(no_worse(&[-1.0, 1.0, 2.0]), 3.0 / 8.0));
        // Ranks 2 and 3 behind a zero.
        assert!(close(no_worse(&[0.0, 1.0, 2.0]), 1.0 / 4.0));
    }

    #[test]
    fn the_approximation_is_close_to_the_exact_distribution() {
        for modulus in [2, 3, 4] {
            let sign = |i: u32| if i.is_multiple_of(modulus) { -1.0 } else { 1.0 };
            let ranks = ranks(&(1..=50).map(|i| sign(i) * f64::from(i)).collect::<Vec<f64>>());
            let (exact, approximate) = (exact(&ranks), approximate(&ranks));
            assert!((exact - approximate).abs() < 0.004, "{exact} {approximate}");
        }
    }

    /// The best trial has a loss of 1 in each of ten cases.
    fn rule() -> Wilcoxon {
        let mut rule = Wilcoxon::new(Goal::Minimize, 0.1, 0);
        for case in 0..10 {
            rule.reported(TrialId(0), case, 1.0);
        }
        rule.ended(TrialId(0), TrialResult::Value(1.0));
        rule
    }

    fn reports_until_stopped(rule: &mut Wilcoxon, trial: u32, losses: &[f64]) -> Option<usize> {
        (0..).zip(losses).position(|(case, loss)| {
            rule.reported(TrialId(trial), case, *loss);
            matches!(rule.judge(TrialId(trial)), Verdict::Stop { .. })
        })
    }

    #[test]
    fn a_trial_that_is_always_worse_is_stopped_at_the_fourth_case() {
        assert_eq!(reports_until_stopped(&mut rule(), 1, &[1.1, 1.2, 1.3, 1.4, 1.5]), Some(3));
        assert_eq!(reports_until_stopped(&mut rule(), 1, &[0.9; 10]), None);
        let mut patient = Wilcoxon { startup_steps: 6, ..rule() };
        assert_eq!(reports_until_stopped(&mut patient, 1, &[1.1; 10]), Some(5));
    }

    #[test]
    fn one_case_that_makes_up_for_all_others_saves_a_trial() {
        assert_eq!(
            reports_until_stopped(&mut rule(), 1, &[-50.0, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9]),
            None
        );
    }

    #[test]
    fn cases_that_the_best_trial_has_not_seen_and_stopped_trials_do_not_count() {
        let mut rule = rule();
        for case in 20..40 {
            rule.reported(TrialId(1), case, 9.0);
        }
        assert_eq!(rule.judge(TrialId(1)), Verdict::Continue);
        for case in 0..10 {
            rule.reported(TrialId(2), case, 0.0);
        }
        rule.ended(TrialId(2), TrialResult::Stopped(Some(0.0)));
        assert_eq!(reports_until_stopped(&mut rule, 3, &[1.0; 10]), None);
    }
}
