//! When a submission whose answer was lost counts as never arrived. Pure: the caller brings the time.
//!
//! A search that finds nothing proves nothing: a list may lag, and the request may still be on its way. So nothing is
//! sent again before the last try is old enough and several searches in a row, some time apart, have found nothing.

use super::config::Reconcile;
use std::time::Duration;

/// One submission in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// When the request was sent, or, of one that another process may have sent, when this one began to look for it.
    since: Duration,
    /// Searches in a row that found nothing and were far enough apart.
    empty: u32,
    last: Option<Duration>,
}

impl Doubt {
    /// A doubt since a time of the steady clock.
    pub const fn new(since: Duration) -> Self {
        Self { since, empty: 0, last: None }
    }

    /// A search has found nothing, and was begun at `now`. Tells whether the submission certainly did not arrive.
    pub fn found_nothing(&mut self, rule: &Reconcile, now: Duration) -> bool {
        let pause = Duration::from_millis(rule.pause.0);
        if self.last.is_none_or(|last| now >= last + pause) {
            self.last = Some(now);
            self.empty = self.empty.saturating_add(1);
        }
        self.empty >= rule.searches && now >= self.since + Duration::from_millis(rule.wait.0)
    }

    /// A search could not be made or read: those before it count no more.
    pub const fn interrupted(&mut self) {
        self.empty = 0;
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_time_and_several_searches_apart_end_a_doubt() {
        let rule = Reconcile::default();
        let mut doubt = Doubt::new(s(100));
        let answers = [101, 102, 111, 121, 169, 170].map(|at| doubt.found_nothing(&rule, s(at)));
        assert_eq!(answers, [false, false, false, false, false, true], "70 s");
        let mut doubt = Doubt::new(s(100));
        let answers = [500, 505, 510, 519, 520].map(|at| doubt.found_nothing(&rule, s(at)));
        assert_eq!(answers, [false, false, false, false, true], "three searches that are 10 s apart");
        let mut doubt = Doubt::new(s(100));
        assert!(!doubt.found_nothing(&rule, s(200)));
        assert!(!doubt.found_nothing(&rule, s(210)));
        doubt.interrupted();
        assert!(!doubt.found_nothing(&rule, s(220)));
        assert!(!doubt.found_nothing(&rule, s(230)));
        assert!(doubt.found_nothing(&rule, s(240)));
    }
}
