//! A history in which everything happens that can, at fixed times and under fixed ids.

use engine::command::Command;
use engine::envelope::Envelope;
use engine::event::v1::{Outcome, ReportPoint};
use engine::id::{ActorId, AttemptNo, ExperimentId, Seq, SubmissionKey, TaskIndex, TrialId};
use engine::ports::journal::Journal;
use engine::spec::Spec;
use engine::state::State;
use engine::time::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

const ANN: ActorId = ActorId::FIRST_NAMED;
const BOB: ActorId = ActorId(17);

/// Records as they come about.
pub struct History {
    state: State,
    /// The records so far.
    pub records: Vec<Envelope>,
    time: Timestamp,
}

impl History {
    /// Everything.
    pub fn of_everything() -> Self {
        let mut history =
            Self { state: State::default(), records: Vec::new(), time: Timestamp(1_790_000_000_000) };
        for name in ["ann@laptop", "bob@cluster"] {
            history.act(ANN, &Command::NameActor { name: name.to_owned() });
        }
        everything(&mut history);
        of_a_client(&mut history);
        of_workers(&mut history);
        braked(&mut history);
        scheduled(&mut history);
        history.act(ANN, &Command::RecordArchive { records: 1_200, head: [0xab; 32], experiments: 3 });
        history.act(ActorId::ENGINE, &Command::TakeCheckpoint);
        history
    }

    /// Writes the records to a store in `dir` and exports that.
    pub fn write(self, dir: &Path, archive: &Path) {
        let (mut journal, _) =
            journal::Store::open(&dir.join("store"), journal::OpenOptions::default()).unwrap();
        let last = self.state.head();
        journal.append(self.records).unwrap();
        journal.wait(last).unwrap();
        journal.export(&mut File::create(archive).unwrap(), None).unwrap();
    }

    fn act(&mut self, actor: ActorId, command: &Command) {
        self.time = self.time.after(engine::time::Span(250));
        let subject = State::subject(command);
        let events = self
            .state
            .decide(command, self.time)
            .unwrap_or_else(|rejection| panic!("{command:?}: {rejection}"));
        let cause = if events.len() > 1 { self.state.head().next() } else { Seq(0) };
        for event in events {
            let seq = self.state.head().next();
            let envelope = Envelope {
                seq,
                experiment: subject,
                position: self.state.next_position(subject),
                time: self.time,
                actor,
                cause: if cause == seq { Seq(0) } else { cause },
                event,
            };
            self.state.apply(&envelope).unwrap();
            self.records.push(envelope);
        }
    }

    fn create(&mut self, number: u64, spec: &Value) -> Lab<'_> {
        let (spec, _) = Spec::parse(spec, "/home/ann/digits").unwrap_or_else(|errors| panic!("{errors:?}"));
        let id = ExperimentId::from_random(number << 59 | number);
        let text = spec.canonical().to_string();
        let labels = BTreeMap::from([("team".to_owned(), "vision".to_owned())]);
        self.act(
            ANN,
            &Command::CreateExperiment { experiment: id, spec: text, seed: 0x5eed + number, labels },
        );
        Lab { history: self, id }
    }
}

/// One experiment of a history.
struct Lab<'h> {
    history: &'h mut History,
    id: ExperimentId,
}

