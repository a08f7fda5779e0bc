//! The stepped domains: which multiples of the step exist, and which part of the unit interval each one has.
//!
//! NNI draws `x` from the continuous domain and takes `clip(round(x / q) * q, low, high)`, so that the cells at
//! the ends are narrower (half a step where the bound is on the lattice). The same cells are used here, with one
//! edge function for both directions: a value's own unit coordinate always leads back to it.

use super::normal::TAIL_DEVIATIONS;
use super::scale::Scale;
use crate::value::Value;
use std::f64::consts::LN_2;

/// Values of one stepped domain.
pub(super) const MAX_STEPS: f64 = 2_147_483_648.0;
/// Multiples of the step between zero and the bounds.
pub(super) const MAX_MULTIPLE: f64 = 8_589_934_592.0;
/// An end cell narrower than this is rounding noise of a bound half-way between two multiples; it is left out.
const SLIVER: f64 = 1e-12;
/// Whole numbers up to here are exact as `f64`.
pub(super) const EXACT: f64 = 9_007_199_254_740_992.0;

/// The multiples of a step that a domain can give.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lattice {
    scale: Scale,
    step: f64,
    /// Values are clipped to these.
    clip: (f64, f64),
    first: i64,
    last: i64,
    /// Whether every value is a whole number and is recorded as one.
    whole: bool,
    /// The step as `numerator / denominator`, the denominator a power of ten, where it has such a form.
    decimal: Option<(f64, f64)>,
}

impl Lattice {
    /// The lattice of a distribution with a step. Total: senseless numbers give a senseless lattice, no panic.
    pub(super) fn new(scale: Scale, step: f64) -> Self {
        let (clip, reach) = match scale {
            Scale::Linear { low, high } | Scale::Log { low, high } => ((low, high), (low, high)),
            Scale::Normal { mu, sigma } => {
                let z = deviations(0.0, libm::log(sigma / step));
                ((f64::NEG_INFINITY, f64::INFINITY), (mu - z * sigma, mu + z * sigma))
            }
            Scale::LogNormal { mu, sigma } => {
                let z = deviations(sigma, mu + libm::log(sigma / step));
                let reach = (libm::exp(mu - TAIL_DEVIATIONS * sigma), libm::exp(mu + z * sigma));
                ((f64::NEG_INFINITY, f64::INFINITY), reach)
            }
        };
        // Half-way bounds belong to the cell inside.
        let first = (reach.0 / step + 0.5).floor();
        let last = (reach.1 / step - 0.5).ceil().max(first);
        let whole_bound = |x: f64| x == x.round() && x.abs() <= EXACT;
        let bounded = clip.0.is_finite();
        let whole = whole_bound(step)
            && if bounded {
                whole_bound(clip.0) && whole_bound(clip.1)
            } else {
                whole_bound((first * step).round()) && whole_bound((last * step).round())
            };
        let mut lattice =
            Self { scale, step, clip, first: first as i64, last: last as i64, whole, decimal: decimal(step) };
        if bounded {
            lattice.drop_slivers(reach);
        }
        lattice
    }

    fn drop_slivers(&mut self, (low, high): (f64, f64)) {
        let half_way = |x: f64| ((x / self.step).abs().fract() - 0.5).abs() < 0.01;
        let (at_low, at_high) = (half_way(low), half_way(high));
        if at_low && self.first < self.last && self.edge(self.first.saturating_add(1)) < SLIVER {
            self.first = self.first.saturating_add(1);
        }
        if at_high && self.first < self.last && 1.0 - self.edge(self.last) < SLIVER {
            self.last = self.last.saturating_sub(1);
        }
    }

    /// Whether neighbouring values can be told apart everywhere, in the value and in the unit interval.
    pub(super) fn is_sound(&self) -> bool {
        let reach = (self.first.unsigned_abs() as f64).max(self.last.unsigned_abs() as f64);
        let deep_enough = match self.scale {
            Scale::Normal { sigma, .. } => deviations(0.0, libm::log(sigma / self.step)) >= 3.0,
            Scale::LogNormal { mu, sigma } => deviations(sigma, mu + libm::log(sigma / self.step)) >= 3.0,
            Scale::Linear { .. } | Scale::Log { .. } => true,
        };
        reach <= MAX_MULTIPLE && self.count() as f64 <= MAX_STEPS && deep_enough
    }

