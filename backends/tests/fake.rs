//! The backend in memory obeys its port, and its faults are what they say.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/orders.rs"]
mod orders;

use async_trait::async_trait;
use engine::event::v1::Outcome;
use engine::id::SubmissionKey;
use engine::ports::backend::{
    Backend, Found, Idempotency, JobHandle, JobState, Source, Submitted, TaskOrder,
};
use engine::testing::backend::{CASES, Script, Subject, TEXT, key};
use engine::time::{Span, Timestamp};
use orders::{block_on, shell};
use retrial_backends::fake::{FakeBackend, FakeWorld, Faults, Play};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

struct Fake {
    backend: FakeBackend,
    time: Arc<AtomicI64>,
}

impl Fake {
    fn new() -> Self {
        let time = Arc::new(AtomicI64::new(1_000_000));
        let clock = Arc::clone(&time);
        let world = Arc::new(Mutex::new(FakeWorld::new(1, Box::new(|order, _| play(order)))));
        let clock = Arc::new(move || Timestamp(clock.load(Ordering::Relaxed)));
        Self { backend: FakeBackend::new(world, clock), time }
    }
}

fn play(order: &TaskOrder) -> Play {
    let mut play = Play { queued: Span(3), runs: Some(Span(10)), ..Play::default() };
    let code = order.env.get("CODE").map(|code| code.parse().unwrap());
    match code {
        Some(-1) => play.runs = None,
        Some(exit) if exit > 0 => {
            let reason = "exit code, it broke".to_owned();
            play.outcome = Outcome::Failed { exit: Some(exit), signal: None, reason };
        }
        _ => play.writes = vec![(Span(1), Source::Stdout, TEXT.to_owned())],
    }
    play
}

#[async_trait]
impl Subject for Fake {
    fn backend(&self) -> &dyn Backend {
        &self.backend
    }

    fn restart(&mut self) {
        // All that there is, is the world.
        self.backend = self.backend.clone();
    }

    async fn pass(&mut self) {
        self.time.fetch_add(1, Ordering::Relaxed);
    }

    fn order(&self, key: SubmissionKey, script: Script) -> TaskOrder {
        let code = match script {
            Script::Print => 0,
            Script::Fail(code) => code,
            Script::Forever => -1,
        };
        let mut order = shell(key, "");
        order.env.insert("CODE".to_owned(), code.to_string());
        order
    }

    fn starts(&self, key: &SubmissionKey) -> usize {
        let now = self.backend.now();
        self.backend.world().starts(now).iter().filter(|start| start.key == *key).count()
    }
}

#[test]
fn the_fake_backend_obeys_its_port() {
    for (name, case) in CASES {
        if let Err(violation) = block_on(case(&mut Fake::new())) {
            panic!("{name}: {violation}");
        }
    }
}

fn world(faults: Faults) -> FakeWorld {
    let mut world = FakeWorld::new(7, Box::new(|_, _| Play::default()));
    world.set_faults(faults);
    world
}

const T: Timestamp = Timestamp(1_000_000);

#[test]
fn a_lost_answer_leaves_a_job_that_is_found() {
    let mut world = world(Faults { lost_answer: 1_000, ..Faults::default() });
    assert!(matches!(world.submit(&shell(key(1, 0), ""), T), Submitted::Unknown(_)));
    assert!(matches!(world.find(&key(1, 0), T), Found::One(_)));
    assert_eq!(world.starts(T).len(), 1);
}

#[test]
fn a_lost_order_is_certain_only_after_a_while() {
    let mut world = world(Faults { lost_order: 1_000, ..Faults::default() });
    world.set_window(Span(100));
    assert!(matches!(world.submit(&shell(key(1, 0), ""), T), Submitted::Unknown(_)));
    assert_eq!(world.find(&key(1, 0), T.after(Span(99))), Found::NoneYet);
    assert_eq!(world.find(&key(1, 0), T.after(Span(100))), Found::NoneForSure);
    assert_eq!(world.starts(T.after(Span(100))), []);
}

#[test]
fn a_job_that_is_slow_to_appear_is_found_in_the_end() {
    let mut world = world(Faults { slow_to_appear: 1_000, ..Faults::default() });
    world.submit(&shell(key(1, 0), ""), T);
    assert_eq!(world.find(&key(1, 0), T), Found::NoneYet);
    let visible = world.next_change(T).unwrap().max(T.after(Span(10_000)));
    assert!(matches!(world.find(&key(1, 0), visible), Found::One(_)));
}

fn accepted(world: &mut FakeWorld) -> JobHandle {
    match world.submit(&shell(key(1, 0), ""), T) {
        Submitted::Accepted(handle) => handle,
        other => panic!("{other:?}"),
    }
}

fn outcome(world: &mut FakeWorld, handle: &JobHandle, at: Timestamp) -> Option<Outcome> {
    match world.poll(std::slice::from_ref(handle), at).remove(0) {
        JobState::Ended { outcome, .. } => Some(outcome),
        _ => None,
    }
}

#[test]
fn a_late_result_comes_after_the_job_was_called_lost() {
    let mut world = world(Faults { late_result: 1_000, ..Faults::default() });
    let handle = accepted(&mut world);
    let lost = outcome(&mut world, &handle, T.after(Span(999)));
    assert!(matches!(lost, Some(Outcome::Lost { .. })), "{lost:?}");
    assert_eq!(outcome(&mut world, &handle, T.after(Span(1_000))), Some(Outcome::Succeeded));
    assert!(world.starts(T)[0].hidden);
}

#[test]
fn a_stop_that_comes_when_the_task_has_ended_loses_the_race() {
    let mut world = world(Faults::default());
    let handle = accepted(&mut world);
    world.stop(&handle, T.after(Span(1_000))).unwrap();
    assert_eq!(outcome(&mut world, &handle, T.after(Span(2_000))), Some(Outcome::Succeeded));
}

#[test]
fn a_backend_that_is_not_idempotent_really_runs_a_task_twice() {
    let mut world = world(Faults::default());
    world.set_idempotency(Idempotency::FindByKey);
    accepted(&mut world);
    accepted(&mut world);
    assert!(matches!(world.find(&key(1, 0), T), Found::Several(handles) if handles.len() == 2));
    assert_eq!(world.started_twice(T), [key(1, 0)]);
}

#[test]
fn the_same_seed_and_calls_give_the_same_answers() {
    let run = || {
        let mut world = world(Faults::all(200));
        let mut answers = Vec::new();
        for trial in 0..50 {
            answers.push(format!("{:?}", world.submit(&shell(key(trial, 0), ""), T)));
            answers.push(format!("{:?}", world.find(&key(trial, 0), T.after(Span(5)))));
        }
        answers.push(format!("{:?}", world.starts(T)));
        answers
    };
    assert_eq!(run(), run());
}
