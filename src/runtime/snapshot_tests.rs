//! When states are kept, so that a start need not replay everything.

use super::dispatcher::{Dispatcher, SnapshotCodec};
use engine::command::Command;
use engine::id::{ActorId, ExperimentId};
use engine::ports::journal::Journal;
use engine::spec::Spec;
use engine::state::State;
use engine::time::Timestamp;
use journal::{MemoryStore, codec};
use serde_json::json;
use std::collections::BTreeMap;

const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// The journal's own encoding, as the program has it.
struct Binary;

impl SnapshotCodec for Binary {
    fn encode(&self, state: &State) -> Option<Vec<u8>> {
        codec::encode(state).ok()
    }

    fn decode(&self, bytes: &[u8]) -> Option<State> {
        codec::decode(bytes).ok()
    }
}

fn opened(store: &MemoryStore) -> Dispatcher {
    Dispatcher::open(Box::new(store.open()), Box::new(Binary)).unwrap()
}

fn kept(store: &MemoryStore) -> u64 {
    store.open().load_snapshot().unwrap().map_or(0, |(seq, _)| seq.0)
}

#[test]
fn what_an_earlier_process_left_without_a_snapshot_is_kept_by_the_next_one() {
    let store = MemoryStore::default();
    let id = ExperimentId::from_random(1);
    let document =
        json!({"space": {"x": {"uniform": [0.0, 1.0]}}, "objective": "minimize", "sampler": "random"});
    let spec = Spec::parse(&document, "").unwrap().0.canonical().to_string();
    let create = Command::CreateExperiment { experiment: id, spec, seed: 7, labels: BTreeMap::new() };
    let mut killed = opened(&store);
    killed.execute(&create, ActorId::CLIENT, NOW).unwrap();
    for _ in 0..1_200 {
        assert!(killed.suggest(id, NOW).unwrap().is_some());
    }
    killed.sync().unwrap();
    drop(killed);
    assert_eq!(kept(&store), 0);
    let mut next = opened(&store);
    next.close(NOW).unwrap();
    let (head, first) = (next.state().head().0, kept(&store));
    assert_eq!(first, head);
    drop(next);
    let mut again = opened(&store);
    assert_eq!(again.state().head().0, head);
    again.suggest(id, NOW).unwrap();
    again.close(NOW).unwrap();
    assert_eq!(kept(&store), first, "not worth another one");
}
