//! Regression trees.
//!
//! L. Breiman, J. H. Friedman, R. A. Olshen and C. J. Stone, "Classification and regression trees", 1984: each split leaves as
//! little variance as possible. A threshold lies at random between the two values that it divides, so that trees
//! differ where there are no data: F. Hutter, L. Xu, H. H. Hoos and K. Leyton-Brown, "Algorithm runtime prediction", Artificial
//! Intelligence 206 (2014). Options are sorted by the mean of their values, which finds the best division into two
//! sets: W. D. Fisher, "On grouping for maximum homogeneity", JASA 53 (1958).

use crate::stream::Stream;

/// Choices of more options are divided by the number of the option.
pub(super) const MOST_OPTIONS: u32 = 64;
/// A split must take away more than this part of the squares that a tree begins with.
const LEAST_GAIN: f64 = 1e-12;

/// What a feature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feature {
    /// A number.
    Line,
    /// One of so many options; at most [`MOST_OPTIONS`].
    Options(u32),
}

/// What trees are grown from.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) features: Vec<Feature>,
    /// By row, then by feature.
    pub(super) rows: Vec<Vec<f64>>,
    pub(super) y: Vec<f64>,
    /// By feature: the rows, sorted by it.
    orders: Vec<Vec<u32>>,
}

impl Data {
    pub(super) fn new(features: Vec<Feature>, rows: Vec<Vec<f64>>, y: Vec<f64>) -> Self {
        let order = |feature: usize| {
            let mut keyed: Vec<(f64, u32)> = (0u32..)
                .zip(&rows)
                .map(|(row, x)| (x.get(feature).copied().unwrap_or_default(), row))
                .collect();
            keyed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            keyed.into_iter().map(|(_, row)| row).collect()
        };
        let orders = (0..features.len()).map(order).collect();
        Self { features, rows, y, orders }
    }

    fn x(&self, row: u32, feature: usize) -> f64 {
        self.rows.get(row as usize).and_then(|x| x.get(feature)).copied().unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy)]
enum Test {
    /// Left of a number.
    Below(f64),
    /// One of a set of options, as bits.
    Among(u64),
}

impl Test {
    fn holds(self, x: f64) -> bool {
        match self {
            Self::Below(threshold) => x < threshold,
            Self::Among(set) => set >> (x as u32).min(MOST_OPTIONS - 1) & 1 == 1,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Node {
    Leaf(f64),
    /// The left child follows; the right one is at this place.
    Split {
        feature: usize,
        test: Test,
        right: usize,
    },
}

/// A tree.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

/// Sums over some rows, each counted as often as it was drawn.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, count: f64, y: f64) {
        self.count += count;
        self.sum += count * y;
        self.squares += count * y * y;
    }

    fn without(self, other: Self) -> Self {
        Self {
            count: self.count - other.count,
            sum: self.sum - other.sum,
            squares: self.squares - other.squares,
        }
    }

    /// `sum^2 / count`: splits are compared by the sum of it over both sides.
    fn score(self) -> f64 {
        if self.count > 0.0 { self.sum * self.sum / self.count } else { 0.0 }
    }
}

/// A tree while it grows.
struct Growth<'a> {
    data: &'a Data,
    /// By row: how often it was drawn.
    counts: Vec<f64>,
    /// By feature: the drawn rows; those of a node are side by side, sorted by the feature.
    orders: Vec<Vec<u32>>,
    least_leaf: f64,
    least_gain: f64,
    nodes: Vec<Node>,
}

impl Tree {
    /// A tree of rows that are drawn with replacement, as many as there are.
    pub(super) fn grow(data: &Data, least_leaf: u32, stream: &mut Stream) -> Self {
        let mut counts = vec![0.0; data.rows.len()];
        for _ in 0..counts.len() {
            let drawn = stream.below(counts.len() as u64) as usize;
            if let Some(count) = counts.get_mut(drawn) {
                *count += 1.0;
            }
        }
        let drawn = |row: &u32| counts.get(*row as usize).is_some_and(|count| *count > 0.0);
        let orders = data.orders.iter().map(|order| order.iter().copied().filter(drawn).collect()).collect();
        let mut growth = Growth {
            data,
            counts,
            orders,
            least_leaf: f64::from(least_leaf),
            least_gain: 0.0,
            nodes: Vec::new(),
        };
        growth.run(stream);
        Self { nodes: growth.nodes }
    }

