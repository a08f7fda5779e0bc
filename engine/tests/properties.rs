//! Properties of the pure core under random commands, legal and illegal, in random order.

use proptest::prelude::*;
use retrial_engine::command::Command;
use retrial_engine::event::Event;
use retrial_engine::id::{ExperimentId, Seq};
use retrial_engine::spec::Spec;
use retrial_engine::state::State;
use retrial_engine::testing::driver::{Driver, Failure, replay_from};
use retrial_engine::testing::moves::{Move, Step};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn id() -> ExperimentId {
    ExperimentId::from_random(7)
}

/// A specification as canonical text; the knobs that may change in an update are drawn from `knobs`.
fn spec(shape: u32, knobs: u32) -> String {
    let pick = |place: u32, among: u32| (knobs >> place) % among;
    let mut document = json!({
        "name": "random",
        "space": {"x": {"uniform": [0.0, 1.0]}},
        "objective": {"goal": if shape.is_multiple_of(2) { "minimize" } else { "maximize" }},
        "metric": {"report": true, "final": (["best", "final", "avg"][shape as usize % 3])},
        "budget": {"concurrency": 1 + pick(0, 4), "grace": "5s"},
        "retry": {"failed": 1 + pick(2, 3), "lost": 1 + pick(4, 3), "preempted": 2, "doubtful": 1 + pick(6, 2),
                  "resume": pick(7, 2) == 1, "backoff": (["0s", "10s", "1m"][pick(8, 3) as usize])},
        "first_failures": pick(10, 4),
    });
    let mut put = |place: &str, key: &str, value: Value| document[place][key] = value;
    let replicates = if shape % 7 == 6 { 2 } else { 1 };
    put("objective", "replicates", json!(replicates));
    if pick(12, 3) > 0 {
        put("budget", "trials", json!(replicates + pick(13, 16)));
    }
    if pick(16, 3) == 0 {
        put("budget", "duration", json!(100 + 200 * pick(17, 16)));
    }
    if pick(20, 3) == 0 {
        put("budget", "trial_timeout", json!("40s"));
    }
    if pick(22, 3) == 0 {
        put("budget", "patience", json!(2 * replicates - 1 + u32::from(replicates > 1) + pick(23, 4)));
    }
    if pick(25, 3) == 0 {
        put("budget", "target", json!(if shape.is_multiple_of(2) { 0.5 } else { 9.0 }));
    }
    if shape % 5 == 4 {
        put("objective", "metrics", json!({"a": 0.5, "b": -2.0}));
        document["metric"] = json!({"report": true, "final": (["best", "avg"][pick(27, 2) as usize])});
    }
    if shape % 5 == 3 {
        let bound = ["a >= 2", "c <= 5"][shape as usize / 5 % 2];
        let mut objective = json!({"goals": {"a": "max", "b": "min"}, "constraints": [bound], "cost": "c"});
        document["metric"] = json!({"report": true, "final": (["final", "avg"][pick(27, 2) as usize])});
        let several = shape.is_multiple_of(3);
        if several {
            document["budget"].as_object_mut().unwrap().remove("target");
        } else {
            objective["goals"].as_object_mut().unwrap().remove("b");
            document["budget"]["gain"] = json!(0.1);
        }
        if pick(28, 3) == 0 {
            document["budget"]["cost"] = json!(10 + pick(29, 7));
        }
        document["objective"] = objective;
    }
    if pick(30, 4) == 0 {
        document["schedule"] = json!({"from": "22:00", "to": "06:00"});
    }
    if !shape.is_multiple_of(4) {
        let tasks: Vec<String> = (0..=(shape % 3)).map(|task| format!("task {task}")).collect();
        document["run"] = json!({"fake": {"tasks": tasks}});
        if document["budget"].get("trials").is_none() {
            document["budget"]["duration"] = json!("1h");
        }
    }
    let (spec, _) = Spec::parse(&document, "").unwrap_or_else(|errors| panic!("{errors:?}: {document}"));
    spec.canonical().to_string()
}

fn a_move() -> impl Strategy<Value = Move> {
    (0_u8..100, any::<u32>(), any::<u32>()).prop_map(|(kind, which, detail)| Move { kind, which, detail })
}

fn a_history() -> impl Strategy<Value = (u32, Vec<u32>, Vec<Move>)> {
    (any::<u32>(), prop::collection::vec(any::<u32>(), 1..4), prop::collection::vec(a_move(), 1..400))
}

fn begin(shape: u32, knobs: &[u32]) -> (Driver, Vec<String>) {
    let specs: Vec<String> = knobs.iter().map(|knobs| spec(shape, *knobs)).collect();
    let mut driver = Driver::default();
    let create = Command::CreateExperiment {
        experiment: id(),
        spec: specs[0].clone(),
        seed: 1,
        labels: BTreeMap::new(),
    };
    driver.give(&create).unwrap();
    (driver, specs)
}

