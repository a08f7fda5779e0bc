//! The values that trials are made of.

use serde::{Deserialize, Serialize};

/// The value of one parameter, as recorded in events. What it means is said by the parameter's
/// [`Domain`](crate::space::Domain).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// A real number; finite.
    Float(f64),
    /// A whole number, also of a stepped domain whose step and bounds are whole.
    Int(i64),
    /// The index of the option of a choice or an ordinal.
    Option(u32),
}

impl Value {
    /// Equality and order of values by their bits, so that values can be keys.
    pub const fn key(self) -> (u8, u64) {
        match self {
            // Zero and minus zero are the same point.
            Self::Float(x) => (0, if x == 0.0 { 0 } else { x.to_bits() }),
            Self::Int(n) => (1, n.cast_unsigned()),
            Self::Option(n) => (2, n as u64),
        }
    }
}

/// One point of a search space: the parameters that exist at this point, by ascending leaf index.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Point(pub Vec<(u16, Value)>);

impl Point {
    /// The value of a leaf, if it exists at this point.
    pub fn get(&self, leaf: u16) -> Option<Value> {
        self.0
            .binary_search_by_key(&leaf, |(index, _)| *index)
            .ok()
            .and_then(|at| self.0.get(at))
            .map(|(_, v)| *v)
    }

    /// A key under which equal points are equal.
    pub fn key(&self) -> Vec<(u16, u8, u64)> {
        self.0
            .iter()
            .map(|(leaf, value)| {
                let (kind, bits) = value.key();
                (*leaf, kind, bits)
            })
            .collect()
    }
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

impl Goal {
    /// Whether `a` is strictly better than `b`.
    pub fn better(self, a: f64, b: f64) -> bool {
        match self {
            Self::Minimize => a < b,
            Self::Maximize => a > b,
        }
    }

    /// The value turned so that smaller is better.
    pub fn loss(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }
}

/// The mean of finite numbers: finite even where their sum is not. 0 of none.
pub fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / n;
    if mean.is_finite() { mean } else { values.map(|value| value / n).sum::<f64>().clamp(f64::MIN, f64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_of_finite_numbers_is_finite() {
        assert_eq!(mean([0.0, 8.0, -5.0].into_iter()), 1.0);
        assert_eq!(mean([f64::MAX; 3].into_iter()), f64::MAX);
        assert_eq!(mean(std::iter::empty()), 0.0);
    }
}
