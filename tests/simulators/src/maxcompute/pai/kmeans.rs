//! K-means clustering (`kmeans`), by Lloyd's algorithm.

use super::model::Model;
use super::parameters::Parameters;
use super::run::{Output, Source};
use super::samples::{Sparse, feature_columns, points};
use crate::dice::Dice;
use crate::maxcompute::sql::Failure;
use crate::maxcompute::table::{Cell, Table, column};

/// How far it is between two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    /// The length of the line.
    Euclidean,
    /// One less the cosine of the angle.
    Cosine,
    /// The sum of the differences of the coordinates.
    CityBlock,
}

impl Distance {
    /// Between two places of as many coordinates.
    pub fn between(self, one: &[f64], other: &[f64]) -> f64 {
        let pairs = || one.iter().zip(other);
        match self {
            Self::Euclidean => squared(one, other).sqrt(),
            Self::CityBlock => pairs().map(|(a, b)| (a - b).abs()).sum(),
            Self::Cosine => {
                let lengths = length(one) * length(other);
                let product: f64 = pairs().map(|(a, b)| a * b).sum();
                if lengths > 0.0 { 1.0 - product / lengths } else { 1.0 }
            }
        }
    }
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// The square of the Euclidean distance.
pub fn squared(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum()
}

/// The nearest centre, and how far it is; the first of equally near ones.
pub fn nearest(centers: &[Vec<f64>], point: &[f64], distance: Distance) -> (usize, f64) {
    let far = |(at, center): (usize, &Vec<f64>)| (at, distance.between(center, point));
    centers.iter().enumerate().map(far).min_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or((0, 0.0))
}

/// A number below a bound.
fn below(dice: &mut Dice, bound: usize) -> usize {
    (dice.next() % bound.max(1) as u64) as usize
}

/// Different points drawn at random.
fn drawn(points: &[Vec<f64>], count: usize, dice: &mut Dice) -> Vec<Vec<f64>> {
    let mut order: Vec<&Vec<f64>> = points.iter().collect();
    for at in 0..count.min(order.len()) {
        let other = at + below(dice, points.len() - at);
        order.swap(at, other);
    }
    order.into_iter().take(count).cloned().collect()
}

/// K-means++ (Arthur and Vassilvitskii 2007): each centre is a point drawn by the square of its distance to the others.
fn spread(points: &[Vec<f64>], count: usize, dice: &mut Dice) -> Vec<Vec<f64>> {
    let mut centers: Vec<Vec<f64>> = points.get(below(dice, points.len())).cloned().into_iter().collect();
    while centers.len() < count {
        let weights: Vec<f64> =
            points.iter().map(|point| nearest(&centers, point, Distance::Euclidean).1.powi(2)).collect();
        let mut left = (dice.next() >> 11) as f64 / (1u64 << 53) as f64 * weights.iter().sum::<f64>();
        let chosen = weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        let Some(point) = chosen.or(points.len().checked_sub(1)).and_then(|at| points.get(at)) else { break };
        centers.push(point.clone());
    }
    centers
}

/// Centres from the least to the greatest value of each coordinate, evenly.
fn uniform(points: &[Vec<f64>], count: usize) -> Vec<Vec<f64>> {
    let width = points.first().map_or(0, Vec::len);
    let all = |at: usize| points.iter().filter_map(move |point| point.get(at).copied());
    let place = |number: usize, at: usize| {
        let (least, most) =
            (all(at).fold(f64::INFINITY, f64::min), all(at).fold(f64::NEG_INFINITY, f64::max));
        least + (most - least) * number as f64 / count.saturating_sub(1).max(1) as f64
    };
    (0..count).map(|number| (0..width).map(|at| place(number, at)).collect()).collect()
}

/// Moves centres until the sum of distances changes by less than `accuracy`, at most `loops` times.
pub fn lloyd(
    points: &[Vec<f64>],
    mut centers: Vec<Vec<f64>>,
    distance: Distance,
    loops: usize,
    accuracy: f64,
) -> Vec<Vec<f64>> {
    let width = points.first().map_or(0, Vec::len);
    let mut before = f64::INFINITY;
    for _ in 0..loops {
        let mut sums = vec![(vec![0.0; width], 0.0); centers.len()];
        let mut objective = 0.0;
        for point in points {
            let (at, far) = nearest(&centers, point, distance);
            objective += far;
            if let Some((sum, count)) = sums.get_mut(at) {
                sum.iter_mut().zip(point).for_each(|(sum, value)| *sum += value);
                *count += 1.0;
            }
        }
        for (center, (sum, count)) in centers.iter_mut().zip(sums) {
            // A cluster that has lost its points stays where it is.
            if count > 0.0 {
                *center = sum.into_iter().map(|sum| sum / count).collect();
            }
        }
        if (before - objective).abs() < accuracy {
            break;
        }
        before = objective;
    }
    centers
}

/// Runs it.
pub fn run(source: &Source<'_>, parameters: &Parameters, now_ms: i64) -> Result<Output, Failure> {
    let input = source.input()?;
    let columns = feature_columns(&input, parameters.list("selectedColNames"), "");
    let sparse = Sparse::of(parameters, ",");
    let all = points(&input, &columns, sparse.as_ref())?;
    let count = parameters.number("centerCount", 10, 1, 1000)?;
    let loops = parameters.number("loop", 100, 1, 1000)?;
    let accuracy = parameters.number("accuracy", 0.1, 0.0, f64::MAX)?;
    let distance = match parameters.one_of("distanceType", &["euclidean", "cosine", "cityblock"])? {
        "cosine" => Distance::Cosine,
        "cityblock" => Distance::CityBlock,
        _ => Distance::Euclidean,
    };
    let seed = parameters.number("seed", now_ms as u64, 0, u64::MAX)?;
    let mut dice = Dice::new(seed);
    if count > all.len() {
        return Err(Failure::algorithm(&format!("centerCount is {count}, and there are {} rows", all.len())));
    }
    let first =
        match parameters.one_of("initCenterMethod", &["random", "topk", "uniform", "kmpp", "external"])? {
            "topk" => all.iter().take(count).cloned().collect(),
            "uniform" => uniform(&all, count),
            "kmpp" => spread(&all, count, &mut dice),
            "external" => points(&source.table("initCenterTableName", "")?, &columns, sparse.as_ref())?,
            _ => drawn(&all, count, &mut dice),
        };
    if first.iter().any(|center| Some(center.len()) != all.first().map(Vec::len)) {
        return Err(Failure::algorithm("the initial centres have other columns than the rows"));
    }
    let centers = lloyd(&all, first, distance, loops, accuracy);
    tables(parameters, &input, &all, columns, centers, distance)
}

fn tables(
    parameters: &Parameters,
    input: &Table,
    all: &[Vec<f64>],
    columns: Vec<String>,
    centers: Vec<Vec<f64>>,
    distance: Distance,
) -> Result<Output, Failure> {
    let appended = parameters.list("appendColNames");
    let places: Vec<usize> = appended.iter().filter_map(|name| input.position(name)).collect();
    if places.len() != appended.len() {
        return Err(Failure::algorithm("appendColNames names a column that the input table does not have"));
    }
    let mut index = Table {
        columns: places.iter().filter_map(|place| input.columns.get(*place)).cloned().collect(),
        rows: Vec::with_capacity(all.len()),
    };
    index.columns.extend([column("cluster_index", "bigint"), column("distance", "double")]);
    let mut counts = vec![0; centers.len()];
    for (row, point) in input.rows.iter().zip(all) {
        let (at, far) = nearest(&centers, point, distance);
        if let Some(count) = counts.get_mut(at) {
            *count += 1;
        }
        let mut cells: Vec<Cell> = places.iter().filter_map(|place| row.get(*place)).cloned().collect();
        cells.extend([Cell::Integer(at as i64), Cell::Double(far)]);
        index.rows.push(cells);
    }
    let numbered = |at: usize| Cell::Integer(at as i64);
    let count = Table {
        columns: vec![column("cluster_index", "bigint"), column("cluster_count", "bigint")],
        rows: counts
            .iter()
            .enumerate()
            .map(|(at, count)| vec![numbered(at), Cell::Integer(*count)])
            .collect(),
    };
    // Sparse rows have more coordinates than columns: these are then numbered.
    let width = centers.first().map_or(0, Vec::len);
    let name = |at: usize| {
        if width == columns.len() { columns.get(at).cloned() } else { None }
            .unwrap_or_else(|| format!("f{at}"))
    };
    let mut center = Table { columns: vec![column("cluster_index", "bigint")], rows: Vec::new() };
    center.columns.extend((0..width).map(|at| column(&name(at), "double")));
    for (at, place) in centers.iter().enumerate() {
        center
            .rows
            .push(std::iter::once(numbered(at)).chain(place.iter().copied().map(Cell::Double)).collect());
    }
    parameters.need("idxTableName")?;
    let mut output = Output { text: format!("{} clusters", centers.len()), ..Output::default() };
    output.table(parameters, "idxTableName", index)?;
    output.table(parameters, "clusterCountTableName", count)?;
    output.table(parameters, "centerTableName", center)?;
    output.model = parameters.model().map(|name| (name, Model::Clusters { columns, centers, distance }));
    Ok(output)
}
