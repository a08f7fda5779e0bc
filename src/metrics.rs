//! What the process counts and times, for Prometheus (in its text format, by the `OpenMetrics` library `prometheus-client`).

use crate::runtime::limits::Usage;
use engine::state::{ExperimentStatus, State, TrialStatus};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

/// The type of [`Metrics::text`].
pub const MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of classes of time, in seconds.
const SECONDS: [f64; 11] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
/// Upper bounds of classes of records.
const RECORDS: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0, 4_096.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOperation {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAnswer {
    operation: &'static str,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCall {
    backend: String,
    call: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    backend: String,
    call: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfBackend {
    backend: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStatus {
    status: &'static str,
}

/// Counts and times of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    answers: Family<OfAnswer, Counter>,
    answer_times: Family<OfOperation, Histogram>,
    calls: Family<OfOutcome, Counter>,
    call_times: Family<OfCall, Histogram>,
    commits: Histogram,
    groups: Histogram,
    settling: Histogram,
    call_waits: Family<OfCall, Histogram>,
    inbox: Gauge,
    waiting: Gauge,
    experiments: Family<OfStatus, Gauge>,
    trials: Family<OfStatus, Gauge>,
    held: Gauge,
    running: Family<OfBackend, Gauge>,
    turns: Gauge,
    head: Gauge,
}

fn times() -> Histogram {
    Histogram::new(SECONDS)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("retrial"),
            answers: Family::default(),
            answer_times: Family::new_with_constructor(times),
            calls: Family::default(),
            call_times: Family::new_with_constructor(times),
            commits: times(),
            groups: Histogram::new(RECORDS),
            settling: times(),
            call_waits: Family::new_with_constructor(times),
            inbox: Gauge::default(),
            waiting: Gauge::default(),
            experiments: Family::default(),
            trials: Family::default(),
            held: Gauge::default(),
            running: Family::default(),
            turns: Gauge::default(),
            head: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let all = &mut self.registry;
        all.register("http_requests", "Answers by operation and status", self.answers.clone());
        let name = "http_request_duration";
        all.register_with_unit(
            name,
            "Time to an answer by operation",
            Unit::Seconds,
            self.answer_times.clone(),
        );
        all.register("backend_calls", "Calls of backends by what came of them", self.calls.clone());
        let name = "backend_call_duration";
        all.register_with_unit(name, "Time of a call of a backend", Unit::Seconds, self.call_times.clone());
        let about = "Time from handing records to the journal until they are durable";
        all.register_with_unit("commit_duration", about, Unit::Seconds, self.commits.clone());
        all.register("commit_records", "Records that became durable at once", self.groups.clone());
        let about = "Time in which the engine lets everything follow, suggestions included";
        all.register_with_unit("settle_duration", about, Unit::Seconds, self.settling.clone());
        let about = "Time that a call of a backend waits for its turn, polls included";
        all.register_with_unit("backend_call_wait", about, Unit::Seconds, self.call_waits.clone());
        all.register("inbox_messages", "Messages that wait for the engine", self.inbox.clone());
        all.register("undurable_answers", "Answers and effects that wait for the disk", self.waiting.clone());
        all.register("experiments", "Experiments by status", self.experiments.clone());
        all.register("trials", "Trials by status", self.trials.clone());
        all.register("tasks_held", "Tasks that backends hold", self.held.clone());
        all.register("trials_running", "Trials that have not ended by backend", self.running.clone());
        let about = "Experiments that wait for their turn to start a trial";
        all.register("experiments_waiting", about, self.turns.clone());
        all.register("journal_head", "The number of the last record", self.head.clone());
    }

    /// An operation was answered.
    pub fn answered(&self, operation: &'static str, status: u16, took: Duration) {
        self.answers.get_or_create(&OfAnswer { operation, status: u32::from(status) }).inc();
        self.answer_times.get_or_create(&OfOperation { operation }).observe(took.as_secs_f64());
    }

    /// A backend was called.
    pub fn called(&self, backend: &str, call: &'static str, outcome: &'static str, took: Duration) {
        self.calls.get_or_create(&OfOutcome { backend: backend.to_owned(), call, outcome }).inc();
        self.call_times
            .get_or_create(&OfCall { backend: backend.to_owned(), call })
            .observe(took.as_secs_f64());
    }

    /// Records became durable.
    pub fn committed(&self, records: u64, took: Duration) {
        self.groups.observe(records as f64);
        self.commits.observe(took.as_secs_f64());
    }

    /// The engine has let everything follow.
    pub fn settled(&self, took: Duration) {
        self.settling.observe(took.as_secs_f64());
    }

    /// A call of a backend has waited for its turn.
    pub fn waited(&self, backend: &str, call: &'static str, wait: Duration) {
        self.call_waits
            .get_or_create(&OfCall { backend: backend.to_owned(), call })
            .observe(wait.as_secs_f64());
    }

    /// What waits.
    pub fn waits(&self, messages: usize, answers: usize, experiments: usize) {
        self.turns.set(i64::try_from(experiments).unwrap_or(i64::MAX));
        self.inbox.set(i64::try_from(messages).unwrap_or(i64::MAX));
        self.waiting.set(i64::try_from(answers).unwrap_or(i64::MAX));
    }

    /// Looks at the state.
    pub fn see(&self, state: &State) {
        self.experiments.clear();
        self.trials.clear();
        let status = |status| OfStatus { status };
        for known in
            state.experiments().filter(|known| !known.removed && known.status != ExperimentStatus::Unknown)
        {
            self.experiments.get_or_create(&status(known.status.as_str())).inc();
            for one in TrialStatus::ALL {
                self.trials.get_or_create(&status(one.as_str())).inc_by(i64::from(known.count(one)));
            }
        }
        self.running.clear();
        for (backend, running) in Usage::of(state).backends {
            self.running.get_or_create(&OfBackend { backend }).set(i64::from(running));
        }
        self.held.set(i64::try_from(state.held_count()).unwrap_or(i64::MAX));
        self.head.set(i64::try_from(state.head().0).unwrap_or(i64::MAX));
    }

    /// All of it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // A text takes everything.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
