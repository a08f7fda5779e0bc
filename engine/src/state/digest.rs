//! A digest of the facts of a state: equal states have equal digests, on every machine and for ever.
//!
//! It covers what the events said, though not who caused them (their headers do, which are chained), in a fixed encoding of its own, and no index, so that programs may change how they keep
//! a state. A change of what is covered is a new [`DIGEST_VERSION`].

use super::State;
use super::attempt::{Attempt, TaskPhase};
use super::experiment::Experiment;
use super::trial::Trial;
use crate::event::v1::{Origin, Outcome, PauseReason, TrialStop};
use crate::event::v2::EndReason;
use crate::id::ExperimentId;
use crate::value::{Point, Value};
use std::fmt;

/// The definition of the digest in this file.
pub const DIGEST_VERSION: u8 = 1;

/// 32 bytes of BLAKE3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl State {
    /// The digest of everything.
    pub fn digest(&self) -> Digest {
        let mut hash = Hash::new("retrial state 1");
        hash.number(self.actors.len() as u64);
        for (actor, name) in &self.actors {
            hash.number(u64::from(actor.0));
            hash.text(name);
        }
        hash.number(self.experiments.len() as u64);
        for experiment in self.experiments.values() {
            hash.number(experiment.id.to_u64());
            hash.bytes(&experiment.digest().0);
        }
        hash.finish()
    }

    /// The digest of one experiment.
    pub fn experiment_digest(&self, id: ExperimentId) -> Option<Digest> {
        self.experiments.get(&id).map(Experiment::digest)
    }
}

/// Feeds numbers, texts and lists to BLAKE3 so that no two different sequences give the same bytes.
struct Hash(blake3::Hasher);

