//! The pace of calls: a token bucket for each kind, slower after a service has asked for that, and silence for as long
//! as it has asked for.
//!
//! Begin with [`Pacer::admit`]. Waiting calls go in the order in which they came.

use crate::cloud::locked::locked;
use crate::cloud::world::World;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The kinds of calls that have a pace of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Reads, and writes that may be repeated.
    Reads,
    /// Reads of what many jobs print, for which nothing else should wait.
    Output,
    /// Submissions.
    Submissions,
}

/// Calls per second, and how many may come at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Calls per second; positive.
    pub per_second: f64,
    /// Calls at once; at least 1.
    pub burst: f64,
}

/// The rate never falls below this share of what is configured.
const LEAST_SHARE: f64 = 1.0 / 32.0;
/// What a throttled answer leaves of the rate.
const SLOW_DOWN: f64 = 0.5;
/// Answers that bring a halved rate back to the whole.
const ANSWERS_TO_RECOVER: f64 = 50.0;
/// Throttled answers within this time count as one: they are to calls that were sent before the first of them came.
const ONE_THROTTLING: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Bucket {
    configured: Rate,
    per_second: f64,
    tokens: f64,
    counted: Duration,
    slowed: Option<Duration>,
}

impl Bucket {
    fn new(configured: Rate) -> Self {
        let per_second = configured.per_second;
        Self { configured, per_second, tokens: configured.burst, counted: Duration::ZERO, slowed: None }
    }

    /// Takes a token, or says how long it takes until there is one.
    fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let passed = now.saturating_sub(self.counted).as_secs_f64();
        self.counted = self.counted.max(now);
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst());
        // What is missing by rounding is not missing.
        if self.tokens >= 1.0 - 1e-6 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.per_second).max(Duration::from_millis(1)))
    }

    /// Calls at once. One at a time where the service has asked for fewer: of several that are on their way together it would refuse the
    /// rest as well, and they would come within the silence that it asks the first one for.
    fn burst(&self) -> f64 {
        if self.per_second < self.configured.per_second { 1.0 } else { self.configured.burst }
    }

    /// Lets nothing be saved up before `until` but these tokens: after a silence calls come one by one.
    fn empty(&mut self, until: Duration, tokens: f64) {
        self.tokens = tokens;
        self.counted = self.counted.max(until);
    }

    fn slow_down(&mut self, now: Duration) {
        if self.slowed.is_none_or(|slowed| now >= slowed + ONE_THROTTLING) {
            self.slowed = Some(now);
            self.per_second = (self.per_second * SLOW_DOWN).max(self.configured.per_second * LEAST_SHARE);
        }
    }

    fn recover(&mut self) {
        let step = self.configured.per_second * (1.0 - SLOW_DOWN) / ANSWERS_TO_RECOVER;
        self.per_second = (self.per_second + step).min(self.configured.per_second);
    }
}

#[derive(Debug)]
struct Queue {
    turn: tokio::sync::Mutex<()>,
    bucket: Mutex<Bucket>,
}

impl Queue {
    fn new(rate: Rate) -> Self {
        Self { turn: tokio::sync::Mutex::default(), bucket: Mutex::new(Bucket::new(rate)) }
    }
}

/// The paces of all kinds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Of [`Lane::Reads`].
    pub reads: Rate,
    /// Of [`Lane::Output`].
    pub output: Rate,
    /// Of [`Lane::Submissions`].
    pub submissions: Rate,
}

impl Rates {
    /// So many calls in a second all together: of nine, four reads, four reads of output and one submission.
    pub fn of(per_second: f64) -> Self {
        let share = |part: f64| {
            let per_second = per_second * part / 9.0;
            Rate { per_second, burst: per_second.max(1.0) }
        };
        Self { reads: share(4.0), output: share(4.0), submissions: share(1.0) }
    }
}

/// Paces the calls to one service.
#[derive(Debug)]
pub struct Pacer {
    world: Arc<dyn World>,
    reads: Queue,
    output: Queue,
    submissions: Queue,
    /// No call is sent before this time.
    silent_until: Mutex<Duration>,
}

impl Pacer {
    /// A pacer with these rates.
    pub fn new(world: Arc<dyn World>, rates: Rates) -> Self {
        Self {
            world,
            reads: Queue::new(rates.reads),
            output: Queue::new(rates.output),
            submissions: Queue::new(rates.submissions),
            silent_until: Mutex::default(),
        }
    }

    fn queue(&self, lane: Lane) -> &Queue {
        match lane {
            Lane::Reads => &self.reads,
            Lane::Output => &self.output,
            Lane::Submissions => &self.submissions,
        }
    }

    /// Waits until a call may be sent, if that is not after `deadline`; else says how much longer it would be.
    pub async fn admit(&self, lane: Lane, deadline: Duration) -> Result<(), Duration> {
        let queue = self.queue(lane);
        let _turn = queue.turn.lock().await;
        loop {
            let now = self.world.steady();
            let silence = locked(&self.silent_until).saturating_sub(now);
            let wait = if silence > Duration::ZERO {
                silence
            } else if let Err(wait) = locked(&queue.bucket).take(now) {
                wait
            } else {
                return Ok(());
            };
            if now + wait > deadline {
                return Err(wait);
            }
            self.world.sleep(wait).await;
        }
    }