    /// The value at a point.
    pub(super) fn at(&self, x: &[f64]) -> f64 {
        let mut place = 0;
        loop {
            match self.nodes.get(place) {
                Some(Node::Split { feature, test, right }) => {
                    let left = test.holds(x.get(*feature).copied().unwrap_or_default());
                    place = if left { place + 1 } else { *right };
                }
                Some(Node::Leaf(mean)) => return *mean,
                None => return 0.0,
            }
        }
    }
}

impl Growth<'_> {
    fn count(&self, row: u32) -> f64 {
        self.counts.get(row as usize).copied().unwrap_or_default()
    }

    fn y(&self, row: u32) -> f64 {
        self.data.y.get(row as usize).copied().unwrap_or_default()
    }

    fn sums(&self, rows: &[u32]) -> Sums {
        let mut sums = Sums::default();
        for row in rows {
            sums.add(self.count(*row), self.y(*row));
        }
        sums
    }

    fn rows(&self, feature: usize, from: usize, to: usize) -> &[u32] {
        self.orders.get(feature).and_then(|order| order.get(from..to)).unwrap_or_default()
    }

    fn run(&mut self, stream: &mut Stream) {
        let all = self.orders.first().map_or(0, Vec::len);
        let whole = self.sums(self.rows(0, 0, all));
        self.least_gain = LEAST_GAIN * (whole.squares - whole.score()).max(1e-300);
        // The node whose right child comes next, with the child's rows; depth first, left before right.
        let mut stack = vec![(None, 0, all)];
        while let Some((parent, from, to)) = stack.pop() {
            let here = self.nodes.len();
            if let Some(Node::Split { right, .. }) = parent.and_then(|p: usize| self.nodes.get_mut(p)) {
                *right = here;
            }
            let sums = self.sums(self.rows(0, from, to));
            let Some((feature, test)) = self.split(from, to, sums, stream) else {
                self.nodes.push(Node::Leaf(if sums.count > 0.0 { sums.sum / sums.count } else { 0.0 }));
                continue;
            };
            let middle = self.divide(from, to, feature, test);
            self.nodes.push(Node::Split { feature, test, right: 0 });
            stack.push((Some(here), middle, to));
            stack.push((None, from, middle));
        }
    }

    /// Sorts the rows of a node so that those for which the test holds come first.
    fn divide(&mut self, from: usize, to: usize, feature: usize, test: Test) -> usize {
        let data = self.data;
        let mut middle = from;
        let mut right = Vec::new();
        for order in &mut self.orders {
            let rows = order.get_mut(from..to).unwrap_or_default();
            let mut left = 0;
            right.clear();
            for at in 0..rows.len() {
                let row = rows.get(at).copied().unwrap_or_default();
                if test.holds(data.x(row, feature)) {
                    if let Some(slot) = rows.get_mut(left) {
                        *slot = row;
                    }
                    left += 1;
                } else {
                    right.push(row);
                }
            }
            if let Some(rest) = rows.get_mut(left..) {
                rest.copy_from_slice(&right);
            }
            middle = from + left;
        }
        middle
    }

    /// The best split of a node, if one brings anything.
    fn split(&self, from: usize, to: usize, sums: Sums, stream: &mut Stream) -> Option<(usize, Test)> {
        if sums.count < 2.0 * self.least_leaf {
            return None;
        }
        let mut best = sums.score() + self.least_gain;
        let mut found = None;
        for (feature, kind) in self.data.features.iter().enumerate() {
            let rows = self.rows(feature, from, to);
            let split = match kind {
                Feature::Line => self.threshold(feature, rows, sums, best),
                Feature::Options(options) => self.subset(feature, *options, rows, sums, best),
            };
            if let Some((score, test)) = split {
                best = score;
                found = Some((feature, test));
            }
        }
        let (feature, split) = found?;
        let test = match split {
            Split::Between(low, high) => {
                let place = low + (high - low) * stream.open();
                // Rounding may put it on the lower value.
                Test::Below(if place > low { place } else { high })
            }
            Split::Among(set) => Test::Among(set),
        };
        Some((feature, test))
    }

    /// The best two neighbouring numbers to divide between, if they are better than `best`.
    fn threshold(&self, feature: usize, rows: &[u32], sums: Sums, mut best: f64) -> Option<(f64, Split)> {
        let mut found = None;
        let mut left = Sums::default();
        for pair in rows.windows(2) {
            let [row, next] = *pair else { continue };
            left.add(self.count(row), self.y(row));
            let (low, high) = (self.data.x(row, feature), self.data.x(next, feature));
            let right = sums.without(left);
            if low == high || left.count < self.least_leaf || right.count < self.least_leaf {
                continue;
            }
            let score = left.score() + right.score();
            if score > best {
                best = score;
                found = Some((score, Split::Between(low, high)));
            }
        }
        found
    }

    /// The best division of the options, if it is better than `best`.
    fn subset(
        &self,
        feature: usize,
        options: u32,
        rows: &[u32],
        sums: Sums,
        mut best: f64,
    ) -> Option<(f64, Split)> {
        let mut by_option = vec![Sums::default(); options as usize];
        for row in rows {
            if let Some(own) = by_option.get_mut(self.data.x(*row, feature) as usize) {
                own.add(self.count(*row), self.y(*row));
            }
        }
        let mut order: Vec<(f64, u32, Sums)> = (0u32..)
            .zip(by_option)
            .filter(|(_, own)| own.count > 0.0)
            .map(|(option, own)| (own.sum / own.count, option, own))
            .collect();
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut found = None;
        let (mut left, mut set) = (Sums::default(), 0u64);
        for (_, option, own) in order.iter().take(order.len().saturating_sub(1)) {
            left = Sums {
                count: left.count + own.count,
                sum: left.sum + own.sum,
                squares: left.squares + own.squares,
            };
            set |= 1 << option;
            let right = sums.without(left);
            let score = left.score() + right.score();
            if score > best && left.count >= self.least_leaf && right.count >= self.least_leaf {
                best = score;
                found = Some((score, Split::Among(set)));
            }
        }
        found
    }
}

