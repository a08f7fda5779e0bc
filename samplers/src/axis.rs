//! One parameter as a model sees it: a coordinate, and what may be read off it.

use crate::stream::Stream;
use engine::space::{Domain, Leaf};
use engine::value::{Point, Value};

/// Lattices with more values than this are treated as continuous: their cells are narrower than any kernel.
const MOST_CELLS: u64 = 1_024;

/// The geometry of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// A line; the coordinate is that of the unit interval.
    Line,
    /// Ordered cells, given by their edges; the coordinate is the centre of a cell.
    Cells(Vec<f64>),
    /// Unordered options; the coordinate is the index.
    Options(u32),
    /// One value only.
    Fixed,
}

/// A parameter of a model.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    domain: Domain,
    pub(crate) kind: Kind,
    /// The choice under which it exists, as an index of an axis, and the options.
    pub(crate) parent: Option<(usize, Vec<u32>)>,
}

impl Axis {
    /// The axis of a leaf.
    pub(crate) fn new(leaf: &Leaf) -> Self {
        let domain = leaf.domain.clone();
        let kind = match domain.cardinality() {
            Some(0 | 1) => Kind::Fixed,
            Some(n) if domain.is_categorical() => Kind::Options(u32::try_from(n).unwrap_or(u32::MAX)),
            Some(n) if n <= MOST_CELLS => {
                let low = (0..n).filter_map(|i| domain.cell(domain.nth(i)?)).map(|(low, _)| low);
                Kind::Cells(low.chain([1.0]).collect())
            }
            _ => Kind::Line,
        };
        let parent = leaf.parent.as_ref().map(|p| (usize::from(p.leaf), p.options.clone()));
        Self { domain, kind, parent }
    }

    /// The coordinate of a value.
    pub(crate) fn coordinate(&self, value: Value) -> f64 {
        match (&self.kind, value) {
            (Kind::Options(_), Value::Option(index)) => f64::from(index),
            (Kind::Fixed, _) => 0.0,
            _ => self.domain.to_unit(value).unwrap_or(0.5),
        }
    }

    /// The value at a coordinate.
    pub(crate) fn value(&self, x: f64) -> Value {
        match &self.kind {
            Kind::Options(n) => Value::Option((x as u32).min(n.saturating_sub(1))),
            Kind::Fixed => self.domain.from_unit(0.5),
            Kind::Line | Kind::Cells(_) => self.domain.from_unit(x),
        }
    }

    /// The coordinate nearest to a place in the unit interval that a value has.
    pub(crate) fn snap(&self, u: f64) -> f64 {
        match &self.kind {
            Kind::Cells(edges) => {
                let after = edges.partition_point(|edge| *edge <= u).clamp(1, edges.len().max(2) - 1);
                centre(edges, after)
            }
            Kind::Options(n) => (u * f64::from(*n)).floor().min(f64::from(*n) - 1.0),
            Kind::Line => u,
            Kind::Fixed => 0.0,
        }
    }

    /// The width of the cell around a coordinate; 0 on a line.
    pub(crate) fn width(&self, x: f64) -> f64 {
        let Kind::Cells(edges) = &self.kind else { return 0.0 };
        let after = edges.partition_point(|edge| *edge <= x).clamp(1, edges.len().max(2) - 1);
        match (edges.get(after - 1), edges.get(after)) {
            (Some(low), Some(high)) => high - low,
            _ => 0.0,
        }
    }

    /// The coordinate of the next cell above or below; at an end, of the one on the other side.
    pub(crate) fn beside(&self, x: f64, above: bool) -> f64 {
        let Kind::Cells(edges) = &self.kind else { return x };
        let last = edges.len().max(2) - 1;
        let after = edges.partition_point(|edge| *edge <= x).clamp(1, last);
        let up = after == 1 || (above && after < last);
        centre(edges, if up { after + 1 } else { after - 1 })
    }

    /// Whether it exists at a point with these coordinates; absent ones are NaN.
    pub(crate) fn exists(&self, coordinates: &[f64]) -> bool {
        self.parent.as_ref().is_none_or(|(leaf, options)| {
            coordinates.get(*leaf).is_some_and(|x| !x.is_nan() && options.binary_search(&(*x as u32)).is_ok())
        })
    }
}

/// The coordinates of a point; NaN where a parameter does not exist.
pub(crate) fn coordinates(axes: &[Axis], point: &Point) -> Vec<f64> {
    let mut coordinates = vec![f64::NAN; axes.len()];
    for (leaf, value) in &point.0 {
        let leaf = usize::from(*leaf);
        if let (Some(slot), Some(axis)) = (coordinates.get_mut(leaf), axes.get(leaf)) {
            *slot = axis.coordinate(*value);
        }
    }
    coordinates
}

/// The point at coordinates of exactly those parameters that exist.
pub(crate) fn point(axes: &[Axis], coordinates: &[f64]) -> Point {
    let leaves = (0u16..).zip(axes.iter().zip(coordinates)).filter(|(_, (_, x))| !x.is_nan());
    Point(leaves.map(|(leaf, (axis, x))| (leaf, axis.value(*x))).collect())
}

/// Moves coordinates that are all given onto their lattices, and makes those of parameters that do not exist NaN.
pub(crate) fn complete(axes: &[Axis], coordinates: &mut [f64]) {
    for (leaf, axis) in axes.iter().enumerate() {
        let exists = axis.exists(coordinates);
        if let Some(slot) = coordinates.get_mut(leaf) {
            *slot = match &axis.kind {
                _ if !exists => f64::NAN,
                Kind::Line => slot.clamp(0.0, 1.0),
                Kind::Cells(_) => axis.snap(slot.clamp(0.0, 1.0)),
                Kind::Options(_) => *slot,
                Kind::Fixed => 0.0,
            };
        }
    }
}

/// Draws coordinates for parameters that exist and have none, and makes those of parameters that do not exist NaN.
pub(crate) fn fill(axes: &[Axis], coordinates: &mut [f64], stream: &mut Stream) {
    for (leaf, axis) in axes.iter().enumerate() {
        let exists = axis.exists(coordinates);
        if let Some(slot) = coordinates.get_mut(leaf) {
            if !exists {
                *slot = f64::NAN;
            } else if slot.is_nan() {
                *slot = axis.snap(stream.open());
            }
        }
    }
}

/// The centre of the cell that ends at an edge.
fn centre(edges: &[f64], after: usize) -> f64 {
    match (edges.get(after.saturating_sub(1)), edges.get(after)) {
        (Some(low), Some(high)) => low + (high - low) / 2.0,
        _ => 0.5,
    }
}