    /// The service asks for fewer calls, and for none at all for `silence`.
    pub fn throttled(&self, lane: Lane, silence: Option<Duration>) {
        let now = self.world.steady();
        locked(&self.queue(lane).bucket).slow_down(now);
        if let Some(silence) = silence {
            let until = now + silence;
            let mut silent_until = locked(&self.silent_until);
            *silent_until = (*silent_until).max(until);
            // One call goes first: whether the service still wants silence is known before others follow.
            for (queue, tokens) in [(&self.reads, 1.0), (&self.output, 0.0), (&self.submissions, 0.0)] {
                locked(&queue.bucket).empty(until, tokens);
            }
        }
    }

    /// The service has answered without asking for fewer calls.
    pub fn answered(&self, lane: Lane) {
        locked(&self.queue(lane).bucket).recover();
    }

    /// The pace now, in calls per second.
    pub fn per_second(&self, lane: Lane) -> f64 {
        locked(&self.queue(lane).bucket).per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use engine::time::Timestamp;

    /// Its clock moves only when somebody sleeps.
    #[derive(Debug, Default)]
    struct Still(Mutex<Duration>);

    #[async_trait]
    impl World for Still {
        fn wall(&self) -> Timestamp {
            Timestamp(0)
        }

        fn steady(&self) -> Duration {
            *self.0.lock().unwrap()
        }

        async fn sleep(&self, time: Duration) {
            *self.0.lock().unwrap() += time;
        }

        fn random(&self) -> u128 {
            0
        }
    }

    const NEVER: Duration = Duration::from_secs(1_000_000);

    fn pacer() -> (Arc<Still>, Pacer) {
        let world = Arc::new(Still::default());
        let reads = Rate { per_second: 5.0, burst: 5.0 };
        let submissions = Rate { per_second: 1.0, burst: 1.0 };
        (Arc::clone(&world), Pacer::new(world, Rates { reads, output: reads, submissions }))
    }

    #[tokio::test]
    async fn calls_keep_to_the_rate_of_their_kind() {
        let (world, pacer) = pacer();
        for _ in 0..55 {
            pacer.admit(Lane::Reads, NEVER).await.unwrap();
        }
        let took = world.steady().as_secs_f64();
        assert!((10.0..10.2).contains(&took), "55 reads after a pause take 10 s, not {took}");
        pacer.admit(Lane::Output, world.steady()).await.unwrap();
        for _ in 0..11 {
            pacer.admit(Lane::Submissions, NEVER).await.unwrap();
        }
        let took = world.steady().as_secs_f64() - took;
        assert!((10.0..10.2).contains(&took), "11 submissions take 10 s, not {took}");
    }

    #[tokio::test]
    async fn nothing_is_sent_while_the_service_has_asked_for_silence() {
        let (world, pacer) = pacer();
        pacer.throttled(Lane::Submissions, Some(Duration::from_secs(7)));
        assert_eq!(pacer.admit(Lane::Reads, Duration::from_secs(6)).await, Err(Duration::from_secs(7)));
        pacer.admit(Lane::Reads, NEVER).await.unwrap();
        assert_eq!(world.steady(), Duration::from_secs(7));
    }

    #[tokio::test]
    async fn after_a_silence_calls_come_one_by_one() {
        let (world, pacer) = pacer();
        pacer.throttled(Lane::Output, Some(Duration::from_secs(7)));
        for _ in 0..6 {
            pacer.admit(Lane::Reads, NEVER).await.unwrap();
        }
        let took = world.steady().as_secs_f64();
        assert!((8.0..8.1).contains(&took), "five of six calls wait for 0.2 s each after 7 s, not {took}");
        pacer.throttled(Lane::Reads, Some(Duration::from_secs(2)));
        pacer.admit(Lane::Output, NEVER).await.unwrap();
        assert!(world.steady().as_secs_f64() > took + 2.19, "a call of another kind goes first");
    }

    #[tokio::test]
    async fn while_the_pace_is_slower_nothing_is_saved_up() {
        let (world, pacer) = pacer();
        pacer.throttled(Lane::Reads, None);
        world.sleep(Duration::from_mins(1)).await;
        for _ in 0..5 {
            pacer.admit(Lane::Reads, NEVER).await.unwrap();
        }
        let took = world.steady().as_secs_f64() - 60.0;
        assert!(
            (1.6..1.7).contains(&took),
            "four of five calls wait for 0.4 s each after a pause, not {took}"
        );
        for _ in 0..100 {
            pacer.answered(Lane::Reads);
        }
        world.sleep(Duration::from_mins(1)).await;
        let before = world.steady();
        for _ in 0..5 {
            pacer.admit(Lane::Reads, NEVER).await.unwrap();
        }
        assert_eq!(world.steady(), before, "as before once it has come back");
    }

    #[tokio::test]
    async fn the_pace_falls_when_asked_and_comes_back_with_good_answers() {
        let (world, pacer) = pacer();
        for _ in 0..3 {
            pacer.throttled(Lane::Reads, None);
        }
        assert_eq!(pacer.per_second(Lane::Reads), 2.5, "answers that come together count once");
        for _ in 0..20 {
            world.sleep(ONE_THROTTLING).await;
            pacer.throttled(Lane::Reads, None);
        }
        assert_eq!(pacer.per_second(Lane::Reads), 5.0 / 32.0);
        for _ in 0..100 {
            pacer.answered(Lane::Reads);
        }
        assert_eq!(pacer.per_second(Lane::Reads), 5.0);
        assert_eq!(pacer.per_second(Lane::Submissions), 1.0);
    }
}
