//! One process at a time: an advisory lock on a file of our own that also says who holds it.

use crate::bounds::{DEAD_HOLDER_PAUSE, DEAD_HOLDER_WAIT};
use crate::error::{JournalError, on_file};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

const NAME: &str = "lock";

/// Who holds, or last held, a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// The boot of the machine in which it ran; empty if unknown.
    pub boot: String,
    /// What it said of itself, such as a daemon's address; may be empty.
    pub note: String,
}

impl Holder {
    /// Whether its process has ended, as seen from here.
    fn is_gone(&self) -> bool {
        i32::try_from(self.pid)
            .is_ok_and(|pid| pid > 0 && kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
    }
}

/// The lock of a store, held until dropped or until the process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock of the store in `store`, or says who has it.
    pub fn acquire(store: &Path, note: &str) -> Result<Self, JournalError> {
        let path = store.join(NAME);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| on_file(&path, "open", &e))?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => return Err(on_file(&path, "lock", &e)),
            }
            let holder = holder(store);
            // A process that was killed while it started another one leaves its lock to that one, until this has become
            // another program, which is a matter of moments.
            let dead = holder.as_ref().is_some_and(Holder::is_gone);
            if !dead || began.elapsed() > DEAD_HOLDER_WAIT {
                let holder = match holder {
                    Some(Holder { pid, note, .. }) if note.is_empty() => format!("process {pid}"),
                    Some(Holder { pid, note, .. }) => format!("process {pid} ({note})"),
                    None => "another process".to_owned(),
                };
                return Err(JournalError::Busy { path: store.to_owned(), holder });
            }
            std::thread::sleep(DEAD_HOLDER_PAUSE);
        }
        let mut lock = Self { file, path };
        lock.set_note(note)?;
        Ok(lock)
    }

    /// Replaces what the holder says of itself; line breaks become blanks.
    pub fn set_note(&mut self, note: &str) -> Result<(), JournalError> {
        let note = note.replace(['\n', '\r'], " ");
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let text = format!("pid {}\nboot {}\nnote {note}\n", std::process::id(), boot.trim());
        // Written at once and only then cut, so that a reader never sees an empty file.
        let mut write = || {
            use std::io::Seek;
            self.file.rewind()?;
            self.file.write_all(text.as_bytes())?;
            self.file.set_len(text.len() as u64)
        };
        write().map_err(|e| on_file(&self.path, "write", &e))
    }
}

/// What the lock file of a store says, whether or not its holder still lives.
pub fn holder(store: &Path) -> Option<Holder> {
    let text = fs::read_to_string(store.join(NAME)).ok()?;
    let field = |name: &str| {
        text.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_owned()).unwrap_or_default()
    };
    Some(Holder { pid: field("pid ").parse().ok()?, boot: field("boot "), note: field("note ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_store_names_its_holder_and_is_free_after_the_drop() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::acquire(dir.path(), "127.0.0.1:7340").unwrap();
        let Err(JournalError::Busy { holder, .. }) = Lock::acquire(dir.path(), "") else {
            panic!("two holders")
        };
        assert_eq!(holder, format!("process {} (127.0.0.1:7340)", std::process::id()));
        drop(lock);
        assert!(Lock::acquire(dir.path(), "").is_ok());
    }

    #[test]
    fn what_a_killed_process_has_left_of_its_lock_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        // No process has so high a number. One that is really started would take the locks of other tests along.
        let ended = i32::MAX;
        let (lock, path) = (Lock::acquire(dir.path(), "").unwrap(), dir.path().join(NAME));
        fs::write(&path, format!("pid {ended}\nboot \nnote \n")).unwrap();
        let child = std::thread::spawn(move || {
            std::thread::sleep(DEAD_HOLDER_PAUSE * 5);
            drop(lock);
        });
        Lock::acquire(dir.path(), "").unwrap();
        child.join().unwrap();
    }
}
