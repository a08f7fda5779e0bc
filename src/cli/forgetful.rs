//! A journal in memory, for clients that want no store.

use engine::envelope::Envelope;
use engine::id::Seq;
use engine::ports::journal::{Journal, JournalError, Notify, Room};
use std::ops::ControlFlow;

/// Keeps nothing: everything is durable at once, for as long as the process lives.
#[derive(Debug)]
pub struct Forgetful(pub Seq);

impl Journal for Forgetful {
    fn head(&self) -> Seq {
        self.0
    }

    fn append(&mut self, batch: Vec<Envelope>) -> Result<(), JournalError> {
        self.0 = batch.last().map_or(self.0, |last| last.seq);
        Ok(())
    }

    fn durable(&self) -> Result<Seq, JournalError> {
        Ok(self.0)
    }

    fn wait(&mut self, _seq: Seq) -> Result<(), JournalError> {
        Ok(())
    }

    fn on_durable(&mut self, _notify: Notify) {}

    fn read(
        &self,
        _from: Seq,
        _visit: &mut dyn FnMut(Envelope) -> ControlFlow<()>,
    ) -> Result<(), JournalError> {
        Ok(())
    }

    fn save_snapshot(&mut self, _seq: Seq, _state: &[u8]) -> Result<(), JournalError> {
        Ok(())
    }

    fn load_snapshot(&self) -> Result<Option<(Seq, Vec<u8>)>, JournalError> {
        Ok(None)
    }

    fn room(&self) -> Room {
        Room::Plenty
    }
}
