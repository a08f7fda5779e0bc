//! For tests: a dispatcher that replays everything.

use super::SnapshotCodec;
use engine::state::State;

/// Keeps no snapshot.
pub struct NoSnapshots;

impl SnapshotCodec for NoSnapshots {
    fn encode(&self, _state: &State) -> Option<Vec<u8>> {
        None
    }

    fn decode(&self, _bytes: &[u8]) -> Option<State> {
        None
    }
}
