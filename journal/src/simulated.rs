//! A journal on a simulated disk: deterministic, single-threaded, and able to lose exactly what a real one may lose.
//!
//! Records handed over are pending until [`SimulatedDisk::step`] or a wait makes them durable. A crash keeps the durable
//! ones and a random part of the pending ones, as if the process had died somewhere in between. The disk can also be
//! told to lie or to fail, so that tests can prove that they would notice.

use crate::memory::{end_of, visit_from};
use crate::record::Hash;
use crate::store::encode_batch;
use engine::envelope::Envelope;
use engine::id::Seq;
use engine::ports::journal::{Journal, JournalError, Notify, Room};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is wrong with a simulated disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It calls records durable that are only pending: a planted bug.
    Lies,
    /// The next step finds no room.
    Full,
    /// The next step fails to sync.
    FailsToSync,
    /// There is little room left.
    AlmostFull,
}

#[derive(Default)]
struct Disk {
    durable: Vec<Vec<u8>>,
    pending: VecDeque<Vec<u8>>,
    snapshots: Vec<(Seq, Vec<u8>)>,
    fault: Fault,
    /// The journal that may write: older ones died in a crash.
    incarnation: u64,
    failed: Option<JournalError>,
    notify: Option<Notify>,
}

/// The disk, which outlives crashes.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<Disk>>);

impl SimulatedDisk {
    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the journal on this disk, as a new process: one opened earlier is dead from now on. What it left pending
    /// is written, as by an orderly end; to lose it, crash first.
    pub fn open(&self) -> SimulatedJournal {
        while self.lock().failed.is_none() && self.step(usize::MAX) > 0 {}
        let mut disk = self.lock();
        disk.incarnation += 1;
        disk.pending.clear();
        disk.failed = None;
        disk.notify = None;
        let (head, hash) = end_of(&disk.durable);
        SimulatedJournal { disk: self.clone(), incarnation: disk.incarnation, head, hash }
    }

    /// Sets what is wrong with the disk from now on.
    pub fn set_fault(&self, fault: Fault) {
        self.lock().fault = fault;
    }

    /// Records that are handed over but not durable.
    pub fn pending(&self) -> usize {
        self.lock().pending.len()
    }

    /// Records that are truly durable, whatever the disk says.
    pub fn truly_durable(&self) -> Seq {
        Seq(self.lock().durable.len() as u64)
    }

    /// Makes up to `count` pending records durable and tells the journal's owner; gives how many.
    pub fn step(&self, count: usize) -> usize {
        let (told, notify, moved) = {
            let mut disk = self.lock();
            if disk.failed.is_some() || disk.pending.is_empty() || count == 0 {
                return 0;
            }
            let path = PathBuf::from("simulated");
            let failure = match disk.fault {
                Fault::Full => Some(JournalError::Full { path }),
                Fault::FailsToSync => Some(JournalError::Io {
                    action: "sync the simulated disk".to_owned(),
                    reason: "it was told to fail".to_owned(),
                }),
                Fault::None | Fault::Lies | Fault::AlmostFull => None,
            };
            let mut moved = 0;
            if let Some(error) = failure {
                disk.failed = Some(error);
            } else {
                moved = count.min(disk.pending.len());
                let records: Vec<_> = disk.pending.drain(..moved).collect();
                disk.durable.extend(records);
            }
            let told = disk.failed.clone().map_or(Ok(disk.reported()), Err);
            (told, disk.notify.clone(), moved)
        };
        if let Some(notify) = notify {
            notify(&told);
        }
        moved
    }

    /// The process dies: of the pending records a prefix stays, whose length follows from `seed`; snapshots may be
    /// lost as well, since they are only a cache. Faults are mended.
    pub fn crash(&self, seed: u64) {
        let mut disk = self.lock();
        let bits = scramble(seed);
        let kept = bits % (disk.pending.len() as u64 + 1);
        for _ in 0..kept {
            if let Some(record) = disk.pending.pop_front() {
                disk.durable.push(record);
            }
        }
        let durable = Seq(disk.durable.len() as u64);
        disk.snapshots.retain(|(seq, _)| *seq <= durable);
        if bits >> 60 == 0 {
            disk.snapshots.pop();
        }
        disk.pending.clear();
        disk.incarnation += 1;
        disk.fault = Fault::None;
        disk.failed = None;
        disk.notify = None;
    }
}

impl Disk {
    /// What the disk calls durable.
    fn reported(&self) -> Seq {
        let lies = if self.fault == Fault::Lies { self.pending.len() } else { 0 };
        Seq((self.durable.len() + lies) as u64)
    }

    fn check(&self, incarnation: u64) -> Result<(), JournalError> {
        let dead = || JournalError::Poisoned { reason: "this process has crashed".to_owned() };
        if self.incarnation != incarnation {
            return Err(dead());
        }
        match &self.failed {
            None => Ok(()),
            Some(full @ JournalError::Full { .. }) => Err(full.clone()),
            Some(error) => Err(JournalError::Poisoned { reason: error.to_string() }),
        }
    }
}

