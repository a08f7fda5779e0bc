//! Trials of several experiments and users where there is no room for all.

use super::dispatcher::{Dispatcher, NoSnapshots};
use super::limits::Limits;
use engine::command::Command;
use engine::effect::Effect;
use engine::event::v1::Outcome;
use engine::id::{ActorId, ExperimentId, SubmissionKey};
use engine::spec::Spec;
use engine::time::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NOW: Timestamp = Timestamp(1_790_000_000_000);

fn id(number: u64) -> ExperimentId {
    ExperimentId::from_random(number)
}

/// Experiments that are told of as `(number, user, what their documents say besides)`.
struct Lab {
    dispatcher: Dispatcher,
    running: Vec<SubmissionKey>,
}

impl Lab {
    fn new(limits: Limits) -> Self {
        let store = journal::MemoryStore::default();
        let mut dispatcher = Dispatcher::open(Box::new(store.open()), Box::new(NoSnapshots)).unwrap();
        dispatcher.bound(limits);
        Self { dispatcher, running: Vec::new() }
    }

    fn create(&mut self, number: u64, user: &str, changes: &Value) {
        let mut document = json!({
            "space": {"x": {"uniform": [0.0, 1.0]}}, "objective": "minimize", "sampler": "random", "metric": {"report": true},
            "first_failures": 0,
            "run": {"fake": {"command": "train"}}, "budget": {"trials": 20, "concurrency": 10},
        });
        document.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let spec = Spec::parse(&document, "").unwrap().0.canonical().to_string();
        let create =
            Command::CreateExperiment { experiment: id(number), spec, seed: 7, labels: BTreeMap::new() };
        self.dispatcher.execute_by(user, &create, NOW).unwrap();
    }

    /// Lets everything follow; what is submitted runs.
    fn settle(&mut self) {
        let (_, effects) = self.dispatcher.settle(NOW).unwrap();
        for effect in effects {
            if let Effect::Submit { key } = effect
                && !self.running.contains(&key)
            {
                let accepted = Command::RecordAccepted { key, handle: key.to_string() };
                self.dispatcher.execute(&accepted, ActorId::BACKEND, NOW).unwrap();
                self.running.push(key);
            }
        }
        self.dispatcher.settle(NOW).unwrap();
    }

    /// Ends the oldest running trial of an experiment.
    fn end_one(&mut self, number: u64) {
        let place = self.running.iter().position(|key| key.experiment == id(number)).unwrap();
        let key = self.running.remove(place);
        let ended = Command::RecordEnded { key, outcome: Outcome::Succeeded, ended: NOW };
        self.dispatcher.execute(&ended, ActorId::BACKEND, NOW).unwrap();
        self.settle();
    }

    fn active<const N: usize>(&self, numbers: [u64; N]) -> [u32; N] {
        numbers.map(|number| self.dispatcher.state().experiment(id(number)).unwrap().active())
    }

    fn waiting(&self) -> Vec<ExperimentId> {
        self.dispatcher.waiting().iter().copied().collect()
    }
}

fn on_fake(trials: u32) -> Limits {
    Limits { backends: BTreeMap::from([("fake".to_owned(), trials)]), ..Limits::default() }
}

#[test]
fn users_and_their_experiments_share_a_backend_evenly_and_each_end_makes_room() {
    let mut lab = Lab::new(on_fake(6));
    lab.create(1, "ann", &json!({}));
    lab.create(2, "ann", &json!({}));
    lab.settle();
    assert_eq!(lab.active([1, 2]), [3, 3]);
    lab.create(3, "ben", &json!({}));
    lab.settle();
    assert_eq!(lab.active([1, 2, 3]), [3, 3, 0], "what runs goes on");
    assert_eq!(lab.waiting().len(), 3);
    for _ in 0..3 {
        lab.end_one(1);
    }
    assert_eq!(lab.active([1, 2, 3]), [0, 3, 3], "the user who has fewer");
    lab.end_one(2);
    assert_eq!(lab.active([1, 2, 3]), [1, 2, 3]);
    assert_eq!(lab.running.len(), 6);
}

#[test]
fn the_higher_priority_comes_first_and_an_update_changes_it() {
    let mut lab = Lab::new(on_fake(2));
    lab.create(1, "ann", &json!({"priority": 4, "budget": {"trials": 4, "concurrency": 4}}));
    lab.create(2, "ann", &json!({"budget": {"trials": 3, "concurrency": 4}}));
    lab.settle();
    assert_eq!(lab.active([1, 2]), [0, 2]);
    lab.end_one(2);
    assert_eq!(lab.active([1, 2]), [0, 2]);
    lab.end_one(2);
    assert_eq!(lab.active([1, 2]), [1, 1], "nothing more is to be started of the other one");
    lab.create(3, "ann", &json!({}));
    let spec = lab.dispatcher.state().experiment(id(1)).unwrap().spec.canonical();
    let mut spec = spec.as_object().unwrap().clone();
    spec.insert("priority".to_owned(), json!(6));
    let update = Command::UpdateExperiment { experiment: id(1), spec: Value::Object(spec).to_string() };
    lab.dispatcher.execute(&update, ActorId::CLIENT, NOW).unwrap();
    lab.end_one(2);
    assert_eq!(lab.active([1, 2, 3]), [2, 0, 0]);
}

#[test]
fn a_user_has_a_bound_on_all_backends_together_and_may_have_one_of_its_own() {
    let users = BTreeMap::from([("ann".to_owned(), 5)]);
    let mut lab = Lab::new(Limits { each_user: Some(2), users, ..Limits::default() });
    lab.create(1, "ann", &json!({}));
    lab.create(2, "ben", &json!({}));
    lab.create(3, "ben", &json!({}));
    lab.settle();
    assert_eq!(lab.active([1, 2, 3]), [5, 1, 1]);
}

#[test]
fn queued_points_wait_for_their_turn_and_those_of_clients_do_not() {
    let mut lab = Lab::new(on_fake(1));
    lab.create(1, "ann", &json!({}));
    lab.settle();
    lab.create(2, "ann", &json!({"sampler": "random", "budget": {"trials": 1, "concurrency": 1}}));
    let point = lab.dispatcher.state().experiment(id(2)).unwrap().spec.space.clone();
    let point = point.from_json(&json!({"x": 0.25}), "").unwrap();
    let enqueue = Command::EnqueuePoint { experiment: id(2), point };
    lab.dispatcher.execute(&enqueue, ActorId::CLIENT, NOW).unwrap();
    lab.settle();
    assert_eq!(lab.active([1, 2]), [1, 0]);
    lab.end_one(1);
    assert_eq!(lab.active([1, 2]), [0, 1], "equals alternate");
    assert_eq!(lab.dispatcher.state().experiment(id(2)).unwrap().queue.len(), 0);
    lab.create(3, "ann", &json!({"run": null}));
    for _ in 0..3 {
        assert!(lab.dispatcher.ask(id(3), NOW).unwrap().is_some());
    }
}

#[test]
fn without_bounds_nobody_waits() {
    let mut lab = Lab::new(Limits::default());
    lab.create(1, "ann", &json!({"priority": 1}));
    lab.create(2, "ben", &json!({}));
    lab.settle();
    assert_eq!((lab.active([1, 2]), lab.waiting()), ([10, 10], Vec::new()));
}
