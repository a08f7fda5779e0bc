//! Linear constraints between parameters.

use super::tree::SearchSpace;
use crate::value::Point;
use serde_json::Value as Json;

/// Sums of floats that should be equal differ by less than this, relative to the size of the terms.
const ROUNDING: f64 = 1e-12;

/// `2*a + b <= 10`: a sum of multiples of parameters compared with a number.
///
/// A parameter that does not exist at a point counts as 0; a constraint none of whose parameters exist holds.
/// An option counts as the number that it is. Comparisons leave room for the rounding of the sum (1e-12 of the
/// size of the terms): `0.1 + 0.2 <= 0.3` holds, and `0.1 + 0.2 > 0.3` does not.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearConstraint {
    /// Leaf index and factor; ascending, factors not zero. A name with several leaves is a term for each.
    pub terms: Vec<(u16, f64)>,
    /// How the sum is compared.
    pub op: Comparison,
    /// The number on the right side.
    pub bound: f64,
}

/// How the two sides of a constraint are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
    /// `>=`
    AtLeast,
    /// `>`
    Greater,
}

impl Comparison {
    /// The operator as written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Equal => "==",
            Self::AtLeast => ">=",
            Self::Greater => ">",
        }
    }
}

impl LinearConstraint {
    /// The left side at a point; none if none of its parameters exist there.
    pub fn sum(&self, space: &SearchSpace, point: &Point) -> Option<f64> {
        self.evaluate(space, point).map(|(sum, _)| sum)
    }

    /// The left side and the size of its terms.
    fn evaluate(&self, space: &SearchSpace, point: &Point) -> Option<(f64, f64)> {
        let mut total = None;
        for (leaf, factor) in &self.terms {
            let number = || space.leaf(*leaf)?.domain.number(point.get(*leaf)?);
            if let Some(x) = number() {
                let (sum, size) = total.unwrap_or((0.0, 0.0));
                total = Some((sum + factor * x, size + (factor * x).abs()));
            }
        }
        total
    }

    /// Whether the constraint holds at a point.
    pub fn holds(&self, space: &SearchSpace, point: &Point) -> bool {
        let Some((sum, size)) = self.evaluate(space, point) else { return true };
        let room = ROUNDING * (size + self.bound.abs());
        match self.op {
            Comparison::Less => sum < self.bound - room,
            Comparison::AtMost => sum <= self.bound + room,
            Comparison::Equal => (sum - self.bound).abs() <= room,
            Comparison::AtLeast => sum >= self.bound - room,
            Comparison::Greater => sum > self.bound + room,
        }
    }

    /// The constraint as text that reads back to the same constraint.
    pub fn text(&self, space: &SearchSpace) -> String {
        let mut text = String::new();
        let mut written: Vec<&str> = Vec::new();
        for (leaf, factor) in &self.terms {
            let Some(leaf) = space.leaf(*leaf) else { continue };
            if written.contains(&leaf.name.as_str()) {
                continue;
            }
            written.push(&leaf.name);
            let sign = match (text.is_empty(), *factor < 0.0) {
                (true, false) => "",
                (true, true) => "-",
                (false, false) => " + ",
                (false, true) => " - ",
            };
            text.push_str(sign);
            if factor.abs() != 1.0 {
                text.push_str(&number_text(factor.abs()));
                text.push('*');
            }
            let plain = super::constraint_text::is_plain_name(&leaf.name);
            for part in if plain { ["", &leaf.name, ""] } else { ["${", &leaf.name, "}"] } {
                text.push_str(part);
            }
        }
        format!("{text} {} {}", self.op.symbol(), number_text(self.bound))
    }
}

/// A number without a needless `.0`.
fn number_text(x: f64) -> String {
    if x == x.round() && x.abs() < 1e15 { format!("{}", x as i64) } else { Json::from(x).to_string() }
}
