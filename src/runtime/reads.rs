//! In which order the jobs of one backend are read: in turn, so that many jobs wait for each other and none for ever.

use super::call::Call;
use super::watch::Watch;
use engine::id::SubmissionKey;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Bytes asked for in one read.
const READ_BYTES: usize = 256 * 1024;
/// Jobs read at once in a round. Of each, every source is read at most once at a time. Those that have ended are read
/// beside the round, so that a trial's end waits for the few reads that are under way and not for the whole round.
pub(super) const MAX_READS: usize = 8;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Those that run and of which something is to be read.
    running: BTreeSet<SubmissionKey>,
    /// Those that have ended. They wait for no round: a trial's end waits for them.
    ended: BTreeSet<SubmissionKey>,
    /// Those that are still to be read in this round.
    waiting: VecDeque<SubmissionKey>,
    /// Those of which something is being read.
    under_way: BTreeSet<SubmissionKey>,
}

impl Reads {
    /// From now on this job is read as well, as long as it is watched.
    pub(super) fn join(&mut self, key: SubmissionKey, watch: &Watch) {
        if watch.has_ended() {
            self.running.remove(&key);
            self.ended.insert(key);
        } else {
            self.running.insert(key);
        }
    }

    /// What is to be read after a pause: what is left of those that have ended, and of the others the next of the round.
    /// Begins a round where none is going on.
    pub(super) fn due(&mut self, watches: &mut BTreeMap<SubmissionKey, Watch>) -> Vec<Call> {
        let mut calls = Vec::new();
        self.ended.retain(|key| {
            let watch = watches.get_mut(key);
            let watched = watch.map(|watch| calls.extend(of(watch, *key, true)));
            watched.is_some()
        });
        if self.waiting.is_empty() {
            self.waiting = self.running.iter().copied().collect();
        }
        calls.extend(self.go_on(watches));
        calls
    }

    /// Reads the next jobs of the round, as many as may be read at once.
    pub(super) fn go_on(&mut self, watches: &mut BTreeMap<SubmissionKey, Watch>) -> Vec<Call> {
        self.under_way.retain(|key| watches.get(key).is_some_and(Watch::is_being_read));
        let mut calls = Vec::new();
        while self.under_way.len() < MAX_READS {
            let Some(key) = self.waiting.pop_front() else { break };
            let Some(watch) = watches.get_mut(&key) else {
                self.running.remove(&key);
                continue;
            };
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
