//! Keeps the distribution of a lattice parameter from settling on one value.
//!
//! R. Hamano, S. Saito, M. Nomura, K. Uchida and S. Shirakawa, "`CatCMA` with margin: stochastic optimization for
//! continuous, integer, and categorical variables", GECCO 2025, sections 4 and 5. Once a parameter's deviation is smaller
//! than its cells, every draw falls into one of them and nothing more is learned. So mean and deviation are moved
//! such that the neighbouring cells keep a probability; and members of a generation that left the mean's cell count as if
//! they lay at the centres of theirs.

use super::gaussian::Weighted;
use engine::space::normal;

/// How far a probability stays away from 0 and 0.5.
const AWAY: f64 = 1e-8;

/// The margin of one lattice parameter.
#[derive(Debug)]
pub(super) struct Margin {
    edges: Vec<f64>,
    /// The least probability of the neighbouring cells together.
    least: f64,
    /// The probability of other cells at the last generation.
    leaving: f64,
    /// Whether a good member of the last generation lay in another cell than the mean.
    moved: bool,
}

impl Margin {
    /// `discrete` is the number of all lattice parameters and choices.
    pub(super) fn new(edges: &[f64], discrete: usize) -> Self {
        let least = 1.0 - libm::pow(0.73, 1.0 / discrete.max(1) as f64);
        Self { edges: edges.to_vec(), least, leaving: 0.5 - AWAY, moved: false }
    }

    /// The cell of a place, and its centre.
    fn cell(&self, x: f64) -> (usize, f64) {
        let after = self.edges.partition_point(|edge| *edge <= x).clamp(1, self.edges.len().max(2) - 1);
        let at = |i: usize| self.edges.get(i).copied().unwrap_or(0.5);
        (after - 1, f64::midpoint(at(after - 1), at(after)))
    }

    /// Moves the good members that left the mean's cell to the centres of their own, and, so that this does not
    /// move the mean, those that stayed some of the way to the centre of theirs.
    pub(super) fn centre(&mut self, dimension: usize, mean: f64, members: &mut [Weighted]) {
        let home = self.cell(mean).0;
        self.moved = false;
        let (mut bias, mut up, mut down) = (0.0, 0.0, 0.0);
        let mut stayed = Vec::new();
        for member in members.iter_mut().filter(|member| member.mean > 0.0) {
            let Some(place) = member.place.get_mut(dimension).filter(|x| !x.is_nan()) else { continue };
            let (cell, centre) = self.cell(*place);
            let way = centre - *place;
            if cell != home {
                self.moved = true;
                bias += way;
                *place = centre;
                continue;
            }
            if way > 0.0 {
                up += way;
            } else {
                down += way;
            }
            stayed.push((place, way));
        }
        let against = if bias > 0.0 { down } else { up };
        if bias * against >= 0.0 {
            return;
        }
        let part = (-bias / against).min(1.0);
        for (place, way) in stayed {
            if way * bias < 0.0 {
                *place += part * way;
            }
        }
    }

    /// Mean and stretch with which the neighbouring cells keep their probability; `unit` is the deviation without
    /// stretch.
    pub(super) fn correct(&mut self, mean: f64, stretch: f64, unit: f64) -> (f64, f64) {
        let last = self.edges.len().saturating_sub(2);
        let at = |i: usize| self.edges.get(i).copied().unwrap_or(0.5);
        let (cell, centre) = self.cell(mean);
        // The thresholds around the mean; at an end of the lattice both are the only one.
        let (low, high) = (at(cell.clamp(1, last)), at((cell + 1).clamp(1, last)));
        let deviation = unit * stretch;
        let below = normal::cdf((low - mean) / deviation);
        let above = normal::cdf((mean - high) / deviation);
        if below.max(above) > 0.5 || low >= high {
            let mut leaving = below.min(above).min(0.5).max(self.least);
            if !self.moved {
                leaving = leaving.min(self.leaving);
            }
            let leaving = leaving.clamp(AWAY, 0.5 - AWAY);
            let widest = (centre - high).abs() / (unit * -normal::quantile(self.least));
            let stretch = stretch.max(widest);
            self.leaving = leaving;
            let reach = unit * stretch * -normal::quantile(leaving);
            return (if mean < high { high - reach } else { high + reach }, stretch);
        }
        let half = self.least / 2.0;
        let (below, above) = (below.max(half), above.max(half));
        let mut inside = 1.0 - normal::cdf((low - mean) / deviation) - normal::cdf((mean - high) / deviation);
        let spare = if self.moved {
            below + above + inside - 3.0 * half
        } else {
            inside = inside.max(1.0 - self.leaving);
            below + above + inside - self.least - (1.0 - self.leaving)
        };
        let excess = 1.0 - below - above - inside;
        let part = if spare > 0.0 { excess / spare } else { 0.0 };
        let below = (below + part * (below - half)).clamp(AWAY, 0.5 - AWAY);
        let above = (above + part * (above - half)).clamp(AWAY, 0.5 - AWAY);
        self.leaving = below + above;
        let (left, right) = (-normal::quantile(below), -normal::quantile(above));
        let both = left + right;
        ((low * right + high * left) / both, (high - low) / (both * unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(cells: u32) -> Vec<f64> {
        (0..=cells).map(|i| f64::from(i) / f64::from(cells)).collect()
    }

    #[test]
    fn however_narrow_it_becomes_other_cells_keep_a_probability() {
        for start in [0.02, 0.31, 0.5, 0.69, 0.97] {
            let mut margin = Margin::new(&edges(7), 3);
            let least = margin.least;
            let (mut mean, mut stretch, mut unit) = (start, 1.0, 0.2);
            for _ in 0..60 {
                unit *= 0.7;
                (mean, stretch) = margin.correct(mean, stretch, unit);
                let (cell, _) = margin.cell(mean);
                let (low, high) = (margin.edges[cell], margin.edges[cell + 1]);
                let inside = normal::cdf((high - mean) / (unit * stretch))
                    - normal::cdf((low - mean) / (unit * stretch));
                assert!(inside <= 1.0 - least + 1e-6, "{start}: {inside}");
            }
            assert!(unit * stretch > 1e-3 && unit * stretch < 1.0, "{start}: {}", unit * stretch);
        }
    }

    #[test]
    fn a_wide_distribution_is_left_as_it_is() {
        let mut margin = Margin::new(&edges(5), 1);
        margin.moved = true;
        let (mean, stretch) = margin.correct(0.52, 1.0, 0.2);
        assert!((mean - 0.52).abs() < 1e-9 && (stretch - 1.0).abs() < 1e-9, "{mean} {stretch}");
    }

    #[test]
    fn members_in_other_cells_are_centred_and_the_sum_stays() {
        let mut margin = Margin::new(&edges(4), 1);
        let member = |x: f64| Weighted { place: vec![x], mean: 0.25, shape: 0.25 };
        let mut members = vec![member(0.55), member(0.26), member(0.27), member(0.48)];
        let before: f64 = members.iter().map(|m| m.place[0]).sum();
        margin.centre(0, 0.4, &mut members);
        assert!(margin.moved);
        assert_eq!(members[0].place[0], 0.625);
        let after: f64 = members.iter().map(|m| m.place[0]).sum();
        assert!((before - after).abs() < 1e-12, "{before} {after}");
        assert!(members[3].place[0] < 0.48);
        assert!(members.iter().skip(1).all(|m| margin.cell(m.place[0]).0 == 1));
    }
}
