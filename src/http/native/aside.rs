//! What takes long: reading the history and computing, on threads of its own and a bounded number at once, so that neither the engine
//! nor other requests wait for it.

use crate::codes;
use crate::error::Failure;
use crate::http::problem::Problem;
use axum::http::StatusCode;
use engine::id::Seq;
use journal::MirrorReader;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pages of the history that are read at once; further ones wait.
const READING: usize = 8;
/// Computations at once; further ones wait.
const COMPUTING: usize = 2;
/// Experiments that are cleaned up at once; further ones wait.
const CLEANING: usize = 2;
/// Audits of the whole history at once, and of single experiments; further ones are asked to come again.
const AUDITING: usize = 1;
/// Seconds after which they may.
const AUDIT_SECONDS: u32 = 5;
/// Places in the history that are kept for those who read on.
const BOOKMARKS: usize = 64;

/// Threads for what takes long.
#[derive(Debug)]
pub struct Aside {
    reading: Arc<Semaphore>,
    computing: Arc<Semaphore>,
    auditing: Arc<Semaphore>,
    resampling: Arc<Semaphore>,
    cleaning: Arc<Semaphore>,
    /// Where the readers of history are.
    pub(super) bookmarks: Arc<Bookmarks>,
}

impl Default for Aside {
    fn default() -> Self {
        let permits = |most| Arc::new(Semaphore::new(most));
        Self {
            reading: permits(READING),
            computing: permits(COMPUTING),
            auditing: permits(AUDITING),
            resampling: permits(AUDITING),
            cleaning: permits(CLEANING),
            bookmarks: Arc::default(),
        }
    }
}

impl Aside {
    /// Reads a part of the history.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Problem> {
        on_a_thread(permit(&self.reading).await?, work).await
    }

    /// Computes something.
    pub(super) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Problem> {
        on_a_thread(self.computing().await?, work).await
    }

    /// Waits until something may be computed, by [`on_a_thread`]: what that needs is fetched afterwards.
    pub(super) async fn computing(&self) -> Result<OwnedSemaphorePermit, Problem> {
        permit(&self.computing).await
    }

    /// Goes through a whole history. Nobody waits for the audit of somebody else.
    pub(super) async fn audit<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Problem> {
        audit(&self.auditing, work).await
    }

    /// Computes the suggestions of an experiment again.
    pub(super) async fn resample<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Problem> {
        audit(&self.resampling, work).await
    }

    /// Waits until an experiment may be cleaned up, for as long as the permit is kept.
    pub(super) async fn cleaning(&self) -> Result<OwnedSemaphorePermit, Problem> {
        permit(&self.cleaning).await
    }
}

async fn audit<T: Send + 'static>(
    permits: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Problem> {
    let permit = Arc::clone(permits).try_acquire_owned().map_err(|_| Problem {
        retry_after: Some(AUDIT_SECONDS),
        ..Problem::coded(
            StatusCode::SERVICE_UNAVAILABLE,
            codes::BUSY,
            "another audit is under way",
            "try again when it has ended",
        )
    })?;
    on_a_thread(permit, work).await
}

async fn permit(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    // They are never closed.
    Arc::clone(permits).acquire_owned().await.map_err(|_| crate::runtime::shell::Gone.into())
}

/// The permit is given back when the work is done, also if nobody waits for it any more.
pub(super) async fn on_a_thread<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Problem> {
    let working = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    });
    Ok(working.await.map_err(|error| broken(&error))??)
}

pub(super) fn broken(error: &tokio::task::JoinError) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("it broke off: {error}"), "please report it")
}

/// Readers of the mirror by the record that they read next: whoever reads on from there need not look for the place again.
#[derive(Debug, Default)]
pub(super) struct Bookmarks(Mutex<VecDeque<(Seq, MirrorReader)>>);

impl Bookmarks {
    /// A reader for the records from this one on.
    pub(super) fn reader(&self, store: &Path, next: Seq) -> Result<MirrorReader, Failure> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|(place, _)| *place == next).map(|(_, reader)| reader.clone());
        drop(kept);
        Ok(found.map_or_else(|| MirrorReader::open(store), Ok)?)
    }

    /// Keeps a reader which reads this record next; the oldest one makes room.
    pub(super) fn keep(&self, next: Seq, reader: MirrorReader) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(place, _)| *place != next);
        kept.push_back((next, reader));
        if kept.len() > BOOKMARKS {
            kept.pop_front();
        }
    }
}
