//! What tasks really do, as a function of their key, and what is known of it afterwards.

use backends::fake::{Draw, FakeWorld, Faults, Play, Script};
use engine::event::v1::Outcome;
use engine::id::{AttemptNo, ExperimentId, SubmissionKey, TrialId};
use engine::ports::backend::{Idempotency, JobHandle, JobState, Source, TaskOrder};
use engine::time::{Span, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The report file of each attempt, which its tasks share, and the part of it that each task writes.
#[derive(Debug, Default)]
pub struct Files {
    attempts: BTreeMap<(ExperimentId, TrialId, AttemptNo), Vec<String>>,
    /// How many lines the file has when a task has run to its end.
    pub lines: BTreeMap<SubmissionKey, usize>,
}

/// A report of a task: the same for the same key and step.
pub fn value(seed: u64, trial: TrialId, step: u64) -> Option<f64> {
    let mut draw = Draw::new(seed ^ (u64::from(trial.0) << 20) ^ (step << 3));
    draw.next();
    if draw.happens(30) { None } else { Some(draw.below(1_000) as f64 / 1_000.0) }
}

fn line(seed: u64, trial: TrialId, step: u64) -> String {
    match value(seed, trial, step) {
        Some(value) => format!("{{\"step\": {step}, \"value\": {value}}}\n"),
        None => format!("{{\"step\": {step}, \"value\": NaN}}\n"),
    }
}

/// What a task does.
fn play(seed: u64, order: &TaskOrder, files: &mut Files) -> Play {
    let key = order.key;
    let mix = |n: u32, by: u64| u64::from(n).wrapping_mul(by);
    let bits =
        mix(key.trial.0 + 1, 0x9e37_79b9) ^ mix(key.attempt.0, 0x85eb_ca6b) ^ u64::from(key.task.0 + 1);
    let mut draw = Draw::new(seed ^ key.experiment.to_u64() ^ bits);
    let longest = if draw.happens(100) { 200_000 } else { 40_000 };
    let runs = 500 + draw.below(longest);
    let outcome = match draw.below(20) {
        0..=2 => {
            let reason = format!("it broke\nin line {}", draw.below(3));
            Outcome::Failed { exit: Some(1 + i32::from(draw.happens(300))), signal: None, reason }
        }
        3 => Outcome::TimedOut,
        _ => Outcome::Succeeded,
    };
    let file = files.attempts.entry((key.experiment, key.trial, key.attempt)).or_default();
    let mut writes: Vec<(Span, Source, String)> =
        file.iter().map(|line| (Span(0), Source::Report, line.clone())).collect();
    let count = draw.below(7);
    for place in 0..count {
        let text = line(seed, key.trial, file.len() as u64);
        // The last line is written just before the end.
        let at = if place + 1 == count { runs } else { runs * (place + 1) / (count + 1) };
        writes.push((Span(at), Source::Report, text.clone()));
        file.push(text);
    }
    files.lines.insert(key, file.len());
    // Some go on long after their time.
    let endless = order.timeout.is_some() && draw.happens(50);
    let natural = if endless { 3_600_000 } else { runs };
    Play {
        queued: Span(draw.below(15_000)),
        runs: Some(Span(natural)),
        outcome,
        writes,
        stops_within: Span(draw.below(20_000)),
    }
}

/// The world of a seed.
pub fn world(seed: u64, idempotency: Idempotency, faults: Faults) -> (FakeWorld, Arc<Mutex<Files>>) {
    let files = Arc::new(Mutex::new(Files::default()));
    let seen = Arc::clone(&files);
    let script: Script = Box::new(move |order, _| play(seed, order, &mut seen.lock().unwrap()));
    let mut world = FakeWorld::new(seed, script);
    world.set_idempotency(idempotency);
    world.set_faults(faults);
    (world, files)
}

/// How a job ended, seen from a time when everything has.
pub fn outcome(world: &mut FakeWorld, handle: &JobHandle) -> Option<(Timestamp, Outcome)> {
    world.set_faults(Faults::default());
    match world.poll(std::slice::from_ref(handle), Timestamp(i64::MAX / 2)).pop() {
        Some(JobState::Ended { ended, outcome, .. }) => Some((ended, outcome)),
        _ => None,
    }
}