impl Lab<'_> {
    fn act(&mut self, actor: ActorId, command: impl FnOnce(ExperimentId) -> Command) {
        let command = command(self.id);
        self.history.act(actor, &command);
    }

    /// The engine's own rules, until nothing follows.
    fn settle(&mut self) {
        loop {
            let before = self.history.state.head();
            self.act(ActorId::ENGINE, |experiment| Command::Advance { experiment });
            if self.history.state.head() == before {
                return;
            }
        }
    }

    /// The settling that follows some time later.
    fn later(&mut self, seconds: u64) {
        self.history.time = self.history.time.after(engine::time::Span::from_secs(seconds));
        self.settle();
    }

    fn point(&self, params: &Value) -> engine::value::Point {
        let experiment = self.history.state.experiment(self.id).unwrap();
        experiment.spec.space.from_json(params, "params").unwrap()
    }

    /// A sampler proposes a point, and what follows from that.
    fn suggest(&mut self, params: &Value) -> TrialId {
        let experiment = self.history.state.experiment(self.id).unwrap();
        let trial = TrialId(experiment.suggested());
        let ended = u32::try_from(experiment.ended_order.len()).unwrap();
        let (point, memo) = (self.point(params), vec![1, 2, 3, 250]);
        self.act(ActorId::SAMPLER, |experiment| Command::RecordSuggestion {
            experiment,
            trial,
            point,
            sampler: "fixture".to_owned(),
            version: 7,
            ended,
            memo,
            parent: None,
        });
        self.settle();
        trial
    }

    fn key(&self, trial: TrialId, attempt: u32, task: u16) -> SubmissionKey {
        SubmissionKey { experiment: self.id, trial, attempt: AttemptNo(attempt), task: TaskIndex(task) }
    }

    /// The backend holds a task, and it runs.
    fn begin(&mut self, trial: TrialId, attempt: u32, task: u16) {
        let key = self.key(trial, attempt, task);
        self.act(ActorId::BACKEND, |_| Command::RecordAccepted { key, handle: format!("{key}.1") });
        let started = self.history.time;
        self.act(ActorId::BACKEND, |_| Command::RecordStarted { key, started });
    }

    fn end(&mut self, trial: TrialId, attempt: u32, task: u16, outcome: Outcome) {
        let (key, ended) = (self.key(trial, attempt, task), self.history.time);
        self.act(ActorId::BACKEND, |_| Command::RecordEnded { key, outcome, ended });
        self.settle();
    }

    /// A client takes what is there to be taken, for a minute.
    fn take(&mut self, worker: &str) {
        let (worker, until) = (worker.to_owned(), self.history.time.after(engine::time::Span::from_secs(60)));
        let request = format!("request of {worker} at {}", until.0);
        self.act(ActorId::CLIENT, |experiment| Command::TakeTrial { experiment, worker, request, until });
    }

    /// A client takes this trial for a minute.
    fn lease(&mut self, trial: TrialId, lease: u32, worker: &str) {
        let (worker, until) = (worker.to_owned(), self.history.time.after(engine::time::Span::from_secs(60)));
        let request = format!("request of {worker}");
        self.act(ActorId::CLIENT, |experiment| Command::LeaseTrial {
            experiment,
            trial,
            lease,
            worker,
            request,
            until,
        });
    }

    fn tell(&mut self, trial: TrialId, lease: Option<u32>, value: Option<f64>) {
        let values = value.map(|value| vec![value]);
        self.act(ActorId::CLIENT, |experiment| Command::TellTrial { experiment, trial, lease, values });
    }

    fn report(&mut self, trial: TrialId, attempt: u32, first: u32, points: &[(u64, &[f64], bool)]) {
        let points = points
            .iter()
            .map(|(step, values, last)| ReportPoint { step: *step, values: values.to_vec(), last: *last })
            .collect();
        let actor = if attempt == 0 { ActorId::CLIENT } else { ActorId::BACKEND };
        self.act(actor, |experiment| Command::ReportMetrics {
            experiment,
            trial,
            attempt: AttemptNo(attempt),
            first,
            points,
        });
        self.settle();
    }
}

fn space() -> Value {
    json!({
        "lr": {"loguniform": [0.0001, 0.5]},
        "hidden": {"qloguniform": [8, 256, 8]},
        "momentum": {"uniform": [0.0, 0.99]},
        "layers": {"randint": [1, 5]},
        "noise": {"normal": [0.0, 1.0]},
        "size": {"ordinal": ["s", "m", "l"]},
        "net": {"choice": [{"_name": "linear"}, {"_name": "deep", "width": {"quniform": [1, 9, 2]}}]},
    })
}

fn params(momentum: f64, deep: bool) -> Value {
    let net = if deep { json!({"_name": "deep", "width": 4.0}) } else { json!({"_name": "linear"}) };
    json!({"lr": 0.01, "hidden": 64.0, "momentum": momentum, "layers": 3, "noise": -0.5, "size": "m", "net": net})
}

fn failed(exit: i32) -> Outcome {
    Outcome::Failed {
        exit: Some(exit),
        signal: None,
        reason: format!("the command ended with exit code {exit}"),
    }
}

