//! Gradient boosted trees (`ps_smart`), as `XGBoost` grows them (Chen and Guestrin 2016): second derivatives, and splits
//! between quantiles.
//!
//! Objectives: `binary:logistic`, `reg:logistic` and `reg:linear`. Start with [`grow`].

use super::model::{Model, sigmoid};
use super::parameters::Parameters;
use super::run::{Output, Source};
use super::samples::{Sparse, feature_columns, numbers, points};
use crate::dice::Dice;
use crate::maxcompute::limits::TREES;
use crate::maxcompute::sql::Failure;
use crate::maxcompute::table::{Cell, Table, column};
use std::collections::BTreeMap;

/// A node of a tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// What is added for a point that comes here.
    Leaf(f64),
    /// Where a point goes.
    Split {
        /// The feature that is looked at.
        feature: usize,
        /// A point below it goes left.
        threshold: f64,
        /// The node on the left.
        left: usize,
        /// The node on the right.
        right: usize,
    },
}

/// A tree: its nodes, the root first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tree(Vec<Node>);

impl Tree {
    /// What it adds for a point. A feature that the point lacks is 0.
    pub fn value(&self, point: &[f64]) -> f64 {
        let mut at = 0;
        // Children come after their parents, so that this ends.
        loop {
            match self.0.get(at) {
                Some(Node::Leaf(value)) => return *value,
                Some(Node::Split { feature, threshold, left, right }) => {
                    at =
                        if point.get(*feature).copied().unwrap_or(0.0) < *threshold { *left } else { *right };
                }
                None => return 0.0,
            }
        }
    }
}

/// What a training is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many trees.
    pub trees: usize,
    /// How deep each is at most.
    pub depth: usize,
    /// By how much each tree's values are made smaller.
    pub shrinkage: f64,
    /// The penalty of the absolute value of a leaf.
    pub l1: f64,
    /// The penalty of the square of a leaf.
    pub l2: f64,
    /// What a split must gain.
    pub min_gain: f64,
    /// The part of the points that a tree sees.
    pub sample_ratio: f64,
    /// The part of the features that a tree sees.
    pub feature_ratio: f64,
    /// The part of the points that lies between two neighbouring places of a split.
    pub sketch: f64,
    /// Whether labels are 0 and 1, and the logistic loss is made small; else the squared error.
    pub logistic: bool,
    /// What is added to the sum of the trees.
    pub base: f64,
    /// Feeds random choices.
    pub seed: u64,
}

/// The trees, and for each feature its gain, its uses and the weight of the points that came to its splits.
pub type Grown = (Vec<Tree>, BTreeMap<usize, [f64; 3]>);

/// Where a feature may be split: its quantiles.
fn places(points: &[Vec<f64>], feature: usize, sketch: f64) -> Vec<f64> {
    let mut values: Vec<f64> = points.iter().filter_map(|point| point.get(feature).copied()).collect();
    values.sort_by(f64::total_cmp);
    let all = values.len();
    values.dedup();
    let most = (1.0 / sketch).ceil().max(1.0) as usize;
    let middles: Vec<f64> =
        values.windows(2).filter_map(|pair| Some(f64::midpoint(*pair.first()?, *pair.last()?))).collect();
    if middles.len() <= most || all == 0 {
        return middles;
    }
    let step = middles.len() as f64 / most as f64;
    (0..most).filter_map(|at| middles.get(((at as f64 + 0.5) * step) as usize).copied()).collect()
}

/// The sums of the first and second derivatives of some points' losses.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    first: f64,
    second: f64,
}

impl Sums {
    fn plus(self, other: Self) -> Self {
        Self { first: self.first + other.first, second: self.second + other.second }
    }

    fn minus(self, other: Self) -> Self {
        Self { first: self.first - other.first, second: self.second - other.second }
    }

    fn shrunk(self, l1: f64) -> f64 {
        self.first.signum() * (self.first.abs() - l1).max(0.0)
    }

    /// By how much a leaf of these points makes the loss smaller, twice.
    fn score(self, settings: &Settings) -> f64 {
        if self.second <= 0.0 { 0.0 } else { self.shrunk(settings.l1).powi(2) / (self.second + settings.l2) }
    }

    fn leaf(self, settings: &Settings) -> f64 {
        let value = -self.shrunk(settings.l1) / (self.second + settings.l2);
        if value.is_finite() { value * settings.shrinkage } else { 0.0 }
    }
}

/// What growing one tree needs.
struct Growth<'a> {
    settings: &'a Settings,
    /// For each feature the places where it may be split.
    cuts: &'a [Vec<f64>],
    /// For each point and feature the number of places below its value.
    bins: &'a [Vec<usize>],
    derivatives: &'a [Sums],
    features: Vec<usize>,
    nodes: Vec<Node>,
}

