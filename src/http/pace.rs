//! How often each user may ask.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Seconds of requests that may be sent at once after a pause.
const BURST_SECONDS: f64 = 10.0;

/// A bound on the requests of each user (a token bucket).
#[derive(Debug)]
pub struct Pace {
    per_second: f64,
    /// What each user may still send, and when that was so. There are as many as there are users.
    left: Mutex<BTreeMap<String, (f64, Instant)>>,
}

impl Pace {
    /// So many a second.
    pub fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second), left: Mutex::default() }
    }

    /// Takes one request of a user; an error says after how many seconds there is room for it.
    pub fn take(&self, user: &str, now: Instant) -> Result<(), u32> {
        let most = self.per_second * BURST_SECONDS;
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, since) = left.entry(user.to_owned()).or_insert((most, now));
        *tokens = (*tokens + now.saturating_duration_since(*since).as_secs_f64() * self.per_second).min(most);
        *since = now;
        if *tokens >= 1.0 {
            *tokens -= 1.0;
            return Ok(());
        }
        Err(((1.0 - *tokens) / self.per_second).ceil().max(1.0) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_user_has_its_own_room_which_comes_back() {
        let (pace, now) = (Pace::new(2), Instant::now());
        assert!((0..20).all(|_| pace.take("ann", now).is_ok()));
        assert_eq!((pace.take("ann", now), pace.take("ben", now)), (Err(1), Ok(())));
        assert!(pace.take("ann", now + Duration::from_millis(600)).is_ok());
    }
}
