//! Gradient-boosted regression trees with squared loss (Friedman, 2001; random rows for each tree: Friedman, 2002).

use crate::data::{FEATURES, Penguins};
use crate::validation::Fitted;

/// A leaf is made of at least so many penguins.
const LEAF_AT_LEAST: usize = 3;

/// A sum of small trees, each fitted to what the earlier ones leave unexplained.
pub(crate) struct Boosting {
    mean: f64,
    rate: f64,
    trees: Vec<Tree>,
}

/// A regression tree.
enum Tree {
    Leaf(f64),
    Fork { feature: usize, threshold: f64, below: Box<Tree>, above: Box<Tree> },
}

/// The features and what is left to explain.
struct Residuals<'a> {
    features: &'a [[f64; FEATURES]],
    values: Vec<f64>,
}

impl Boosting {
    /// `rows` is the share of the training data that each tree sees.
    pub(crate) fn fit(training: &Penguins, trees: usize, depth: usize, rate: f64, rows: f64) -> Self {
        let count = training.masses.len();
        let mean = training.masses.iter().sum::<f64>() / count as f64;
        let values = training.masses.iter().map(|mass| mass - mean).collect();
        let mut left = Residuals { features: &training.features, values };
        let mut boosting = Self { mean, rate, trees: Vec::with_capacity(trees) };
        let seen = ((rows * count as f64).round() as usize).clamp(1, count);
        let mut order: Vec<usize> = (0..count).collect();
        let mut state = 1_u64;
        for _ in 0..trees {
            for i in 0..seen {
                order.swap(i, i + next(&mut state) as usize % (count - i));
            }
            let tree = Tree::grow(&left, &mut order[..seen].to_vec(), depth);
            for (value, features) in left.values.iter_mut().zip(left.features) {
                *value -= rate * tree.predict(features);
            }
            boosting.trees.push(tree);
        }
        boosting
    }
}

impl Fitted for Boosting {
    fn predict(&self, features: &[f64; FEATURES]) -> f64 {
        self.mean + self.rate * self.trees.iter().map(|tree| tree.predict(features)).sum::<f64>()
    }
}

impl Tree {
    fn grow(left: &Residuals<'_>, members: &mut [usize], depth: usize) -> Self {
        let mean = members.iter().map(|member| left.values[*member]).sum::<f64>() / members.len() as f64;
        let split = if depth == 0 { None } else { best_split(left, members) };
        let Some((feature, threshold)) = split else { return Self::Leaf(mean) };
        members.sort_unstable_by(|a, b| left.features[*a][feature].total_cmp(&left.features[*b][feature]));
        let middle = members.partition_point(|member| left.features[*member][feature] < threshold);
        let (below, above) = members.split_at_mut(middle);
        Self::Fork {
            feature,
            threshold,
            below: Box::new(Self::grow(left, below, depth - 1)),
            above: Box::new(Self::grow(left, above, depth - 1)),
        }
    }

    fn predict(&self, features: &[f64; FEATURES]) -> f64 {
        let mut tree = self;
        loop {
            match tree {
                Self::Leaf(value) => return *value,
                Self::Fork { feature, threshold, below, above } => {
                    tree = if features[*feature] < *threshold { below } else { above };
                }
            }
        }
    }
}

/// The feature and threshold that reduce the squared error most, if any does.
fn best_split(left: &Residuals<'_>, members: &[usize]) -> Option<(usize, f64)> {
    let total: f64 = members.iter().map(|member| left.values[*member]).sum();
    let unsplit = total * total / members.len() as f64;
    let (mut best, mut best_gain) = (None, 1e-9);
    let mut pairs: Vec<(f64, f64)> = Vec::with_capacity(members.len());
    for feature in 0..FEATURES {
        pairs.clear();
        pairs.extend(members.iter().map(|member| (left.features[*member][feature], left.values[*member])));
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut sum = 0.0;
        for (index, pair) in pairs.windows(2).enumerate() {
            let &[(here, value), (next, _)] = pair else { continue };
            sum += value;
            let (below, above) = (index + 1, pairs.len() - index - 1);
            if here == next || below.min(above) < LEAF_AT_LEAST {
                continue;
            }
            let rest = total - sum;
            let gain = sum * sum / below as f64 + rest * rest / above as f64 - unsplit;
            if gain > best_gain {
                (best, best_gain) = (Some((feature, f64::midpoint(here, next))), gain);
            }
        }
    }
    best
}

/// Marsaglia's xorshift64: which rows a tree sees need not be better mixed than that.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state >> 11
}

#[cfg(test)]
mod tests {
    use super::{Boosting, Residuals, best_split};
    use crate::data::{FEATURES, Penguins};
    use crate::validation::Fitted;

    /// Penguins whose mass jumps by 2,000 g where feature 2 passes 5.
    fn stepped() -> Penguins {
        let features: Vec<[f64; FEATURES]> = (0..40_u8)
            .map(|i| {
                std::array::from_fn(|column| if column == 2 { f64::from(i % 10) } else { f64::from(i / 20) })
            })
            .collect();
        let masses = features.iter().map(|row| if row[2] < 5.0 { 3_000.0 } else { 5_000.0 }).collect();
        Penguins { features, masses }
    }

    #[test]
    fn the_best_split_is_where_the_values_jump() {
        let penguins = stepped();
        let left = Residuals { features: &penguins.features, values: penguins.masses.clone() };
        let members: Vec<usize> = (0..penguins.masses.len()).collect();
        assert_eq!(best_split(&left, &members), Some((2, 4.5)));
        let constant = Residuals { features: &penguins.features, values: vec![7.0; members.len()] };
        assert_eq!(best_split(&constant, &members), None);
    }

    #[test]
    fn one_whole_step_explains_a_step() {
        let penguins = stepped();
        let boosting = Boosting::fit(&penguins, 1, 1, 1.0, 1.0);
        for (features, mass) in penguins.features.iter().zip(&penguins.masses) {
            assert!((boosting.predict(features) - mass).abs() < 1e-9);
        }
    }

    #[test]
    fn more_trees_fit_the_training_data_better() -> Result<(), String> {
        let penguins = Penguins::load()?;
        let error = |trees| {
            let boosting = Boosting::fit(&penguins, trees, 2, 0.1, 1.0);
            let rows = penguins.features.iter().zip(&penguins.masses);
            rows.map(|(features, mass)| (boosting.predict(features) - mass).powi(2)).sum::<f64>()
        };
        let (few, more, many) = (error(1), error(10), error(50));
        assert!(few > more && more > many, "{few} {more} {many}");
        Ok(())
    }
}
