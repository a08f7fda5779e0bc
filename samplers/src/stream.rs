//! Random streams that are named, not carried along.
//!
//! A stream is the counter-based generator Philox4x32-10 of J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw,
//! "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). Its key is the experiment's seed; trial, purpose and
//! round are part of the counter. So the position of a draw is known by construction: nothing has to be stored to
//! go on after a crash, and two purposes never share a number.
//!
//! The draws that decide what is proposed are methods of [`Stream`] and will not change under it; the `rand`
//! traits are there for everything else.

use engine::id::TrialId;
use engine::space::normal;
use rand::rand_core::{Infallible, TryRng};

const MULTIPLIERS: (u32, u32) = (0xd251_1f53, 0xcd9e_8d57);
const WEYL: (u32, u32) = (0x9e37_79b9, 0xbb67_ae85);
const ROUNDS: usize = 10;

/// What a stream is used for: streams of different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Points drawn from the space itself.
    Prior = 1,
    /// The design of the first trials; its streams belong to the experiment, not to a trial.
    Design = 2,
    /// Candidates of a model.
    Candidates = 3,
    /// Where the search for an unseen point begins.
    Probe = 4,
    /// For tests and tools.
    Other = 5,
    /// The coins that scramble a sequence; its streams belong to the experiment, not to a trial.
    Scramble = 6,
    /// Where a search begins anew; its streams are numbered by beginnings, not by trials.
    Restart = 7,
}

/// One block of Philox4x32-10.
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = counter;
    let [mut low, mut high] = key;
    for _ in 0..ROUNDS {
        let first = u64::from(MULTIPLIERS.0) * u64::from(a);
        let second = u64::from(MULTIPLIERS.1) * u64::from(c);
        (a, b, c, d) = (
            ((second >> 32) as u32) ^ b ^ low,
            second as u32,
            ((first >> 32) as u32) ^ d ^ high,
            first as u32,
        );
        low = low.wrapping_add(WEYL.0);
        high = high.wrapping_add(WEYL.1);
    }
    [a, b, c, d]
}

/// A stream of random numbers, named by seed, trial, purpose and round.
#[derive(Debug, Clone)]
pub struct Stream {
    key: [u32; 2],
    /// Block, purpose and round, trial. 2^32 blocks are 64 GiB: no draw needs more.
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl Stream {
    /// The stream of a trial.
    pub fn new(seed: u64, trial: TrialId, purpose: Purpose, round: u32) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            counter: [0, purpose as u32, round, trial.0],
            block: [0; 4],
            used: 4,
        }
    }

    fn word(&mut self) -> u32 {
        if self.used >= self.block.len() {
            self.block = philox(self.counter, self.key);
            let [block, ..] = &mut self.counter;
            *block = block.wrapping_add(1);
            self.used = 0;
        }
        let word = self.block.get(self.used).copied().unwrap_or_default();
        self.used += 1;
        word
    }

    /// 64 random bits; the first word drawn is the low one.
    pub fn bits(&mut self) -> u64 {
        let low = u64::from(self.word());
        low | (u64::from(self.word()) << 32)
    }

    /// Even in `[0, 1)`, a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Even in `(0, 1)`: never 0 and never 1.
    pub fn open(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) * (1.0 / 4_503_599_627_370_496.0)
    }

    /// Standard normal, by inversion: one draw, one number.
    pub fn normal(&mut self) -> f64 {
        normal::quantile(self.open())
    }

    /// Even in `0..n`; 0 if `n` is 0. D. Lemire, "Fast random integer generation in an interval", ACM TOMACS 29
    /// (2019): without bias.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        let mut product = u128::from(self.bits()) * u128::from(n);
        if (product as u64) < n {
            let bias = n.wrapping_neg() % n;
            while (product as u64) < bias {
                product = u128::from(self.bits()) * u128::from(n);
            }
        }
        (product >> 64) as u64
    }

    /// The numbers `0..n` in random order (Fisher and Yates).
    pub fn permutation(&mut self, n: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        for end in (1..order.len()).rev() {
            let other = self.below(end as u64 + 1) as usize;
            order.swap(end, other);
        }
        order
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.word())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.bits())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(4) {
            let word = self.word().to_le_bytes();
            for (byte, from) in chunk.iter_mut().zip(word) {
                *byte = from;
            }
        }
        Ok(())
    }
}

/// A well-mixed number of another: one block of the same generator. For orders that must look random but follow
/// from the number alone.
pub(crate) fn mix(seed: u64, number: u64) -> u64 {
    let counter = [number as u32, (number >> 32) as u32, 0x6d69_7800, 0];
    let [a, b, ..] = philox(counter, [seed as u32, (seed >> 32) as u32]);
    u64::from(a) | (u64::from(b) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn philox_gives_the_published_known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn a_stream_is_named_by_seed_trial_purpose_and_round() {
        let first = |seed, trial, purpose, round| Stream::new(seed, TrialId(trial), purpose, round).bits();
        let one = first(1, 2, Purpose::Prior, 0);
        assert_eq!(one, first(1, 2, Purpose::Prior, 0));
        assert_ne!(one, first(2, 2, Purpose::Prior, 0));
        assert_ne!(one, first(1, 3, Purpose::Prior, 0));
        assert_ne!(one, first(1, 2, Purpose::Candidates, 0));
        assert_ne!(one, first(1, 2, Purpose::Prior, 1));
    }

    #[test]
    fn uniform_draws_fill_the_interval_and_normal_ones_have_the_right_moments() {
        let mut stream = Stream::new(7, TrialId(0), Purpose::Other, 0);
        let (mut sum, mut low, mut high) = (0.0, 1.0f64, 0.0f64);
        for _ in 0..20_000 {
            let u = stream.uniform();
            assert!((0.0..1.0).contains(&u));
            (sum, low, high) = (sum + u, low.min(u), high.max(u));
        }
        assert!((sum / 20_000.0 - 0.5).abs() < 0.01 && low < 0.001 && high > 0.999);
        let draws: Vec<f64> = (0..20_000).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn whole_numbers_are_even_and_a_permutation_holds_every_number_once() {
        let mut stream = Stream::new(7, TrialId(1), Purpose::Other, 0);
        let mut counts = [0u32; 5];
        for _ in 0..10_000 {
            counts[stream.below(5) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (1_800..2_200).contains(count)), "{counts:?}");
        assert_eq!(stream.below(0), 0);
        let mut order = stream.permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn the_stream_is_a_generator_for_rand() {
        let mut stream = Stream::new(7, TrialId(2), Purpose::Other, 0);
        let x: f64 = stream.random();
        assert!((0.0..1.0).contains(&x));
        let mut bytes = [0u8; 7];
        stream.fill(&mut bytes[..]);
        assert_ne!(bytes, [0; 7]);
    }
}
