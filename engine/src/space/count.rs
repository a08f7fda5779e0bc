//! How many points a space has, and which one is the i-th.

use super::tree::SearchSpace;
use crate::value::{Point, Value};

/// More points than this count as infinitely many.
const MOST: u64 = 1 << 63;

impl SearchSpace {
    /// Fills in `sizes`, children before parents.
    pub(super) fn measure(&mut self) {
        self.sizes = vec![None; self.leaves.len()];
        for index in (0..self.leaves.len()).rev() {
            let size = self.size_of(index);
            if let Some(slot) = self.sizes.get_mut(index) {
                *slot = size;
            }
        }
    }

    fn size_of(&self, index: usize) -> Option<u64> {
        let own = self.leaves.get(index)?.domain.cardinality()?;
        if self.children.get(index)?.is_empty() {
            return at_most(own);
        }
        let mut sum = 0u64;
        for option in 0..own {
            sum = at_most(sum.checked_add(self.product(&self.under(index, option))?)?)?;
        }
        Some(sum)
    }

    /// The children of a leaf that exist under one of its options.
    fn under(&self, index: usize, option: u64) -> Vec<u16> {
        let Ok(option) = u32::try_from(option) else { return Vec::new() };
        let taken = |child: &u16| {
            let parent = self.leaf(*child).and_then(|leaf| leaf.parent.as_ref());
            parent.is_some_and(|parent| parent.options.binary_search(&option).is_ok())
        };
        self.children.get(index).into_iter().flatten().copied().filter(taken).collect()
    }

    fn product(&self, leaves: &[u16]) -> Option<u64> {
        leaves.iter().try_fold(1u64, |product, leaf| {
            let size = (*self.sizes.get(usize::from(*leaf))?)?;
            at_most(product.checked_mul(size)?)
        })
    }

    /// The number of distinct points, constraints ignored: a nested parameter counts only under the options under
    /// which it exists. None if there are infinitely many, or more than 2^63.
    pub fn cardinality(&self) -> Option<u64> {
        self.product(&self.roots)
    }

    /// The point at an index below [`Self::cardinality`], constraints ignored. The last parameter varies fastest, and
    /// the points under the first option of a choice come first. None beyond the end and for an infinite space.
    pub fn nth_point(&self, index: u64) -> Option<Point> {
        if index >= self.cardinality()? {
            return None;
        }
        let mut values = Vec::new();
        self.spread(&self.roots, index, &mut values)?;
        values.sort_by_key(|(leaf, _)| *leaf);
        Some(Point(values))
    }

    /// Splits an index over leaves as digits of a mixed radix. The recursion is as deep as the nesting.
    fn spread(&self, leaves: &[u16], mut index: u64, values: &mut Vec<(u16, Value)>) -> Option<()> {
        for leaf in leaves.iter().rev() {
            let size = (*self.sizes.get(usize::from(*leaf))?)?;
            let mut digit = index.checked_rem(size)?;
            index /= size;
            let domain = &self.leaf(*leaf)?.domain;
            if self.children.get(usize::from(*leaf))?.is_empty() {
                values.push((*leaf, domain.nth(digit)?));
                continue;
            }
            for option in 0..domain.cardinality()? {
                let under = self.under(usize::from(*leaf), option);
                let points = self.product(&under)?;
                if digit < points {
                    values.push((*leaf, domain.nth(option)?));
                    self.spread(&under, digit, values)?;
                    break;
                }
                digit -= points;
            }
        }
        Some(())
    }

    /// The index of a point, such that [`Self::nth_point`] gives it back. None if the space is infinite or the
    /// point is incomplete.
    pub fn point_index(&self, point: &Point) -> Option<u64> {
        self.cardinality()?;
        self.gather(&self.roots, point)
    }

    fn gather(&self, leaves: &[u16], point: &Point) -> Option<u64> {
        let mut index = 0u64;
        for leaf in leaves {
            let size = (*self.sizes.get(usize::from(*leaf))?)?;
            let own = self.leaf(*leaf)?.domain.index_of(point.get(*leaf)?)?;
            let mut digit = own;
            if !self.children.get(usize::from(*leaf))?.is_empty() {
                digit = self.gather(&self.under(usize::from(*leaf), own), point)?;
                for option in 0..own {
                    digit = digit.checked_add(self.product(&self.under(usize::from(*leaf), option))?)?;
                }
            }
            index = index.checked_mul(size)?.checked_add(digit)?;
        }
        Some(index)
    }
}

fn at_most(n: u64) -> Option<u64> {
    (n <= MOST).then_some(n)
}
