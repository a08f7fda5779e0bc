//! The signals of a supervisor: which it reads, and how its task does not inherit that.

use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a supervisor acts upon.
const READ: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD];

/// The signals that come for this process, in place of their usual effect.
#[derive(Debug)]
pub(super) struct Signals {
    mask: SigSet,
    fd: SignalFd,
    /// What came while nothing was blocked.
    caught: [(Signal, Arc<AtomicBool>); READ.len()],
}

impl Signals {
    /// Takes the signals. What the starter of this process ignored or blocked is put right: a signal that is ignored
    /// stays so in every program that is executed, one that is handled has its usual effect there again.
    pub(super) fn take() -> io::Result<Self> {
        let mask: SigSet = READ.into_iter().collect();
        mask.thread_set_mask()?;
        let fd = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let caught = READ.map(|signal| (signal, Arc::default()));
        for (signal, flag) in &caught {
            signal_hook::flag::register(*signal as i32, Arc::clone(flag))?;
        }
        for signal in Signal::iterator().filter(|signal| !READ.contains(signal) && may_be_handled(*signal)) {
            signal_hook::flag::register(signal as i32, Arc::default())?;
        }
        Ok(Self { mask, fd, caught })
    }

    /// Runs something with no signal blocked, and so that none that comes meanwhile is missed.
    pub(super) fn as_by_default<T>(&self, run: impl FnOnce() -> T) -> T {
        let _ = SigSet::empty().thread_set_mask();
        let result = run();
        let _ = self.mask.thread_set_mask();
        for (signal, flag) in &self.caught {
            if flag.swap(false, Ordering::SeqCst) {
                // Blocked again, so that it waits to be read.
                let _ = raise(*signal);
            }
        }
        result
    }

    /// The next signal that came.
    pub(super) fn next(&self) -> Option<Signal> {
        let signal = self.fd.read_signal().ok()??;
        i32::try_from(signal.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok())
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether a handler may take the place of the usual effect. Not where the same instruction would fault again.
const fn may_be_handled(signal: Signal) -> bool {
    !matches!(
        signal,
        Signal::SIGKILL
            | Signal::SIGSTOP
            | Signal::SIGILL
            | Signal::SIGFPE
            | Signal::SIGSEGV
            | Signal::SIGBUS
            | Signal::SIGTRAP
            | Signal::SIGABRT
            | Signal::SIGSYS
    )
}
