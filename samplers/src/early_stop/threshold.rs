//! Stops a trial whose value leaves given bounds: a loss that explodes, an accuracy that cannot be right.

use crate::arguments::Arguments;
use crate::codes;
use engine::error::SpecError;
use engine::id::TrialId;
use engine::ports::early_stop::{EarlyStop, Verdict};
use engine::ports::sampler::TrialResult;
use std::collections::BTreeMap;

/// The rule.
#[derive(Debug)]
pub struct Threshold {
    lower: Option<f64>,
    upper: Option<f64>,
    start_step: u64,
    trials: BTreeMap<TrialId, (u64, Option<(u64, f64)>)>,
}

pub(crate) fn read(mut arguments: Arguments<'_>) -> Result<Box<dyn EarlyStop>, Vec<SpecError>> {
    let lower = arguments.number(&["lower"], f64::MIN..=f64::MAX);
    let upper = arguments.number(&["upper"], f64::MIN..=f64::MAX);
    let start_step = arguments.whole(&["start_step"], 0..=1_000_000).unwrap_or(0);
    match (lower, upper) {
        (None, None) => arguments.mistake(
            codes::MISSING_ARGUMENT,
            "lower",
            "neither `lower` nor `upper` is given".to_owned(),
            "give one of them, or both",
        ),
        (Some(low), Some(high)) if low > high => arguments.mistake(
            codes::CONTRADICTION,
            "lower",
            format!("`lower` is {low}, above `upper`, which is {high}"),
            "exchange them",
        ),
        _ => {}
    }
    arguments.finish()?;
    Ok(Box::new(Threshold::new(lower, upper, start_step)))
}

impl Threshold {
    /// Stops a trial that reports a value below `lower`, above `upper`, or one that is no number; the first
    /// `start_step` reports are not looked at.
    pub fn new(lower: Option<f64>, upper: Option<f64>, start_step: u64) -> Self {
        Self { lower, upper, start_step, trials: BTreeMap::new() }
    }
}

impl EarlyStop for Threshold {
    fn name(&self) -> &'static str {
        "threshold"
    }

    fn reported(&mut self, trial: TrialId, step: u64, value: f64) {
        let (count, outside) = self.trials.entry(trial).or_default();
        *count += 1;
        let crossed = value.is_nan()
            || self.lower.is_some_and(|lower| value < lower)
            || self.upper.is_some_and(|upper| value > upper);
        if crossed && *count > self.start_step && outside.is_none() {
            *outside = Some((step, value));
        }
    }

    fn ended(&mut self, trial: TrialId, _: TrialResult) {
        self.trials.remove(&trial);
    }

    fn judge(&self, trial: TrialId) -> Verdict {
        let Some((_, Some((step, value)))) = self.trials.get(&trial) else { return Verdict::Continue };
        let bound = |name, bound: Option<f64>| bound.map(|x| format!("{name} {x}"));
        let bounds = [bound("lower", self.lower), bound("upper", self.upper)];
        let bounds = bounds.into_iter().flatten().collect::<Vec<_>>().join(", ");
        Verdict::Stop { why: format!("the value at step {step}, {value}, is outside the bounds ({bounds})") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_outside_the_bounds_stops_the_trial_for_good() {
        let mut rule = Threshold::new(Some(0.0), Some(1.0), 1);
        rule.reported(TrialId(0), 1, 7.0);
        rule.reported(TrialId(0), 2, 0.5);
        assert_eq!(rule.judge(TrialId(0)), Verdict::Continue, "the first report is not looked at");
        rule.reported(TrialId(0), 3, 1.5);
        rule.reported(TrialId(0), 4, 0.5);
        assert!(matches!(rule.judge(TrialId(0)), Verdict::Stop { why } if why.contains("step 3")));
        rule.reported(TrialId(1), 1, 0.0);
        rule.reported(TrialId(1), 2, f64::NAN);
        assert!(matches!(rule.judge(TrialId(1)), Verdict::Stop { .. }));
    }
}
