//! A search with a schedule, in virtual time and through restarts.

use super::dispatcher::{Dispatcher, NoSnapshots};
use engine::command::Command;
use engine::effect::Effect;
use engine::event::Event;
use engine::id::{ActorId, ExperimentId, Seq};
use engine::ports::journal::Journal;
use engine::spec::Spec;
use engine::time::{Span, Timestamp};
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

const HOUR: u64 = 3_600;

fn id() -> ExperimentId {
    ExperimentId::from_random(1)
}

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn open(store: &journal::MemoryStore) -> Dispatcher {
    Dispatcher::open(Box::new(store.open()), Box::new(NoSnapshots)).unwrap()
}

/// Lets everything follow at a time; gives the trials so far and when the engine wakes next.
fn settle(dispatcher: &mut Dispatcher, now: Timestamp) -> (u32, Option<Timestamp>) {
    dispatcher.touch(id());
    let (_, effects) = dispatcher.settle(now).unwrap();
    dispatcher.sync().unwrap();
    let wake = effects.iter().find_map(|effect| match effect {
        Effect::Wake { at, .. } => Some(*at),
        _ => None,
    });
    (dispatcher.state().experiment(id()).unwrap().suggested(), wake)
}

#[test]
fn trials_start_within_the_window_only_whenever_the_process_is_started() {
    let document = json!({
        "space": {"x": {"uniform": [0.0, 1.0]}}, "objective": "minimize", "sampler": "random", "metric": {"report": true},
        "run": {"fake": {"command": "train"}}, "budget": {"trials": 9, "concurrency": 2},
        "schedule": {"from": "22:00", "to": "06:00", "zone": "Asia/Shanghai"},
    });
    let spec = Spec::parse(&document, "").unwrap().0.canonical().to_string();
    let store = journal::MemoryStore::default();
    let mut dispatcher = open(&store);
    // Eight in the morning in Shanghai.
    let morning = at("2026-11-26T00:00:00Z");
    let create = Command::CreateExperiment { experiment: id(), spec, seed: 7, labels: BTreeMap::new() };
    dispatcher.execute(&create, ActorId::CLIENT, morning).unwrap();
    let opens = at("2026-11-26T14:00:00Z");
    let closes = opens.after(Span::from_secs(8 * HOUR));
    assert_eq!(settle(&mut dispatcher, morning), (0, Some(opens)));
    assert_eq!(settle(&mut dispatcher, morning.after(Span::from_secs(HOUR))), (0, Some(opens)));
    assert_eq!(settle(&mut dispatcher, opens), (2, Some(closes)));
    // The process is down when the window closes, and when it opens again.
    drop(dispatcher);
    let mut dispatcher = open(&store);
    let later = closes.after(Span::from_secs(HOUR));
    let again = opens.after(Span::from_secs(24 * HOUR));
    for trial in
        dispatcher.state().experiment(id()).unwrap().active_trials().map(|trial| trial.id).collect::<Vec<_>>()
    {
        let stop = Command::StopTrials { experiment: id(), trials: vec![trial] };
        dispatcher.execute(&stop, ActorId::CLIENT, later).unwrap();
    }
    let key = |trial: u32| engine::id::SubmissionKey {
        experiment: id(),
        trial: engine::id::TrialId(trial),
        attempt: engine::id::AttemptNo(1),
        task: engine::id::TaskIndex(0),
    };
    for trial in 0..2 {
        let cleared = Command::RecordCleared { key: key(trial) };
        dispatcher.execute(&cleared, ActorId::BACKEND, later).unwrap();
    }
    assert_eq!(settle(&mut dispatcher, later), (2, Some(again)), "both have ended, and nothing follows them");
    drop(dispatcher);
    let mut dispatcher = open(&store);
    let closes = again.after(Span::from_secs(8 * HOUR));
    assert_eq!(settle(&mut dispatcher, again.after(Span::from_secs(HOUR))), (4, Some(closes)));
    let mut windows = Vec::new();
    let journal = store.open();
    journal
        .read(Seq(1), &mut |envelope| {
            match envelope.event {
                Event::WindowOpened(_) => windows.push(true),
                Event::WindowClosed(_) => windows.push(false),
                _ => {}
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(windows, [false, true, false, true], "each change is recorded once");
}
