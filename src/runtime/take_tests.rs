//! Clients that take trials and hold them until a time.

use super::dispatcher::{Dispatcher, Holder, NoSnapshots, Refused};
use super::shell::{Runtime, now};
use engine::command::Command;
use engine::event::Event;
use engine::id::{ActorId, ExperimentId, Seq, TrialId};
use engine::ports::journal::Journal;
use engine::spec::Spec;
use engine::time::{Span, Timestamp};
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

const START: Timestamp = Timestamp(1_790_000_000_000);

fn id() -> ExperimentId {
    ExperimentId::from_random(1)
}

fn create(trials: u32) -> Command {
    let document = json!({
        "space": {"x": {"uniform": [0.0, 1.0]}}, "objective": "minimize", "sampler": "random",
        "budget": {"trials": trials},
    });
    let spec = Spec::parse(&document, "").unwrap().0.canonical().to_string();
    Command::CreateExperiment { experiment: id(), spec, seed: 7, labels: BTreeMap::new() }
}

struct Lab {
    store: journal::MemoryStore,
    dispatcher: Dispatcher,
}

impl Lab {
    fn new(trials: u32) -> Self {
        let store = journal::MemoryStore::default();
        let mut dispatcher = Dispatcher::open(Box::new(store.open()), Box::new(NoSnapshots)).unwrap();
        dispatcher.execute(&create(trials), ActorId::CLIENT, START).unwrap();
        Self { store, dispatcher }
    }

    /// A minute, from so many seconds after the start on.
    fn take(&mut self, request: &str, seconds: u64) -> Option<u32> {
        let now = START.after(Span::from_secs(seconds));
        let until = now.after(Span::from_secs(60));
        let holder = Holder { worker: format!("worker of {request}"), request: request.to_owned(), until };
        let taken = self.dispatcher.take(id(), holder, now).unwrap();
        self.dispatcher.settle(now).unwrap();
        taken.map(|trial| trial.0)
    }

    fn give(&mut self, command: &Command) {
        self.dispatcher.execute(command, ActorId::CLIENT, START).unwrap();
    }

    fn lease(&self, trial: u32) -> (u32, &str) {
        let experiment = self.dispatcher.state().experiment(id()).unwrap();
        let lease = experiment.trial(TrialId(trial)).unwrap().lease.as_ref().unwrap();
        (lease.number, &lease.request)
    }
}

#[test]
fn a_trial_of_the_sampler_is_taken_with_its_lease_in_one_commit() {
    let mut lab = Lab::new(9);
    lab.dispatcher.sync().unwrap();
    let before = lab.dispatcher.state().head();
    assert_eq!(lab.take("a", 0), Some(0));
    assert_eq!(lab.lease(0), (1, "a"));
    let mut written = Vec::new();
    let mut read = |store: &journal::MemoryStore| {
        written.clear();
        let from = Seq(before.0 + 1);
        store
            .open()
            .read(from, &mut |record| {
                written.push(record.event);
                ControlFlow::Continue(())
            })
            .unwrap();
        written.len()
    };
    assert_eq!(read(&lab.store), 0, "nothing is handed over before all of it is decided");
    lab.dispatcher.flush().unwrap();
    assert_eq!(read(&lab.store), 2);
    assert!(matches!(written.as_slice(), [Event::TrialSuggested(_), Event::TrialLeased(_)]), "{written:?}");
}

#[test]
fn a_request_that_is_repeated_gets_its_trial_again_also_from_the_next_process() {
    let mut lab = Lab::new(9);
    assert_eq!((lab.take("R#0", 0), lab.take("R#1", 0)), (Some(0), Some(1)));
    let head = lab.dispatcher.state().head();
    assert_eq!((lab.take("R#0", 1), lab.take("R#1", 2)), (Some(0), Some(1)));
    assert_eq!(lab.dispatcher.state().head(), head, "nothing was recorded");
    lab.dispatcher.sync().unwrap();
    lab.dispatcher = Dispatcher::open(Box::new(lab.store.open()), Box::new(NoSnapshots)).unwrap();
    assert_eq!((lab.take("R#1", 3), lab.take("R#0", 3)), (Some(1), Some(0)));
    assert_eq!(lab.take("R#2", 3), Some(2));
    assert_eq!((lab.take("", 3), lab.take("", 3)), (Some(3), Some(4)), "an empty one is another each time");
}

