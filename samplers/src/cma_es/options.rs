//! The distributions over options.
//!
//! R. Hamano, S. Saito, M. Nomura, K. Uchida and S. Shirakawa, "`CatCMA`: stochastic optimization for mixed-category
//! problems", GECCO 2024. The rate adapts itself: Y. Akimoto, S. Shirakawa, N. Yoshinari, K. Uchida, S. Saito and K.
//! Nishida, "Adaptive stochastic natural gradient method for one-shot neural architecture search", ICML 2019.

use crate::stream::Stream;

/// How far the signal may be above the noise before the rate grows.
const SIGNAL: f64 = 1.5;
/// The rate grows at most to the inverse of this.
const LEAST_RATE_INVERSE: f64 = 1e-3;

/// The probabilities of the options of all choices.
#[derive(Debug)]
pub(super) struct Options {
    /// By choice and option.
    probabilities: Vec<Vec<f64>>,
    /// By choice: no option's probability falls below it.
    least: Vec<f64>,
    /// The smoothed direction of the steps, in coordinates where their noise is even.
    path: Vec<f64>,
    /// The squared length that the path would have by chance.
    chance: f64,
    /// The inverse of the rate.
    inverse: f64,
}

impl Options {
    /// Even probabilities; `discrete` is the number of all choices and lattice parameters.
    pub(super) fn new(counts: impl Iterator<Item = u32>, discrete: usize) -> Self {
        let margin = 1.0 - libm::pow(0.73, 1.0 / discrete.max(1) as f64);
        let counts: Vec<u32> = counts.collect();
        let free = counts.iter().map(|n| *n as usize - 1).sum();
        Self {
            probabilities: counts.iter().map(|n| vec![1.0 / f64::from(*n); *n as usize]).collect(),
            least: counts.iter().map(|n| (margin / f64::from(n - 1)).min(1.0 / f64::from(*n))).collect(),
            path: vec![0.0; free],
            chance: 0.0,
            inverse: 1.0,
        }
    }

    /// One draw.
    pub(super) fn draw(&self, stream: &mut Stream) -> Vec<Option<u32>> {
        let one = |probabilities: &Vec<f64>| {
            let mut left = stream.uniform();
            let mut option = 0;
            for (at, p) in (0u32..).zip(probabilities) {
                option = at;
                left -= p;
                if left < 0.0 {
                    break;
                }
            }
            Some(option)
        };
        self.probabilities.iter().map(one).collect()
    }

    /// Takes in the options of good members with their weights.
    pub(super) fn update(&mut self, members: &[(f64, &[Option<u32>])]) {
        if self.path.is_empty() {
            return;
        }
        let steps: Vec<Vec<f64>> = (0..self.probabilities.len()).map(|c| self.step(c, members)).collect();
        let even: Vec<f64> =
            self.probabilities.iter().zip(&steps).flat_map(|(p, step)| evened(p, step)).collect();
        let length = even.iter().map(|x| x * x).sum::<f64>().sqrt();
        if length <= 1e-300 {
            return;
        }
        let rate = 1.0 / self.inverse;
        for (own, step) in self.probabilities.iter_mut().zip(&steps) {
            for (p, change) in own.iter_mut().zip(step) {
                *p += rate / length * change;
            }
        }
        let beta = (rate / (self.path.len() as f64).sqrt()).min(1.0);
        for (slot, x) in self.path.iter_mut().zip(&even) {
            *slot = (1.0 - beta) * *slot + (beta * (2.0 - beta)).sqrt() * x / length;
        }
        self.chance = (1.0 - beta) * (1.0 - beta) * self.chance + beta * (2.0 - beta);
        let signal: f64 = self.path.iter().map(|x| x * x).sum();
        self.inverse *= libm::exp(beta * (self.chance - signal / SIGNAL));
        self.inverse = self.inverse.clamp(LEAST_RATE_INVERSE, 1e12);
        self.keep();
    }

    /// The natural gradient of a choice.
    fn step(&self, choice: usize, members: &[(f64, &[Option<u32>])]) -> Vec<f64> {
        let Some(own) = self.probabilities.get(choice) else { return Vec::new() };
        let mut step = vec![0.0; own.len()];
        for (weight, options) in members {
            let Some(option) = options.get(choice).copied().flatten() else { continue };
            for (at, (slot, p)) in (0u32..).zip(step.iter_mut().zip(own)) {
                *slot += weight * (f64::from(u8::from(at == option)) - p);
            }
        }
        step
    }

    /// Keeps every probability above its least, and their sum at 1.
    fn keep(&mut self) {
        for (own, least) in self.probabilities.iter_mut().zip(&self.least) {
            for p in own.iter_mut() {
                *p = p.max(*least);
            }
            let sum: f64 = own.iter().sum();
            let above = sum - least * own.len() as f64;
            if above > 1e-12 {
                for p in own.iter_mut() {
                    *p += (1.0 - sum) * (*p - least) / above;
                }
            }
            let sum: f64 = own.iter().sum();
            for p in own.iter_mut() {
                *p /= sum;
            }
        }
    }
}

/// A step in coordinates where Fisher's information is even: one less than there are options.
fn evened<'a>(probabilities: &'a [f64], step: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    let last = probabilities.last().copied().unwrap_or(1.0);
    let free = probabilities.len().saturating_sub(1);
    let sum: f64 = step.iter().take(free).sum();
    probabilities
        .iter()
        .zip(step)
        .take(free)
        .map(move |(p, change)| change / p.sqrt() + p.sqrt() * sum / (last + last.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Purpose;
    use engine::id::TrialId;

    #[test]
    fn the_better_option_is_learned_and_the_others_keep_a_probability() {
        let mut options = Options::new([4, 3].into_iter(), 2);
        for generation in 0..60 {
            let mut stream = Stream::new(1, TrialId(generation), Purpose::Other, 0);
            let mut drawn: Vec<Vec<Option<u32>>> = (0..8).map(|_| options.draw(&mut stream)).collect();
            drawn.sort_by_key(|d| u32::from(d[0] != Some(2)) + u32::from(d[1] != Some(0)));
            let good: Vec<(f64, &[Option<u32>])> =
                drawn.iter().take(4).map(|d| (0.25, d.as_slice())).collect();
            options.update(&good);
            for own in &options.probabilities {
                assert!((own.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            }
        }
        assert!(options.probabilities[0][2] > 0.7, "{:?}", options.probabilities);
        assert!(options.probabilities[1][0] > 0.7, "{:?}", options.probabilities);
        for (own, least) in options.probabilities.iter().zip(&options.least) {
            assert!(own.iter().all(|p| *p >= least - 1e-12));
        }
    }

    #[test]
    fn members_without_the_parameter_teach_nothing() {
        let mut options = Options::new([2].into_iter(), 1);
        options.update(&[(0.5, &[None]), (0.5, &[None])]);
        assert_eq!(options.probabilities, vec![vec![0.5, 0.5]]);
    }
}
