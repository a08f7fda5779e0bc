//! PED-ANOVA: which parameters set the best trials apart.
//!
//! S. Watanabe, A. Bansal, F. Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces", IJCAI 2023.
//! A parameter matters as much as its distribution among the best trials differs (by Pearson's divergence) from that
//! among all trials within a wider part, or from the space itself. Densities are kernel estimates on a grid with the
//! bandwidth of D. W. Scott, "Multivariate Density Estimation", 1992, and one kernel as wide as the domain, as in Optuna.
//!
//! A parameter that exists only under an option is compared among the trials that have it, and its divergence counts by how many
//! those are.

use super::{Share, Study, Trial, Unclear};
use crate::axis::{Axis, Kind};
use crate::math::normal::below;
use libm::{ceil, pow};

/// Points of the grid.
const CELLS: usize = 50;
/// What no density falls below.
const LEAST_DENSITY: f64 = 1e-12;

/// What the best trials are compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Against {
    /// The best share of the trials, 1 for all of them: what mattered there.
    Trials(f64),
    /// The space as it was given: what mattered in it, whether or not the sampler searched there.
    Space,
}

/// The shares of all parameters. `top` is the share of the trials that counts as the best; at least two trials do.
pub fn ped_anova(study: &Study, top: f64, against: Against) -> Result<Vec<Share>, Unclear> {
    study.check()?;
    let mut trials: Vec<&Trial> = study.trials.iter().collect();
    let loss = |trial: &Trial| trial.loss.unwrap_or(f64::INFINITY);
    trials.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
    let best = part(&trials, top);
    let wide = match against {
        Against::Trials(share) => part(&trials, share),
        Against::Space => &trials,
    };
    let divergence = |(at, axis): (usize, &Axis)| {
        let having = |trials: &[&Trial]| -> Vec<f64> {
            let at = trials.iter().filter_map(|trial| trial.coordinates.get(at).copied());
            at.filter(|x| !x.is_nan()).collect()
        };
        let (good, all) = (having(best), having(wide));
        if good.is_empty() || axis.kind == Kind::Fixed {
            return 0.0;
        }
        let grid = Grid::new(axis);
        let good = grid.density(&good);
        let other = match against {
            Against::Trials(_) => grid.density(&all),
            Against::Space => grid.widths.clone(),
        };
        let differs = |(good, other): (&f64, &f64)| {
            let ratio = (good + LEAST_DENSITY) / (other + LEAST_DENSITY) - 1.0;
            other * ratio * ratio
        };
        let present = all.len() as f64 / wide.len().max(1) as f64;
        present * good.iter().zip(&other).map(differs).sum::<f64>()
    };
    let mut shares: Vec<f64> = study.axes.iter().enumerate().map(divergence).collect();
    let sum: f64 = shares.iter().sum();
    if sum > 0.0 {
        for share in &mut shares {
            *share /= sum;
        }
    }
    Ok(study.named(&shares))
}

/// The best share of sorted trials, with all that are as good as its last; at least two.
fn part<'a, 't>(sorted: &'a [&'t Trial], share: f64) -> &'a [&'t Trial] {
    let count = (ceil(sorted.len() as f64 * share) as usize).clamp(2.min(sorted.len()), sorted.len());
    let last = sorted.get(count.saturating_sub(1)).and_then(|trial| trial.loss);
    let more = sorted.iter().skip(count).take_while(|trial| last.is_some() && trial.loss == last).count();
    sorted.get(..count + more).unwrap_or_default()
}

/// The cells of one parameter.
struct Grid {
    /// How probable each cell is in the space itself.
    widths: Vec<f64>,
    /// Where ordered cells end; none for options.
    ends: Option<Vec<f64>>,
}

impl Grid {
    fn new(axis: &Axis) -> Self {
        let even = |n: usize| (1..=n).map(|i| i as f64 / n as f64).collect::<Vec<f64>>();
        let ends = match &axis.kind {
            Kind::Options(n) => {
                let n = *n as usize;
                return Self { widths: vec![1.0 / n as f64; n], ends: None };
            }
            Kind::Cells(edges) if edges.len() <= CELLS + 1 => edges.iter().skip(1).copied().collect(),
            _ => even(CELLS),
        };
        let starts = std::iter::once(&0.0).chain(&ends);
        Self { widths: ends.iter().zip(starts).map(|(end, start)| end - start).collect(), ends: Some(ends) }
    }

    fn cell(&self, x: f64) -> usize {
        let cell = self.ends.as_ref().map_or(x as usize, |ends| ends.partition_point(|end| *end <= x));
        cell.min(self.widths.len().saturating_sub(1))
    }

    /// The estimated probability of each cell.
    fn density(&self, coordinates: &[f64]) -> Vec<f64> {
        let n = self.widths.len();
        let mut counts = vec![0.0; n];
        for x in coordinates {
            if let Some(count) = counts.get_mut(self.cell(*x)) {
                *count += 1.0;
            }
        }
        let all = coordinates.len() as f64;
        if self.ends.is_none() {
            return counts.iter().map(|count| (count + 1.0 / n as f64) / (all + 1.0)).collect();
        }
        let sigma = bandwidth(&counts, all);
        let mut density = vec![0.0; n];
        for (place, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            add_kernel(&mut density, place as f64, sigma, count / (all + 1.0));
        }
        add_kernel(&mut density, 0.5 * (n as f64 - 1.0), n as f64, 1.0 / (all + 1.0));
        density
    }
}

/// Scott's rule with the interquartile range, in cells.
fn bandwidth(counts: &[f64], all: f64) -> f64 {
    let places = || counts.iter().enumerate().map(|(place, count)| (place as f64, *count));
    let mean = places().map(|(place, count)| place * count).sum::<f64>() / all;
    let squares: f64 = places().map(|(place, count)| (place - mean) * (place - mean) * count).sum();
    let deviation = (squares / (all - 1.0).max(1.0)).sqrt();
    let quartile = |share: f64| {
        let mut seen = 0.0;
        let reached = |(_, count): &(f64, f64)| {
            seen += count;
            seen >= share * all && *count > 0.0
        };
        places().find(reached).map_or(0.0, |(place, _)| place)
    };
    let range = quartile(0.75) - quartile(0.25);
    // 90 % of a kernel lie within its cell at least.
    (1.059 * deviation.min(range / 1.34) * pow(all, -0.2)).max(0.5 / 1.64)
}

/// Adds the probabilities of a normal distribution that is cut off at the ends.
fn add_kernel(density: &mut [f64], mean: f64, sigma: f64, weight: f64) {
    let at = |edge: f64| below((edge - 0.5 - mean) / sigma);
    let whole = at(density.len() as f64) - at(0.0);
    for (place, slot) in density.iter_mut().enumerate() {
        *slot += weight * (at(place as f64 + 1.0) - at(place as f64)) / whole;
    }
}
