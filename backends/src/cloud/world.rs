//! Time and chance, handed in where they matter, so that tests decide both.

use async_trait::async_trait;
use engine::time::Timestamp;
use rand::TryRng;
use rand::rngs::SysRng;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Clocks, sleep and random bits.
#[async_trait]
pub trait World: Send + Sync + Debug {
    /// The time of day, as this machine believes it.
    fn wall(&self) -> Timestamp;

    /// Time since some fixed moment; never goes back.
    fn steady(&self) -> Duration;

    /// Waits.
    async fn sleep(&self, time: Duration);

    /// Bits that nobody has had before.
    fn random(&self) -> u128;
}

/// The clocks and the randomness of the system.
#[derive(Debug)]
pub struct SystemWorld {
    since: Instant,
    drawn: AtomicU64,
}

impl Default for SystemWorld {
    fn default() -> Self {
        Self { since: Instant::now(), drawn: AtomicU64::new(0) }
    }
}

#[async_trait]
impl World for SystemWorld {
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn steady(&self) -> Duration {
        self.since.elapsed()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn random(&self) -> u128 {
        let mut bytes = [0; 16];
        if SysRng.try_fill_bytes(&mut bytes).is_ok() {
            return u128::from_le_bytes(bytes);
        }
        // A nonce has to be new, not secret: the time, the process and a count are enough where there is no chance.
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        (nanos << 32) ^ u128::from(std::process::id()) ^ (u128::from(count) << 96)
    }
}
