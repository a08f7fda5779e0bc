//! How far this machine's clock is from the service's, learned from the `Date` of an answer.
//!
//! It is used only once a service has refused a request for its date: until then our own clock is as good as any.

use engine::time::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering};

/// A correction smaller than this cannot be why a request was refused, in milliseconds.
const LEAST_CORRECTION_MS: u64 = 30_000;

/// The offset of the service's clock from ours.
#[derive(Debug, Default)]
pub struct Skew {
    offset_ms: AtomicI64,
}

impl Skew {
    /// The time by the service's clock, as far as it is known.
    pub fn now(&self, wall: Timestamp) -> Timestamp {
        Timestamp(wall.0.saturating_add(self.offset_ms.load(Ordering::Relaxed)))
    }

    /// Takes over the service's clock from the `Date` of an answer, and says by how many milliseconds it is ahead of
    /// ours now; `None` if there is nothing to correct, so that asking again is no use.
    pub fn correct(&self, date: Option<&str>, wall: Timestamp) -> Option<i64> {
        let theirs = http_date(date?)?;
        let offset = theirs.0.saturating_sub(wall.0);
        let before = self.offset_ms.swap(offset, Ordering::Relaxed);
        (offset.abs_diff(before) >= LEAST_CORRECTION_MS).then_some(offset)
    }
}

/// The moment that a header such as `Date: Sun, 06 Nov 1994 08:49:37 GMT` names.
pub fn http_date(text: &str) -> Option<Timestamp> {
    let moment = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(Timestamp(moment.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_clock_is_taken_over_once_it_differs_enough_to_matter() {
        let skew = Skew::default();
        let wall = Timestamp(784_111_777_000);
        assert_eq!(skew.correct(None, wall), None);
        assert_eq!(skew.correct(Some("soon"), wall), None);
        assert_eq!(skew.correct(Some("Sun, 06 Nov 1994 08:49:38 GMT"), wall), None, "a second is no reason");
        assert_eq!(skew.correct(Some("Sun, 06 Nov 1994 09:49:37 GMT"), wall), Some(3_600_000));
        assert_eq!(skew.now(wall), Timestamp(wall.0 + 3_600_000));
        assert_eq!(skew.correct(Some("Sun, 06 Nov 1994 09:49:37 GMT"), wall), None, "known already");
    }
}
