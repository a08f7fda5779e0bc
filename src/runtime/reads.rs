//! In which order the jobs of one backend are read: in turn, so that many jobs wait for each other and none for ever.

use super::call::Call;
use super::watch::Watch;
use engine::id::SubmissionKey;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Bytes asked for in one read.
const READ_BYTES: usize = 256 * 1024;
/// Jobs read at once. Of each, every source is read at most once at a time.
pub(super) const MAX_READS: usize = 64;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Those that are still to be read in this round.
    waiting: VecDeque<SubmissionKey>,
    /// Those of which something is being read.
    under_way: BTreeSet<SubmissionKey>,
}

impl Reads {
    /// Begins a round of these jobs, unless one is going on.
    pub(super) fn begin(&mut self, jobs: Vec<SubmissionKey>) {
        if self.waiting.is_empty() {
            self.waiting = jobs.into();
        }
    }

    /// Reads the next jobs of the round, as many as may be read at once.
    pub(super) fn go_on(&mut self, watches: &mut BTreeMap<SubmissionKey, Watch>) -> Vec<Call> {
        self.under_way.retain(|key| watches.get(key).is_some_and(Watch::is_being_read));
        let mut calls = Vec::new();
        while self.under_way.len() < MAX_READS {
            let Some(key) = self.waiting.pop_front() else { break };
            let Some(watch) = watches.get_mut(&key) else { continue };
            calls.extend(of(watch, key, true));
            if watch.is_being_read() {
                self.under_way.insert(key);
            }
        }
        calls
    }
}

/// What is to be read of one job.
pub(super) fn of(watch: &mut Watch, key: SubmissionKey, after_pause: bool) -> Vec<Call> {
    let handle = watch.handle();
    let mut calls: Vec<Call> = watch
        .reads(after_pause)
        .into_iter()
        .map(|(source, from)| Call::Read { key, handle: handle.clone(), source, from, limit: READ_BYTES })
        .collect();
    calls.extend(watch.list(after_pause).map(|dir| Call::List { key, handle, dir }));
    calls
}
