//! Takes bodies in, of those who are known: bounded in number, in size and in time, so that nobody waits for somebody slow.

use super::problem::Problem;
use super::server::MAX_BODY_BYTES;
use crate::codes;
use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, StatusCode, header};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

/// Bodies that come in at once.
const MAX_BODIES: usize = 256;
/// Bodies that come in at once of one user.
const MAX_BODIES_OF_ONE: usize = 128;
/// How long a body is waited for, however much of it has come.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a body may take before it has to come at [`LEAST_PACE`].
const GRACE: Duration = Duration::from_secs(5);
/// Bytes of a body per second, on the average after [`GRACE`].
const LEAST_PACE: usize = 16 << 10;
/// Bodies at once that are taken in to be thrown away.
const MAX_DISCARDED: usize = 64;
/// How long that may take.
const DISCARD_PATIENCE: Duration = Duration::from_secs(1);

/// The bodies that are coming in.
#[derive(Debug)]
pub struct Intake {
    places: Semaphore,
    /// How many there are of each user who has some.
    of_each: Mutex<BTreeMap<String, usize>>,
    discarded: Semaphore,
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            places: Semaphore::new(MAX_BODIES),
            of_each: Mutex::default(),
            discarded: Semaphore::new(MAX_DISCARDED),
        }
    }
}

/// One that counts as a user's as long as it is held.
struct Held<'a>(&'a Intake, &'a str);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut of_each = self.0.of_each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = of_each.get_mut(self.1) {
            *count -= 1;
            if *count == 0 {
                of_each.remove(self.1);
            }
        }
    }
}

/// More is under way than is taken.
pub fn busy(what: impl Into<String>) -> Problem {
    Problem {
        retry_after: Some(1),
        ..Problem::coded(StatusCode::SERVICE_UNAVAILABLE, codes::BUSY, what, "try again in a moment")
    }
}

impl Intake {
    fn hold<'a>(&'a self, who: &'a str) -> Option<Held<'a>> {
        let mut of_each = self.of_each.lock().unwrap_or_else(PoisonError::into_inner);
        let count = of_each.entry(who.to_owned()).or_default();
        if *count >= MAX_BODIES_OF_ONE {
            return None;
        }
        *count += 1;
        Some(Held(self, who))
    }

    /// All of a body that a user sends.
    pub async fn read(&self, who: &str, mut body: Body) -> Result<Vec<u8>, Problem> {
        if body.is_end_stream() {
            return Ok(Vec::new());
        }
        let _held =
            self.hold(who).ok_or_else(|| busy(format!("too many requests of {who} are still coming in")))?;
        let _place = self.places.try_acquire().map_err(|_| busy("too many requests are still coming in"))?;
        let began = Instant::now();
        let mut read = Vec::new();
        loop {
            let paced = GRACE + Duration::from_secs_f64(read.len() as f64 / LEAST_PACE as f64);
            let late = |_| {
                let message = "the body did not arrive in time";
                Problem::coded(StatusCode::REQUEST_TIMEOUT, codes::BAD_HTTP_REQUEST, message, "try again")
            };
            match timeout_at(began + paced.min(PATIENCE), part(&mut body)).await.map_err(late)? {
                None => return Ok(read),
                Some(Ok(bytes)) if read.len() + bytes.len() <= MAX_BODY_BYTES => {
                    read.extend_from_slice(&bytes);
                }
                Some(_) => {
                    return Err(Problem::coded(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        codes::BAD_HTTP_REQUEST,
                        format!("the body has more than {MAX_BODY_BYTES} bytes, or broke off"),
                        "send less at once",
                    ));
                }
            }
        }
    }

    /// Takes in for a moment what is of no use: a client that still writes sees a broken connection, and not why it is refused.
    pub async fn discard(&self, headers: &HeaderMap, mut body: Body) {
        // Who asks before sending is told not to.
        if body.is_end_stream() || headers.contains_key(header::EXPECT) {
            return;
        }
        let Ok(_place) = self.discarded.try_acquire() else { return };
        let mut left = MAX_BODY_BYTES;
        let all = async {
            while let Some(Ok(bytes)) = part(&mut body).await {
                let Some(less) = left.checked_sub(bytes.len()) else { return };
                left = less;
            }
        };
        let _ = timeout(DISCARD_PATIENCE, all).await;
    }
}

/// The next part of a body; none at its end.
async fn part(body: &mut Body) -> Option<Result<axum::body::Bytes, ()>> {
    let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
    // Trailers say nothing here.
    Some(frame.map(|frame| frame.into_data().unwrap_or_default()).map_err(|_| ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_so_many_bodies_and_no_more_until_one_of_them_is_there() {
        let intake = Intake::default();
        let mut held: Vec<_> = (0..MAX_BODIES_OF_ONE).map(|_| intake.hold("ann").unwrap()).collect();
        assert!(intake.hold("ann").is_none() && intake.hold("ben").is_some());
        held.pop();
        assert!(intake.hold("ann").is_some());
        drop(held);
        assert!(intake.of_each.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn bodies_are_read_whole_and_not_beyond_their_bound() {
        let intake = Intake::default();
        assert_eq!(intake.read("ann", Body::from("abc")).await.unwrap(), b"abc");
        assert_eq!(intake.read("ann", Body::empty()).await.unwrap(), b"");
        let whole = vec![b'x'; MAX_BODY_BYTES];
        assert_eq!(intake.read("ann", Body::from(whole.clone())).await.unwrap().len(), MAX_BODY_BYTES);
        let refused = intake.read("ann", Body::from([whole, vec![b'x']].concat())).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
