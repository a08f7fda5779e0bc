//! The domain of one parameter, and its map to the unit interval.

use super::label::Label;
use super::lattice::{EXACT, Lattice};
use super::scale::Scale;
use crate::value::Value;

/// What values one parameter can take and how likely each is before anything is known. The types are those of
/// NNI 2.10 and PAI `AutoML`, plus `ordinal`.
///
/// The kind of the recorded [`Value`] depends on the domain alone: options are `Value::Option`; `randint` gives
/// `Value::Int`; a stepped domain gives `Value::Int` when the step and the bounds (for the normal family: the
/// step) are whole numbers, so that it prints `64` and not `64.0`; everything else gives `Value::Float`.
///
/// A stepped domain has the values `clip(round(x / q) * q, low, high)`, as clean decimals: 3 steps of 0.05 are
/// 0.15. A bound that is not a multiple of `q` is itself a value when draws are clipped to it. The normal
/// family is not clipped, but draws reach at most about 7 deviations from the mean (probability 1e-12 on each
/// side), and a stepped normal domain has the values within that reach.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// Even between the bounds, both included.
    Uniform {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// Even, in steps.
    QUniform {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
        /// Step.
        q: f64,
    },
    /// Even in the logarithm.
    LogUniform {
        /// Lower bound, above zero.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// Even in the logarithm, in steps.
    QLogUniform {
        /// Lower bound, above zero.
        low: f64,
        /// Upper bound.
        high: f64,
        /// Step of the value (not of its logarithm).
        q: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mu: f64,
        /// Standard deviation.
        sigma: f64,
    },
    /// Normal, in steps.
    QNormal {
        /// Mean.
        mu: f64,
        /// Standard deviation.
        sigma: f64,
        /// Step.
        q: f64,
    },
    /// Normal in the logarithm.
    LogNormal {
        /// Mean of the natural logarithm.
        mu: f64,
        /// Standard deviation of the natural logarithm.
        sigma: f64,
    },
    /// Normal in the logarithm, in steps.
    QLogNormal {
        /// Mean of the natural logarithm.
        mu: f64,
        /// Standard deviation of the natural logarithm.
        sigma: f64,
        /// Step of the value (not of its logarithm).
        q: f64,
    },
    /// Whole numbers, even.
    RandInt {
        /// Smallest value.
        low: i64,
        /// The first number above the values.
        high: i64,
    },
    /// Options without an order, all equally likely.
    Choice {
        /// The options; a nested one is its `_name`.
        options: Vec<Label>,
    },
    /// Options in order, all equally likely.
    Ordinal {
        /// The options, lowest first.
        options: Vec<Label>,
    },
}

/// How a domain divides the unit interval.
pub(super) enum Shape {
    /// Not at all.
    Continuous(Scale),
    /// In the cells of a lattice.
    Stepped(Lattice),
    /// In this many equal cells.
    Even(u64),
}

impl Domain {
    /// The name of the type in the experiment file.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Uniform { .. } => "uniform",
            Self::QUniform { .. } => "quniform",
            Self::LogUniform { .. } => "loguniform",
            Self::QLogUniform { .. } => "qloguniform",
            Self::Normal { .. } => "normal",
            Self::QNormal { .. } => "qnormal",
            Self::LogNormal { .. } => "lognormal",
            Self::QLogNormal { .. } => "qlognormal",
            Self::RandInt { .. } => "randint",
            Self::Choice { .. } => "choice",
            Self::Ordinal { .. } => "ordinal",
        }
    }

    pub(super) fn shape(&self) -> Shape {
        match *self {
            Self::Uniform { low, high } => Shape::Continuous(Scale::Linear { low, high }),
            Self::LogUniform { low, high } => Shape::Continuous(Scale::Log { low, high }),
            Self::Normal { mu, sigma } => Shape::Continuous(Scale::Normal { mu, sigma }),
            Self::LogNormal { mu, sigma } => Shape::Continuous(Scale::LogNormal { mu, sigma }),
            Self::QUniform { low, high, q } => Shape::Stepped(Lattice::new(Scale::Linear { low, high }, q)),
            Self::QLogUniform { low, high, q } => Shape::Stepped(Lattice::new(Scale::Log { low, high }, q)),
            Self::QNormal { mu, sigma, q } => Shape::Stepped(Lattice::new(Scale::Normal { mu, sigma }, q)),
            Self::QLogNormal { mu, sigma, q } => {
                Shape::Stepped(Lattice::new(Scale::LogNormal { mu, sigma }, q))
            }
            Self::RandInt { low, high } => Shape::Even(high.saturating_sub(low).max(1).unsigned_abs()),
            Self::Choice { ref options } | Self::Ordinal { ref options } => {
                Shape::Even((options.len() as u64).max(1))
            }
        }
    }

    /// The value at a coordinate of the unit interval. Total: `u` is clamped to `[0, 1]`, and NaN is 0.5.
    ///
    /// Equal lengths of the interval are equally likely values, as NNI draws them.
    pub fn from_unit(&self, u: f64) -> Value {
        let u = if u.is_nan() { 0.5 } else { u.clamp(0.0, 1.0) };
        match self.shape() {
            Shape::Continuous(scale) => Value::Float(scale.at(u)),
            Shape::Stepped(lattice) => lattice.value(lattice.locate(u)),
            Shape::Even(n) => self.even_value(locate_even(u, n)),
        }
    }

    /// The coordinate of a value: the centre of its cell for a discrete domain, so that
    /// `from_unit(to_unit(v))` is `v` in every bit. For a continuous domain that holds up to rounding, and exactly
    /// at the bounds. A value of an unbounded normal domain beyond the reach of draws gets 0 or 1.
    ///
    /// None if the domain does not contain the value.
    pub fn to_unit(&self, value: Value) -> Option<f64> {
        match (self.shape(), value) {
            (Shape::Continuous(scale), Value::Float(x)) if self.contains(value) => Some(scale.unit(x)),
            (Shape::Continuous(_), _) => None,
            (Shape::Stepped(_) | Shape::Even(_), _) => {
                self.cell(value).map(|(low, high)| low + (high - low) / 2.0)
            }
        }
    }

    /// The part of the unit interval that maps to this value of a discrete domain: the lower edge belongs to it,
    /// the upper edge to the next value. None for a continuous domain and for a value that is not contained.
    pub fn cell(&self, value: Value) -> Option<(f64, f64)> {
        let index = self.index_of(value)?;
        match self.shape() {
            Shape::Continuous(_) => None,
            Shape::Stepped(lattice) => Some(lattice.cell(index)),
            Shape::Even(n) => Some((even_edge(index, n), even_edge(index + 1, n))),
        }
    }

    /// The number of values; none if there are infinitely many.
    pub fn cardinality(&self) -> Option<u64> {
        match self.shape() {
            Shape::Continuous(_) => None,
            Shape::Stepped(lattice) => Some(lattice.count()),
            Shape::Even(n) => Some(n),
        }
    }

    /// Whether there are infinitely many values.
    pub fn is_continuous(&self) -> bool {
        matches!(
            self,
            Self::Uniform { .. } | Self::LogUniform { .. } | Self::Normal { .. } | Self::LogNormal { .. }
        )
    }

    /// Whether the values have no order: a choice.
    pub fn is_categorical(&self) -> bool {
        matches!(self, Self::Choice { .. })
    }

    /// Whether every value has a number: true for all but choices and ordinals with an option that is none.
    pub fn is_numeric(&self) -> bool {
        self.options().is_none_or(|options| options.iter().all(|label| label.number().is_some()))
    }

    /// Whether the domain works on a logarithmic scale.
    pub fn is_log(&self) -> bool {
        matches!(
            self,
            Self::LogUniform { .. }
                | Self::QLogUniform { .. }
                | Self::LogNormal { .. }
                | Self::QLogNormal { .. }
        )
    }

    /// The options of a choice or an ordinal.
    pub fn options(&self) -> Option<&[Label]> {
        match self {
            Self::Choice { options } | Self::Ordinal { options } => Some(options),
            _ => None,
        }
    }

    /// Whether this is a value of the domain, in its kind and in its bits.
    pub fn contains(&self, value: Value) -> bool {
        match (self, value) {
            (Self::Uniform { low, high } | Self::LogUniform { low, high }, Value::Float(x)) => {
                *low <= x && x <= *high
            }
            (Self::Normal { .. }, Value::Float(x)) => x.is_finite(),
            (Self::LogNormal { .. }, Value::Float(x)) => x.is_finite() && x > 0.0,
            _ => self.index_of(value).is_some(),
        }
    }

    /// The value nearest to a number (NaN counts as 0), on the number's own scale; of two equally near ones the
    /// lower. For options that all are numbers the one with the nearest number, for others `x` is an index.
    pub fn nearest(&self, x: f64) -> Value {
        let x = if x.is_nan() { 0.0 } else { x };
        match (self, self.shape()) {
            (Self::Uniform { low, high } | Self::LogUniform { low, high }, _) => {
                Value::Float(x.max(*low).min(*high))
            }
            (Self::LogNormal { .. }, _) => Value::Float(x.clamp(f64::MIN_POSITIVE, f64::MAX)),
            (_, Shape::Continuous(_)) => Value::Float(x.clamp(f64::MIN, f64::MAX)),
            (_, Shape::Stepped(lattice)) => lattice.value(lattice.nearest(x)),
            (Self::RandInt { low, high }, _) => {
                // Half-way goes down.
                let floor = x.floor();
                let whole = if x - floor > 0.5 { floor + 1.0 } else { floor };
                Value::Int((whole as i64).min(high.saturating_sub(1)).max(*low))
            }
            (_, Shape::Even(n)) => self.nearest_option(x, n),
        }
    }

    fn nearest_option(&self, x: f64, n: u64) -> Value {
        let options = self.options().unwrap_or_default();
        if !self.is_numeric() {
            return self.even_value((x.round().max(0.0) as u64).min(n.saturating_sub(1)));
        }
        let mut best = (0, f64::INFINITY, f64::INFINITY);
        for (index, number) in (0u64..).zip(options.iter().filter_map(Label::number)) {
            let gap = (number - x).abs();
            if gap < best.1 || (gap == best.1 && number < best.2) {
                best = (index, gap, number);
            }
        }
        self.even_value(best.0)
    }

    /// The value at an index below [`Self::cardinality`], lowest or first option first. None beyond it and for a
    /// continuous domain.
    pub fn nth(&self, index: u64) -> Option<Value> {
        match self.shape() {
            Shape::Continuous(_) => None,
            Shape::Stepped(lattice) => (index < lattice.count()).then(|| lattice.value(index)),
            Shape::Even(n) => (index < n).then(|| self.even_value(index)),
        }
    }

    /// The index of a value of a discrete domain, such that `nth(index)` is the value.
    pub fn index_of(&self, value: Value) -> Option<u64> {
        match (self.shape(), value) {
            (Shape::Stepped(lattice), Value::Int(n))
                if lattice.is_whole() && n.unsigned_abs() as f64 <= EXACT =>
            {
                let index = lattice.nearest(n as f64);
                (lattice.value(index) == value).then_some(index)
            }
            (Shape::Stepped(lattice), Value::Float(x)) if !lattice.is_whole() && x.is_finite() => {
                let index = lattice.nearest(x);
                (lattice.number(index) == x).then_some(index)
            }
            (Shape::Even(n), Value::Option(option)) if self.options().is_some() => {
                (u64::from(option) < n).then_some(u64::from(option))
            }
            (Shape::Even(n), Value::Int(number)) => match self {
                Self::RandInt { low, .. } if number >= *low => {
                    let index = number.checked_sub(*low)?.unsigned_abs();
                    (index < n).then_some(index)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The value as a number: of an option, the number that its label is. None for an option without a number
    /// and for a value of the wrong kind.
    pub fn number(&self, value: Value) -> Option<f64> {
        match (value, self.options()) {
            (Value::Float(x), None) => Some(x),
            (Value::Int(n), None) => Some(n as f64),
            (Value::Option(_), Some(_)) => self.label(value).and_then(Label::number),
            _ => None,
        }
    }

    /// The label of an option.
    pub fn label(&self, value: Value) -> Option<&Label> {
        match value {
            Value::Option(index) => self.options()?.get(usize::try_from(index).ok()?),
            Value::Float(_) | Value::Int(_) => None,
        }
    }

    fn even_value(&self, index: u64) -> Value {
        match self {
            Self::RandInt { low, .. } => Value::Int(low.saturating_add_unsigned(index)),
            _ => Value::Option(u32::try_from(index).unwrap_or(u32::MAX)),
        }
    }
}

fn even_edge(index: u64, n: u64) -> f64 {
    index as f64 / n as f64
}

fn locate_even(u: f64, n: u64) -> u64 {
    let mut index = ((u * n as f64) as u64).min(n.saturating_sub(1));
    // The product is off by rounding at most; the edges decide.
    for _ in 0..4 {
        if index > 0 && u < even_edge(index, n) {
            index -= 1;
        } else if index + 1 < n && u >= even_edge(index + 1, n) {
            index += 1;
        } else {
            break;
        }
    }
    index
}
