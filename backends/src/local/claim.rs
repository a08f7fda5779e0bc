//! The claim: the one file that decides whether a task may be started, and that tells its whole life.
//!
//! It is written under another name, locked, and then linked to its name, which fails if that exists. So
//! whoever sees a claim sees it complete, and sees it locked for as long as its supervisor lives. Exactly one of two
//! gets the name: the supervisor, who may then start the task, or somebody who found no claim and voids the
//! incarnation, after whom a slow supervisor gives up.

use super::layout::CLAIM;
use super::process::Identity;
use engine::event::v1::Outcome;
use engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// A line of the claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// Nobody may start the task any more.
    Void,
    /// This supervisor alone may start the task.
    Claimed(Identity),
    /// The task was started.
    Started {
        /// When.
        at: Timestamp,
        /// Its main process; its process group has the same number.
        pid: i32,
    },
    /// The task has ended.
    Ended {
        /// When.
        at: Timestamp,
        /// How.
        outcome: Outcome,
    },
}

/// What a claim says, as seen from outside.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Seen {
    /// There is none: nothing was started, and a supervisor may still come.
    None,
    /// Nothing was started and nothing will be.
    Void,
    /// The supervisor lives.
    Held {
        /// The supervisor.
        by: Identity,
        /// When the task was started, if it was.
        started: Option<Timestamp>,
    },
    /// The task has ended and its supervisor has said how.
    Ended {
        /// When the task was started, if it was.
        started: Option<Timestamp>,
        /// When it ended.
        at: Timestamp,
        /// How.
        outcome: Outcome,
    },
    /// The supervisor is gone and has not said how the task ended.
    Abandoned {
        /// The supervisor; not known if the machine failed before the claim was on disk.
        by: Option<Identity>,
        /// When the task was started, if it was.
        started: Option<Timestamp>,
    },
}

/// A claim that is held: dropping it lets it go.
#[derive(Debug)]
pub(super) struct Claim {
    file: File,
}

impl Claim {
    /// Takes the claim for this process, and makes it durable. `None` if somebody had it before.
    pub(super) fn take(dir: &Path, own: &Identity) -> io::Result<Option<Self>> {
        let Some(file) = publish(dir, &Line::Claimed(own.clone()))? else { return Ok(None) };
        File::open(dir)?.sync_all()?;
        Ok(Some(Self { file }))
    }

    /// Adds a line, which is not durable before [`Self::sync`].
    pub(super) fn add(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.write_all(&text)
    }

    /// Makes all lines durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Voids an incarnation that has no claim. Whether it did: not if a supervisor was quicker.
pub(super) fn void(dir: &Path) -> io::Result<bool> {
    publish(dir, &Line::Void).map(|file| file.is_some())
}

fn publish(dir: &Path, line: &Line) -> io::Result<Option<File>> {
    static DRAFTS: AtomicU32 = AtomicU32::new(0);
    let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let draft = dir.join(format!("{CLAIM}.{}.{number}", std::process::id()));
    // A process with this number may have died here before. Its draft is never written to, only unlinked: it may
    // be the claim's other name.
    if let Err(error) = fs::remove_file(&draft)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&draft)?;
    let published = (|| {
        if !matches!(line, Line::Void) {
            file.lock()?;
        }
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        file.write_all(&text)?;
        match fs::hard_link(&draft, dir.join(CLAIM)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    })();
    let removed = fs::remove_file(&draft);
    match published {
        Ok(true) => Ok(Some(file)),
        Ok(false) => removed.map(|()| None),
        Err(error) => Err(error),
    }
}

/// Looks at the claim of an incarnation.
pub(super) fn look(dir: &Path) -> io::Result<Seen> {
    let mut file = match File::open(dir.join(CLAIM)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Seen::None),
        Err(error) => return Err(error),
    };
    // A shared lock, so that two that look do not take each other for the supervisor.
    let held = match file.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(judge(&bytes, held))
}

fn judge(bytes: &[u8], held: bool) -> Seen {
    let (mut by, mut started) = (None, None);
    // A line that a power failure cut off does not parse, and counts as not written.
    for line in bytes.split(|byte| *byte == b'\n').map_while(|line| serde_json::from_slice(line).ok()) {
        match line {
            Line::Void => return Seen::Void,
            Line::Claimed(identity) => by = Some(identity),
            Line::Started { at, .. } => started = Some(at),
            // The end counts when the supervisor is gone: until then it may still hold files open.
            Line::Ended { at, outcome } if !held => return Seen::Ended { started, at, outcome },
            Line::Ended { .. } => {}
        }
    }
    match by {
        Some(by) if held => Seen::Held { by, started },
        by => Seen::Abandoned { by, started },
    }
}

#[cfg(test)]
mod tests {
    use super::super::process::boot;
    use super::*;

    fn own() -> Identity {
        Identity::of(i32::try_from(std::process::id()).unwrap(), &boot()).unwrap()
    }

    #[test]
    fn a_claim_is_given_once_and_seen_as_held_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(look(dir.path()).unwrap(), Seen::None);
        let mut claim = Claim::take(dir.path(), &own()).unwrap().unwrap();
        assert!(Claim::take(dir.path(), &own()).unwrap().is_none());
        assert!(!void(dir.path()).unwrap());
        assert_eq!(look(dir.path()).unwrap(), Seen::Held { by: own(), started: None });
        claim.add(&Line::Started { at: Timestamp(5), pid: 1 }).unwrap();
        let ended = Line::Ended { at: Timestamp(9), outcome: Outcome::Succeeded };
        let started = Some(Timestamp(5));
        assert_eq!(look(dir.path()).unwrap(), Seen::Held { by: own(), started });
        claim.add(&ended).unwrap();
        assert_eq!(look(dir.path()).unwrap(), Seen::Held { by: own(), started });
        drop(claim);
        let outcome = Outcome::Succeeded;
        assert_eq!(look(dir.path()).unwrap(), Seen::Ended { started, at: Timestamp(9), outcome });
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a draft was left behind");
    }

    #[test]
    fn a_voided_incarnation_cannot_be_claimed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(void(dir.path()).unwrap());
        assert!(Claim::take(dir.path(), &own()).unwrap().is_none());
        assert_eq!(look(dir.path()).unwrap(), Seen::Void);
    }

    #[test]
    fn a_line_that_was_cut_off_counts_as_not_written() {
        let mut text = serde_json::to_vec(&Line::Claimed(own())).unwrap();
        text.extend_from_slice(b"\n{\"ended\":{\"at\":1,\"outc");
        assert_eq!(judge(&text, false), Seen::Abandoned { by: Some(own()), started: None });
        assert_eq!(judge(b"", false), Seen::Abandoned { by: None, started: None });
        assert_eq!(judge(&[0; 64], false), Seen::Abandoned { by: None, started: None });
    }
}