#[derive(Debug, Clone, Copy)]
enum Split {
    Between(f64, f64),
    Among(u64),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Purpose;
    use engine::id::TrialId;

    fn stream(n: u32) -> Stream {
        Stream::new(11, TrialId(n), Purpose::Other, 0)
    }

    /// Rows of two numbers and an option, with values of a step, a slope, and the option.
    fn data(rows: u32) -> Data {
        let mut stream = stream(1_000);
        let rows: Vec<Vec<f64>> =
            (0..rows).map(|_| vec![stream.uniform(), stream.uniform(), stream.below(5) as f64]).collect();
        let y = rows.iter().map(|x| truth(x)).collect();
        Data::new(vec![Feature::Line, Feature::Line, Feature::Options(5)], rows, y)
    }

    fn truth(x: &[f64]) -> f64 {
        let option = if x[2] == 1.0 || x[2] == 4.0 { 3.0 } else { 0.0 };
        f64::from(u8::from(x[0] > 0.4)) * 5.0 + x[1] + option
    }

    #[test]
    fn trees_predict_what_they_were_not_shown() {
        let data = data(300);
        let trees: Vec<Tree> = (0..10).map(|n| Tree::grow(&data, 1, &mut stream(n))).collect();
        let mut stream = stream(2_000);
        let (mut error, mut spread) = (0.0, 0.0);
        for _ in 0..200 {
            let x = [stream.uniform(), stream.uniform(), stream.below(5) as f64];
            let mean = trees.iter().map(|tree| tree.at(&x)).sum::<f64>() / 10.0;
            error += (mean - truth(&x)) * (mean - truth(&x));
            spread += (truth(&x) - 4.2) * (truth(&x) - 4.2);
        }
        assert!(error < 0.05 * spread, "{error} of {spread}");
    }

    #[test]
    fn a_leaf_holds_at_least_as_many_rows_as_asked_and_equal_values_are_one_leaf() {
        let data = data(100);
        let leaves = |least| {
            let tree = Tree::grow(&data, least, &mut stream(1));
            tree.nodes.iter().filter(|node| matches!(node, Node::Leaf(_))).count()
        };
        assert!(leaves(1) > 40 && leaves(10) <= 10, "{} {}", leaves(1), leaves(10));
        let flat = Data::new(vec![Feature::Line], vec![vec![0.1], vec![0.2], vec![0.3]], vec![2.0; 3]);
        let tree = Tree::grow(&flat, 1, &mut stream(2));
        assert_eq!(tree.nodes.len(), 1);
        assert_eq!(tree.at(&[0.9]), 2.0);
    }

    #[test]
    fn a_tree_reproduces_the_rows_that_it_was_grown_from() {
        let data = data(60);
        let tree = Tree::grow(&data, 1, &mut stream(3));
        let exact = data.rows.iter().zip(&data.y).filter(|(x, y)| (tree.at(x) - *y).abs() < 1e-9).count();
        // About a third of the rows are not drawn.
        assert!((32..=50).contains(&exact), "{exact}");
    }
}
