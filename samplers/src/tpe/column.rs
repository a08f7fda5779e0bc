//! The kernels of one parameter: one for every trial of a mixture.

use crate::axis::{Axis, Kind};
use crate::math::exponential::exp;
use crate::math::truncated;

/// Kernels are never narrower than this share of the interval (the "magic clip" of Bergstra et al. 2011), and with
/// few kernels wider: one part in their number and two.
const MOST_PARTS: f64 = 100.0;
/// Nor are they narrower than this share of the cell of the trial's value. Without it, a lattice of a dozen values is
/// modelled by spikes: as soon as a few trials share a value its neighbours are never tried, and a search with
/// whole numbers stands still one step from the optimum.
const CELL_SHARE: f64 = 0.5;
/// Up to this many cells the factor of a kernel is the exact sum over the cells.
const SUMMED_CELLS: usize = 128;

/// Kernels on a line or on cells are normal distributions, cut to the unit interval; their widths follow the gaps
/// between neighbouring trials. On options a kernel puts its weight on the trial's option and a little on all.
///
/// All densities are relative to the space's own distribution.
#[derive(Debug, Default)]
pub(super) struct Column {
    /// By trial: the coordinate.
    pub(super) x: Vec<f64>,
    /// By trial: 1 / (2 deviation^2).
    pub(super) curvature: Vec<f64>,
    /// By trial: the logarithm of the density at the centre.
    pub(super) factor: Vec<f64>,
    /// By trial: the deviation from which candidates are drawn.
    pub(super) deviation: Vec<f64>,
    /// Coordinate and number of the trials, in order.
    order: Vec<(f64, u32)>,
    /// The narrowest deviation at which the kernels were made.
    least: f64,
}

/// The kernel of the space's own distribution on a numeric axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bell {
    pub(super) centre: f64,
    pub(super) deviation: f64,
    pub(super) curvature: f64,
    pub(super) factor: f64,
}

/// A kernel at a coordinate.
pub(super) fn bell(axis: &Axis, centre: f64, deviation: f64) -> Bell {
    // A value of a lattice is known up to its cell only: the cell's own variance comes on top.
    let width = axis.width(centre);
    let variance = deviation * deviation + width * width / 12.0;
    let curvature = 0.5 / variance;
    let factor = match &axis.kind {
        Kind::Cells(edges) if edges.len() <= SUMMED_CELLS + 1 => {
            let mut sum = 0.0;
            for pair in edges.windows(2) {
                if let [low, high] = pair {
                    let z = low + (high - low) / 2.0 - centre;
                    sum += (high - low) * exp(-z * z * curvature);
                }
            }
            -libm::log(sum)
        }
        _ => truncated::log_factor(centre, variance.sqrt()),
    };
    Bell { centre, deviation, curvature, factor }
}

impl Column {
    /// Makes the columns those of the given trials. `removed` are places in the old list, `trials` is the new one,
    /// `inserted` are places in it, both ascending; `coordinate` gives the coordinate of a trial.
    pub(super) fn update(
        &mut self,
        axis: &Axis,
        removed: &[(usize, u32)],
        trials: &[u32],
        inserted: &[usize],
        coordinate: &dyn Fn(u32) -> f64,
    ) {
        if axis.kind == Kind::Fixed {
            return;
        }
        let mut stale: Vec<u32> = Vec::new();
        for (place, trial) in removed.iter().rev() {
            self.take_out(*place, *trial, coordinate(*trial), &mut stale);
        }
        for place in inserted {
            if let Some(trial) = trials.get(*place) {
                self.put_in(*place, *trial, coordinate(*trial), &mut stale);
            }
        }
        if matches!(axis.kind, Kind::Options(_)) {
            return;
        }
        let least = 1.0 / MOST_PARTS.min(2.0 + self.order.len() as f64);
        if least == self.least {
            stale.sort_unstable();
            stale.dedup();
            for trial in stale {
                let at = (coordinate(trial), trial);
                if let (Ok(place), Ok(rank)) =
                    (trials.binary_search(&trial), self.order.binary_search_by(|other| compare(*other, at)))
                {
                    self.shape(axis, place, rank);
                }
            }
        } else {
            self.least = least;
            for rank in 0..self.order.len() {
                if let Some(place) =
                    self.order.get(rank).and_then(|(_, trial)| trials.binary_search(trial).ok())
                {
                    self.shape(axis, place, rank);
                }
            }
        }
    }

    fn take_out(&mut self, place: usize, trial: u32, x: f64, stale: &mut Vec<u32>) {
        for column in [&mut self.x, &mut self.curvature, &mut self.factor, &mut self.deviation] {
            if place < column.len() {
                column.remove(place);
            }
        }
        if let Ok(rank) = self.order.binary_search_by(|other| compare(*other, (x, trial))) {
            self.order.remove(rank);
            self.touch(rank, stale);
        }
    }

    fn put_in(&mut self, place: usize, trial: u32, x: f64, stale: &mut Vec<u32>) {
        self.x.insert(place.min(self.x.len()), x);
        for column in [&mut self.curvature, &mut self.factor, &mut self.deviation] {
            column.insert(place.min(column.len()), 0.0);
        }
        if let Err(rank) = self.order.binary_search_by(|other| compare(*other, (x, trial))) {
            self.order.insert(rank, (x, trial));
            self.touch(rank, stale);
        }
    }

    /// Notes the trials around a rank: their gaps have changed.
    fn touch(&self, rank: usize, stale: &mut Vec<u32>) {
        for near in rank.saturating_sub(1)..=rank + 1 {
            stale.extend(self.order.get(near).map(|(_, trial)| *trial));
        }
    }

    /// Makes the kernel of the trial at a rank.
    fn shape(&mut self, axis: &Axis, place: usize, rank: usize) {
        let at = |rank: usize| self.order.get(rank).map(|(x, _)| *x);
        let Some(x) = at(rank) else { return };
        let left = rank.checked_sub(1).and_then(at).map(|other| x - other);
        let right = at(rank + 1).map(|other| other - x);
        let gap = match (left, right) {
            (Some(left), Some(right)) => left.max(right),
            (Some(gap), None) | (None, Some(gap)) => gap,
            (None, None) => x.max(1.0 - x),
        };
        let least = self.least.max(CELL_SHARE * axis.width(x));
        let bell = bell(axis, x, gap.max(least).min(1.0));
        for (column, value) in [
            (&mut self.curvature, bell.curvature),
            (&mut self.factor, bell.factor),
            (&mut self.deviation, bell.deviation),
        ] {
            if let Some(slot) = column.get_mut(place) {
                *slot = value;
            }
        }
    }
}

fn compare(a: (f64, u32), b: (f64, u32)) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}