impl Growth<'_> {
    fn sum(&self, points: &[usize]) -> Sums {
        points
            .iter()
            .filter_map(|point| self.derivatives.get(*point))
            .fold(Sums::default(), |sum, one| sum.plus(*one))
    }

    /// The best split of some points: what it gains, the feature, and the place.
    fn best(&self, points: &[usize], all: Sums) -> Option<(f64, usize, usize)> {
        let mut best: Option<(f64, usize, usize)> = None;
        for feature in &self.features {
            let cuts = self.cuts.get(*feature)?.len();
            let mut histogram = vec![Sums::default(); cuts + 1];
            for point in points {
                let bin = *self.bins.get(*point)?.get(*feature)?;
                let slot = histogram.get_mut(bin)?;
                *slot = slot.plus(*self.derivatives.get(*point)?);
            }
            let mut left = Sums::default();
            for (cut, sums) in histogram.iter().take(cuts).enumerate() {
                left = left.plus(*sums);
                let right = all.minus(left);
                let parts = left.score(self.settings) + right.score(self.settings);
                let gain = (parts - all.score(self.settings)) / 2.0 - self.settings.min_gain;
                if gain > 1e-9 && best.is_none_or(|(most, ..)| gain > most) {
                    best = Some((gain, *feature, cut));
                }
            }
        }
        best
    }

    /// Adds the node of some points, and those below it; gives its number.
    fn node(&mut self, points: &[usize], depth: usize, importance: &mut BTreeMap<usize, [f64; 3]>) -> usize {
        let all = self.sum(points);
        let number = self.nodes.len();
        self.nodes.push(Node::Leaf(all.leaf(self.settings)));
        let best = if depth == 0 { None } else { self.best(points, all) };
        let Some((gain, feature, cut)) = best else { return number };
        let Some(threshold) = self.cuts.get(feature).and_then(|cuts| cuts.get(cut)).copied() else {
            return number;
        };
        let below = |point: &usize| {
            self.bins.get(*point).and_then(|bins| bins.get(feature)).is_some_and(|bin| *bin <= cut)
        };
        let (low, high): (Vec<usize>, Vec<usize>) = points.iter().partition(|point| below(point));
        if low.is_empty() || high.is_empty() {
            return number;
        }
        let known = importance.entry(feature).or_default();
        for (sum, one) in known.iter_mut().zip([gain, 1.0, points.len() as f64]) {
            *sum += one;
        }
        let left = self.node(&low, depth - 1, importance);
        let right = self.node(&high, depth - 1, importance);
        if let Some(node) = self.nodes.get_mut(number) {
            *node = Node::Split { feature, threshold, left, right };
        }
        number
    }
}

/// Some of the numbers below a bound, at least one.
fn some(count: usize, ratio: f64, dice: &mut Dice) -> Vec<usize> {
    let mut chosen: Vec<usize> = (0..count).filter(|_| dice.chance(ratio)).collect();
    if chosen.is_empty() {
        chosen.extend((count > 0).then(|| (dice.next() % count as u64) as usize));
    }
    chosen
}

/// Grows trees, each on what the ones before have left.
pub fn grow(points: &[Vec<f64>], labels: &[f64], weights: &[f64], settings: &Settings) -> Grown {
    let width = points.first().map_or(0, Vec::len);
    let cuts: Vec<Vec<f64>> = (0..width).map(|feature| places(points, feature, settings.sketch)).collect();
    let bin = |point: &Vec<f64>| {
        point.iter().zip(&cuts).map(|(value, cuts)| cuts.partition_point(|cut| cut <= value)).collect()
    };
    let bins: Vec<Vec<usize>> = points.iter().map(bin).collect();
    let mut sums = vec![settings.base; points.len()];
    let mut dice = Dice::new(settings.seed);
    let (mut trees, mut importance) = (Vec::new(), BTreeMap::new());
    for _ in 0..settings.trees {
        let derivative = |((sum, label), weight): ((&f64, &f64), &f64)| {
            let expected = if settings.logistic { sigmoid(*sum) } else { *sum };
            let second = if settings.logistic { expected * (1.0 - expected) } else { 1.0 };
            Sums { first: (expected - label) * weight, second: second * weight }
        };
        let derivatives: Vec<Sums> = sums.iter().zip(labels).zip(weights).map(derivative).collect();
        let seen = some(points.len(), settings.sample_ratio, &mut dice);
        let features = some(width, settings.feature_ratio, &mut dice);
        let mut growth = Growth {
            settings,
            cuts: &cuts,
            bins: &bins,
            derivatives: &derivatives,
            features,
            nodes: Vec::new(),
        };
        growth.node(&seen, settings.depth, &mut importance);
        let tree = Tree(growth.nodes);
        sums.iter_mut().zip(points).for_each(|(sum, point)| *sum += tree.value(point));
        trees.push(tree);
    }
    (trees, importance)
}

