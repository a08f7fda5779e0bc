//! Seven functions of the BBOB suite, shifted and rotated by a seed. The optimum is 0.
//!
//! N. Hansen, S. Finck, R. Ros and A. Auger, "Real-parameter black-box optimization benchmarking 2009: noiseless
//! functions definitions", INRIA RR-6829. Shifts and rotations are drawn here, so values differ from those of COCO's
//! instances. All functions are meant for `[-5, 5]` in every coordinate.

use engine::id::TrialId;
use samplers::stream::{Purpose, Stream};
use std::f64::consts::PI;

type Matrix = Vec<Vec<f64>>;

/// Which function, by its number in the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// f1: easy, separable.
    Sphere = 1,
    /// f3: many local optima in a regular, separable order.
    Rastrigin = 3,
    /// f8: a curved valley.
    Rosenbrock = 8,
    /// f10: axes of very different length, rotated.
    Ellipsoid = 10,
    /// f15: f3 without separability.
    RotatedRastrigin = 15,
    /// f20: the best optima lie far from one another.
    Schwefel = 20,
    /// f22: 21 peaks without an order, the best of them narrow.
    Gallagher = 22,
}

/// The functions of the benchmark.
pub(crate) const KINDS: [Kind; 7] = [
    Kind::Sphere,
    Kind::Rastrigin,
    Kind::Rosenbrock,
    Kind::Ellipsoid,
    Kind::RotatedRastrigin,
    Kind::Schwefel,
    Kind::Gallagher,
];

/// One peak of Gallagher's function.
#[derive(Debug)]
struct Peak {
    height: f64,
    place: Vec<f64>,
    scales: Vec<f64>,
}

/// A function with its shift and rotations.
#[derive(Debug)]
pub(crate) struct Function {
    kind: Kind,
    /// Where the value is 0.
    pub(crate) optimum: Vec<f64>,
    first: Matrix,
    second: Matrix,
    peaks: Vec<Peak>,
}

impl Function {
    /// The function of a dimension, at least 2, and a seed.
    pub(crate) fn new(kind: Kind, dimension: usize, seed: u64) -> Self {
        let mut draws = Stream::new(seed, TrialId(kind as u32), Purpose::Other, dimension as u32);
        let reach = match kind {
            Kind::Rosenbrock => 3.0,
            Kind::Gallagher => 3.92,
            _ => 4.0,
        };
        let mut optimum: Vec<f64> = (0..dimension).map(|_| reach * symmetric(&mut draws)).collect();
        if kind == Kind::Schwefel {
            optimum = optimum.iter().map(|x| (SCHWEFEL / 2.0).copysign(*x)).collect();
        }
        let (first, second) = (rotation(dimension, &mut draws), rotation(dimension, &mut draws));
        let peaks = if kind == Kind::Gallagher { peaks(&optimum, &first, &mut draws) } else { Vec::new() };
        Self { kind, optimum, first, second, peaks }
    }

    /// The value at a point.
    pub(crate) fn value(&self, x: &[f64]) -> f64 {
        let off: Vec<f64> = x.iter().zip(&self.optimum).map(|(x, o)| x - o).collect();
        match self.kind {
            Kind::Sphere => norm(&off),
            Kind::Rastrigin => rastrigin(&stretch(&bend(&oscillate(&off)))),
            Kind::Rosenbrock => {
                let scale = (libm::sqrt(x.len() as f64) / 8.0).max(1.0);
                let z: Vec<f64> = off.iter().map(|x| scale * x + 1.0).collect();
                z.windows(2)
                    .map(|pair| {
                        let (a, b) = (pair[0], pair[1]);
                        100.0 * square(square(a) - b) + square(a - 1.0)
                    })
                    .sum()
            }
            Kind::Ellipsoid => {
                let z = oscillate(&product(&self.first, &off));
                z.iter().enumerate().map(|(i, z)| libm::pow(1e6, part(i, x.len())) * z * z).sum()
            }
            Kind::RotatedRastrigin => {
                let bent = bend(&oscillate(&product(&self.first, &off)));
                rastrigin(&product(&self.first, &stretch(&product(&self.second, &bent))))
            }
            Kind::Schwefel => self.schwefel(x),
            Kind::Gallagher => self.gallagher(x) + penalty(x),
        }
    }

    fn schwefel(&self, x: &[f64]) -> f64 {
        let doubled: Vec<f64> = x.iter().zip(&self.optimum).map(|(x, o)| 2.0 * x * o.signum()).collect();
        let mut shifted = doubled.clone();
        for i in 1..x.len() {
            shifted[i] += 0.25 * (doubled[i - 1] - SCHWEFEL);
        }
        let off: Vec<f64> = shifted.iter().map(|x| x - SCHWEFEL).collect();
        let z: Vec<f64> = stretch(&off).iter().map(|x| 100.0 * (x + SCHWEFEL)).collect();
        let sum: f64 = z.iter().map(|z| z * libm::sin(libm::sqrt(z.abs()))).sum();
        let inner: Vec<f64> = z.iter().map(|z| z / 100.0).collect();
        4.189_828_872_724_339 - sum / (100.0 * x.len() as f64) + 100.0 * penalty(&inner)
    }

    fn gallagher(&self, x: &[f64]) -> f64 {
        let turned = product(&self.first, x);
        let highest = self.peaks.iter().map(|peak| {
            let terms = turned.iter().zip(&peak.place).zip(&peak.scales);
            let distance: f64 = terms.map(|((x, y), scale)| scale * square(x - y)).sum();
            peak.height * libm::exp(-distance / (2.0 * x.len() as f64))
        });
        square(oscillated(10.0 - highest.fold(0.0, f64::max)))
    }
}