/// An experiment whose trials are run by a backend and meet every fate.
fn everything(history: &mut History) {
    let spec = json!({
        "name": "everything",
        "description": "größer ✓",
        "space": space(),
        "objective": {"metrics": {"auc": 2.0, "loss": -0.5}, "goal": "maximize"},
        "metric": {"stdout": {"auc": "auc=([0-9.]+)", "loss": "loss=([0-9.]+)"}, "final": "best"},
        "sampler": {"tpe": {"startup": 5}},
        "early_stop": {"median": {"start_step": 5}},
        "budget": {"trials": 12, "concurrency": 4, "trial_timeout": "1h", "grace": "10s"},
        "retry": {"failed": 2, "lost": 2, "preempted": 2, "doubtful": 1, "backoff": "5s"},
        "model_path": "/models/${exp_id}/${trial_id}",
        "run": {"local": {"tasks": ["prepare ${lr}", ["train", "--hidden", "${hidden}"]], "env": {"A": "b"}}},
    });
    let mut lab = history.create(3, &spec);
    // Both tasks run to their ends, after a doubt that clears up.
    let trial = lab.suggest(&params(0.5, true));
    let key = lab.key(trial, 1, 0);
    lab.act(ActorId::BACKEND, |_| Command::RecordDoubt { key, reason: "no answer".to_owned() });
    lab.settle();
    lab.act(ActorId::BACKEND, |_| Command::RecordCleared { key });
    lab.begin(trial, 1, 0);
    lab.end(trial, 1, 0, Outcome::Succeeded);
    lab.begin(trial, 1, 1);
    lab.report(trial, 1, 0, &[(1, &[0.5, 2.0], false), (2, &[], false), (3, &[0.75, 1.0], false)]);
    lab.report(trial, 1, 3, &[(4, &[0.625, 0.5], true)]);
    lab.end(trial, 1, 1, Outcome::Succeeded);
    lab.end(trial, 1, 1, failed(9));
    // Failed, tried again after a while, and failed for good.
    let trial = lab.suggest(&params(0.25, false));
    lab.begin(trial, 1, 0);
    lab.end(trial, 1, 0, failed(3));
    lab.later(6);
    lab.begin(trial, 2, 0);
    lab.end(trial, 2, 0, Outcome::Failed { exit: None, signal: Some(11), reason: "SIGSEGV".to_owned() });
    // Lost, then preempted.
    let trial = lab.suggest(&params(0.125, true));
    lab.begin(trial, 1, 0);
    lab.report(trial, 1, 0, &[(1, &[0.125, 0.25], false)]);
    lab.end(trial, 1, 0, Outcome::Lost { reason: "the machine was restarted".to_owned() });
    lab.later(6);
    lab.begin(trial, 2, 0);
    lab.end(trial, 2, 0, Outcome::Preempted { reason: "spot".to_owned() });
    // Refused; over its time by the backend's word; by the engine's own clock.
    let trial = lab.suggest(&params(0.75, false));
    lab.end(trial, 1, 0, Outcome::Refused { reason: "no such queue".to_owned() });
    let trial = lab.suggest(&params(0.875, false));
    lab.begin(trial, 1, 0);
    lab.end(trial, 1, 0, Outcome::TimedOut);
    let trial = lab.suggest(&params(0.0625, true));
    lab.begin(trial, 1, 0);
    lab.later(4_000);
    lab.end(trial, 1, 0, Outcome::Stopped);
    // Stopped by a person, and called hopeless.
    let trial = lab.suggest(&params(0.375, true));
    lab.begin(trial, 1, 0);
    lab.act(BOB, |experiment| Command::StopTrials { experiment, trials: vec![trial] });
    lab.end(trial, 1, 0, Outcome::Stopped);
    let trial = lab.suggest(&params(0.625, true));
    lab.begin(trial, 1, 0);
    lab.report(trial, 1, 0, &[(6, &[0.1, 9.0], false)]);
    let (rule, why) = ("median".to_owned(), "worse than the median".to_owned());
    lab.act(ActorId::EARLY_STOP, |experiment| Command::StopHopeless {
        experiment,
        trial,
        rule,
        step: 6,
        why,
    });
    lab.end(trial, 1, 0, Outcome::Stopped);
    lab.history.act(ActorId::ENGINE, &Command::TakeCheckpoint);
    with_people(&mut lab, spec);
}

/// People queue points, pause, change, stop and reopen.
fn with_people(lab: &mut Lab<'_>, mut spec: Value) {
    let point = lab.point(&params(0.9, false));
    lab.act(ANN, |experiment| Command::PauseExperiment { experiment });
    let label = |value: Option<&str>| BTreeMap::from([("größe".to_owned(), value.map(str::to_owned))]);
    for labels in [label(Some("L")), label(None)] {
        lab.act(BOB, |experiment| Command::LabelExperiment { experiment, labels });
    }
    lab.act(BOB, |experiment| Command::EnqueuePoint { experiment, point });
    lab.settle();
    lab.act(ANN, |experiment| Command::ResumeExperiment { experiment });
    lab.settle();
    spec["budget"]["trials"] = json!(20);
    let text = Spec::parse(&spec, "/home/ann/digits").unwrap().0.canonical().to_string();
    lab.act(BOB, |experiment| Command::UpdateExperiment { experiment, spec: text });
    let queued = TrialId(lab.history.state.experiment(lab.id).unwrap().suggested() - 1);
    lab.begin(queued, 1, 0);
    lab.report(queued, 1, 0, &[(1, &[0.5, 0.5], false)]);
    lab.act(ANN, |experiment| Command::StopExperiment { experiment });
    lab.settle();
    lab.end(queued, 1, 0, Outcome::Stopped);
    lab.act(ANN, |experiment| Command::RetryTrials { experiment, trials: vec![TrialId(1)] });
    lab.settle();
    lab.begin(TrialId(queued.0 + 1), 1, 0);
}

