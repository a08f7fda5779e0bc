//! In which order the values of one parameter enter the grid.

use engine::space::Domain;
use engine::value::Value;
use std::collections::BTreeSet;

/// A lattice with more values than this is refined like a continuous axis.
const MOST_LISTED: u64 = 4_096;

/// The values of one axis, level by level.
#[derive(Debug)]
pub(super) enum Refinement {
    /// All at once.
    Full(u64),
    /// The middle, the quarters, the eighths: level `l` ends with `2^(l+1) - 1` values.
    Halving,
    /// Indices of a lattice's values in the order in which halving meets them first, and how many there are at the
    /// end of each level.
    Listed(Vec<u32>, Vec<u64>),
}

impl Refinement {
    pub(super) fn new(domain: &Domain, levels: u32) -> Self {
        match (domain, domain.cardinality()) {
            (Domain::Choice { .. } | Domain::Ordinal { .. } | Domain::RandInt { .. }, Some(n)) => {
                Self::Full(n)
            }
            (_, Some(n)) if n <= MOST_LISTED => Self::listed(domain, n, levels),
            _ => Self::Halving,
        }
    }

    fn listed(domain: &Domain, n: u64, levels: u32) -> Self {
        let (mut order, mut ends, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        // Halving would need very many levels for a very narrow cell: after 12 the rest comes at once.
        for level in 0..levels.min(12) {
            for place in 0..1u64 << level {
                let u = (2 * place + 1) as f64 / (1u64 << (level + 1)) as f64;
                let index = domain.index_of(domain.from_unit(u)).and_then(|i| u32::try_from(i).ok());
                order.extend(index.filter(|index| seen.insert(*index)));
            }
            ends.push(order.len() as u64);
            if order.len() as u64 == n {
                break;
            }
        }
        if (order.len() as u64) < n {
            order.extend((0..n as u32).filter(|index| !seen.contains(index)));
            ends.push(order.len() as u64);
        }
        Self::Listed(order, ends)
    }

    /// How many values there are at the end of a level.
    pub(super) fn count(&self, level: u32) -> u64 {
        match self {
            Self::Full(n) => *n,
            Self::Halving => (2u64 << level.min(62)) - 1,
            Self::Listed(order, ends) => ends.get(level as usize).copied().unwrap_or(order.len() as u64),
        }
    }

    /// The value at an index of the order.
    pub(super) fn value(&self, domain: &Domain, index: u64) -> Option<Value> {
        match self {
            Self::Full(_) => domain.nth(index),
            Self::Halving => {
                let level = (index + 1).ilog2();
                let place = index + 1 - (1 << level);
                Some(domain.from_unit((2 * place + 1) as f64 / (2u64 << level) as f64))
            }
            Self::Listed(order, _) => domain.nth(u64::from(*order.get(usize::try_from(index).ok()?)?)),
        }
    }
}
