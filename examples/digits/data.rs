//! The digits: embedded, parsed once, and split the same way for every trial.

use crate::random::Random;

/// Pixels along one side of an image.
const SIDE: usize = 8;
/// Pixels of one image.
pub(crate) const PIXELS: usize = SIDE * SIDE;
/// Classes: the digits 0 to 9.
pub(crate) const CLASSES: usize = 10;
/// One image in so many of each class is held out for validation.
const HELD_OUT_ONE_IN: usize = 3;

/// How far a distorted image may be shifted (pixels), turned (radians) and scaled (share of its size).
const SHIFT: f64 = 0.8;
const TURN: f64 = 0.2;
const SCALE: f64 = 0.12;

const TABLE: &str = include_str!("digits.csv");

/// One image and what it shows.
pub(crate) struct Example {
    /// Brightness of each pixel, 0 to 1.
    pub(crate) pixels: [f64; PIXELS],
    /// The digit, 0 to 9.
    pub(crate) label: usize,
}

impl Example {
    /// The same digit as if written slightly elsewhere, turned, larger or smaller.
    pub(crate) fn distorted(&self, random: &mut Random) -> Self {
        let (sine, cosine) = (TURN * random.symmetric()).sin_cos();
        let scale = 1.0 + SCALE * random.symmetric();
        let (right, down) = (SHIFT * random.symmetric(), SHIFT * random.symmetric());
        let centre = (SIDE - 1) as f64 / 2.0;
        let mut pixels = [0.0; PIXELS];
        for (index, pixel) in pixels.iter_mut().enumerate() {
            let (x, y) = ((index % SIDE) as f64 - centre, (index / SIDE) as f64 - centre);
            let from_x = (x * cosine - y * sine) * scale + right + centre;
            let from_y = (x * sine + y * cosine) * scale + down + centre;
            *pixel = self.brightness(from_x, from_y);
        }
        Self { pixels, label: self.label }
    }

    /// Brightness between pixels, by bilinear interpolation; outside the image it is dark.
    fn brightness(&self, x: f64, y: f64) -> f64 {
        let (column, row) = (x.floor(), y.floor());
        let (across, along) = (x - column, y - row);
        let at = |column: f64, row: f64| {
            let inside = 0.0..SIDE as f64;
            let is_inside = inside.contains(&column) && inside.contains(&row);
            if is_inside { self.pixels[row as usize * SIDE + column as usize] } else { 0.0 }
        };
        let above = at(column, row) * (1.0 - across) + at(column + 1.0, row) * across;
        let below = at(column, row + 1.0) * (1.0 - across) + at(column + 1.0, row + 1.0) * across;
        above * (1.0 - along) + below * along
    }
}

/// The fixed stratified split.
pub(crate) struct Split {
    pub(crate) training: Vec<Example>,
    pub(crate) validation: Vec<Example>,
}

impl Split {
    /// Every third image of each class, in file order, is for validation: no randomness, so trials are comparable.
    pub(crate) fn load() -> Result<Self, String> {
        let mut split = Self { training: Vec::new(), validation: Vec::new() };
        let mut seen = [0_usize; CLASSES];
        for (index, line) in TABLE.lines().enumerate() {
            let example = parse(line)
                .ok_or_else(|| format!("digits.csv, line {}: not 64 pixels and a digit", index + 1))?;
            let Some(seen) = seen.get_mut(example.label) else {
                return Err(format!("digits.csv, line {}: no such digit", index + 1));
            };
            *seen += 1;
            let held_out = seen.is_multiple_of(HELD_OUT_ONE_IN);
            let part = if held_out { &mut split.validation } else { &mut split.training };
            part.push(example);
        }
        Ok(split)
    }
}

/// A line is 64 brightnesses from 0 to 16 and the digit, separated by commas.
fn parse(line: &str) -> Option<Example> {
    let mut fields = line.split(',').map(|field| field.parse::<u8>().ok());
    let mut pixels = [0.0; PIXELS];
    for pixel in &mut pixels {
        *pixel = f64::from(fields.next()??) / 16.0;
    }
    let label = usize::from(fields.next()??);
    fields.next().is_none().then_some(Example { pixels, label })
}

#[cfg(test)]
mod tests {
    use super::{CLASSES, Split};
    use crate::random::Random;

    #[test]
    fn interpolation_is_exact_on_the_pixels_and_dark_outside() -> Result<(), String> {
        let split = Split::load()?;
        for example in split.training.iter().take(20) {
            for (index, pixel) in example.pixels.iter().enumerate() {
                assert_eq!(example.brightness((index % 8) as f64, (index / 8) as f64), *pixel);
            }
            assert_eq!(example.brightness(-1.0, 3.0), 0.0);
            assert_eq!(example.brightness(3.0, 8.5), 0.0);
        }
        Ok(())
    }

    #[test]
    fn a_distorted_image_stays_close_to_its_own_and_depends_on_the_seed_alone() -> Result<(), String> {
        let split = Split::load()?;
        for example in split.training.iter().take(50) {
            let distorted = example.distorted(&mut Random::new(5, 1));
            assert_eq!(distorted.pixels, example.distorted(&mut Random::new(5, 1)).pixels);
            assert_eq!(distorted.label, example.label);
            let change: f64 = example.pixels.iter().zip(&distorted.pixels).map(|(a, b)| (a - b).abs()).sum();
            let total: f64 = example.pixels.iter().sum();
            assert!(change > 0.0 && change < 0.8 * total, "{change} of {total}");
        }
        Ok(())
    }

    #[test]
    fn the_split_is_stratified_and_complete() -> Result<(), String> {
        let split = Split::load()?;
        assert_eq!((split.training.len(), split.validation.len()), (1201, 596));
        for class in 0..CLASSES {
            let held_out = split.validation.iter().filter(|example| example.label == class).count();
            assert!((58..=61).contains(&held_out), "class {class}: {held_out}");
        }
        let all = || split.training.iter().chain(&split.validation).flat_map(|example| example.pixels);
        assert!(all().all(|pixel| (0.0..=1.0).contains(&pixel)));
        assert_eq!(all().sum::<f64>() * 16.0, 561_718.0, "the sum of all brightnesses of the published file");
        Ok(())
    }
}
