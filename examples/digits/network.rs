//! A network of one hidden layer with a softmax output, trained by mini-batch gradient descent with momentum.

use crate::data::{CLASSES, Example, PIXELS};
use crate::random::Random;
use crate::settings::Settings;

/// The hidden units' nonlinearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    Relu,
    Tanh,
}

impl Activation {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "relu" => Some(Self::Relu),
            "tanh" => Some(Self::Tanh),
            _ => None,
        }
    }

    fn apply(self, input: f64) -> f64 {
        match self {
            Self::Relu => input.max(0.0),
            Self::Tanh => input.tanh(),
        }
    }

    /// The derivative, from the output: both functions allow it, so the input need not be kept.
    fn slope(self, output: f64) -> f64 {
        match self {
            Self::Relu => f64::from(output > 0.0),
            Self::Tanh => 1.0 - output * output,
        }
    }
}

/// How good a network is on a set of examples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Score {
    /// Share of examples whose most likely class is the right one.
    pub(crate) accuracy: f64,
    /// Mean cross-entropy, in nats.
    pub(crate) loss: f64,
}

/// The weights and their velocities, each in one row: from pixels (one run of `hidden` values per pixel), hidden
/// biases, to classes (one run of `CLASSES` values per hidden unit), class biases.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Network {
    pub(crate) hidden: usize,
    pub(crate) activation: Activation,
    pub(crate) weights: Vec<f64>,
    pub(crate) velocities: Vec<f64>,
}

/// One row of parameters (or of their gradient), seen as its four parts.
struct Parts<'a> {
    from_pixels: &'a [f64],
    hidden_bias: &'a [f64],
    to_classes: &'a [f64],
    class_bias: &'a [f64],
}

struct PartsMut<'a> {
    from_pixels: &'a mut [f64],
    hidden_bias: &'a mut [f64],
    to_classes: &'a mut [f64],
    class_bias: &'a mut [f64],
}

fn parts(row: &[f64], hidden: usize) -> Parts<'_> {
    let (from_pixels, rest) = row.split_at(PIXELS * hidden);
    let (hidden_bias, rest) = rest.split_at(hidden);
    let (to_classes, class_bias) = rest.split_at(hidden * CLASSES);
    Parts { from_pixels, hidden_bias, to_classes, class_bias }
}

fn parts_mut(row: &mut [f64], hidden: usize) -> PartsMut<'_> {
    let (from_pixels, rest) = row.split_at_mut(PIXELS * hidden);
    let (hidden_bias, rest) = rest.split_at_mut(hidden);
    let (to_classes, class_bias) = rest.split_at_mut(hidden * CLASSES);
    PartsMut { from_pixels, hidden_bias, to_classes, class_bias }
}

/// How many parameters a network of so many hidden units has.
pub(crate) fn parameter_count(hidden: usize) -> usize {
    PIXELS * hidden + hidden + hidden * CLASSES + CLASSES
}

impl Network {
    /// Random weights, each layer's scaled by its number of inputs (Glorot and Bengio, 2010); biases of zero.
    pub(crate) fn new(settings: &Settings) -> Self {
        let hidden = settings.hidden;
        let mut weights = vec![0.0; parameter_count(hidden)];
        let mut random = Random::new(settings.seed, 0);
        let parts = parts_mut(&mut weights, hidden);
        for (layer, inputs, outputs) in
            [(parts.from_pixels, PIXELS, hidden), (parts.to_classes, hidden, CLASSES)]
        {
            let limit = (6.0 / (inputs + outputs) as f64).sqrt();
            for weight in layer.iter_mut() {
                *weight = limit * random.symmetric();
            }
        }
        let velocities = vec![0.0; weights.len()];
        Self { hidden, activation: settings.activation, weights, velocities }
    }

    /// One pass over the examples and freshly distorted copies of them. Copies and order depend on the seed and the
    /// epoch alone, so a resumed training takes the very steps that it would have taken uninterrupted.
    pub(crate) fn train_epoch(&mut self, examples: &[Example], settings: &Settings, epoch: usize) {
        let mut random = Random::new(settings.seed, epoch as u64);
        let mut distorted = Vec::with_capacity(examples.len() * settings.distorted);
        for _ in 0..settings.distorted {
            distorted.extend(examples.iter().map(|example| example.distorted(&mut random)));
        }
        let mut order: Vec<&Example> = examples.iter().chain(&distorted).collect();
        random.shuffle(&mut order);
        let mut gradient = vec![0.0; self.weights.len()];
        for batch in order.chunks(settings.batch) {
            self.gradient(batch, settings.weight_decay, &mut gradient);
            let weights = self.weights.iter_mut().zip(&mut self.velocities).zip(&gradient);
            for ((weight, velocity), slope) in weights {
                *velocity = settings.momentum * *velocity - settings.lr * slope;
                *weight += *velocity;
            }
        }
    }

    /// Accuracy and loss without learning anything.
    pub(crate) fn evaluate(&self, examples: &[Example]) -> Score {
        let mut units = vec![0.0; self.hidden];
        let (mut right, mut loss) = (0_usize, 0.0);
        for example in examples {
            let likelihood = self.forward(example, &mut units);
            loss += cross_entropy(&likelihood, example.label);
            let best = (1..CLASSES)
                .fold(0, |best, class| if likelihood[class] > likelihood[best] { class } else { best });
            right += usize::from(best == example.label);
        }
        let count = examples.len() as f64;
        Score { accuracy: right as f64 / count, loss: loss / count }
    }

    /// Whether training has not blown up.
    pub(crate) fn is_finite(&self) -> bool {
        self.weights.iter().all(|weight| weight.is_finite())
    }

