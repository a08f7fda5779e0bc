//! A journal in memory: the same records, no files. For tests, and for runs that need no history.

use crate::record::{GENESIS, Hash, Record};
use crate::store::encode_batch;
use engine::envelope::Envelope;
use engine::id::Seq;
use engine::ports::journal::{Journal, JournalError, Notify, Room};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct Memory {
    records: Vec<Vec<u8>>,
    snapshot: Option<(Seq, Vec<u8>)>,
}

/// What outlives a [`MemoryJournal`], so that another can go on with it.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Memory>>);

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal of this memory; there should be one at a time.
    pub fn open(&self) -> MemoryJournal {
        let (head, hash) = end_of(&self.lock().records);
        MemoryJournal { store: self.clone(), head, hash, notify: None }
    }
}

/// The seq and the hash at the end of dense records.
pub(crate) fn end_of(records: &[Vec<u8>]) -> (Seq, Hash) {
    let hash = records.last().and_then(|r| Record::exactly(r).ok()).map_or(GENESIS, |r| r.hash());
    (Seq(records.len() as u64), hash)
}

/// Visits dense records from `from` on, decoded.
pub(crate) fn visit_from(
    records: &[Vec<u8>],
    from: Seq,
    visit: &mut dyn FnMut(Envelope) -> ControlFlow<()>,
) -> Result<(), JournalError> {
    let skip = usize::try_from(from.0.saturating_sub(1)).unwrap_or(usize::MAX);
    for (bytes, seq) in records.iter().zip(1..).skip(skip) {
        let seq = Seq(seq);
        let record = Record::exactly(bytes)
            .map_err(|damage| JournalError::Corrupt { seq, reason: damage.to_string() })?;
        if visit(record.envelope().map_err(|e| e.at(seq))?).is_break() {
            break;
        }
    }
    Ok(())
}

/// A journal in memory; everything is durable at once.
pub struct MemoryJournal {
    store: MemoryStore,
    head: Seq,
    hash: Hash,
    notify: Option<Notify>,
}

impl Journal for MemoryJournal {
    fn head(&self) -> Seq {
        self.head
    }

    fn append(&mut self, batch: Vec<Envelope>) -> Result<(), JournalError> {
        let (records, head, hash) = encode_batch(&batch, self.head, self.hash)?;
        self.store.lock().records.extend(records);
        (self.head, self.hash) = (head, hash);
        if let Some(notify) = &self.notify {
            notify(&Ok(head));
        }
        Ok(())
    }

    fn durable(&self) -> Result<Seq, JournalError> {
        Ok(self.head)
    }

    fn wait(&mut self, seq: Seq) -> Result<(), JournalError> {
        if seq > self.head {
            return Err(JournalError::Refused { reason: format!("record {seq} was never handed over") });
        }
        Ok(())
    }

    fn on_durable(&mut self, notify: Notify) {
        self.notify = Some(notify);
    }

    fn read(
        &self,
        from: Seq,
        visit: &mut dyn FnMut(Envelope) -> ControlFlow<()>,
    ) -> Result<(), JournalError> {
        // Cloned, so that the visitor may use the journal's store.
        let records = self.store.lock().records.clone();
        visit_from(&records, from, visit)
    }

    fn save_snapshot(&mut self, seq: Seq, state: &[u8]) -> Result<(), JournalError> {
        if seq > self.head {
            return Err(JournalError::Refused { reason: format!("record {seq} is not durable") });
        }
        self.store.lock().snapshot = Some((seq, state.to_vec()));
        Ok(())
    }

    fn load_snapshot(&self) -> Result<Option<(Seq, Vec<u8>)>, JournalError> {
        Ok(self.store.lock().snapshot.clone())
    }

    fn room(&self) -> Room {
        Room::Plenty
    }
}
