//! The journal as the dispatcher sees it, with a memory of everything that was handed over.

use engine::envelope::Envelope;
use engine::event::Event;
use engine::id::Seq;
use engine::ports::journal::{Journal, JournalError, Notify, Room};
use engine::state::State;
use journal::SimulatedJournal;
use retrial::runtime::dispatcher::SnapshotCodec;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

/// Every record that was ever handed over and, as far as is known, is still there.
pub type Written = Arc<Mutex<Vec<Envelope>>>;

/// Notes what passes.
pub struct Recorder {
    pub inner: SimulatedJournal,
    pub written: Written,
    /// A planted bug: what is read back is not what was written.
    pub forges: bool,
}

impl Journal for Recorder {
    fn head(&self) -> Seq {
        self.inner.head()
    }

    fn append(&mut self, batch: Vec<Envelope>) -> Result<(), JournalError> {
        self.inner.append(batch.clone())?;
        self.written.lock().unwrap().extend(batch);
        Ok(())
    }

    fn durable(&self) -> Result<Seq, JournalError> {
        self.inner.durable()
    }

    fn wait(&mut self, seq: Seq) -> Result<(), JournalError> {
        self.inner.wait(seq)
    }

    fn on_durable(&mut self, notify: Notify) {
        self.inner.on_durable(notify);
    }

    fn read(
        &self,
        from: Seq,
        visit: &mut dyn FnMut(Envelope) -> ControlFlow<()>,
    ) -> Result<(), JournalError> {
        let forges = self.forges;
        self.inner.read(from, &mut |mut envelope| {
            if let (true, Event::TaskAccepted(accepted)) = (forges, &mut envelope.event) {
                accepted.handle.push('x');
            }
            visit(envelope)
        })
    }

    fn save_snapshot(&mut self, seq: Seq, state: &[u8]) -> Result<(), JournalError> {
        self.inner.save_snapshot(seq, state)
    }

    fn load_snapshot(&self) -> Result<Option<(Seq, Vec<u8>)>, JournalError> {
        self.inner.load_snapshot()
    }

    fn room(&self) -> Room {
        self.inner.room()
    }
}

/// Snapshots as text, so that a planted bug can damage them.
pub struct Snapshots {
    /// Lists and maps that a decoded state forgets.
    pub forgets: &'static [&'static str],
}

impl SnapshotCodec for Snapshots {
    fn encode(&self, state: &State) -> Option<Vec<u8>> {
        serde_json::to_vec(state).ok()
    }

    fn decode(&self, bytes: &[u8]) -> Option<State> {
        let mut value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        for experiment in value.get_mut("experiments")?.as_object_mut()?.values_mut() {
            for name in self.forgets {
                if let Some(list) = experiment.get_mut(*name).and_then(serde_json::Value::as_array_mut) {
                    list.pop();
                }
            }
        }
        serde_json::from_value(value).ok()
    }
}
