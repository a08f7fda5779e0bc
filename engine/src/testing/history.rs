//! Made-up histories: correct headers around plausible events.

use crate::envelope::Envelope;
use crate::event::{Event, v1, v2};
use crate::id::{ActorId, AttemptNo, ExperimentId, Seq, TaskIndex, TrialId};
use crate::time::Timestamp;
use crate::value::{Point, Value};

/// Records of one trial of [`trials`].
pub const RECORDS_PER_TRIAL: u64 = 14;

/// An endless history of an experiment: its creation, then trials of [`RECORDS_PER_TRIAL`] records each, with ten
/// reports. The same `seq` always gives the same envelope.
pub fn envelope(seq: Seq) -> Envelope {
    let experiment = ExperimentId::from_random(0x5eed);
    let at = seq.0.saturating_sub(2);
    let number = u32::try_from(at / RECORDS_PER_TRIAL).unwrap_or(u32::MAX);
    let (trial, attempt) = (TrialId(number), AttemptNo(1));
    let step = at % RECORDS_PER_TRIAL;
    let (actor, event) = match step {
        _ if seq.0 <= 1 => (ActorId::CLIENT, created()),
        0 => (ActorId::SAMPLER, suggested(trial)),
        1 => (ActorId::ENGINE, v1::AttemptPlanned { trial, attempt, task: TaskIndex(0), slot: 0 }.into()),
        12 => (
            ActorId::BACKEND,
            v1::TaskEnded {
                trial,
                attempt,
                task: TaskIndex(0),
                outcome: v1::Outcome::Succeeded,
                ended: time(seq),
            }
            .into(),
        ),
        13 => (
            ActorId::ENGINE,
            v1::TrialEnded {
                trial,
                status: v1::TrialEnd::Succeeded,
                value: Some(0.93),
                metrics: Vec::new(),
                reason: String::new(),
            }
            .into(),
        ),
        report => (ActorId::BACKEND, reported(trial, attempt, report - 2)),
    };
    let cause = if seq.0 > 1 && step > 0 { Seq(seq.0 - step) } else { Seq(0) };
    let position = u32::try_from(seq.0).unwrap_or(u32::MAX);
    Envelope { seq, experiment, position, time: time(seq), actor, cause, event }
}

/// The envelopes from `first` to `last`, both included.
pub fn envelopes(first: u64, last: u64) -> Vec<Envelope> {
    (first..=last).map(|seq| envelope(Seq(seq))).collect()
}

fn time(seq: Seq) -> Timestamp {
    Timestamp(1_790_000_000_000 + i64::try_from(seq.0).unwrap_or(0) * 7)
}

fn created() -> Event {
    v1::ExperimentCreated {
        name: "digits".to_owned(),
        spec: r#"{"space":{"lr":{"loguniform":[0.0001,0.5]}}}"#.to_owned(),
        seed: 7,
        behaviour: 0,
    }
    .into()
}

fn suggested(trial: TrialId) -> Event {
    let point =
        (0..10_u16).map(|leaf| (leaf, Value::Float(f64::from(trial.0) / f64::from(leaf + 3)))).collect();
    let origin = v1::Origin::Sampled {
        sampler: "tpe".to_owned(),
        version: 1,
        suggested: trial.0,
        ended: trial.0,
        memo: Vec::new(),
    };
    v2::TrialSuggested { trial, point: Point(point), origin, parent: None }.into()
}

fn reported(trial: TrialId, attempt: AttemptNo, step: u64) -> Event {
    let first = u32::try_from(step).unwrap_or(0);
    let point = v1::ReportPoint { step, values: vec![1.0 / f64::from(first + 1)], last: false };
    v1::MetricReported { trial, attempt, first, points: vec![point] }.into()
}