#[test]
fn what_has_run_out_goes_first_then_the_queue_then_the_sampler_until_the_budget_is_used() {
    let mut lab = Lab::new(4);
    assert_eq!((lab.take("a", 0), lab.take("b", 0)), (Some(0), Some(1)));
    let point = lab.dispatcher.state().experiment(id()).unwrap().trial(TrialId(0)).unwrap().point.clone();
    lab.give(&Command::EnqueuePoint { experiment: id(), point });
    assert_eq!((lab.take("c", 61), lab.take("", 61)), (Some(0), Some(1)));
    assert_eq!((lab.lease(0), lab.lease(1)), ((2, "c"), (2, "")));
    assert_eq!((lab.take("d", 61), lab.take("e", 61), lab.take("f", 61)), (Some(2), Some(3), None));
    let experiment = lab.dispatcher.state().experiment(id()).unwrap();
    assert_eq!(experiment.queued, 1);
    assert!(experiment.queue.is_empty() && !experiment.status.is_ended());
}

#[test]
fn nothing_new_is_taken_while_the_experiment_is_paused_or_the_process_holds() {
    let mut lab = Lab::new(9);
    assert_eq!(lab.take("a", 0), Some(0));
    lab.give(&Command::PauseExperiment { experiment: id() });
    assert_eq!((lab.take("b", 0), lab.take("a", 0)), (None, Some(0)));
    lab.give(&Command::ResumeExperiment { experiment: id() });
    let point = lab.dispatcher.state().experiment(id()).unwrap().trial(TrialId(0)).unwrap().point.clone();
    lab.give(&Command::EnqueuePoint { experiment: id(), point });
    lab.dispatcher.hold();
    let head = lab.dispatcher.state().head();
    for seconds in [0, 100] {
        assert_eq!((lab.take("b", seconds), lab.take("a", seconds)), (None, Some(0)));
    }
    assert_eq!(lab.dispatcher.state().head(), head);
    let until = START.after(Span::from_secs(500));
    let (worker, request) = (String::new(), String::new());
    let trial = TrialId(0);
    lab.give(&Command::LeaseTrial { experiment: id(), trial, lease: 1, worker, request, until });
    assert_ne!(lab.dispatcher.state().head(), head, "what runs may go on");
}

#[tokio::test]
async fn the_runtime_answers_who_takes_a_trial_when_it_is_durable() {
    let store = journal::MemoryStore::default();
    let dispatcher = Dispatcher::open(Box::new(store.open()), Box::new(NoSnapshots)).unwrap();
    let (runtime, handle) = Runtime::new(dispatcher, BTreeMap::new());
    let running = tokio::spawn(runtime.run());
    handle.execute(create(1), None).await.unwrap().unwrap();
    let until = now().after(Span::from_secs(3_600));
    let take = async |id: ExperimentId, request: &str| {
        let holder = Holder { worker: "w".to_owned(), request: request.to_owned(), until };
        let taken = handle.with(move |dispatcher| match dispatcher.take(id, holder, now()) {
            Err(Refused::Fatal(fatal)) => Err(fatal),
            taken => Ok(taken),
        });
        taken.await.unwrap()
    };
    assert_eq!(take(id(), "a").await.unwrap(), Some(TrialId(0)));
    let records = store.open().durable().unwrap();
    assert_eq!(records, Seq(3), "created, suggested, leased");
    assert_eq!(take(id(), "a").await.unwrap(), Some(TrialId(0)));
    assert_eq!(take(id(), "b").await.unwrap(), None);
    let unknown = ExperimentId::from_random(2);
    assert!(take(unknown, "a").await.is_err());
    handle.close().await;
    running.await.unwrap().unwrap();
}
