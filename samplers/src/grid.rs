//! Grid search: every combination of values, without a stored list of them.
//!
//! The rule and the order are those of NNI's grid search: options and whole numbers are tried one and all; continuous
//! parameters are refined level by level, first the middle of the unit interval, then the quarters, then the eighths;
//! each level is the full product of all values so far without the combinations of the levels before. Within a level
//! the last parameter varies fastest, over the values of the levels before and then the new ones. Stepped domains are
//! refined the same way and come to an end when every value is in.

mod refinement;
#[cfg(test)]
mod tests;

use crate::search::{Found, Search};
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem};
use engine::space::SearchSpace;
use engine::value::Point;
use refinement::Refinement;
use std::sync::Arc;

/// The finest level: 2^20 - 1 values on a continuous axis.
const MOST_LEVELS: u32 = 20;
/// Combinations looked at for one proposal, when constraints or earlier trials rule many out.
pub const MOST_PROBES: u64 = 262_144;

/// Grid search.
#[derive(Debug)]
pub struct Grid {
    space: Arc<SearchSpace>,
    axes: Vec<Refinement>,
    roots: Vec<u16>,
    children: Vec<Vec<u16>>,
    /// The place of the next combination.
    next: u64,
}

impl Grid {
    /// The grid of a problem's space.
    pub fn new(problem: &Problem) -> Self {
        let space = Arc::clone(&problem.space);
        let mut roots = Vec::new();
        let mut children = vec![Vec::new(); space.leaves().len()];
        for (index, leaf) in (0u16..).zip(space.leaves()) {
            let list = match &leaf.parent {
                None => Some(&mut roots),
                Some(parent) => children.get_mut(usize::from(parent.leaf)),
            };
            if let Some(list) = list {
                list.push(index);
            }
        }
        let axes = space.leaves().iter().map(|leaf| Refinement::new(&leaf.domain, MOST_LEVELS)).collect();
        Self { space, axes, roots, children, next: 0 }
    }

    /// How many combinations a leaf has up to a level, with everything below it. Saturating.
    fn size(&self, leaf: u16, level: u32) -> u64 {
        let Some(axis) = self.axes.get(usize::from(leaf)) else { return 1 };
        let values = axis.count(level);
        if self.is_flat(leaf) {
            return values;
        }
        (0..values)
            .fold(0u64, |sum, option| sum.saturating_add(self.product(&self.under(leaf, option), level)))
    }

    /// How many combinations several leaves have together up to a level.
    fn product(&self, leaves: &[u16], level: u32) -> u64 {
        leaves.iter().fold(1u64, |product, leaf| product.saturating_mul(self.size(*leaf, level)))
    }

    /// How many combinations of several leaves belong to a level. Where a leaf before them has a value that is new at
    /// the level they are all of them, otherwise those that no earlier level has.
    fn combinations(&self, leaves: &[u16], level: u32, new: bool) -> u64 {
        let before = if new { 0 } else { level.checked_sub(1).map_or(0, |old| self.product(leaves, old)) };
        self.product(leaves, level).saturating_sub(before)
    }

    /// Whether nothing exists below a leaf.
    fn is_flat(&self, leaf: u16) -> bool {
        self.children.get(usize::from(leaf)).is_none_or(Vec::is_empty)
    }

    /// The children of a leaf under an option.
    fn under(&self, leaf: u16, option: u64) -> Vec<u16> {
        let exists = |child: &u16| {
            let parent = self.space.leaf(*child).and_then(|leaf| leaf.parent.as_ref());
            parent.is_some_and(|p| u32::try_from(option).is_ok_and(|o| p.options.binary_search(&o).is_ok()))
        };
        self.children.get(usize::from(leaf)).into_iter().flatten().copied().filter(exists).collect()
    }

    /// The `index`-th combination of a level.
    fn of_level(&self, level: u32, index: u64) -> Option<Point> {
        let mut values = Vec::new();
        // The leaves that are still to be given a value, the next one last.
        let mut waiting: Vec<u16> = self.roots.iter().rev().copied().collect();
        let (mut left, mut new) = (index, level == 0);
        while let Some(leaf) = waiting.pop() {
            let axis = self.axes.get(usize::from(leaf))?;
            let before = level.checked_sub(1).map_or(0, |old| axis.count(old));
            let value = if self.is_flat(leaf) {
                let of_old = self.combinations(&waiting, level, new);
                let old = before.saturating_mul(of_old);
                if left < old {
                    let value = left.checked_div(of_old)?;
                    left = left.checked_rem(of_old)?;
                    value
                } else {
                    let of_new = self.combinations(&waiting, level, true);
                    left -= old;
                    let value = before + left.checked_div(of_new)?;
                    left = left.checked_rem(of_new)?;
                    new = true;
                    value
                }
            } else {
                self.option(leaf, level, &mut new, &mut left, &mut waiting)?
            };
            values.push((leaf, axis.value(&self.space.leaf(leaf)?.domain, value)?));
        }
        values.sort_by_key(|(leaf, _)| *leaf);
        Some(Point(values))
    }

    /// The option of a choice with parameters below it, which then wait for a value.
    fn option(
        &self,
        leaf: u16,
        level: u32,
        new: &mut bool,
        left: &mut u64,
        waiting: &mut Vec<u16>,
    ) -> Option<u64> {
        let axis = self.axes.get(usize::from(leaf))?;
        let before = level.checked_sub(1).map_or(0, |old| axis.count(old));
        for option in 0..axis.count(level) {
            let is_new = *new || option >= before;
            let below = self.under(leaf, option);
            let all: Vec<u16> = waiting.iter().chain(below.iter().rev()).copied().collect();
            let size = self.combinations(&all, level, is_new);
            if *left < size {
                (*new, *waiting) = (is_new, all);
                return Some(option);
            }
            *left -= size;
        }
        None
    }

    /// The combination at a place; none beyond the end.
    fn at(&self, place: u64) -> Option<Point> {
        let mut left = place;
        for level in 0..MOST_LEVELS {
            let size = self.combinations(&self.roots, level, false);
            if left < size {
                return self.of_level(level, left);
            }
            left -= size;
        }
        None
    }
}

impl Search for Grid {
    fn name(&self) -> &'static str {
        "grid"
    }

    fn version(&self) -> u16 {
        2
    }

    fn learns(&self) -> bool {
        false
    }

    fn observe(&mut self, observation: Observation<'_>) {
        // The memo is the place of the combination: trials put in by a person do not move the grid on.
        if let Observation::Suggested { memo, .. } = observation
            && let Ok(place) = <[u8; 8]>::try_from(memo)
        {
            self.next = self.next.max(u64::from_le_bytes(place).saturating_add(1));
        }
    }

    fn find(&mut self, _: TrialId, accept: &mut dyn FnMut(&Point) -> bool) -> Found {
        for place in self.next..self.next.saturating_add(MOST_PROBES) {
            match self.at(place) {
                Some(point) if accept(&point) => {
                    return Found::Point(point, place.to_le_bytes().to_vec());
                }
                Some(_) => {}
                None => return Found::Exhausted,
            }
        }
        // Further on there may be others.
        Found::Nothing
    }
}
