//! The simulator's clock: the machine's, moved by an offset, or one that stands until it is told to move.

use jiff::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering};

/// What time it is in the simulated region, in milliseconds since 1970.
#[derive(Debug)]
pub struct Clock {
    /// The time at which a standing clock stands; `None` of it is marked by `RUNNING`.
    standing: AtomicI64,
    offset: AtomicI64,
}

const RUNNING: i64 = i64::MIN;

impl Clock {
    /// The machine's clock plus an offset, or a clock that stands at a time.
    pub fn new(standing_at_ms: Option<i64>, offset_ms: i64) -> Self {
        Self {
            standing: AtomicI64::new(standing_at_ms.unwrap_or(RUNNING)),
            offset: AtomicI64::new(offset_ms),
        }
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        let offset = self.offset.load(Ordering::Relaxed);
        match self.standing.load(Ordering::Relaxed) {
            RUNNING => Timestamp::now().as_millisecond() + offset,
            standing => standing + offset,
        }
    }

    /// Whether it only moves when told.
    pub fn stands(&self) -> bool {
        self.standing.load(Ordering::Relaxed) != RUNNING
    }

    /// Moves the clock forward, or back if `by_ms` is negative.
    pub fn advance(&self, by_ms: i64) {
        self.offset.fetch_add(by_ms, Ordering::Relaxed);
    }
}

/// A time as DLC writes it: whole seconds, UTC; empty if there is none.
pub fn text(time_ms: Option<i64>) -> String {
    time_ms
        .and_then(|ms| Timestamp::from_second(ms.div_euclid(1000)).ok())
        .map(|time| time.to_string())
        .unwrap_or_default()
}

/// Reads a time as DLC takes it, in milliseconds since 1970.
pub fn parse(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// Reads a time such as `20260102T030405Z`, in milliseconds since 1970.
pub fn parse_basic(text: &str) -> Option<i64> {
    let time = format!("{}+0000", text.strip_suffix('Z')?);
    Some(Timestamp::strptime("%Y%m%dT%H%M%S%z", time).ok()?.as_millisecond())
}

/// Reads the `Date` of a request (RFC 9110, section 5.6.7), in milliseconds since 1970.
pub fn parse_http(text: &str) -> Option<i64> {
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(time.as_millisecond())
}

/// The `Date` header of an answer (RFC 9110, section 5.6.7).
pub fn http_date(time_ms: i64) -> String {
    Timestamp::from_millisecond(time_ms)
        .map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}

/// The day of a time, as `20260102`.
pub fn day(time_ms: i64) -> String {
    Timestamp::from_millisecond(time_ms).map(|time| time.strftime("%Y%m%d").to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_service_writes_them() {
        assert_eq!(text(Some(1_767_323_045_999)), "2026-01-02T03:04:05Z");
        assert_eq!(text(None), "");
        assert_eq!(parse("2026-01-02T03:04:05Z"), Some(1_767_323_045_000));
        assert_eq!(parse("yesterday"), None);
        assert_eq!(http_date(1_767_323_045_000), "Fri, 02 Jan 2026 03:04:05 GMT");
        assert_eq!(parse_http("Fri, 02 Jan 2026 03:04:05 GMT"), Some(1_767_323_045_000));
        assert_eq!(parse_basic("20260102T030405Z"), Some(1_767_323_045_000));
        assert_eq!((parse_basic("20260102"), parse_http("soon")), (None, None));
        assert_eq!(day(1_767_323_045_000), "20260102");
    }

    #[test]
    fn a_standing_clock_moves_when_told() {
        let clock = Clock::new(Some(1000), 5);
        assert_eq!(clock.now_ms(), 1005);
        clock.advance(-10);
        assert_eq!(clock.now_ms(), 995);
    }
}
