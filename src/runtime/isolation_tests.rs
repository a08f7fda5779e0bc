//! An experiment whose search cannot be rebuilt, beside one that goes on.

use super::dispatcher::{Dispatcher, Fatal, NoSnapshots};
use super::shell::Runtime;
use engine::command::Command;
use engine::id::{ActorId, ExperimentId};
use engine::spec::Spec;
use engine::time::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;

const NOW: Timestamp = Timestamp(1_790_000_000_000);

fn id(number: u64) -> ExperimentId {
    ExperimentId::from_random(number)
}

/// The first experiment was begun by a program with a sampler that this one does not have.
fn dispatcher() -> Dispatcher {
    let store = journal::MemoryStore::default();
    let mut dispatcher = Dispatcher::open(Box::new(store.open()), Box::new(NoSnapshots)).unwrap();
    for (number, sampler) in [(1, "of_another_version"), (2, "random")] {
        let document = json!({
            "space": {"x": {"uniform": [0.0, 1.0]}}, "objective": "minimize", "sampler": sampler, "metric": {"report": true},
            "run": {"fake": {"command": "train"}}, "budget": {"trials": 9, "concurrency": 2},
        });
        let spec = Spec::parse(&document, "").unwrap().0.canonical().to_string();
        let labels = BTreeMap::new();
        let create = Command::CreateExperiment { experiment: id(number), spec, seed: 7, labels };
        dispatcher.execute(&create, ActorId::CLIENT, NOW).unwrap();
    }
    dispatcher
}

#[test]
fn an_experiment_whose_search_cannot_go_on_stands_still_and_the_others_go_on() {
    let mut dispatcher = dispatcher();
    dispatcher.isolate();
    // Again as well: nothing of it is left half done.
    for _ in 0..2 {
        dispatcher.touch(id(1));
        dispatcher.settle(NOW).unwrap();
        let suggested = |number| dispatcher.state().experiment(id(number)).unwrap().suggested();
        assert_eq!((suggested(1), suggested(2)), (0, 2));
    }
    let (since, why) = dispatcher.stands_still(id(1)).unwrap();
    assert!(*since == NOW && why.contains("of_another_version"), "{why}");
    assert_eq!(dispatcher.stands_still(id(2)), None);
    let error = dispatcher.suggest(id(1), NOW).unwrap_err();
    assert!(error.to_string().contains("of_another_version"), "{error}");
    dispatcher.execute(&Command::StopExperiment { experiment: id(1) }, ActorId::CLIENT, NOW).unwrap();
    dispatcher.settle(NOW).unwrap();
    assert_eq!(dispatcher.stands_still(id(1)), None, "it has ended");
}

#[tokio::test]
async fn whoever_looks_at_it_is_told_that_it_stands_still() {
    let mut dispatcher = dispatcher();
    dispatcher.isolate();
    let (runtime, handle) = Runtime::new(dispatcher, BTreeMap::new());
    let running = tokio::spawn(runtime.run());
    // It has settled before it takes the first question.
    let troubles = handle.look(|runtime| [1, 2].map(|number| runtime.troubles(id(number)))).await.unwrap();
    let [trouble] = troubles[0].as_slice() else { panic!("{troubles:?}") };
    assert_eq!((&trouble.backend, &*trouble.work, trouble.tasks), (&None, "suggest", 0));
    assert!(trouble.reason.contains("of_another_version"), "{trouble:?}");
    assert_eq!(troubles[1], []);
    handle.close().await;
    running.await.unwrap().unwrap();
}

#[test]
fn a_run_of_it_alone_ends_with_the_reason() {
    let error = dispatcher().settle(NOW).unwrap_err();
    assert!(matches!(error, Fatal::Search(broken, _) if broken == id(1)), "{error}");
}
