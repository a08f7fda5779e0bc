//! Where to look next, given a model. Read [`Acquisition::best`].

use super::criterion::{Change, Criterion, Gain};
use super::kernel::Features;
use super::model::{Belief, Model};
use super::settings::Settings;
use super::warp::Warp;
use crate::axis::{self, Axis, Kind};
use crate::math::minimize::{Effort, minimize};
use crate::math::normal::below;
use crate::prior::Pull;
use crate::stream::Stream;

/// Evaluations of one improvement of the continuous parameters.
const SLIDE_EVALUATIONS: u32 = 20;
/// Rounds over continuous parameters and others in turn.
const ROUNDS: usize = 3;
/// A round that brings less ends the improvement.
const LEAST_GAIN: f64 = 1e-3;
/// Up to this many values of a parameter are all looked at.
const MOST_VALUES: usize = 12;

/// A point with its score.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) score: f64,
    pub(super) coordinates: Vec<f64>,
}

pub(super) struct Acquisition<'a> {
    pub(super) axes: &'a [Axis],
    pub(super) features: &'a Features,
    pub(super) models: &'a mut [Model],
    pub(super) criterion: &'a Criterion,
    /// What the user expects, as far as it still counts.
    pub(super) prior: Pull<'a>,
    pub(super) room: Room,
}

/// Room for what is computed again and again.
#[derive(Debug, Default)]
pub(super) struct Room {
    point: Vec<f64>,
    beliefs: Vec<Belief>,
    changes: Vec<Change>,
}

