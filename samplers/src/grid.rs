//! Grid search: every combination of values, without a stored list of them.
//!
//! The rule is that of NNI's grid search: options and whole numbers are tried one and all; continuous parameters are
//! refined level by level, first the middle of the unit interval, then the quarters, then the eighths; each level
//! is the full product of all values so far without the combinations of the levels before. Stepped
//! domains are refined the same way and come to an end when every value is in.

mod refinement;

use crate::search::{Found, Search};
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem};
use engine::space::SearchSpace;
use engine::value::{Point, Value};
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

/// Which values of an axis are meant at a level.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Those up to the level.
    All(u32),
    /// Those of the level that no earlier level has.
    New(u32),
    /// Those before the level.
    Old(u32),
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

    /// How many combinations a leaf has, with everything below it. Saturating.
    fn size(&self, leaf: u16, part: Part) -> u64 {
        match part {
            Part::Old(0) => 0,
            Part::Old(level) => self.size(leaf, Part::All(level - 1)),
            Part::New(level) => {
                self.size(leaf, Part::All(level)).saturating_sub(self.size(leaf, Part::Old(level)))
            }
            Part::All(level) => {
                let Some(axis) = self.axes.get(usize::from(leaf)) else { return 1 };
                let options = axis.count(level);
                if self.children.get(usize::from(leaf)).is_none_or(Vec::is_empty) {
                    return options;
                }
                (0..options).fold(0u64, |sum, option| {
                    sum.saturating_add(self.group_size(&self.under(leaf, option), part))
                })
            }
        }
    }

    /// How many combinations several leaves have together.
    fn group_size(&self, leaves: &[u16], part: Part) -> u64 {
        match part {
            Part::New(level) => self
                .group_size(leaves, Part::All(level))
                .saturating_sub(self.group_size(leaves, Part::Old(level))),
            // Of no leaves there is one combination, and level 0 brings it.
            Part::Old(0) => 0,
            Part::Old(level) => self.group_size(leaves, Part::All(level - 1)),
            Part::All(_) => leaves.iter().fold(1u64, |p, leaf| p.saturating_mul(self.size(*leaf, part))),
        }
    }

    /// The children of a leaf under an option.
    fn under(&self, leaf: u16, option: u64) -> Vec<u16> {
        let exists = |child: &u16| {
            let parent = self.space.leaf(*child).and_then(|leaf| leaf.parent.as_ref());
            parent.is_some_and(|p| u32::try_from(option).is_ok_and(|o| p.options.binary_search(&o).is_ok()))
        };
        self.children.get(usize::from(leaf)).into_iter().flatten().copied().filter(exists).collect()
    }

    /// Adds the values of the `index`-th combination of several leaves.
    fn group(&self, leaves: &[u16], part: Part, index: u64, values: &mut Vec<(u16, Value)>) -> Option<()> {
        let Part::New(level) = part else { return self.product(leaves, &|_| part, index, values) };
        if level == 0 {
            return self.product(leaves, &|_| Part::All(0), index, values);
        }
        // New combinations, by the first leaf that is new: those before it are old, those after it anything.
        let mut left = index;
        for first in 0..leaves.len() {
            let part_of = |place: usize| match place.cmp(&first) {
                std::cmp::Ordering::Less => Part::Old(level),
                std::cmp::Ordering::Equal => Part::New(level),
                std::cmp::Ordering::Greater => Part::All(level),
            };
            let size = leaves.iter().enumerate().fold(1u64, |product, (place, leaf)| {
                product.saturating_mul(self.size(*leaf, part_of(place)))
            });
            if left < size {
                return self.product(leaves, &part_of, left, values);
            }
            left -= size;
        }
        None
    }

    fn product(
        &self,
        leaves: &[u16],
        part_of: &dyn Fn(usize) -> Part,
        mut index: u64,
        values: &mut Vec<(u16, Value)>,
    ) -> Option<()> {
        for (place, leaf) in leaves.iter().enumerate().rev() {
            let part = part_of(place);
            let size = self.size(*leaf, part);
            self.one(*leaf, part, index.checked_rem(size)?, values)?;
            index /= size;
        }
        Some(())
    }

    /// Adds the values of the `index`-th combination of a leaf and everything below it.
    fn one(&self, leaf: u16, part: Part, index: u64, values: &mut Vec<(u16, Value)>) -> Option<()> {
        let axis = self.axes.get(usize::from(leaf))?;
        let (level, old) = match part {
            Part::All(level) => (level, 0),
            Part::Old(level) => (level.checked_sub(1)?, 0),
            Part::New(0) => (0, 0),
            Part::New(level) => (level, axis.count(level - 1)),
        };
        if self.children.get(usize::from(leaf))?.is_empty() {
            values.push((leaf, axis.value(&self.space.leaf(leaf)?.domain, old + index)?));
            return Some(());
        }
        let mut left = index;
        for option in 0..axis.count(level) {
            let under = self.under(leaf, option);
            let size = self.group_size(&under, part);
            if left < size {
                values.push((leaf, axis.value(&self.space.leaf(leaf)?.domain, option)?));
                return self.group(&under, part, left, values);
            }
            left -= size;
        }
        None
    }

    /// The combination at a place; none beyond the end.
    fn at(&self, place: u64) -> Option<Point> {
        let mut left = place;
        for level in 0..MOST_LEVELS {
            let size = self.group_size(&self.roots, Part::New(level));
            if left < size {
                let mut values = Vec::new();
                self.group(&self.roots, Part::New(level), left, &mut values)?;
                values.sort_by_key(|(leaf, _)| *leaf);
                return Some(Point(values));
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
        1
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
        Found::Exhausted
    }
}
