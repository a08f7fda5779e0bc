//! The parameters that exist together, and their two densities.

use super::history::{History, Split};
use super::mixture::{Members, Mixture};
use super::settings::Settings;
use crate::axis::Axis;
use crate::prior::Pull;
use crate::stream::Stream;

/// Parameters under the same options of the same choice, or at the top. They are modelled together, from the trials in
/// which they exist; the groups are modelled one by one, from the top down.
///
/// One density over all groups at once would be worse: a branch with many parameters has sharper densities than one
/// with few, so that comparing candidates of different branches would favour it for that alone.
#[derive(Debug)]
pub(super) struct Group {
    /// Indices of the leaves.
    leaves: Vec<usize>,
    axes: Vec<Axis>,
    good: Mixture,
    bad: Mixture,
}

impl Group {
    /// The groups of a space, given the axes of all leaves; those of parents come first. If parameters are not modelled
    /// `together`, each is a group of its own.
    pub(super) fn all(axes: &[Axis], prior_weight: f64, together: bool) -> Vec<Self> {
        let mut parts: Vec<(Vec<usize>, Vec<Axis>)> = Vec::new();
        for (leaf, axis) in axes.iter().enumerate() {
            let same = |part: &&mut (Vec<usize>, Vec<Axis>)| {
                together && part.1.first().is_some_and(|first| first.parent == axis.parent)
            };
            match parts.iter_mut().find(same) {
                Some((leaves, axes)) => {
                    leaves.push(leaf);
                    axes.push(axis.clone());
                }
                None => parts.push((vec![leaf], vec![axis.clone()])),
            }
        }
        parts
            .into_iter()
            .map(|(leaves, axes)| {
                let (good, bad) = (Mixture::new(&axes, prior_weight), Mixture::new(&axes, prior_weight));
                Self { leaves, axes, good, bad }
            })
            .collect()
    }

    /// Whether it exists at a point with these coordinates; absent ones are NaN.
    pub(super) fn exists(&self, coordinates: &[f64]) -> bool {
        self.axes.first().is_some_and(|axis| axis.exists(coordinates))
    }

    /// Fits both densities.
    pub(super) fn fit(&mut self, history: &History, split: &Split, settings: &Settings) {
        let first = self.leaves.first().copied().unwrap_or_default();
        let at = |leaf: usize, trial: u32| history.coordinates(trial).get(leaf).copied().unwrap_or(f64::NAN);
        let here = |trial: &&u32| !at(first, **trial).is_nan();
        let coordinate =
            |axis: usize, trial: u32| self.leaves.get(axis).map_or(f64::NAN, |leaf| at(*leaf, trial));
        let good: Vec<u32> = split.good.iter().filter(here).copied().collect();
        let weights = split.weights.as_ref().map(|weights| {
            let all = split.good.iter().zip(weights);
            all.filter(|(trial, _)| here(trial)).map(|(_, weight)| *weight).collect()
        });
        let members = Members { trials: good, thinned: 0, share: 1.0, weights };
        self.good.update(&self.axes, members, settings, &coordinate);
        let (older, newer) = split.bad.split_at(split.thinned.min(split.bad.len()));
        let mut bad: Vec<u32> = older.iter().filter(here).copied().collect();
        let thinned = bad.len();
        bad.extend(newer.iter().filter(here));
        let share = (split.all_bad - newer.len()) as f64 / older.len().max(1) as f64;
        let members = Members { trials: bad, thinned, share, weights: None };
        self.bad.update(&self.axes, members, settings, &coordinate);
    }

    /// Draws candidates, the most promising one first. A prior is a factor of the ratio, and up to half of the
    /// candidates are drawn from it, as it still counts.
    pub(super) fn candidates(&mut self, count: u32, prior: Pull<'_>, stream: &mut Stream) -> Vec<Vec<f64>> {
        let expected = (0.5 * prior.weight * f64::from(count)).ceil() as u32;
        let mut rated: Vec<(f64, Vec<f64>)> = Vec::with_capacity(count as usize);
        for number in 0..count {
            let candidate = if number < expected {
                let leaves = self.leaves.iter().zip(&self.axes);
                leaves.map(|(leaf, axis)| axis.snap(prior.densities.place(*leaf, stream.open()))).collect()
            } else {
                self.good.draw(&self.axes, stream)
            };
            let ratio =
                self.good.log_density(&self.axes, &candidate) - self.bad.log_density(&self.axes, &candidate);
            let pull: f64 = self.leaves.iter().zip(&candidate).map(|(leaf, x)| prior.at(*leaf, *x).0).sum();
            let ratio = if prior.weight > 0.0 { ratio + pull } else { ratio };
            rated.push((ratio, candidate));
        }
        // Stable: of equal ratios the first drawn comes first.
        rated.sort_by(|a, b| b.0.total_cmp(&a.0));
        rated.into_iter().map(|(_, candidate)| candidate).collect()
    }

    /// Writes a candidate to the coordinates of a point.
    pub(super) fn write(&self, candidate: &[f64], coordinates: &mut [f64]) {
        for (leaf, x) in self.leaves.iter().zip(candidate) {
            if let Some(slot) = coordinates.get_mut(*leaf) {
                *slot = *x;
            }
        }
    }

    /// Makes its parameters absent.
    pub(super) fn erase(&self, coordinates: &mut [f64]) {
        for leaf in &self.leaves {
            if let Some(slot) = coordinates.get_mut(*leaf) {
                *slot = f64::NAN;
            }
        }
    }
}
