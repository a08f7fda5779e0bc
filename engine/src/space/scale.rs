//! The continuous distributions behind the domains: unit interval to number and back.

use super::normal;

/// A continuous distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// Even between two bounds.
    Linear { low: f64, high: f64 },
    /// Even in the logarithm between two bounds above zero.
    Log { low: f64, high: f64 },
    /// Normal.
    Normal { mu: f64, sigma: f64 },
    /// Normal in the logarithm.
    LogNormal { mu: f64, sigma: f64 },
}

impl Scale {
    /// The number at `u`; `u` outside `[0, 1]` is clamped, and the bounds are met exactly.
    pub(super) fn at(self, u: f64) -> f64 {
        match self {
            Self::Linear { low, high } | Self::Log { low, high } if u <= 0.0 || u >= 1.0 => {
                if u <= 0.0 {
                    low
                } else {
                    high
                }
            }
            Self::Linear { low, high } => (low + u * (high - low)).max(low).min(high),
            Self::Log { low, high } => {
                let (from, to) = (libm::log(low), libm::log(high));
                libm::exp(from + u * (to - from)).max(low).min(high)
            }
            Self::Normal { mu, sigma } => mu + sigma * normal::quantile(u),
            Self::LogNormal { mu, sigma } => libm::exp(mu + sigma * normal::quantile(u)),
        }
    }

    /// The `u` in `[0, 1]` whose number is `x`; numbers beyond the bounds give 0 or 1.
    pub(super) fn unit(self, x: f64) -> f64 {
        let u = match self {
            Self::Linear { low, high } => (x - low) / (high - low),
            Self::Log { low, high } => {
                if x <= low {
                    return 0.0;
                }
                let from = libm::log(low);
                (libm::log(x) - from) / (libm::log(high) - from)
            }
            Self::Normal { mu, sigma } => normal::cdf((x - mu) / sigma),
            Self::LogNormal { mu, sigma } => {
                if x <= 0.0 {
                    return 0.0;
                }
                normal::cdf((libm::log(x) - mu) / sigma)
            }
        };
        if u.is_nan() { 0.5 } else { u.clamp(0.0, 1.0) }
    }
}
