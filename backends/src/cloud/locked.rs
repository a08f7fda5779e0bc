//! What tasks share, whatever became of one that held it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks what is whole after every statement, so that a panic elsewhere cannot have made it wrong.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
