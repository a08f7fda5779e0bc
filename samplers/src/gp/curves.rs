//! What a stopped trial would have come to, by the curves of those that ran to their end. Read [`Curves::gain`].
//!
//! A value at an early step and a final one cannot be compared: the model would learn how long trials ran. So a stopped trial
//! is taken on to its end by what others gained from the same step on, and compared with them there.

use std::collections::BTreeMap;

/// Reports kept of a trial, evenly chosen.
const MOST_REPORTS: usize = 100;
/// Curves that are looked at: those of the trials that ended last.
const MOST_CURVES: usize = 100;

/// What a trial reported: steps, ascending, and losses.
type Curve = Vec<(u64, f64)>;

/// The curves of all trials that have reported anything.
#[derive(Debug, Default)]
pub(super) struct Curves {
    of: BTreeMap<u32, Curve>,
    /// Those of trials that ran to their end, with the final loss, in the order in which they ended.
    finished: Vec<(u32, f64)>,
}

impl Curves {
    /// Takes in what a trial has reported.
    pub(super) fn reported(&mut self, trial: u32, reports: impl ExactSizeIterator<Item = (u64, f64)>) {
        let thin = reports.len().div_ceil(MOST_REPORTS).max(1);
        let last = reports.len().saturating_sub(1);
        // The last one is kept in any case.
        let kept = reports.enumerate().filter(|(place, _)| (last - place).is_multiple_of(thin));
        self.of.insert(trial, kept.map(|(_, report)| report).collect());
    }

    /// A trial ran to its end.
    pub(super) fn finished(&mut self, trial: u32, loss: f64) {
        if self.of.contains_key(&trial) {
            self.finished.push((trial, loss));
        }
    }

    /// The last step that a trial reported.
    pub(super) fn last_step(&self, trial: u32) -> Option<u64> {
        self.of.get(&trial)?.last().map(|(step, _)| *step)
    }

    /// By how much a loss changes from a step to the end: the median of the trials that ran to theirs.
    pub(super) fn gain(&self, step: u64) -> Option<f64> {
        let newest = self.finished.iter().rev().take(MOST_CURVES);
        let mut gains: Vec<f64> = newest
            .filter_map(|(trial, last)| {
                let curve = self.of.get(trial)?;
                let before = curve.partition_point(|(at, _)| *at <= step).checked_sub(1)?;
                Some(last - curve.get(before)?.1)
            })
            .collect();
        gains.sort_by(f64::total_cmp);
        gains.get(gains.len() / 2).copied().filter(|gain| gain.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_is_the_median_of_what_finished_trials_gained_from_a_step_on() {
        let mut curves = Curves::default();
        for (trial, pace) in [(0, 1.0), (1, 2.0), (2, 9.0)] {
            curves.reported(trial, [(1, 3.0 * pace), (5, 2.0 * pace), (9, pace)].into_iter());
            curves.finished(trial, pace);
        }
        assert_eq!(curves.gain(1), Some(-4.0));
        assert_eq!(curves.gain(7), Some(-2.0), "the value at a step is the newest one by then");
        assert_eq!(curves.gain(0), None, "nobody had reported by then");
    }

    #[test]
    fn long_curves_are_thinned_and_keep_their_end() {
        let mut curves = Curves::default();
        curves.reported(0, (1..=1_000u64).collect::<Vec<_>>().into_iter().map(|step| (step, -(step as f64))));
        assert_eq!(curves.last_step(0), Some(1_000));
        assert_eq!(curves.of[&0].len(), MOST_REPORTS);
        curves.finished(0, -1_000.0);
        assert_eq!(curves.gain(500), Some(-500.0));
    }
}
