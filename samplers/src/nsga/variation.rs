//! Children of two parents.
//!
//! Numbers: simulated binary crossover and polynomial mutation, both bounded (K. Deb and R. B. Agrawal, "Simulated binary crossover
//! for continuous search space", Complex Systems 9, 1995; K. Deb and D. Deb, "Analysing mutation schemes for real-parameter
//! genetic algorithms", IJAISP 4, 2014). Options: one of the two parents', or any other. What exists in one parent only is
//! taken from that one, and what exists in neither is drawn.

use super::settings::Settings;
use crate::axis::{self, Axis, Kind};
use crate::stream::Stream;

/// A child of two parents, given by their coordinates.
pub(super) fn child(
    axes: &[Axis],
    settings: &Settings,
    (first, second): (&[f64], &[f64]),
    stream: &mut Stream,
) -> Vec<f64> {
    let mut child = first.to_vec();
    if stream.uniform() < settings.crossover {
        for ((slot, other), axis) in child.iter_mut().zip(second).zip(axes) {
            *slot = crossed(axis, *slot, *other, settings.crossover_index, stream);
        }
    }
    let free = |(x, axis): (&f64, &Axis)| !x.is_nan() && axis.kind != Kind::Fixed;
    let live = child.iter().zip(axes).filter(|(x, axis)| free((x, axis))).count();
    let rate = settings.mutation.unwrap_or(1.0 / live.max(1) as f64);
    for (slot, axis) in child.iter_mut().zip(axes) {
        if free((slot, axis)) && stream.uniform() < rate {
            *slot = mutated(axis, *slot, settings.mutation_index, stream);
        }
    }
    axis::fill(axes, &mut child, stream);
    child
}

/// A coordinate from those of two parents; NaN where a parent does not have it.
fn crossed(axis: &Axis, own: f64, other: f64, index: f64, stream: &mut Stream) -> f64 {
    if own.is_nan() || other.is_nan() || own == other {
        return if own.is_nan() { other } else { own };
    }
    let take = stream.uniform() < 0.5;
    if let Kind::Options(_) | Kind::Fixed = axis.kind {
        return if take { other } else { own };
    }
    if !take {
        return own;
    }
    let (low, high) = (own.min(other), own.max(other));
    // The nearer bound limits how far a child may lie outside of its parents, on either side.
    let (u, upper) = (stream.uniform(), stream.uniform() < 0.5);
    let room = if upper { 1.0 - high } else { low };
    let power = index + 1.0;
    let alpha = 2.0 - libm::pow(1.0 + 2.0 * room / (high - low), -power);
    let spread = if u * alpha <= 1.0 { u * alpha } else { 1.0 / (2.0 - u * alpha) };
    let reach = libm::pow(spread, 1.0 / power) * (high - low);
    let x = f64::midpoint(low + high, if upper { reach } else { -reach });
    axis.snap(x.clamp(0.0, 1.0))
}

/// Another coordinate near one; of options any other.
fn mutated(axis: &Axis, x: f64, index: f64, stream: &mut Stream) -> f64 {
    if let Kind::Options(options) = axis.kind {
        let other = stream.below(u64::from(options.saturating_sub(1))) as f64;
        return if other >= x { other + 1.0 } else { other };
    }
    let (u, power) = (stream.uniform(), index + 1.0);
    let step = if u < 0.5 {
        libm::pow(2.0 * u + (1.0 - 2.0 * u) * libm::pow(1.0 - x, power), 1.0 / power) - 1.0
    } else {
        1.0 - libm::pow(2.0 * (1.0 - u) + 2.0 * (u - 0.5) * libm::pow(x, power), 1.0 / power)
    };
    let place = axis.snap((x + step).clamp(0.0, 1.0));
    if place == x { axis.beside(x, step > 0.0) } else { place }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Purpose;
    use engine::id::TrialId;
    use engine::space::SearchSpace;
    use serde_json::json;

    fn space(form: &serde_json::Value) -> (SearchSpace, Vec<Axis>) {
        let space = SearchSpace::parse(form, None, "").unwrap();
        let axes = space.leaves().iter().map(Axis::new).collect();
        (space, axes)
    }

    fn stream(trial: u32) -> Stream {
        Stream::new(5, TrialId(trial), Purpose::Other, 0)
    }

    #[test]
    fn numbers_of_children_lie_about_both_parents_and_inside() {
        let (_, axes) = space(&json!({"x": {"uniform": [0, 1]}}));
        let draws: Vec<f64> =
            (0..4_000).map(|trial| crossed(&axes[0], 0.2, 0.4, 15.0, &mut stream(trial))).collect();
        assert!(draws.iter().all(|x| (0.0..=1.0).contains(x)));
        let near = |place: f64| draws.iter().filter(|x| (*x - place).abs() < 0.05).count();
        assert!(near(0.2) > 2_500 && near(0.4) > 700, "{} {}", near(0.2), near(0.4));
        let mean = draws.iter().sum::<f64>() / 4_000.0;
        // Three quarters from the first parent, one from the second.
        assert!((mean - 0.25).abs() < 0.01, "{mean}");
    }

    #[test]
    fn a_mutated_coordinate_is_another_one_on_the_lattice() {
        let (_, axes) = space(&json!({"x": {"uniform": [0, 1]}, "n": {"randint": [0, 5]},
            "k": {"choice": ["u", "v", "w"]}}));
        for (axis, x) in [(0, 0.0), (0, 0.4), (0, 1.0), (1, 0.1), (1, 0.5), (1, 0.9), (2, 0.0), (2, 2.0)] {
            for trial in 0..200 {
                let new = mutated(&axes[axis], x, 20.0, &mut stream(trial));
                let inside =
                    if axis == 2 { [0.0, 1.0, 2.0].contains(&new) } else { axes[axis].snap(new) == new };
                assert!(inside && (axis == 0 || new != x) && (0.0..=2.0).contains(&new), "{axis} {x} {new}");
            }
        }
    }

    #[test]
    fn children_of_different_branches_are_points_of_the_space() {
        let (space, axes) = space(&json!({"m": {"choice": [{"_name": "p", "x": {"uniform": [0, 1]}},
            {"_name": "q", "y": {"uniform": [0, 1]}, "z": {"randint": [0, 9]}}]}}));
        let (first, second) = ([0.0, 0.25, f64::NAN, f64::NAN], [1.0, f64::NAN, 0.75, 0.15]);
        let settings = Settings { mutation: Some(0.0), ..Settings::default() };
        let mut taken = [0; 2];
        for trial in 0..100 {
            let child = child(&axes, &settings, (&first, &second), &mut stream(trial));
            assert_eq!(space.check(&axis::point(&axes, &child)), Ok(()));
            // Whichever branch it is, its parameters are those of the parent that has it.
            let parent = if child[0] == 0.0 { &first } else { &second };
            assert!(child.iter().zip(parent).all(|(x, y)| x == y || x.is_nan() && y.is_nan()), "{child:?}");
            taken[child[0] as usize] += 1;
        }
        assert!(taken[0] > 30 && taken[1] > 30, "{taken:?}");
    }
}
