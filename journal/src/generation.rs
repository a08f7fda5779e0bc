//! Exchanging a store's history for another one, in one step that no crash can halve. Read [`SledJournal::replace_by`] first.
//!
//! The other history is built inside of the store, in [`BUILDING`], as a store of its own. Once it is whole and on the device, that
//! directory becomes [`NEXT`] by one rename: from then on it is the history. What stands in it then takes the place of what
//! has the same name in the store, one rename after the other; whoever opens the store next goes on with that. Before the rename all of
//! it is rubbish, and whoever opens the store next removes it.

use crate::bounds::{SLED_LINGERING_PAUSE, SLED_LINGERING_TRIES};
use crate::error::{JournalError, on_file};
use crate::files;
use crate::recovery::Layout;
use crate::store::SledJournal;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// Where another history is being built.
const BUILDING: &str = "next.building";
/// A whole history that is to take the place of the one there is.
const NEXT: &str = "next";
/// What has made room for it.
const FORMER: &str = "former";

impl SledJournal {
    /// An empty place for a history that is to replace this one. It is made with [`crate::Store::open`]; other directories in it take the
    /// place of those of the store as well.
    pub fn place_for_another(&self) -> Result<PathBuf, JournalError> {
        let building = self.path().join(BUILDING);
        remove(&building)?;
        Ok(building)
    }

    /// Ends this journal and puts the history in [`Self::place_for_another`], which nobody has open any more, in its place. After a crash the
    /// store has either of them, whole.
    pub fn replace_by_another(self) -> Result<(), JournalError> {
        let (layout, _lock) = self.into_closed();
        commit(&layout)?;
        settle(&layout.store)
    }
}

/// Makes what was built the history of the store.
fn commit(layout: &Layout) -> Result<(), JournalError> {
    let building = Layout::of(&layout.store.join(BUILDING));
    for layout in [layout, &building] {
        let_go(&layout.db.join("db"))?;
    }
    // The lock stays the store's own. What belongs to the old history only makes room for something empty.
    remove(&building.store.join("lock"))?;
    for dir in [&building.snapshots, &building.tail] {
        files::create_dir(dir)?;
    }
    files::sync_dir(&building.store)?;
    rename(&building.store, &layout.store.join(NEXT))
}

/// Puts a history that was to replace this one in its place, or removes what there is of it if it is not whole. Only while the
/// store's lock is held.
pub(crate) fn settle(store: &Path) -> Result<(), JournalError> {
    while step(store)? {}
    Ok(())
}

