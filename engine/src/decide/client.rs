//! Trials that clients run, and reports of running trials.

use super::codes;
use super::task::bounded;
use crate::error::Rejection;
use crate::event::v1::ReportPoint;
use crate::event::{Event, v1};
use crate::id::{AttemptNo, TrialId};
use crate::limits;
use crate::state::{Experiment, Trial, TrialStatus};

impl Experiment {
    pub(super) fn running_trial(&self, id: TrialId) -> Result<&Trial, Rejection> {
        let trial = self.known_trial(id)?;
        if trial.status.is_ended() { Err(told_before(trial)) } else { Ok(trial) }
    }

    /// Refuses what clients ask of trials that the engine runs.
    pub(super) fn run_by_clients(&self) -> Result<(), Rejection> {
        if self.spec.run.is_none() {
            return Ok(());
        }
        Err(Rejection::new(
            codes::NOT_BY_CLIENT,
            format!("the trials of the experiment {} are run by the engine", self.id),
            "their results are read from what they write",
        ))
    }

    /// The next queued point, for a client that asks.
    pub(super) fn take_queued(&self) -> Vec<Event> {
        let takes = self.starts() && self.spec.run.is_none();
        if takes { self.queued_trial().into_iter().collect() } else { Vec::new() }
    }

    /// The end of a trial by what its client tells. Whoever holds the newest lease may tell it again, having lost the answer.
    pub(super) fn tell_trial(
        &self,
        id: TrialId,
        lease: Option<u32>,
        values: Option<&[f64]>,
    ) -> Result<Vec<Event>, Rejection> {
        self.run_by_clients()?;
        let trial = match lease {
            Some(lease) => self.held_trial(id, lease)?,
            None => self.running_trial(id)?,
        };
        let told = self.told(trial, values)?;
        if !trial.status.is_ended() {
            return Ok(vec![told.into()]);
        }
        let same = trial.status == TrialStatus::from(&told.status)
            && trial.value == told.value
            && *trial.metrics == *told.metrics;
        if same { Ok(Vec::new()) } else { Err(told_before(trial)) }
    }

    /// How a trial ends of which its client tells this.
    fn told(&self, trial: &Trial, values: Option<&[f64]>) -> Result<v1::TrialEnded, Rejection> {
        let id = trial.id;
        let value = values.map(|values| self.told_value(id, values)).transpose()?;
        let metrics = values.filter(|_| self.spec.objective.keeps_metrics()).unwrap_or_default().to_vec();
        let (status, reason) = match (&trial.stopping, value) {
            (Some(v1::TrialStop::Early { rule, why, .. }), _) => {
                (v1::TrialEnd::EarlyStopped, format!("{rule}: {why}"))
            }
            (_, Some(_)) => (v1::TrialEnd::Succeeded, String::new()),
            (_, None) => (v1::TrialEnd::Failed, "its client says that it failed".to_owned()),
        };
        Ok(v1::TrialEnded { trial: id, status, value, metrics, reason })
    }

    /// The weighted value of what a client tells of a trial.
    fn told_value(&self, id: TrialId, values: &[f64]) -> Result<f64, Rejection> {
        let cure = "tell a finite number, or that the trial failed";
        let metrics = self.spec.objective.metrics.len();
        if values.len() != metrics {
            let message =
                format!("trial {id} is told {} values and the objective has {metrics}", values.len());
            return Err(Rejection::new(codes::NOT_FINITE, message, "tell every metric of the objective"));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(Rejection::new(
                codes::NOT_FINITE,
                format!("the value of trial {id} is {value}"),
                cure,
            ));
        }
        self.spec.objective.value(values).ok_or_else(|| {
            let message = format!("the weighted sum of the metrics of trial {id} is too large for a number");
            Rejection::new(codes::NOT_FINITE, message, cure)
        })
    }

    pub(super) fn report_metrics(
        &self,
        id: TrialId,
        attempt: AttemptNo,
        first: u32,
        points: &[ReportPoint],
    ) -> Result<Vec<Event>, Rejection> {
        let trial = self.running_trial(id)?;
        if attempt != trial.reporter() {
            // Late news of a superseded attempt or lease.
            return Ok(Vec::new());
        }
        let metrics = self.spec.objective.metrics.len();
        for point in points {
            if !point.values.is_empty() && point.values.len() != metrics {
                return Err(Rejection::new(
                    codes::NOT_FINITE,
                    format!("a report has {} values and the objective {metrics} metrics", point.values.len()),
                    "report every metric of the objective",
                ));
            }
        }
        let known = trial.reported(attempt);
        let room = limits::MAX_REPORTS_PER_TRIAL.saturating_sub(known);
        let new: Vec<ReportPoint> = points
            .iter()
            .skip(known.saturating_sub(first as usize))
            .take(room)
            .map(|point| {
                let finite = point.values.iter().all(|value| value.is_finite());
                ReportPoint {
                    values: if finite { point.values.clone() } else { Vec::new() },
                    ..point.clone()
                }
            })
            .collect();
        // Points between what is known and `first` were lost: a collector that reads from the start closes the gap.
        if first as usize > known {
            return Ok(Vec::new());
        }
        let mut first = known;
        let events = new
            .chunks(points_per_event(metrics))
            .map(|chunk| {
                let event = v1::MetricReported {
                    trial: id,
                    attempt,
                    first: u32::try_from(first).unwrap_or(u32::MAX),
                    points: chunk.to_vec(),
                };
                first += chunk.len();
                event.into()
            })
            .collect();
        Ok(events)
    }

    pub(super) fn stop_hopeless(
        &self,
        id: TrialId,
        rule: &str,
        step: u64,
        why: &str,
    ) -> Result<Vec<Event>, Rejection> {
        let trial = self.known_trial(id)?;
        if trial.status.is_ended() || trial.stopping.is_some() {
            return Ok(Vec::new());
        }
        let reason = v1::TrialStop::Early { rule: bounded(rule), step, why: bounded(why) };
        Ok(vec![v1::TrialStopping { trial: id, reason }.into()])
    }
}

fn told_before(trial: &Trial) -> Rejection {
    Rejection::new(
        codes::TRIAL_ENDED,
        format!("trial {} is {} already", trial.id, trial.status),
        "tell each trial's result once",
    )
}

/// So many points that a record of them stays far below [`limits::MAX_RECORD_BYTES`].
fn points_per_event(metrics: usize) -> usize {
    let bytes_per_point = 32 + 9 * metrics;
    (limits::MAX_RECORD_BYTES / 2 / bytes_per_point).clamp(1, limits::MAX_REPORTS_PER_EVENT)
}