/// An experiment whose trials a client runs, over a space that comes to its end.
fn of_a_client(history: &mut History) {
    let spec = json!({
        "name": "client",
        "space": {"kind": {"choice": ["a", "b"]}, "on": {"choice": [true]}},
        "objective": {"metric": "score", "goal": "minimize"},
        "sampler": "grid",
    });
    let mut lab = history.create(5, &spec);
    let first = lab.suggest(&json!({"kind": "a", "on": true}));
    let second = lab.suggest(&json!({"kind": "b", "on": true}));
    lab.report(first, 0, 0, &[(0, &[0.1 + 0.2], false)]);
    lab.tell(first, None, Some(-1e-300));
    lab.tell(second, None, None);
    lab.act(ActorId::SAMPLER, |experiment| Command::RecordExhaustion { experiment });
    lab.settle();
    lab.act(BOB, |experiment| Command::RemoveExperiment { experiment });
}

/// An experiment whose trials clients take until a time, and take over from each other.
fn of_workers(history: &mut History) {
    let spec = json!({
        "name": "workers",
        "space": {"x": {"uniform": [0, 1]}},
        "objective": {"metric": "score", "goal": "maximize"},
        "budget": {"trials": 3},
    });
    let mut lab = history.create(9, &spec);
    let trial = lab.suggest(&json!({"x": 0.25}));
    lab.lease(trial, 1, "worker-1");
    lab.report(trial, 1, 0, &[(1, &[0.25], false), (2, &[0.5], false)]);
    lab.lease(trial, 1, "worker-1");
    lab.later(61);
    lab.take("worker-2");
    lab.report(trial, 2, 0, &[(1, &[0.125], false)]);
    lab.tell(trial, Some(2), Some(0.75));
    let point = lab.point(&json!({"x": 0.5}));
    lab.act(BOB, |experiment| Command::EnqueuePoint { experiment, point });
    lab.take("worker-2");
    let last = lab.suggest(&json!({"x": 0.75}));
    lab.lease(last, 1, "worker-3");
    lab.tell(last, Some(1), None);
}

/// An experiment whose window opens and closes.
fn scheduled(history: &mut History) {
    let spec = json!({
        "name": "nights",
        "space": {"x": {"uniform": [0, 1]}},
        "objective": {"metric": "score", "goal": "maximize"},
        "budget": {"trials": 5},
        "schedule": {"from": "22:00", "to": "06:00", "zone": "Asia/Shanghai"},
    });
    let mut lab = history.create(10, &spec);
    let until = Some(Timestamp(1_790_000_600_000));
    lab.act(ActorId::ENGINE, |experiment| Command::SetWindow { experiment, open: true, until });
    lab.suggest(&json!({"x": 0.25}));
    lab.act(ActorId::ENGINE, |experiment| Command::SetWindow { experiment, open: false, until });
    lab.act(ActorId::ENGINE, |experiment| Command::SetWindow { experiment, open: true, until: None });
}

/// An experiment whose first trials all fail alike.
fn braked(history: &mut History) {
    let spec = json!({
        "name": "braked",
        "space": {"x": {"uniform": [0, 1]}},
        "objective": {"metric": "score", "goal": "maximize"},
        "budget": {"trials": 5},
        "first_failures": 2,
        "run": {"local": {"command": "train ${x}"}},
    });
    let mut lab = history.create(7, &spec);
    for x in [0.25, 0.5] {
        let trial = lab.suggest(&json!({"x": x}));
        lab.begin(trial, 1, 0);
        lab.end(trial, 1, 0, failed(4));
    }
    lab.act(ANN, |experiment| Command::ResumeExperiment { experiment });
    let trial = lab.suggest(&json!({"x": 0.75}));
    lab.begin(trial, 1, 0);
    lab.report(trial, 1, 0, &[(1, &[0.5], false)]);
}
