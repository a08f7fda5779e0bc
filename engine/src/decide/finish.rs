//! How a trial's reports become its value.

use crate::event::v1::{TrialEnd, TrialEnded, TrialStop};
use crate::spec::FinalMode;
use crate::spec::duration::duration_text;
use crate::state::{Experiment, Report, Trial};

/// A trial's value, with the single metrics where there are several.
struct Final {
    value: f64,
    metrics: Vec<f64>,
}

impl Experiment {
    /// The end of a trial whose tasks have all succeeded.
    pub(super) fn finish(&self, trial: &Trial) -> TrialEnded {
        match self.final_value(trial) {
            Ok(found) => TrialEnded {
                trial: trial.id,
                status: TrialEnd::Succeeded,
                value: Some(found.value),
                metrics: found.metrics,
                reason: String::new(),
            },
            Err(reason) => TrialEnded {
                trial: trial.id,
                status: TrialEnd::Failed,
                value: None,
                metrics: Vec::new(),
                reason,
            },
        }
    }

    /// The end of a trial that was stopped, with what it had reached by then.
    pub(super) fn finish_stopped(&self, trial: &Trial, stop: &TrialStop) -> TrialEnded {
        let (status, reason) = match stop {
            TrialStop::Asked => (TrialEnd::UserCanceled, "stopped on request".to_owned()),
            TrialStop::Early { rule, why, .. } => (TrialEnd::EarlyStopped, format!("{rule}: {why}")),
            TrialStop::Experiment => (TrialEnd::SysCanceled, "the experiment ended".to_owned()),
            TrialStop::Timeout => (TrialEnd::Failed, self.out_of_time()),
        };
        let reached = match stop {
            TrialStop::Timeout => None,
            _ => self.final_value(trial).ok(),
        };
        let (value, metrics) = reached.map_or((None, Vec::new()), |found| (Some(found.value), found.metrics));
        TrialEnded { trial: trial.id, status, value, metrics, reason }
    }

    /// Why a trial that took too long has failed, with the bound and its key.
    pub(super) fn out_of_time(&self) -> String {
        let limit = self.spec.budget.trial_timeout.map(duration_text);
        limit.map_or_else(
            || "its time was over".to_owned(),
            |limit| format!("its time was over: `budget.trial_timeout` is {limit}"),
        )
    }

    fn final_value(&self, trial: &Trial) -> Result<Final, String> {
        let mut found = self.reported_value(trial)?;
        // A cost is what the trial has cost in all, whichever of its reports is the best.
        if let Some(cost) = self.spec.objective.outcomes.cost
            && let Some(slot) = found.metrics.get_mut(cost)
            && let Some(last) = trial.reports.iter().rev().find_map(|report| report.metrics.get(cost))
        {
            *slot = *last;
        }
        Ok(found)
    }

    fn reported_value(&self, trial: &Trial) -> Result<Final, String> {
        let reports = Trial::counted(&trial.reports);
        if let Some(last) = reports.iter().rev().find(|report| report.last) {
            return take(last);
        }
        let numbers: Vec<&Report> = reports.iter().copied().filter(|report| report.value.is_some()).collect();
        let missing = || {
            if let (true, [_, _, ..]) = (reports.is_empty(), self.spec.objective.metrics.as_slice()) {
                let names: Vec<&str> =
                    self.spec.objective.metrics.iter().map(|metric| metric.name.as_str()).collect();
                format!(
                    "it ended well but gave no report with every metric, which are {}: see `metric` in the experiment file and \
                     the trial's log",
                    names.join(", ")
                )
            } else if reports.is_empty() {
                "it ended well but reported no metric: see `metric` in the experiment file and the trial's log"
                    .to_owned()
            } else {
                let why = reports.last().map_or("", |report| not_a_number(report));
                format!("it ended well but none of its reports gives a finite number: the last one {why}")
            }
        };
        match self.spec.metric.final_mode {
            FinalMode::Final => reports.last().copied().map_or_else(|| Err(missing()), take),
            FinalMode::Best => {
                let objective = &self.spec.objective;
                let broken = |report: &Report| !objective.outcomes.is_feasible(&report.metrics);
                let best = numbers.iter().copied().reduce(|best, next| match (best.value, next.value) {
                    // What keeps the outcome constraints is better than what breaks them.
                    _ if broken(best) != broken(next) => {
                        if broken(best) {
                            next
                        } else {
                            best
                        }
                    }
                    (Some(old), Some(new)) if objective.goal.better(new, old) => next,
                    _ => best,
                });
                best.map_or_else(|| Err(missing()), take)
            }
            FinalMode::Average => {
                if numbers.is_empty() || numbers.len() < reports.len() {
                    return Err(if numbers.is_empty() {
                        missing()
                    } else {
                        "one of its reports is not a finite number, so they have no mean".to_owned()
                    });
                }
                let values: Vec<f64> = numbers.iter().filter_map(|report| report.value).collect();
                let metrics = numbers.iter().map(|report| report.metrics.len()).min().unwrap_or(0);
                let column = |place| -> Vec<f64> {
                    numbers.iter().filter_map(|report| report.metrics.get(place).copied()).collect()
                };
                let metrics = (0..metrics).map(|place| mean(&column(place))).collect();
                Ok(Final { value: mean(&values), metrics })
            }
        }
    }
}

/// The mean of finite numbers, at least one: finite, also where their sum is not.
fn mean(numbers: &[f64]) -> f64 {
    let count = numbers.len() as f64;
    let plain = numbers.iter().sum::<f64>() / count;
    if plain.is_finite() {
        return plain;
    }
    numbers.iter().map(|number| number / count).sum::<f64>().clamp(f64::MIN, f64::MAX)
}

fn take(report: &Report) -> Result<Final, String> {
    match report.value {
        Some(value) => Ok(Final { value, metrics: report.metrics.to_vec() }),
        None => Err(format!("its report at step {} {}", report.step, not_a_number(report))),
    }
}

/// Why a report has no value.
const fn not_a_number(report: &Report) -> &'static str {
    if report.metrics.is_empty() {
        "is not a finite number"
    } else {
        "has metrics whose weighted sum is too large for a finite number"
    }
}