/// Runs it.
pub fn run(source: &Source<'_>, parameters: &Parameters) -> Result<Output, Failure> {
    let input = source.input()?;
    let label = parameters.need("labelColName")?;
    let columns = feature_columns(&input, parameters.list("featureColNames"), label);
    let all = points(&input, &columns, Sparse::of(parameters, " ").as_ref())?;
    let labels = numbers(&input, label)?;
    let weights = match parameters.get("weightCol") {
        Some(name) => numbers(&input, name)?,
        None => vec![1.0; labels.len()],
    };
    let objective = parameters.one_of("objective", &["reg:linear", "binary:logistic", "reg:logistic"])?;
    let logistic = objective != "reg:linear";
    if logistic && labels.iter().any(|label| !(0.0..=1.0).contains(label)) {
        return Err(Failure::algorithm("a label is not between 0 and 1"));
    }
    let unit = |name, default| parameters.number(name, default, f64::MIN_POSITIVE, 1.0);
    let base = parameters.number("baseScore", 0.5, f64::MIN, f64::MAX)?;
    if logistic && !(base > 0.0 && base < 1.0) {
        return Err(Failure::algorithm("baseScore is a probability between 0 and 1 with this objective"));
    }
    let settings = Settings {
        trees: parameters.number("treeCount", 1, 1, TREES)?,
        depth: parameters.number("maxDepth", 5, 1, 20)?,
        shrinkage: unit("shrinkage", 0.3)?,
        l1: parameters.number("l1", 0.0, 0.0, f64::MAX)?,
        l2: parameters.number("l2", 1.0, 0.0, f64::MAX)?,
        min_gain: parameters.number("minSplitLoss", 0.0, 0.0, f64::MAX)?,
        sample_ratio: unit("sampleRatio", 1.0)?,
        feature_ratio: unit("featureRatio", 1.0)?,
        sketch: unit("sketchEps", 0.03)?,
        logistic,
        base: if logistic { (base / (1.0 - base)).ln() } else { base },
        seed: parameters.number("randSeed", 0, 0, u64::MAX)?,
    };
    let (trees, importance) = grow(&all, &labels, &weights, &settings);
    let measure = match parameters.one_of("featureImportanceType", &["gain", "weight", "cover"])? {
        "weight" => 1,
        "cover" => 2,
        _ => 0,
    };
    let value = |sums: &[f64; 3]| sums.get(measure).copied().unwrap_or_default();
    let importances = Table {
        columns: vec![column("id", "bigint"), column("value", "double")],
        rows: importance
            .iter()
            .map(|(feature, sums)| vec![Cell::Integer(*feature as i64), Cell::Double(value(sums))])
            .collect(),
    };
    let described = Table {
        columns: vec![column("tree", "bigint"), column("model", "string")],
        rows: trees
            .iter()
            .enumerate()
            .map(|(at, tree)| vec![Cell::Integer(at as i64), Cell::Text(format!("{tree:?}"))])
            .collect(),
    };
    let name = parameters.model().ok_or_else(|| Failure::algorithm("parameter modelName is required"))?;
    let mut output = Output { text: format!("{} trees", trees.len()), ..Output::default() };
    output.table(parameters, "outputImportanceTableName", importances)?;
    output.table(parameters, "outputTableName", described)?;
    output.model = Some((name, Model::Trees { columns, trees, base: settings.base, logistic }));
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(trees: usize, depth: usize) -> Settings {
        Settings {
            trees,
            depth,
            shrinkage: 0.3,
            l1: 0.0,
            l2: 1.0,
            min_gain: 0.0,
            sample_ratio: 1.0,
            feature_ratio: 1.0,
            sketch: 0.03,
            logistic: true,
            base: 0.0,
            seed: 0,
        }
    }

    #[test]
    fn trees_learn_what_one_split_cannot_say() {
        // Exclusive or, which needs two levels; a few points more on one side so that the first split gains.
        let points: Vec<Vec<f64>> =
            (0..41).map(|at| vec![f64::from(at % 2), f64::from(at / 2 % 2)]).collect();
        let labels: Vec<f64> = points.iter().map(|point| f64::from(point[0] != point[1])).collect();
        let weights = vec![1.0; points.len()];
        let loss = |settings: &Settings| {
            let (trees, _) = grow(&points, &labels, &weights, settings);
            let sum = |point: &Vec<f64>| trees.iter().map(|tree| tree.value(point)).sum::<f64>();
            let one = |(point, label): (&Vec<f64>, &f64)| (sigmoid(sum(point)) - label).abs();
            points.iter().zip(&labels).map(one).fold(0.0, f64::max)
        };
        assert!(loss(&settings(30, 2)) < 0.1, "{}", loss(&settings(30, 2)));
        assert!(loss(&settings(30, 1)) > 0.4, "{}", loss(&settings(30, 1)));
        assert!(loss(&settings(3, 2)) > loss(&settings(30, 2)));
    }

    #[test]
    fn one_leaf_is_the_newton_step() {
        // Two points of three have label 1: the first derivatives sum to -0.5, the second to 0.75.
        let one = Settings { shrinkage: 1.0, ..settings(1, 1) };
        let (trees, _) = grow(&[vec![0.0], vec![0.0], vec![0.0]], &[1.0, 1.0, 0.0], &[1.0; 3], &one);
        assert!((trees[0].value(&[0.0]) - 0.5 / 1.75).abs() < 1e-12);
    }
}