/// Twice the place of the optimum of f20 in each coordinate.
const SCHWEFEL: f64 = 4.209_687_463_3;

/// The peaks in rotated coordinates; the first is the optimum.
fn peaks(optimum: &[f64], rotation: &Matrix, draws: &mut Stream) -> Vec<Peak> {
    let mut order = draws.permutation(20).into_iter();
    (0..21)
        .map(|i| {
            let at_random = || 4.9 * symmetric(draws);
            let place: Vec<f64> = if i == 0 {
                optimum.to_vec()
            } else {
                std::iter::repeat_with(at_random).take(optimum.len()).collect()
            };
            let condition = match i {
                0 => 1e6,
                _ => libm::pow(1000.0, 2.0 * f64::from(order.next().unwrap_or(0)) / 19.0),
            };
            let scales = draws
                .permutation(place.len() as u32)
                .into_iter()
                .map(|j| {
                    libm::pow(condition, 0.5 * part(j as usize, place.len())) / libm::pow(condition, 0.25)
                })
                .collect();
            let height = if i == 0 { 10.0 } else { 1.1 + 8.0 * f64::from(i - 1) / 19.0 };
            Peak { height, place: product(rotation, &place), scales }
        })
        .collect()
}

/// Even in [-1, 1).
fn symmetric(draws: &mut Stream) -> f64 {
    2.0 * draws.uniform() - 1.0
}

fn square(x: f64) -> f64 {
    x * x
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

/// From 0 for the first coordinate to 1 for the last.
fn part(i: usize, dimension: usize) -> f64 {
    i as f64 / (dimension - 1).max(1) as f64
}

/// `T_osz`: makes a smooth function a little uneven.
fn oscillated(x: f64) -> f64 {
    if x == 0.0 {
        return 0.0;
    }
    let (one, other) = if x > 0.0 { (10.0, 7.9) } else { (5.5, 3.1) };
    let log = libm::log(x.abs());
    libm::exp(log + 0.049 * (libm::sin(one * log) + libm::sin(other * log))).copysign(x)
}

fn oscillate(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| oscillated(*x)).collect()
}

/// `T_asy` with 0.2: breaks the symmetry about the optimum.
fn bend(x: &[f64]) -> Vec<f64> {
    let power = |i, value: f64| 1.0 + 0.2 * part(i, x.len()) * libm::sqrt(value);
    x.iter().enumerate().map(|(i, x)| if *x > 0.0 { libm::pow(*x, power(i, *x)) } else { *x }).collect()
}

/// `Lambda^10`: the last axis is longer than the first by the root of ten.
fn stretch(x: &[f64]) -> Vec<f64> {
    x.iter().enumerate().map(|(i, value)| libm::pow(10.0, 0.5 * part(i, x.len())) * value).collect()
}

fn rastrigin(z: &[f64]) -> f64 {
    10.0 * z.iter().map(|z| 1.0 - libm::cos(2.0 * PI * z)).sum::<f64>() + norm(z)
}

/// What leaving `[-5, 5]` costs.
fn penalty(x: &[f64]) -> f64 {
    x.iter().map(|x| square((x.abs() - 5.0).max(0.0))).sum()
}

fn product(matrix: &Matrix, x: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
}

/// An orthogonal matrix: normal numbers, made orthonormal by Gram and Schmidt.
fn rotation(dimension: usize, draws: &mut Stream) -> Matrix {
    let mut rows: Matrix = Vec::with_capacity(dimension);
    for _ in 0..dimension {
        let mut row: Vec<f64> = (0..dimension).map(|_| draws.normal()).collect();
        for other in &rows {
            let along: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
        }
        let length = libm::sqrt(norm(&row));
        rows.push(row.iter().map(|x| x / length).collect());
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_zero_at_its_optimum_and_nowhere_below() {
        for kind in KINDS {
            for dimension in [2, 5, 10] {
                let function = Function::new(kind, dimension, 3);
                let least = function.value(&function.optimum);
                assert!(least.abs() < 1e-9, "{kind:?} in {dimension}: {least}");
                let mut draws = Stream::new(9, TrialId(0), Purpose::Other, 0);
                for _ in 0..300 {
                    let x: Vec<f64> = (0..dimension).map(|_| 5.0 * symmetric(&mut draws)).collect();
                    assert!(function.value(&x) > 1e-6, "{kind:?} in {dimension} at {x:?}");
                }
            }
        }
    }

    #[test]
    fn seeds_move_the_optimum_and_rotations_keep_lengths() {
        let (one, two) = (Function::new(Kind::Sphere, 5, 1), Function::new(Kind::Sphere, 5, 2));
        assert_ne!(one.optimum, two.optimum);
        let mut draws = Stream::new(4, TrialId(0), Purpose::Other, 0);
        let matrix = rotation(6, &mut draws);
        for (i, row) in matrix.iter().enumerate() {
            for (j, other) in matrix.iter().enumerate() {
                let inner: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                assert!((inner - f64::from(u8::from(i == j))).abs() < 1e-12, "{i} {j}: {inner}");
            }
        }
    }

    #[test]
    fn the_transformations_are_those_of_the_report() {
        assert!((oscillated(1.0) - 1.0).abs() < 1e-12 && (oscillated(-1.0) + 1.0).abs() < 1e-12);
        assert_eq!(bend(&[4.0, -2.0, 4.0]), [4.0, -2.0, libm::pow(4.0, 1.4)]);
        let stretched = stretch(&[1.0, 1.0]);
        assert!((stretched[1] - libm::sqrt(10.0)).abs() < 1e-12 && stretched[0] == 1.0);
        assert_eq!(penalty(&[6.0, -4.0, -7.0]), 5.0);
    }
}
