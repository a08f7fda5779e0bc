//! Getting at a store: reading without disturbing whoever holds it, or holding it.

use super::args::{Common, Durability};
use crate::error::{Failure, exit};
use crate::past;
use crate::runtime::dispatcher::{Dispatcher, Fatal, SnapshotCodec};
use engine::envelope::Envelope;
use engine::id::Seq;
use engine::state::{SNAPSHOT_VERSION, State};
use journal::{MirrorReader, OpenOptions, OpenReport, SledJournal, Store};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Snapshots in the journal's own encoding.
#[derive(Debug, Clone, Copy)]
pub struct BinarySnapshots;

impl SnapshotCodec for BinarySnapshots {
    fn encode(&self, state: &State) -> Option<Vec<u8>> {
        journal::codec::encode(state).ok()
    }

    fn decode(&self, bytes: &[u8]) -> Option<State> {
        journal::codec::decode(bytes).ok()
    }
}

/// Opens the store to write. The journal itself warns of what was put right.
pub fn hold(common: &Common, create: bool) -> Result<(SledJournal, OpenReport), Failure> {
    if !create {
        past::exists(&common.store)?;
    }
    open(common, OpenOptions { create, ..OpenOptions::default() })
}

fn open(common: &Common, options: OpenOptions) -> Result<(SledJournal, OpenReport), Failure> {
    if let Ok(format) = std::fs::metadata(common.store.join("FORMAT")) {
        is_ours(&common.store, format.uid(), nix::unistd::geteuid().as_raw())?;
    }
    let options = OpenOptions {
        durability: match common.durability {
            Durability::Process => journal::Durability::Process,
            Durability::Disk => journal::Durability::Disk,
        },
        snapshot_schema: SNAPSHOT_VERSION,
        ..options
    };
    let (journal, report) = Store::open(&common.store, options)?;
    if let Some(refused) = &report.append_refused {
        return Err(refused.clone().into());
    }
    Ok((journal, report))
}

/// Whoever writes to a store makes files in it that its owner has to be able to open: an administrator's would keep the daemon out.
fn is_ours(store: &Path, owner: u32, we: u32) -> Result<(), Failure> {
    if owner == we {
        return Ok(());
    }
    let user = nix::unistd::User::from_uid(owner.into()).ok().flatten();
    let name = user.map_or_else(|| format!("#{owner}"), |user| user.name);
    Err(Failure {
        code: Some(crate::codes::NOT_OURS.to_string()),
        ..Failure::new(
            exit::FAILED,
            format!("the store {} belongs to another user, {name}", store.display()),
            format!("act as its owner: `sudo -u {name} retrial ...`"),
        )
    })
}

/// Opens the store and recovers the state.
pub fn dispatcher(common: &Common, create: bool) -> Result<(Dispatcher, OpenReport), Failure> {
    let (journal, report) = hold(common, create)?;
    let dispatcher = Dispatcher::open(Box::new(journal), Box::new(BinarySnapshots))?;
    Ok((dispatcher, report))
}

/// Follows the history of a store without holding it.
pub struct Follower {
    reader: MirrorReader,
    next: Seq,
    /// The state as of the last record read.
    pub state: State,
}

impl Follower {
    /// Reads the history, from the newest state on that was kept of it.
    pub fn open(store: &Path) -> Result<Self, Failure> {
        past::exists(store)?;
        let reader = MirrorReader::open(store)?;
        let kept = reader
            .snapshot(SNAPSHOT_VERSION)
            .and_then(|(seq, bytes)| BinarySnapshots.decode(&bytes).filter(|state| state.head() == seq));
        let state = kept.unwrap_or_default();
        let mut follower = Self { reader, next: state.head().next(), state };
        follower.catch_up(&mut |_, _| ())?;
        Ok(follower)
    }

    /// Follows the history of a store from its first record on, of which nothing is read yet.
    pub fn from_start(store: &Path) -> Result<Self, Failure> {
        Ok(Self { reader: MirrorReader::open(store)?, next: Seq(1), state: State::default() })
    }

    /// Whether another history has taken the place of the one that is followed.
    pub fn is_overtaken(&self) -> bool {
        self.reader.is_overtaken()
    }

    /// Reads what is new and shows it with the state after it.
    pub fn catch_up(&mut self, see: &mut dyn FnMut(&State, &Envelope)) -> Result<bool, Failure> {
        let mut failure = None;
        let state = &mut self.state;
        let before = self.next;
        let read = self.reader.read(self.next, &mut |envelope| match state.apply(&envelope) {
            Ok(()) => {
                see(state, &envelope);
                ControlFlow::Continue(())
            }
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        });
        self.next = read.map_err(|error| past::unread(&self.reader, error))?;
        failure.map_or(Ok(self.next != before), |error| Err(Fatal::Replay(error).into()))
    }

    /// Visits the records again, up to the last one that the state knows.
    pub fn records(&self, visit: &mut dyn FnMut(&Envelope) -> ControlFlow<()>) -> Result<(), Failure> {
        let mut reader = self.reader.clone();
        let again = reader.read(Seq(1), &mut |envelope| {
            if envelope.seq > self.state.head() { ControlFlow::Break(()) } else { visit(&envelope) }
        });
        again.map_err(|error| past::unread(&reader, error))?;
        Ok(())
    }
}

/// Follows a store without holding it. If its mirror is damaged and nobody holds it, it is repaired first.
pub fn follower(common: &Common) -> Result<Follower, Failure> {
    let seen = match Follower::open(&common.store) {
        Err(seen) if seen.exit == exit::CORRUPT => seen,
        other => return other,
    };
    let options = OpenOptions { create: false, compare_all: true, ..OpenOptions::default() };
    match open(common, options) {
        Ok(opened) => drop(opened),
        Err(why) if why.exit == exit::CORRUPT => return Err(why),
        Err(why) => return Err(unmended(seen, &why)),
    }
    Follower::open(&common.store)
}

/// The mirror is damaged, and this process cannot put it right.
fn unmended(seen: Failure, why: &Failure) -> Failure {
    let cure = if why.exit == exit::BUSY {
        "the other copy, sled, can only be read by the process that holds the store: when that has ended, the next command \
         repairs the mirror"
    } else {
        "give this user the right to write to the store: the next command then repairs the mirror from the other copy, sled"
    };
    let message = format!("{}\nit cannot be repaired now: {}", seen.message, why.message);
    Failure { message, cure: cure.to_owned(), ..seen }
}

/// The state of a store, read without holding it.
pub fn read(common: &Common) -> Result<State, Failure> {
    Ok(follower(common)?.state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_another_user_is_left_alone() {
        is_ours(Path::new("lab"), 7, 7).unwrap();
        let refused = is_ours(Path::new("lab"), 0, 7).unwrap_err();
        assert!(refused.message.contains("belongs to another user, root"), "{}", refused.message);
        assert!(refused.cure.contains("sudo -u root retrial"), "{}", refused.cure);
    }
}
