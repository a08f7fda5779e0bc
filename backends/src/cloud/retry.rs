//! What follows from how a call went: pure rules, by table.
//!
//! The one that matters most: a submission whose fate is not known is never repeated here. Begin with [`next`].

use crate::cloud::fault::{Fault, Meaning};
use std::time::Duration;

/// Whether a call may be carried out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It may: reads, and writes that set what they set again.
    Safe,
    /// It may not: each time makes one more.
    Never,
}

/// How one sending went, if not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Went {
    /// Not a byte was written.
    NotSent,
    /// It was written, and no answer came, or one that cannot be read or used.
    NoAnswer,
    /// An answer with an error.
    Fault(Fault),
}

/// What to do next. What says "once" is a failure the second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send again after a back-off.
    Again,
    /// Send again after a back-off, not before the service allows it, and slower from now on.
    Slower,
    /// Take the service's time over and send again, once.
    CorrectClock,
    /// Sign it anew and send again, once.
    SignAnew,
    /// Send again when the service says, or after [`PENDING_PAUSE`], until [`PENDING_TIME`] is over; then it is in doubt.
    AwaitEarlier,
    /// Fetch the credentials anew and send again, once.
    RefreshCredentials,
    /// It failed, and was not carried out.
    Fail,
    /// It may have been carried out.
    Doubt,
}

/// The rule. `temporary` says whether the credentials are those of a session.
pub fn next(repeat: Repeat, went: &Went, temporary: bool) -> Next {
    let doubt = if repeat == Repeat::Safe { Next::Again } else { Next::Doubt };
    let fault = match went {
        Went::NotSent => return Next::Again,
        Went::NoAnswer => return doubt,
        Went::Fault(fault) => fault,
    };
    match fault.meaning {
        Meaning::Throttled => Next::Slower,
        Meaning::ClockWrong => Next::CorrectClock,
        Meaning::OtherSignature => Next::SignAnew,
        // An earlier copy of this very request has arrived.
        Meaning::NonceUsed if repeat == Repeat::Safe => Next::SignAnew,
        Meaning::NonceUsed => Next::Doubt,
        Meaning::TokenWrong => Next::RefreshCredentials,
        Meaning::KeyUnknown if temporary => Next::RefreshCredentials,
        Meaning::Pending => Next::AwaitEarlier,
        Meaning::KeyUnknown | Meaning::SignatureWrong | Meaning::Forbidden | Meaning::NotFound => Next::Fail,
        Meaning::Plain => match fault.status {
            503 if repeat == Repeat::Safe => Next::Slower,
            // 408 is said by what stands between, of a request that went on or not; a redirect is followed by nobody.
            408 | 500.. => doubt,
            300..=399 if repeat == Repeat::Never => Next::Doubt,
            _ => Next::Fail,
        },
    }
}

/// Between two sendings while an earlier copy is carried out, unless the service says how long.
pub const PENDING_PAUSE: Duration = Duration::from_secs(5);
/// A call that waits for an earlier copy of itself is sent once more when this time is over, and never after.
pub const PENDING_TIME: Duration = Duration::from_mins(3);
/// The first back-off is up to this.
const BACK_OFF: Duration = Duration::from_millis(500);
/// No back-off is longer.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(20);

/// The time before the attempt after `failed` failed ones: up to twice as long each time, with full jitter, so that
/// programs that failed together do not come back together. `random` are 32 random bits or more.
pub fn back_off(failed: u32, random: u128) -> Duration {
    let most = BACK_OFF.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(LONGEST_BACK_OFF);
    most.mul_f64(f64::from(random as u32) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, code: &str) -> Went {
        let code = code.to_owned();
        let meaning = Meaning::of(status, &code);
        Went::Fault(Fault {
            status,
            meaning,
            code,
            message: String::new(),
            request_id: None,
            retry_after: None,
        })
    }

    #[test]
    fn each_event_has_its_consequence_for_reads_and_for_submissions() {
        use Next::{Again, CorrectClock, Doubt, Fail, RefreshCredentials, SignAnew, Slower};
        let table = [
            (Went::NotSent, Again, Again),
            (Went::NoAnswer, Again, Doubt),
            (fault(429, ""), Slower, Slower),
            (fault(400, "Throttling.User"), Slower, Slower),
            (fault(503, "Throttling.Api"), Slower, Slower),
            (fault(503, "ServiceUnavailable"), Slower, Doubt),
            (fault(503, ""), Slower, Doubt),
            (fault(400, "InvalidTimeStamp.Expired"), CorrectClock, CorrectClock),
            (fault(400, "InvalidTimeStamp.Format"), CorrectClock, CorrectClock),
            (fault(400, "SignatureNonceUsed"), SignAnew, Doubt),
            (fault(400, "InvalidSecurityToken.Expired"), RefreshCredentials, RefreshCredentials),
            (fault(404, "InvalidAccessKeyId.NotFound"), RefreshCredentials, RefreshCredentials),
            (fault(400, "SignatureDoesNotMatch"), Fail, Fail),
            (fault(403, "NoPermission"), Fail, Fail),
            (fault(404, "NotFound"), Fail, Fail),
            (fault(407, ""), Fail, Fail),
            (fault(408, ""), Again, Doubt),
            (fault(302, ""), Fail, Doubt),
            (fault(500, "InternalError"), Again, Doubt),
            (fault(502, ""), Again, Doubt),
        ];
        for (went, read, submission) in table {
            assert_eq!(next(Repeat::Safe, &went, true), read, "{went:?}");
            assert_eq!(next(Repeat::Never, &went, true), submission, "{went:?}");
        }
        assert_eq!(next(Repeat::Safe, &fault(404, "InvalidAccessKeyId.NotFound"), false), Fail);
    }

    #[test]
    fn the_back_off_doubles_up_to_its_bound() {
        let longest: Vec<u128> = (1..9).map(|failed| back_off(failed, u128::MAX).as_millis()).collect();
        assert_eq!(longest, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
        assert_eq!(back_off(40, 0), Duration::ZERO);
    }
}