/// Does the next thing, after which a crash does no harm; tells whether there was any.
fn step(store: &Path) -> Result<bool, JournalError> {
    let (next, former) = (store.join(NEXT), store.join(FORMER));
    if let Some(names) = names(&next)? {
        // FORMAT is the first of them: it may keep an older program away.
        let Some(name) = names.first() else {
            fs::remove_dir(&next).map_err(|e| on_file(&next, "remove", &e))?;
            files::sync_dir(store)?;
            return Ok(true);
        };
        let (place, aside) = (store.join(name), former.join(name));
        if place.is_dir() {
            files::create_dir(&former)?;
            rename(&place, &aside)?;
        } else {
            rename(&next.join(name), &place)?;
        }
        return Ok(true);
    }
    for rubbish in [former, store.join(BUILDING)] {
        if rubbish.exists() {
            remove(&rubbish)?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// What stands in a directory; `None` if there is none.
fn names(dir: &Path) -> Result<Option<BTreeSet<OsString>>, JournalError> {
    if !dir.exists() {
        return Ok(None);
    }
    let entries = fs::read_dir(dir).map_err(|e| on_file(dir, "list", &e))?;
    entries
        .map(|entry| entry.map(|e| e.file_name()).map_err(|e| on_file(dir, "list", &e)))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Renames durably.
fn rename(from: &Path, to: &Path) -> Result<(), JournalError> {
    fs::rename(from, to).map_err(|e| on_file(from, "rename", &e))?;
    for path in [to, from] {
        path.parent().map_or(Ok(()), files::sync_dir)?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), JournalError> {
    if path.is_dir() {
        return fs::remove_dir_all(path).map_err(|e| on_file(path, "remove", &e));
    }
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(on_file(path, "remove", &e)),
        _ => Ok(()),
    }
}

/// Waits until no thread of sled that was left behind in this process has its file any more, and writes to it or to what comes in its
/// place. Only while the store's lock is held.
pub(crate) fn let_go(path: &Path) -> Result<(), JournalError> {
    if !path.exists() {
        return Ok(());
    }
    let file = File::open(path).map_err(|e| on_file(path, "open", &e))?;
    for _ in 0..SLED_LINGERING_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(SLED_LINGERING_PAUSE),
            Err(TryLockError::Error(e)) => return Err(on_file(path, "lock", &e)),
        }
    }
    Err(JournalError::Busy { path: path.to_owned(), holder: "a thread of its database".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Durability, MirrorReader, OpenOptions, Store, verify};
    use engine::id::Seq;
    use engine::ports::journal::Journal;
    use engine::testing::history::envelopes;
    use engine::testing::journal::read_all;
    use std::ops::ControlFlow;

    const OLD: u64 = 300;
    const NEW: u64 = 120;

    fn filled(store: &Path, records: u64) -> SledJournal {
        let options = OpenOptions { durability: Durability::Process, ..OpenOptions::default() };
        let (mut journal, _) = Store::open(store, options).unwrap();
        journal.append(envelopes(1, records)).unwrap();
        journal.wait(Seq(records)).unwrap();
        journal
    }

    /// A store with another history beside its own.
    fn prepared(store: &Path) -> SledJournal {
        let mut journal = filled(store, OLD);
        journal.save_snapshot(Seq(OLD), b"a state").unwrap();
        let place = journal.place_for_another().unwrap();
        drop(filled(&place, NEW));
        fs::create_dir(place.join("notify")).unwrap();
        journal
    }

    /// What a reader sees: the records, unless it says that it cannot read them.
    fn seen(store: &Path) -> Option<u64> {
        let mut reader = MirrorReader::open(store).ok()?;
        reader.read_records(Seq(1), &mut |_| ControlFlow::Continue(())).ok().map(|next| next.0 - 1)
    }

    fn holds(store: &Path, records: u64) {
        let (journal, report) = Store::open(store, OpenOptions::default()).unwrap();
        assert_eq!(report.repairs, []);
        assert_eq!(read_all(&journal, Seq(1)), envelopes(1, records));
        assert_eq!(journal.load_snapshot().unwrap().is_some(), records == OLD);
        drop(journal);
        let report = verify(store, &mut |_| Ok(())).unwrap();
        assert!(report.ok() && report.notes.is_empty(), "{report:?}");
        for left in [BUILDING, NEXT, FORMER] {
            assert!(!store.join(left).exists(), "{left}");
        }
    }

    #[test]
    fn a_history_takes_the_place_of_another_one() {
        let dir = tempfile::tempdir().unwrap();
        prepared(dir.path()).replace_by_another().unwrap();
        holds(dir.path(), NEW);
        assert!(dir.path().join("notify").exists());
    }

    #[test]
    fn before_the_rename_nothing_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        drop(prepared(dir.path()));
        assert_eq!(seen(dir.path()), Some(OLD));
        holds(dir.path(), OLD);
    }

    #[test]
    fn after_a_crash_at_any_step_whoever_opens_next_finishes_it_and_nobody_reads_half() {
        for steps in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let (layout, lock) = prepared(dir.path()).into_closed();
            commit(&layout).unwrap();
            let taken = (0..steps).take_while(|_| step(dir.path()).unwrap()).count();
            drop(lock);
            let seen = seen(dir.path());
            assert!(matches!(seen, None | Some(OLD | NEW)), "{seen:?} after {steps}");
            assert!(crate::is_store(dir.path()));
            if steps % 2 == 0 {
                // Also if whoever comes next only looks.
                assert!(verify(dir.path(), &mut |_| Ok(())).unwrap().ok());
            }
            holds(dir.path(), NEW);
            if taken < steps {
                assert!(steps > 6, "{steps}");
                break;
            }
        }
    }
}
