//! Which parameters the two distributions are over, and how a draw becomes a point.

use crate::axis::{self, Axis, Kind};
use engine::limits::MAX_MEMO_BYTES;
use engine::value::Point;

/// The layout of a memo.
const VERSION: u8 = 1;

/// A parameter of the normal distribution.
#[derive(Debug)]
pub(super) struct Line {
    axis: usize,
    /// The edges of its cells, if it is a lattice of at least three values.
    pub(super) edges: Option<Vec<f64>>,
}

impl Line {
    /// Whether its place cannot be read off the point.
    fn is_noted(&self, coordinates: &[f64]) -> bool {
        self.edges.is_some() || coordinates.get(self.axis).is_none_or(|x| x.is_nan())
    }
}

/// A parameter of the distribution over options: a choice, or a lattice of two values.
#[derive(Debug)]
pub(super) struct Choice {
    axis: usize,
    pub(super) options: u32,
    /// Where a lattice of two values is divided.
    middle: Option<f64>,
}

/// A draw from the distributions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draw {
    /// By line: the place before it was moved onto a lattice; NaN if it is not known.
    pub(super) places: Vec<f64>,
    /// By choice: the option; none if the parameter does not exist at the point.
    pub(super) options: Vec<Option<u32>>,
}

/// The parameters.
#[derive(Debug)]
pub(super) struct Layout {
    axes: Vec<Axis>,
    pub(super) lines: Vec<Line>,
    pub(super) choices: Vec<Choice>,
}

impl Layout {
    pub(super) fn new(axes: Vec<Axis>) -> Self {
        let (mut lines, mut choices) = (Vec::new(), Vec::new());
        for (axis, shape) in axes.iter().enumerate() {
            match &shape.kind {
                Kind::Line => lines.push(Line { axis, edges: None }),
                Kind::Cells(edges) => match edges.as_slice() {
                    [_, middle, _] => choices.push(Choice { axis, options: 2, middle: Some(*middle) }),
                    _ => lines.push(Line { axis, edges: Some(edges.clone()) }),
                },
                Kind::Options(options) => choices.push(Choice { axis, options: *options, middle: None }),
                Kind::Fixed => {}
            }
        }
        Self { axes, lines, choices }
    }

    /// How many parameters have a distribution.
    pub(super) fn dimensions(&self) -> usize {
        self.lines.len() + self.choices.len()
    }

    /// Moves a drawn place to where a continuous parameter can be, and to a number that a memo can hold.
    pub(super) fn settled(line: &Line, place: f64) -> f64 {
        let place = f64::from(place as f32);
        if line.edges.is_some() { place } else { place.clamp(0.0, 1.0) }
    }

    /// The point of a draw, and the memo from which the draw can be read again.
    pub(super) fn point(&self, draw: &Draw) -> (Point, Vec<u8>) {
        let mut coordinates = vec![f64::NAN; self.axes.len()];
        let mut set = |axis: usize, x: f64| {
            if let Some(slot) = coordinates.get_mut(axis) {
                *slot = x;
            }
        };
        for (line, place) in self.lines.iter().zip(&draw.places) {
            set(line.axis, *place);
        }
        for (choice, option) in self.choices.iter().zip(&draw.options) {
            // A lattice of two values: its quarters lie inside its cells, or it is snapped there.
            let option = f64::from(option.unwrap_or_default());
            let place = |middle: f64| if option < 1.0 { middle / 2.0 } else { f64::midpoint(middle, 1.0) };
            set(choice.axis, choice.middle.map_or(option, place));
        }
        axis::complete(&self.axes, &mut coordinates);
        let mut memo = vec![VERSION];
        for (line, place) in self.lines.iter().zip(&draw.places) {
            if line.is_noted(&coordinates) {
                memo.extend_from_slice(&(*place as f32).to_le_bytes());
            }
        }
        if memo.len() == 1 || memo.len() > MAX_MEMO_BYTES {
            memo.clear();
        }
        (axis::point(&self.axes, &coordinates), memo)
    }

    /// The draw of a point and its memo. Without a memo lattice parameters are at the centres of their cells, and the
    /// places of absent parameters are unknown.
    pub(super) fn draw(&self, point: &Point, memo: &[u8]) -> Draw {
        let coordinates = axis::coordinates(&self.axes, point);
        let at = |axis: usize| coordinates.get(axis).copied().unwrap_or(f64::NAN);
        let noted = self.lines.iter().filter(|line| line.is_noted(&coordinates)).count();
        let memo = match memo.split_first() {
            Some((&VERSION, rest)) if rest.len() == noted * 4 => rest,
            _ => &[],
        };
        let (numbers, _) = memo.as_chunks::<4>();
        let mut numbers = numbers.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes)));
        let mut places = Vec::with_capacity(self.lines.len());
        for line in &self.lines {
            let place = if line.is_noted(&coordinates) { numbers.next() } else { None };
            places.push(place.filter(|x| x.is_finite()).unwrap_or_else(|| at(line.axis)));
        }
        let option = |choice: &Choice| {
            let x = at(choice.axis);
            let option = choice.middle.map_or(x as u32, |middle| u32::from(x >= middle));
            (!x.is_nan()).then_some(option)
        };
        Draw { places, options: self.choices.iter().map(option).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::space::SearchSpace;
    use serde_json::json;

    #[test]
    fn a_draw_is_read_again_from_its_point_and_memo() {
        let space = json!({
            "x": {"uniform": [-1, 3]}, "n": {"randint": [0, 9]}, "b": {"randint": [0, 2]},
            "m": {"choice": [{"_name": "p", "y": {"uniform": [0, 1]}, "k": {"choice": ["u", "v"]}}, {"_name": "q"}]}
        });
        let space = SearchSpace::parse(&space, None, "").unwrap();
        let layout = Layout::new(space.leaves().iter().map(Axis::new).collect());
        assert_eq!((layout.lines.len(), layout.choices.len()), (3, 3));
        for (branch, inner) in [(0, Some(1)), (1, None)] {
            let draw =
                Draw { places: vec![0.25, 1.125, 0.75], options: vec![Some(1), Some(branch), Some(1)] };
            let (point, memo) = layout.point(&draw);
            assert_eq!(space.check(&point), Ok(()));
            let again = layout.draw(&point, &memo);
            assert_eq!(again.places, draw.places, "{branch}");
            assert_eq!(again.options, vec![Some(1), Some(branch), inner]);
            // Put in by a person: no memo.
            let plain = layout.draw(&point, &[]);
            assert_eq!(plain.places.first(), Some(&0.25));
            assert!((plain.places.get(1).unwrap() - 17.0 / 18.0).abs() < 1e-12);
            assert_eq!(plain.places.get(2).unwrap().is_nan(), branch == 1);
        }
    }
}