    /// How many values there are; at least one.
    pub(super) fn count(&self) -> u64 {
        self.last.saturating_sub(self.first).unsigned_abs().saturating_add(1)
    }

    /// Whether the values are whole numbers.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The lower edge of the cell of multiple `k` in the unit interval.
    fn edge(&self, k: i64) -> f64 {
        if k <= self.first {
            0.0
        } else if k > self.last {
            1.0
        } else {
            self.scale.unit((k as f64 - 0.5) * self.step)
        }
    }

    fn multiple(&self, index: u64) -> i64 {
        self.first.saturating_add_unsigned(index).min(self.last)
    }

    fn index(&self, k: i64) -> u64 {
        k.max(self.first).saturating_sub(self.first).unsigned_abs()
    }

    /// The unit interval of the value at an index.
    pub(super) fn cell(&self, index: u64) -> (f64, f64) {
        let k = self.multiple(index);
        (self.edge(k), self.edge(k.saturating_add(1)))
    }

    /// The index of the value at `u`, which must be in `[0, 1]`.
    pub(super) fn locate(&self, u: f64) -> u64 {
        let mut k = self.round(self.scale.at(u));
        // The guess is off by rounding at most; the edges decide.
        for _ in 0..64 {
            if k > self.first && u < self.edge(k) {
                k -= 1;
            } else if k < self.last && u >= self.edge(k + 1) {
                k += 1;
            } else {
                break;
            }
        }
        self.index(k)
    }

    fn round(&self, x: f64) -> i64 {
        ((x / self.step).round() as i64).max(self.first).min(self.last)
    }

    /// The number at an index: a decimal step gives clean decimals (3 * 0.05 is 0.15).
    pub(super) fn number(&self, index: u64) -> f64 {
        let k = self.multiple(index) as f64;
        let x = match self.decimal {
            // Both operands are exact, so the quotient is the float nearest to the decimal.
            Some((numerator, denominator)) if (k * numerator).abs() <= EXACT => k * numerator / denominator,
            _ => k * self.step,
        };
        x.max(self.clip.0).min(self.clip.1)
    }

    /// The value at an index.
    pub(super) fn value(&self, index: u64) -> Value {
        let x = self.number(index);
        if self.whole { Value::Int(x as i64) } else { Value::Float(x) }
    }

    /// The index of the value nearest to `x`; of two equally near ones the lower.
    pub(super) fn nearest(&self, x: f64) -> u64 {
        // Far outside, where all gaps round to the same number, the ends would look equally near.
        let x = x.max(self.number(0)).min(self.number(self.count() - 1));
        let guess = self.index(self.round(x));
        let mut best = guess.saturating_sub(1);
        for index in [guess, guess.saturating_add(1).min(self.count() - 1)] {
            if (self.number(index) - x).abs() < (self.number(best) - x).abs() {
                best = index;
            }
        }
        best
    }
}

/// How many deviations above the mean the lattice reaches: up to the tail that a draw can reach, less where
/// the cells would become too narrow for a unit coordinate near 1, which resolves 2^-53.
///
/// The width of a cell is `exp(-z^2/2 - growth*z - log_fineness) / sqrt(2 pi)`; it must be at least 2^-46.
fn deviations(growth: f64, log_fineness: f64) -> f64 {
    let half_log_tau = 0.918_938_533_204_672_8;
    let c = log_fineness + half_log_tau - 46.0 * LN_2;
    let discriminant = growth * growth - 2.0 * c;
    if discriminant.is_nan() || discriminant <= 0.0 {
        0.0
    } else {
        (discriminant.sqrt() - growth).clamp(0.0, TAIL_DEVIATIONS)
    }
}

/// The step as a fraction over a power of ten, where it is a short decimal.
fn decimal(step: f64) -> Option<(f64, f64)> {
    let mut denominator = 1.0;
    for _ in 0..=17 {
        let numerator = (step * denominator).round();
        if numerator > EXACT {
            return None;
        }
        if numerator / denominator == step {
            return Some((numerator, denominator));
        }
        denominator *= 10.0;
    }
    None
}