    /// Fills the hidden units' outputs and returns the likelihood of each class.
    fn forward(&self, example: &Example, units: &mut [f64]) -> [f64; CLASSES] {
        let weights = parts(&self.weights, self.hidden);
        units.copy_from_slice(weights.hidden_bias);
        for (pixel, row) in example.pixels.iter().zip(weights.from_pixels.chunks_exact(self.hidden)) {
            if *pixel != 0.0 {
                units.iter_mut().zip(row).for_each(|(unit, weight)| *unit += pixel * weight);
            }
        }
        let mut outputs = [0.0; CLASSES];
        outputs.copy_from_slice(weights.class_bias);
        for (unit, row) in units.iter_mut().zip(weights.to_classes.chunks_exact(CLASSES)) {
            *unit = self.activation.apply(*unit);
            outputs.iter_mut().zip(row).for_each(|(output, weight)| *output += *unit * weight);
        }
        let largest = outputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for output in &mut outputs {
            *output = (*output - largest).exp();
        }
        let total: f64 = outputs.iter().sum();
        outputs.map(|output| output / total)
    }

    /// Back-propagation: the mean gradient of the loss over a batch, plus that of the weight penalty.
    fn gradient(&self, batch: &[&Example], weight_decay: f64, gradient: &mut [f64]) {
        gradient.fill(0.0);
        let weights = parts(&self.weights, self.hidden);
        let slopes = parts_mut(gradient, self.hidden);
        let share = 1.0 / batch.len() as f64;
        let (mut units, mut unit_slopes) = (vec![0.0; self.hidden], vec![0.0; self.hidden]);
        for example in batch {
            let mut errors = self.forward(example, &mut units);
            errors[example.label] -= 1.0;
            for error in &mut errors {
                *error *= share;
            }
            slopes.class_bias.iter_mut().zip(&errors).for_each(|(slope, error)| *slope += error);
            let rows =
                weights.to_classes.chunks_exact(CLASSES).zip(slopes.to_classes.chunks_exact_mut(CLASSES));
            for ((unit, unit_slope), (row, row_slopes)) in units.iter().zip(&mut unit_slopes).zip(rows) {
                row_slopes.iter_mut().zip(&errors).for_each(|(slope, error)| *slope += unit * error);
                let back: f64 = row.iter().zip(&errors).map(|(weight, error)| weight * error).sum();
                *unit_slope = back * self.activation.slope(*unit);
            }
            slopes.hidden_bias.iter_mut().zip(&unit_slopes).for_each(|(slope, back)| *slope += back);
            for (pixel, row) in example.pixels.iter().zip(slopes.from_pixels.chunks_exact_mut(self.hidden)) {
                if *pixel != 0.0 {
                    row.iter_mut().zip(&unit_slopes).for_each(|(slope, back)| *slope += pixel * back);
                }
            }
        }
        if weight_decay > 0.0 {
            let layers = [(slopes.from_pixels, weights.from_pixels), (slopes.to_classes, weights.to_classes)];
            for (slopes, weights) in layers {
                slopes.iter_mut().zip(weights).for_each(|(slope, weight)| *slope += weight_decay * weight);
            }
        }
    }
}

fn cross_entropy(likelihood: &[f64; CLASSES], label: usize) -> f64 {
    // A class that was given no likelihood at all would cost infinitely much; the smallest number costs 708.
    -likelihood[label].max(f64::MIN_POSITIVE).ln()
}

#[cfg(test)]
mod tests {
    use super::{Activation, Network, cross_entropy, parts};
    use crate::data::{Example, Split};
    use crate::settings::Settings;

    /// What [`Network::gradient`] is the gradient of, computed another way.
    fn objective(network: &Network, batch: &[&Example], weight_decay: f64) -> f64 {
        let mut units = vec![0.0; network.hidden];
        let loss: f64 = batch
            .iter()
            .map(|example| cross_entropy(&network.forward(example, &mut units), example.label))
            .sum();
        let weights = parts(&network.weights, network.hidden);
        let squares: f64 =
            weights.from_pixels.iter().chain(weights.to_classes).map(|weight| weight * weight).sum();
        loss / batch.len() as f64 + weight_decay / 2.0 * squares
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() -> Result<(), String> {
        let split = Split::load()?;
        let batch: Vec<&Example> = split.training.iter().take(7).collect();
        for activation in [Activation::Relu, Activation::Tanh] {
            let mut network =
                Network::new(&Settings { hidden: 6, activation, seed: 3, ..Settings::default() });
            let mut gradient = vec![0.0; network.weights.len()];
            network.gradient(&batch, 0.01, &mut gradient);
            for (index, actual) in gradient.iter().enumerate() {
                let (kept, step) = (network.weights[index], 1e-5);
                network.weights[index] = kept + step;
                let above = objective(&network, &batch, 0.01);
                network.weights[index] = kept - step;
                let below = objective(&network, &batch, 0.01);
                network.weights[index] = kept;
                let expected = (above - below) / (2.0 * step);
                let error = (actual - expected).abs();
                assert!(error < 1e-7, "{activation:?}, parameter {index}: {actual} and {expected}");
            }
        }
        Ok(())
    }

    #[test]
    fn training_learns_and_repeats_itself() -> Result<(), String> {
        let split = Split::load()?;
        let settings = Settings { hidden: 16, ..Settings::default() };
        let train = || {
            let mut network = Network::new(&settings);
            (1..=4).for_each(|epoch| network.train_epoch(&split.training, &settings, epoch));
            network
        };
        let network = train();
        assert_eq!(network, train());
        let (before, after) =
            (Network::new(&settings).evaluate(&split.validation), network.evaluate(&split.validation));
        assert!(before.accuracy < 0.3 && after.accuracy > 0.85, "{before:?} {after:?}");
        assert!(after.loss < before.loss);
        Ok(())
    }
}