impl Hash {
    fn new(domain: &str) -> Self {
        Self(blake3::Hasher::new_derive_key(domain))
    }

    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn signed(&mut self, number: i64) {
        self.0.update(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn real(&mut self, real: f64) {
        self.0.update(&real.to_bits().to_le_bytes());
    }

    fn option<T>(&mut self, option: Option<T>, feed: impl FnOnce(&mut Self, T)) {
        self.number(u64::from(option.is_some()));
        if let Some(value) = option {
            feed(self, value);
        }
    }

    fn point(&mut self, point: &Point) {
        self.number(point.0.len() as u64);
        for (leaf, value) in &point.0 {
            self.number(u64::from(*leaf));
            match value {
                Value::Float(x) => {
                    self.number(0);
                    self.real(*x);
                }
                Value::Int(n) => {
                    self.number(1);
                    self.signed(*n);
                }
                Value::Option(n) => {
                    self.number(2);
                    self.number(u64::from(*n));
                }
            }
        }
    }

    fn finish(self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

impl Experiment {
    fn digest(&self) -> Digest {
        let mut hash = Hash::new("retrial experiment 1");
        hash.number(self.id.to_u64());
        hash.text(self.spec.text());
        hash.number(self.seed);
        hash.number(u64::from(self.behaviour));
        hash.text(self.status.as_str());
        hash.option(self.paused.as_ref(), |hash, reason| match reason {
            PauseReason::Asked => hash.text("asked"),
            PauseReason::Brake { failure } => {
                hash.text("brake");
                hash.text(failure);
            }
        });
        hash.option(self.end.as_ref(), |hash, reason| match reason {
            EndReason::Trials => hash.text("trials"),
            EndReason::Target => hash.text("target"),
            EndReason::Patience => hash.text("patience"),
            EndReason::Duration => hash.text("duration"),
            EndReason::Exhausted => hash.text("exhausted"),
            EndReason::Asked => hash.text("asked"),
            EndReason::Engine { reason } => {
                hash.text("engine");
                hash.text(reason);
            }
            EndReason::Cost => hash.text("cost"),
            EndReason::Gain { expected } => {
                hash.text("gain");
                hash.real(*expected);
            }
        });
        hash.number(u64::from(self.removed));
        hash.signed(self.created.0);
        hash.option(self.started, |hash, time| hash.signed(time.0));
        hash.option(self.ended, |hash, time| hash.signed(time.0));
        hash.number(u64::from(self.position));
        hash.number(u64::from(self.extra));
        hash.number(u64::from(self.since_best));
        hash.number(u64::from(self.streak.length));
        hash.text(&self.streak.failure);
        hash.number(u64::from(self.streak.released));
        hash.number(u64::from(self.exhausted));
        hash.option(self.best, |hash, (trial, value)| {
            hash.number(u64::from(trial.0));
            hash.real(value);
        });
        // Left out where they say nothing: older histories keep their digests.
        if !self.front.is_empty() {
            hash.text("front");
            hash.number(self.front.len() as u64);
            for trial in &self.front {
                hash.number(u64::from(trial.0));
            }
        }
        if let Some(window) = &self.window {
            hash.text("window");
            hash.number(u64::from(window.open));
            hash.option(window.until, |hash, time| hash.signed(time.0));
        }
        if self.spent > 0.0 {
            hash.text("spent");
            hash.real(self.spent);
        }
        if !self.labels.is_empty() {
            hash.text("labels");
            hash.number(self.labels.len() as u64);
            for (name, value) in &self.labels {
                hash.text(name);
                hash.text(value);
            }
        }
        hash.number(u64::from(self.queued));
        hash.number(self.queue.len() as u64);
        for (entry, queued) in &self.queue {
            hash.number(u64::from(*entry));
            hash.point(&queued.point);
            hash.option(queued.retry_of, |hash, trial| hash.number(u64::from(trial.0)));
            hash.number(u64::from(queued.extra));
        }
        hash.number(self.trials.len() as u64);
        for trial in &self.trials {
            trial.feed(&mut hash);
        }
        hash.number(self.ended_order.len() as u64);
        for trial in &self.ended_order {
            hash.number(u64::from(trial.0));
        }
        hash.finish()
    }
}

impl Trial {
    fn feed(&self, hash: &mut Hash) {
        hash.number(u64::from(self.id.0));
        hash.point(&self.point);
        match &self.origin {
            Origin::Sampled { sampler, version, suggested, ended, memo } => {
                hash.text(sampler);
                hash.number(u64::from(*version));
                hash.number(u64::from(*suggested));
                hash.number(u64::from(*ended));
                hash.bytes(memo);
            }
            Origin::Queued { entry } => {
                hash.text("queued");
                hash.number(u64::from(*entry));
            }
        }
        hash.option(self.retry_of, |hash, trial| hash.number(u64::from(trial.0)));
        // Left out where there is none: histories from before there were parents or leases keep their digests.
        if let Some(parent) = self.parent {
            hash.text("parent");
            hash.number(u64::from(parent.0));
        }
        if let Some(lease) = &self.lease {
            hash.text("lease");
            hash.number(u64::from(lease.number));
            hash.text(&lease.worker);
            hash.text(&lease.request);
            hash.signed(lease.until.0);
        }
        hash.number(u64::from(self.extra));
        hash.text(self.status.as_str());
        hash.option(self.stopping.as_ref(), |hash, reason| match reason {
            TrialStop::Asked => hash.text("asked"),
            TrialStop::Early { rule, step, why } => {
                hash.text("early");
                hash.text(rule);
                hash.number(*step);
                hash.text(why);
            }
            TrialStop::Experiment => hash.text("experiment"),
            TrialStop::Timeout => hash.text("timeout"),
        });
        hash.signed(self.suggested.0);
        hash.option(self.ended, |hash, time| hash.signed(time.0));
        hash.option(self.value, Hash::real);
        hash.number(self.metrics.len() as u64);
        for metric in &self.metrics {
            hash.real(*metric);
        }
        hash.text(&self.reason);
        hash.number(self.reports.len() as u64);
        for report in &self.reports {
            hash.number(u64::from(report.attempt.0));
            hash.number(report.step);
            hash.option(report.value, Hash::real);
            hash.number(report.metrics.len() as u64);
            for metric in &report.metrics {
                hash.real(*metric);
            }
            hash.signed(report.time.0);
            hash.number(u64::from(report.last));
        }
        hash.number(self.attempts.len() as u64);
        for attempt in &self.attempts {
            attempt.feed(hash);
        }
    }
}

impl Attempt {
    fn feed(&self, hash: &mut Hash) {
        hash.number(u64::from(self.number.0));
        hash.number(u64::from(self.slot));
        hash.signed(self.planned.0);
        hash.number(self.tasks.len() as u64);
        for task in &self.tasks {
            hash.number(u64::from(task.task.0));
            hash.number(task.planned.0);
            hash.option(task.handle.as_ref(), |hash, handle| hash.text(&handle.0));
            hash.option(task.started, |hash, time| hash.signed(time.0));
            hash.option(task.ended, |hash, time| hash.signed(time.0));
            match &task.phase {
                TaskPhase::Planned => hash.text("planned"),
                TaskPhase::Accepted => hash.text("accepted"),
                TaskPhase::Running => hash.text("running"),
                TaskPhase::Doubtful(reason) => {
                    hash.text("doubtful");
                    hash.text(reason);
                }
                TaskPhase::Ended(outcome) => feed_outcome(hash, outcome),
            }
        }
    }
}

fn feed_outcome(hash: &mut Hash, outcome: &Outcome) {
    match outcome {
        Outcome::Succeeded => hash.text("succeeded"),
        Outcome::Failed { exit, signal, reason } => {
            hash.text("failed");
            hash.option(*exit, |hash, exit| hash.signed(i64::from(exit)));
            hash.option(*signal, |hash, signal| hash.signed(i64::from(signal)));
            hash.text(reason);
        }
        Outcome::TimedOut => hash.text("timed out"),
        Outcome::Lost { reason } => {
            hash.text("lost");
            hash.text(reason);
        }
        Outcome::Preempted { reason } => {
            hash.text("preempted");
            hash.text(reason);
        }
        Outcome::Stopped => hash.text("stopped"),
        Outcome::Refused { reason } => {
            hash.text("refused");
            hash.text(reason);
        }
    }
}
