//! Reads when an experiment ends and what is tried again.

use super::reader::{Place, Reader};
use super::{Budget, Retry};
use crate::limits::{MAX_ATTEMPTS, MAX_CONCURRENCY, MAX_TRIALS};
use crate::time::Span;

impl Default for Budget {
    fn default() -> Self {
        Self {
            trials: None,
            concurrency: 1,
            duration: None,
            target: None,
            patience: None,
            cost: None,
            gain: None,
            trial_timeout: None,
            grace: Span::from_secs(10),
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { failed: 1, lost: 3, preempted: 3, doubtful: 1, resume: false, backoff: Span(0) }
    }
}

/// Reads the budget; what has mistakes keeps its default.
pub(super) fn read_budget(reader: &mut Reader, place: Option<Place<'_>>) -> Budget {
    let mut budget = Budget::default();
    let cure = "write, for example, budget: {trials: 40, concurrency: 2}";
    let Some(mut fields) = place.and_then(|place| reader.fields(&place, "a map", cure)) else {
        return budget;
    };
    budget.trials = fields.get("trials").and_then(|at| reader.whole_u32(&at, 1, MAX_TRIALS));
    if let Some(concurrency) =
        fields.get("concurrency").and_then(|at| reader.whole_u32(&at, 1, MAX_CONCURRENCY))
    {
        budget.concurrency = concurrency;
    }
    budget.duration = fields.get("duration").and_then(|at| reader.span(&at, false));
    budget.target = fields.get("target").and_then(|at| reader.number(&at));
    budget.patience = fields.get("patience").and_then(|at| reader.whole_u32(&at, 1, MAX_TRIALS));
    for (key, slot) in [("cost", &mut budget.cost), ("gain", &mut budget.gain)] {
        *slot = fields.get(key).and_then(|at| reader.positive(&at));
    }
    budget.trial_timeout = fields.get("trial_timeout").and_then(|at| reader.span(&at, false));
    if let Some(grace) = fields.get("grace").and_then(|at| reader.span(&at, true)) {
        budget.grace = grace;
    }
    fields.finish(reader);
    budget
}

/// Reads what is tried again; what has mistakes keeps its default.
pub(super) fn read_retry(reader: &mut Reader, place: Option<Place<'_>>) -> Retry {
    let mut retry = Retry::default();
    let cure = "write, for example, retry: {attempts: 3}";
    let Some(mut fields) = place.and_then(|place| reader.fields(&place, "a map", cure)) else {
        return retry;
    };
    if let Some(attempts) = fields.get("attempts").and_then(|at| reader.whole_u32(&at, 1, MAX_ATTEMPTS)) {
        retry.failed = attempts;
        retry.lost = attempts;
        retry.preempted = attempts;
    }
    for (key, slot) in [
        ("failed", &mut retry.failed),
        ("lost", &mut retry.lost),
        ("preempted", &mut retry.preempted),
        ("doubtful", &mut retry.doubtful),
    ] {
        if let Some(attempts) = fields.get(key).and_then(|at| reader.whole_u32(&at, 1, MAX_ATTEMPTS)) {
            *slot = attempts;
        }
    }
    if let Some(resume) = fields.get("resume").and_then(|at| reader.flag(&at)) {
        retry.resume = resume;
    }
    if let Some(backoff) = fields.get("backoff").and_then(|at| reader.span(&at, true)) {
        retry.backoff = backoff;
    }
    fields.finish(reader);
    retry
}
