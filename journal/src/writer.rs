//! The thread that makes records durable. Read [`Writer`] first.
//!
//! Natural group commit: take what waits (bounded), write it to both copies, sync the mirror, publish how far the history
//! is durable, take what has come meanwhile. No timers. A failed write or sync ends it for good: what a file holds after
//! a failed sync is unknown, so only a new opening, which reads everything again, may go on.

use crate::anchor::Anchor;
use crate::bounds::MAX_PENDING_BYTES;
use crate::error::JournalError;
use crate::mirror::Mirror;
use crate::record::Record;
use crate::segment;
use crate::table::{Intake, Table};
use engine::id::Seq;
use engine::limits::{MAX_COMMIT_BYTES, MAX_COMMIT_RECORDS};
use engine::ports::journal::Notify;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

struct State {
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    durable: Seq,
    failed: Option<JournalError>,
    notify: Option<Notify>,
    closing: bool,
}

struct Shared {
    state: Mutex<State>,
    /// Something waits, or the end is near.
    work: Condvar,
    /// More is durable, or nothing ever will be.
    progress: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far the history is durable; can be read from any thread.
#[derive(Clone)]
pub struct Watermark(Arc<Shared>);

impl Watermark {
    /// The last durable record.
    pub fn get(&self) -> Seq {
        self.0.lock().durable
    }
}

/// The ends of both copies, for appending.
pub(crate) struct Ends {
    intake: Intake,
    mirror: Mirror,
}

impl Ends {
    /// The ends of the copies of a store.
    pub(crate) fn new(table: &Arc<Table>, mirror: Mirror, store: &Path) -> Result<Self, JournalError> {
        Ok(Self { intake: Intake::start(Arc::clone(table), store)?, mirror })
    }

    /// Puts dense records from `first` on into both copies, and onto the device in the mirror: one sync to wait for.
    pub(crate) fn append(&mut self, first: Seq, records: &[Vec<u8>]) -> Result<(), JournalError> {
        let Some(head) = records.first().and_then(|r| Record::exactly(r).ok()) else { return Ok(()) };
        let previous = head.header().previous;
        let mut framed = Vec::with_capacity(records.iter().map(|r| r.len() + 1).sum());
        segment::frame(records.iter().map(Vec::as_slice), &mut framed);
        // The mirror is never behind: completing it would mean writing a whole segment anew.
        self.mirror.append(first, &previous, &framed)?;
        self.intake.append(first, &previous, records, &framed)
    }

    /// Leaves both copies whole and durable, each by itself.
    pub(crate) fn finish(mut self) -> Result<(), JournalError> {
        self.intake.finish().and(self.mirror.seal())
    }
}

/// The thread and what it shares with those who append.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread behind `head`.
    pub(crate) fn start(
        store: PathBuf,
        table: Arc<Table>,
        mirror: Mirror,
        head: Seq,
    ) -> Result<Self, JournalError> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                waiting_bytes: 0,
                durable: head,
                failed: None,
                notify: None,
                closing: false,
            }),
            work: Condvar::new(),
            progress: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        let ends = Ends::new(&table, mirror, &store)?;
        let thread = spawn("journal", move || run(&store, &theirs, &table, ends))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Hands encoded records over; blocks while too much is waiting.
    pub(crate) fn push(&self, records: Vec<Vec<u8>>) -> Result<(), JournalError> {
        let mut state = self.shared.lock();
        while state.waiting_bytes > MAX_PENDING_BYTES && state.failed.is_none() {
            state = self.shared.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        poisoned(&state)?;
        for record in records {
            state.waiting_bytes += record.len();
            state.waiting.push_back(record);
        }
        drop(state);
        self.shared.work.notify_one();
        Ok(())
    }

    /// The last durable record.
    pub(crate) fn durable(&self) -> Result<Seq, JournalError> {
        let state = self.shared.lock();
        poisoned(&state)?;
        Ok(state.durable)
    }

    /// The last durable record, also after a failure.
    pub(crate) fn watermark(&self) -> Watermark {
        Watermark(Arc::clone(&self.shared))
    }

    /// Blocks until `seq` is durable.
    pub(crate) fn wait(&self, seq: Seq) -> Result<(), JournalError> {
        let mut state = self.shared.lock();
        loop {
            if state.durable >= seq {
                return Ok(());
            }
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            state = self.shared.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sets who is told.
    pub(crate) fn on_durable(&self, notify: Notify) {
        self.shared.lock().notify = Some(notify);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread reports its failures itself.
            let _ = thread.join();
        }
    }
}

/// The first caller after a failure, and every later one, is told that the journal stopped and why.
fn poisoned(state: &State) -> Result<(), JournalError> {
    match &state.failed {
        None => Ok(()),
        Some(full @ JournalError::Full { .. }) => Err(full.clone()),
        Some(error) => Err(JournalError::Poisoned { reason: error.to_string() }),
    }
}

pub(crate) fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, JournalError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|e| JournalError::Io {
        action: "start the journal's thread".to_owned(),
        reason: e.to_string(),
    })
}

/// What waits, up to the bounds of one commit; `None` when closing and nothing is left.
fn take(shared: &Shared) -> Option<(Seq, Vec<Vec<u8>>)> {
    let mut state = shared.lock();
    while state.waiting.is_empty() {
        if state.closing {
            return None;
        }
        state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    let mut bytes = 0;
    let fits = |record: &&Vec<u8>| {
        bytes += record.len();
        bytes <= MAX_COMMIT_BYTES
    };
    let count = state.waiting.iter().take(MAX_COMMIT_RECORDS).take_while(fits).count().max(1);
    let records: Vec<_> = state.waiting.drain(..count).collect();
    state.waiting_bytes -= records.iter().map(Vec::len).sum::<usize>();
    Some((state.durable.next(), records))
}

fn run(store: &Path, shared: &Shared, table: &Table, mut ends: Ends) {
    while let Some((first, records)) = take(shared) {
        if let Err(error) = ends.append(first, &records) {
            return fail(shared, error);
        }
        publish(shared, Seq(first.0 + records.len() as u64 - 1));
    }
    if let Err(error) = ends.finish() {
        fail(shared, error);
    } else if let Ok(Some((seq, bytes))) = table.last()
        && let Ok(record) = Record::exactly(&bytes)
    {
        // Without it the next opening only knows less.
        let _ = Anchor { seq, hash: record.hash() }.save(store);
    }
}

fn publish(shared: &Shared, seq: Seq) {
    let notify = {
        let mut state = shared.lock();
        state.durable = seq;
        state.notify.clone()
    };
    shared.progress.notify_all();
    if let Some(notify) = notify {
        notify(&Ok(seq));
    }
}

fn fail(shared: &Shared, error: JournalError) {
    tracing::error!(%error, "the journal stopped");
    let notify = {
        let mut state = shared.lock();
        state.failed = Some(error.clone());
        state.waiting.clear();
        state.waiting_bytes = 0;
        state.notify.clone()
    };
    shared.progress.notify_all();
    if let Some(notify) = notify {
        notify(&Err(error));
    }
}