/// The finalizer of `SplitMix64`: neighbouring seeds give unrelated bits.
const fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The journal of one life of the process.
pub struct SimulatedJournal {
    disk: SimulatedDisk,
    incarnation: u64,
    head: Seq,
    hash: Hash,
}

impl SimulatedJournal {
    fn alive(&self) -> Result<MutexGuard<'_, Disk>, JournalError> {
        let disk = self.disk.lock();
        disk.check(self.incarnation)?;
        Ok(disk)
    }
}

impl Journal for SimulatedJournal {
    fn head(&self) -> Seq {
        self.head
    }

    fn append(&mut self, batch: Vec<Envelope>) -> Result<(), JournalError> {
        let mut disk = self.alive()?;
        let (records, head, hash) = encode_batch(&batch, self.head, self.hash)?;
        disk.pending.extend(records);
        let told = (disk.fault == Fault::Lies).then(|| disk.reported());
        let notify = disk.notify.clone();
        drop(disk);
        (self.head, self.hash) = (head, hash);
        if let (Some(told), Some(notify)) = (told, notify) {
            notify(&Ok(told));
        }
        Ok(())
    }

    fn durable(&self) -> Result<Seq, JournalError> {
        Ok(self.alive()?.reported())
    }

    fn wait(&mut self, seq: Seq) -> Result<(), JournalError> {
        if seq > self.head {
            return Err(JournalError::Refused { reason: format!("record {seq} was never handed over") });
        }
        loop {
            if self.alive()?.reported() >= seq {
                return Ok(());
            }
            self.disk.step(1);
        }
    }

    fn on_durable(&mut self, notify: Notify) {
        let mut disk = self.disk.lock();
        if disk.incarnation == self.incarnation {
            disk.notify = Some(notify);
        }
    }

    fn read(
        &self,
        from: Seq,
        visit: &mut dyn FnMut(Envelope) -> ControlFlow<()>,
    ) -> Result<(), JournalError> {
        let records = {
            let disk = self.disk.lock();
            let reported = usize::try_from(disk.reported().0).unwrap_or(usize::MAX);
            disk.durable.iter().chain(&disk.pending).take(reported).cloned().collect::<Vec<_>>()
        };
        visit_from(&records, from, visit)
    }

    fn save_snapshot(&mut self, seq: Seq, state: &[u8]) -> Result<(), JournalError> {
        let mut disk = self.alive()?;
        if seq > disk.reported() {
            return Err(JournalError::Refused { reason: format!("record {seq} is not durable") });
        }
        disk.snapshots.push((seq, state.to_vec()));
        Ok(())
    }

    fn load_snapshot(&self) -> Result<Option<(Seq, Vec<u8>)>, JournalError> {
        Ok(self.disk.lock().snapshots.last().cloned())
    }

    fn room(&self) -> Room {
        match self.disk.lock().fault {
            Fault::AlmostFull | Fault::Full => Room::Low,
            _ => Room::Plenty,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::testing::history::envelopes;

    #[test]
    fn a_crash_keeps_what_was_durable_and_a_prefix_of_the_rest() {
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let disk = SimulatedDisk::default();
            let mut journal = disk.open();
            journal.append(envelopes(1, 10)).unwrap();
            disk.step(4);
            assert_eq!(journal.durable(), Ok(Seq(4)));
            disk.crash(seed);
            assert!(matches!(journal.append(envelopes(11, 11)), Err(JournalError::Poisoned { .. })));
            let head = disk.open().head().0;
            assert!((4..=10).contains(&head));
            lengths.insert(head);
        }
        assert_eq!(lengths.len(), 7, "every length occurs");
    }

    #[test]
    fn a_lying_disk_loses_what_it_called_durable() {
        let disk = SimulatedDisk::default();
        let mut journal = disk.open();
        disk.set_fault(Fault::Lies);
        journal.append(envelopes(1, 10)).unwrap();
        assert_eq!(journal.durable(), Ok(Seq(10)));
        assert_eq!(disk.truly_durable(), Seq(0));
        let lost = (0..20).any(|seed| {
            let disk = SimulatedDisk::default();
            disk.set_fault(Fault::Lies);
            let mut journal = disk.open();
            disk.set_fault(Fault::Lies);
            journal.append(envelopes(1, 10)).unwrap();
            disk.crash(seed);
            disk.open().head() < Seq(10)
        });
        assert!(lost);
    }

    #[test]
    fn a_full_disk_poisons_until_it_is_opened_again() {
        let disk = SimulatedDisk::default();
        let mut journal = disk.open();
        disk.set_fault(Fault::Full);
        journal.append(envelopes(1, 2)).unwrap();
        assert!(matches!(journal.wait(Seq(1)), Err(JournalError::Full { .. })));
        assert!(matches!(journal.append(envelopes(3, 3)), Err(JournalError::Full { .. })));
        disk.crash(0);
        let mut journal = disk.open();
        let head = journal.head().0;
        journal.append(envelopes(head + 1, head + 1)).unwrap();
        assert_eq!(journal.wait(Seq(head + 1)), Ok(()));
    }
}