/// Plays a move; a rejection is fine, anything else is a mistake of the core.
fn play(driver: &mut Driver, specs: &[String], next: Move) -> Result<(), TestCaseError> {
    match next.step(driver, id(), specs) {
        Step::Wait(span) => driver.wait(span),
        Step::Give(command) => {
            let before = driver.state().clone();
            match driver.give(&command) {
                Ok(_) => {}
                Err(Failure::Rejected(rejection)) => {
                    prop_assert!(!rejection.message.is_empty());
                    prop_assert_eq!(driver.state(), &before, "a rejection changes nothing");
                }
                Err(other) => return Err(TestCaseError::fail(format!("{command:?}: {other}"))),
            }
        }
    }
    Ok(())
}

fn rest(driver: &mut Driver) -> Result<usize, TestCaseError> {
    match driver.advance(id()) {
        Ok(events) => Ok(events.len()),
        Err(Failure::Rejected(_)) => Ok(0),
        Err(other) => Err(TestCaseError::fail(other.to_string())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_decided_can_be_applied_and_indices_follow_from_the_facts((shape, knobs, moves) in a_history()) {
        let (mut driver, specs) = begin(shape, &knobs);
        for next in moves {
            play(&mut driver, &specs, next)?;
            prop_assert_eq!(driver.state().check(), Ok(()), "after {:?}", next);
        }
    }

    #[test]
    fn replay_gives_the_live_state_bit_for_bit((shape, knobs, moves) in a_history()) {
        let (mut driver, specs) = begin(shape, &knobs);
        for next in moves {
            play(&mut driver, &specs, next)?;
        }
        let replayed = driver.replay().unwrap();
        prop_assert_eq!(&replayed, driver.state());
        prop_assert_eq!(replayed.digest(), driver.state().digest());
    }

    #[test]
    fn a_snapshot_and_the_records_after_it_give_the_same_state(
        (shape, knobs, moves) in a_history(),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut driver, specs) = begin(shape, &knobs);
        let cut = cut.index(moves.len());
        let mut snapshot = None;
        for (place, next) in moves.into_iter().enumerate() {
            if place == cut {
                snapshot = Some(serde_json::to_string(driver.state()).unwrap());
            }
            play(&mut driver, &specs, next)?;
        }
        let read: State = serde_json::from_str(&snapshot.unwrap()).unwrap();
        let state = replay_from(read, driver.history()).unwrap();
        prop_assert_eq!(&state, driver.state());
    }

    #[test]
    fn advancing_comes_to_rest_in_steps_bounded_by_the_active_trials((shape, knobs, moves) in a_history()) {
        let (mut driver, specs) = begin(shape, &knobs);
        for next in moves {
            play(&mut driver, &specs, next)?;
            let known = driver.state().experiment(id()).unwrap();
            // Each trial: stop, end of its task, end, or a new task or attempt; and the experiment's own steps.
            let bound = 4 * (known.active() as usize + known.queue.len()) + 4;
            let steps = rest(&mut driver)?;
            prop_assert!(steps <= bound, "{} steps after {:?}, and at most {} are expected", steps, next, bound);
            prop_assert_eq!(driver.state().check(), Ok(()));
        }
    }

    #[test]
    fn what_is_due_is_named_again_until_it_is_done((shape, knobs, moves) in a_history()) {
        let (mut driver, specs) = begin(shape, &knobs);
        for next in moves {
            play(&mut driver, &specs, next)?;
            rest(&mut driver)?;
            let due = driver.state().due(id(), Seq(0));
            prop_assert_eq!(&due, &driver.state().due(id(), Seq(0)));
            // No more work than what is active calls for.
            let known = driver.state().experiment(id()).unwrap();
            prop_assert!(due.len() <= known.active() as usize + 2);
            // The past has left nothing that this process may not have sent: everything is looked for.
            let sent = driver.state().due(id(), driver.state().head());
            let submits = sent.iter().any(|effect| matches!(effect, retrial_engine::effect::Effect::Submit { .. }));
            prop_assert!(!submits);
        }
    }

    #[test]
    fn nothing_starts_while_the_window_of_a_schedule_is_closed((shape, knobs, moves) in a_history()) {
        let (mut driver, specs) = begin(shape, &knobs);
        for next in moves {
            let is_open = |driver: &Driver| driver.state().experiment(id()).unwrap().is_open();
            let (open, before) = (is_open(&driver), driver.history().len());
            play(&mut driver, &specs, next)?;
            rest(&mut driver)?;
            let new = driver.history().get(before..).unwrap();
            let starts = new.iter().any(|one| matches!(one.event, Event::TrialSuggested(_) | Event::AttemptPlanned(_)));
            prop_assert!(!starts || open || is_open(&driver), "after {:?}: {:?}", next, new);
        }
    }

    #[test]
    fn every_experiment_ends_if_its_jobs_do((shape, knobs, moves) in a_history()) {
        let (mut driver, specs) = begin(shape, &knobs);
        for next in moves {
            play(&mut driver, &specs, next)?;
        }
        let _ = driver.give(&Command::StopExperiment { experiment: id() });
        for _ in 0..3 {
            rest(&mut driver)?;
            // Longer than any grace: what does not end is given up.
            driver.wait(retrial_engine::time::Span::from_secs(3_600));
        }
        let known = driver.state().experiment(id()).unwrap();
        prop_assert!(known.status.is_ended(), "{:?}", known);
    }
}
