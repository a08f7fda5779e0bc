//! Every journal of this crate obeys the port.
#![expect(clippy::unwrap_used, reason = "tests")]

use engine::testing::journal::{Bench, run};
use retrial_journal::{
    Durability, MemoryJournal, MemoryStore, OpenOptions, SimulatedDisk, SimulatedJournal, SledJournal, Store,
};
use tempfile::TempDir;

struct OnDisk(TempDir, Durability);

impl Bench for OnDisk {
    type Journal = SledJournal;

    fn open(&mut self) -> SledJournal {
        let options = OpenOptions { durability: self.1, ..OpenOptions::default() };
        let (journal, report) = Store::open(&self.0.path().join("store"), options).unwrap();
        assert_eq!(report.repairs, [], "an orderly end leaves nothing to repair");
        journal
    }
}

struct InMemory(MemoryStore);

impl Bench for InMemory {
    type Journal = MemoryJournal;

    fn open(&mut self) -> MemoryJournal {
        self.0.open()
    }
}

struct Simulated(SimulatedDisk);

impl Bench for Simulated {
    type Journal = SimulatedJournal;

    fn open(&mut self) -> SimulatedJournal {
        self.0.open()
    }
}

#[test]
fn the_journal_on_disk_conforms() {
    run(|| OnDisk(tempfile::tempdir().unwrap(), Durability::Disk));
}

#[test]
fn the_journal_on_disk_conforms_without_syncs() {
    run(|| OnDisk(tempfile::tempdir().unwrap(), Durability::Process));
}

#[test]
fn the_journal_in_memory_conforms() {
    run(|| InMemory(MemoryStore::default()));
}

#[test]
fn the_simulated_journal_conforms() {
    run(|| Simulated(SimulatedDisk::default()));
}