impl Acquisition<'_> {
    fn score(&mut self, coordinates: &[f64]) -> f64 {
        let Room { point, beliefs, changes } = &mut self.room;
        self.features.of(coordinates, point);
        beliefs.clear();
        beliefs.extend(self.models.iter_mut().map(|model| model.at(point)));
        self.criterion.judge(beliefs, changes) + self.prior.of(coordinates)
    }

    /// The improvement that is expected of a point, as a loss; infinite while there is nothing to improve upon.
    pub(super) fn improvement(&mut self, coordinates: &[f64], warp: Warp) -> f64 {
        // Fills the beliefs.
        self.score(coordinates);
        let (Gain::Below(incumbent), [first, others @ ..]) =
            (&self.criterion.gain, self.room.beliefs.as_slice())
        else {
            return f64::INFINITY;
        };
        let bounds = self.criterion.bounds.iter().zip(others);
        let feasible: f64 =
            bounds.map(|(bound, belief)| below((bound - belief.mean) / belief.deviation)).product();
        feasible * warp.improvement(*first, *incumbent)
    }

    fn near(&self, centre: &[f64], stream: &mut Stream) -> Vec<f64> {
        let mut coordinates = centre.to_vec();
        let live = coordinates.iter().filter(|x| !x.is_nan()).count().max(1);
        // On average a few parameters are moved, in small spaces all.
        let share = if stream.uniform() < 0.5 { 1.0 } else { (2.0 / live as f64).min(1.0) };
        let width = libm::exp(-1.2 - 4.5 * stream.uniform());
        let forced = stream.below(live as u64) as usize;
        let mut seen = 0;
        for (slot, axis) in coordinates.iter_mut().zip(self.axes) {
            if slot.is_nan() || axis.kind == Kind::Fixed {
                continue;
            }
            let moves = stream.uniform() < share || seen == forced;
            seen += 1;
            let (u, z) = (stream.open(), stream.normal());
            if !moves {
                continue;
            }
            match &axis.kind {
                Kind::Options(_) => {
                    if share < 1.0 || u < 0.15 {
                        *slot = axis.snap(stream.open());
                    }
                }
                _ => {
                    let x = *slot + width.max(axis.width(*slot)) * z;
                    // Reflected at the ends.
                    let x = if x < 0.0 {
                        -x
                    } else if x > 1.0 {
                        2.0 - x
                    } else {
                        x
                    };
                    *slot = axis.snap(x.clamp(0.0, 1.0));
                }
            }
        }
        axis::fill(self.axes, &mut coordinates, stream);
        coordinates
    }

    /// Candidates, the most promising first.
    pub(super) fn best(
        &mut self,
        settings: &Settings,
        centres: &[&[f64]],
        stream: &mut Stream,
    ) -> Vec<Candidate> {
        let mut pool: Vec<Candidate> = Vec::new();
        for _ in 0..settings.anywhere {
            let mut coordinates = vec![f64::NAN; self.axes.len()];
            axis::fill(self.axes, &mut coordinates, stream);
            pool.push(Candidate { score: 0.0, coordinates });
        }
        if self.prior.weight > 0.0 {
            for _ in 0..settings.anywhere / 2 {
                let coordinates = self.prior.densities.draw(self.axes, stream);
                pool.push(Candidate { score: 0.0, coordinates });
            }
        }
        for centre in centres {
            for _ in 0..settings.around {
                pool.push(Candidate { score: 0.0, coordinates: self.near(centre, stream) });
            }
        }
        for candidate in &mut pool {
            candidate.score = self.score(&candidate.coordinates);
        }
        pool.sort_by(|a, b| b.score.total_cmp(&a.score));
        for start in pool.iter_mut().take(settings.starts as usize) {
            self.improve(start, stream);
        }
        pool.sort_by(|a, b| b.score.total_cmp(&a.score));
        pool
    }

    fn improve(&mut self, candidate: &mut Candidate, stream: &mut Stream) {
        for _ in 0..ROUNDS {
            let before = candidate.score;
            self.slide(candidate);
            self.step(candidate, stream);
            if candidate.score - before < LEAST_GAIN {
                break;
            }
        }
    }

    /// Improves the continuous parameters.
    fn slide(&mut self, candidate: &mut Candidate) {
        let moving: Vec<(usize, usize)> = self
            .features
            .leaves
            .iter()
            .enumerate()
            .filter(|(_, (leaf, _))| {
                self.axes.get(*leaf).is_some_and(|axis| axis.kind == Kind::Line)
                    && candidate.coordinates.get(*leaf).is_some_and(|x| !x.is_nan())
            })
            .map(|(feature, (leaf, _))| (feature, *leaf))
            .collect();
        if moving.is_empty() {
            return;
        }
        let mut point = Vec::new();
        self.features.of(&candidate.coordinates, &mut point);
        let start: Vec<f64> = moving.iter().filter_map(|(feature, _)| point.get(*feature).copied()).collect();
        let bounds = vec![(0.0, 1.0); start.len()];
        let count = point.len();
        // By model.
        let mut slopes = vec![(vec![0.0; count], vec![0.0; count]); self.models.len()];
        let (models, criterion) = (&mut *self.models, self.criterion);
        let Room { beliefs, changes, .. } = &mut self.room;
        let prior = self.prior;
        let pull = |x: &[f64]| moving.iter().zip(x).map(|((_, leaf), x)| prior.at(*leaf, *x).0).sum::<f64>();
        // What the prior says of the parameters that stay.
        let fixed = prior.of(&candidate.coordinates) - pull(&start);
        let mut function = |x: &[f64], slope: &mut [f64]| {
            for ((feature, _), x) in moving.iter().zip(x) {
                if let Some(slot) = point.get_mut(*feature) {
                    *slot = *x;
                }
            }
            beliefs.clear();
            for (model, (mean, variance)) in models.iter_mut().zip(&mut slopes) {
                beliefs.push(model.slopes(&point, mean, variance));
            }
            let score = criterion.judge(beliefs, changes);
            for (((feature, leaf), x), slot) in moving.iter().zip(x).zip(slope.iter_mut()) {
                let mut rise = prior.at(*leaf, *x).1;
                for ((change, belief), (mean, variance)) in changes.iter().zip(beliefs.iter()).zip(&slopes) {
                    let dm = mean.get(*feature).copied().unwrap_or_default();
                    let ds = variance.get(*feature).copied().unwrap_or_default() / (2.0 * belief.deviation);
                    rise += change.along(dm, ds);
                }
                *slot = -rise;
            }
            -(score + fixed + pull(x))
        };
        let effort = Effort { evaluations: SLIDE_EVALUATIONS, slope: 1e-4, gain: 1e-4 };
        let found = minimize(&start, &bounds, effort, &mut function);
        if -found.value > candidate.score {
            candidate.score = -found.value;
            for ((_, leaf), x) in moving.iter().zip(&found.x) {
                if let Some(slot) = candidate.coordinates.get_mut(*leaf) {
                    *slot = *x;
                }
            }
        }
    }

    /// Improves the others, one at a time.
    fn step(&mut self, candidate: &mut Candidate, stream: &mut Stream) {
        for leaf in 0..self.axes.len() {
            let Some(axis) = self.axes.get(leaf) else { continue };
            let Some(x) = candidate.coordinates.get(leaf).copied().filter(|x| !x.is_nan()) else { continue };
            let others = others(axis, x, stream);
            for other in others {
                let mut changed = candidate.coordinates.clone();
                if let Some(slot) = changed.get_mut(leaf) {
                    *slot = other;
                }
                axis::fill(self.axes, &mut changed, stream);
                let score = self.score(&changed);
                if score > candidate.score {
                    *candidate = Candidate { score, coordinates: changed };
                }
            }
        }
    }
}

/// Other values of a parameter that is not continuous: all, if they are few, else some that are near.
fn others(axis: &Axis, x: f64, stream: &mut Stream) -> Vec<f64> {
    let found: Vec<f64> = match &axis.kind {
        Kind::Line | Kind::Fixed => Vec::new(),
        Kind::Options(n) if *n as usize <= MOST_VALUES => (0..*n).map(f64::from).collect(),
        Kind::Options(_) => (0..MOST_VALUES).map(|_| axis.snap(stream.open())).collect(),
        Kind::Cells(edges) if edges.len() <= MOST_VALUES => edges
            .windows(2)
            .filter_map(|w| Some((w.first()? + w.last()?) / 2.0))
            .map(|u| axis.snap(u))
            .collect(),
        Kind::Cells(_) => {
            let width = axis.width(x);
            let steps = [-1.0, 1.0, -2.0, 2.0, -5.0, 5.0, -13.0, 13.0];
            let places = steps.iter().map(|steps| x + steps * width).filter(|u| (0.0..=1.0).contains(u));
            places.map(|u| axis.snap(u)).collect()
        }
    };
    let mut others: Vec<f64> = Vec::with_capacity(found.len());
    for other in found {
        if other != x && !others.contains(&other) {
            others.push(other);
        }
    }
    others
}
