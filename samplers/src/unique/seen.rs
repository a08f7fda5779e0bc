//! Which points were proposed before.

use crate::stream::philox;
use engine::space::SearchSpace;
use engine::value::Point;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A set of points.
///
/// In a finite space it holds ranges of indices, which merge as the space fills up; elsewhere it holds a mark of
/// 128 bits for every point. Two points with one mark (2^-88 after a million trials) would only keep a point from
/// being proposed.
#[derive(Debug)]
pub(super) struct Seen {
    space: Arc<SearchSpace>,
    finite: bool,
    marks: BTreeSet<u128>,
    /// First index and the one after the last.
    ranges: BTreeMap<u64, u64>,
    count: u64,
}

impl Seen {
    pub(super) fn new(space: &Arc<SearchSpace>) -> Self {
        Self {
            space: Arc::clone(space),
            finite: space.cardinality().is_some(),
            marks: BTreeSet::new(),
            ranges: BTreeMap::new(),
            count: 0,
        }
    }

    /// How many points of a finite space it holds.
    pub(super) fn indices(&self) -> u64 {
        self.count
    }

    pub(super) fn insert(&mut self, point: &Point) {
        if !self.finite {
            self.marks.insert(mark(point));
        } else if let Some(index) = self.space.point_index(point) {
            self.insert_index(index);
        }
    }

    pub(super) fn contains(&self, point: &Point) -> bool {
        if !self.finite {
            return self.marks.contains(&mark(point));
        }
        self.space.point_index(point).is_some_and(|index| self.next_free(index) != index)
    }

    pub(super) fn insert_index(&mut self, index: u64) {
        let before = self.ranges.range(..=index).next_back().map(|(start, end)| (*start, *end));
        if before.is_some_and(|(_, end)| end > index) {
            return;
        }
        self.count += 1;
        let start = before.filter(|(_, end)| *end == index).map_or(index, |(start, _)| start);
        let end = self.ranges.remove(&index.saturating_add(1)).unwrap_or(index.saturating_add(1));
        self.ranges.insert(start, end);
    }

    /// The first index from this one on that it does not hold; may lie beyond the space.
    pub(super) fn next_free(&self, index: u64) -> u64 {
        match self.ranges.range(..=index).next_back() {
            Some((_, end)) if *end > index => *end,
            _ => index,
        }
    }
}

/// A mark by which a point is known: its key, chained through Philox.
fn mark(point: &Point) -> u128 {
    let mut state = [0u32; 4];
    for (leaf, value) in &point.0 {
        let (kind, bits) = value.key();
        let [a, b, c, d] = state;
        let counter = [a ^ bits as u32, b ^ (bits >> 32) as u32, c ^ u32::from(*leaf), d ^ u32::from(kind)];
        state = philox(counter, [0x7265_7472, 0x6961_6c21]);
    }
    let [a, b, c, d] = state.map(u128::from);
    a | (b << 32) | (c << 64) | (d << 96)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::value::Value;
    use serde_json::json;

    #[test]
    fn ranges_merge_and_count_every_index_once() {
        let space = json!({"x": {"_type": "randint", "_value": [0, 100]}});
        let Ok(space) = SearchSpace::parse(&space, None, "") else { unreachable!("the space is valid") };
        let mut seen = Seen::new(&Arc::new(space));
        for index in [3, 5, 4, 4, 0, 1, 2, 99] {
            seen.insert_index(index);
        }
        assert_eq!(seen.indices(), 7);
        assert_eq!(seen.ranges, BTreeMap::from([(0, 6), (99, 100)]));
        assert_eq!((seen.next_free(0), seen.next_free(6), seen.next_free(99)), (6, 6, 100));
    }

    #[test]
    fn different_points_have_different_marks_and_zero_has_no_sign() {
        let point = |x: f64, leaf| Point(vec![(leaf, Value::Float(x))]);
        assert_ne!(mark(&point(1.0, 0)), mark(&point(1.0, 1)));
        assert_ne!(mark(&point(1.0, 0)), mark(&point(2.0, 0)));
        assert_eq!(mark(&point(0.0, 0)), mark(&point(-0.0, 0)));
        assert_ne!(mark(&Point(vec![(0, Value::Int(1))])), mark(&Point(vec![(0, Value::Option(1))])));
    }
}
