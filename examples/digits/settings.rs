//! The command line: `--name value` or `--name=value`, every name optional.

use crate::network::Activation;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
usage: digits-trainer [--NAME VALUE]...
  --lr NUMBER            learning rate, above 0                  (0.05)
  --hidden COUNT         hidden units, 1 to 4096                 (64)
  --momentum NUMBER      0 or more, below 1                      (0.9)
  --activation NAME      relu or tanh                            (relu)
  --batch COUNT          examples per step                       (32)
  --epochs COUNT         passes over the training set            (60)
  --distorted COUNT      distorted copies of each image, 0 to 99 (4)
  --weight-decay NUMBER  L2 penalty on the weights, 0 or more    (0)
  --seed NUMBER          initial weights and order of examples   (1)";

/// One trial's hyperparameters, already checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) lr: f64,
    pub(crate) hidden: usize,
    pub(crate) momentum: f64,
    pub(crate) activation: Activation,
    pub(crate) batch: usize,
    pub(crate) epochs: usize,
    pub(crate) distorted: usize,
    pub(crate) weight_decay: f64,
    pub(crate) seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lr: 0.05,
            hidden: 64,
            momentum: 0.9,
            activation: Activation::Relu,
            batch: 32,
            epochs: 60,
            distorted: 4,
            weight_decay: 0.0,
            seed: 1,
        }
    }
}

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    Train(Settings),
    Help,
}

impl Settings {
    /// Reads the arguments (without the program's own name); the error says which one is wrong and why.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Request, String> {
        let mut settings = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            if argument == "--help" || argument == "-h" {
                return Ok(Request::Help);
            }
            let (name, value) = if let Some((name, value)) = argument.split_once('=') {
                (name.to_owned(), value.to_owned())
            } else {
                let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
                (argument, value)
            };
            settings.set(&name, &value)?;
        }
        Ok(Request::Train(settings))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "--lr" => self.lr = number(name, value, "above 0", |v| v > 0.0)?,
            "--momentum" => {
                self.momentum = number(name, value, "0 or more and below 1", |v| (0.0..1.0).contains(&v))?;
            }
            "--weight-decay" => self.weight_decay = number(name, value, "0 or more", |v| v >= 0.0)?,
            "--hidden" => self.hidden = count(name, value, 1, 4096)?,
            "--batch" => self.batch = count(name, value, 1, 100_000)?,
            "--epochs" => self.epochs = count(name, value, 1, 100_000)?,
            "--distorted" => self.distorted = count(name, value, 0, 99)?,
            "--seed" => {
                self.seed = value
                    .parse()
                    .map_err(|_| format!("{name} must be a whole number, 0 or more, not '{value}'"))?;
            }
            "--activation" => {
                self.activation = Activation::from_name(value)
                    .ok_or_else(|| format!("{name} must be relu or tanh, not '{value}'"))?;
            }
            _ => return Err(format!("unknown argument '{name}'")),
        }
        Ok(())
    }
}

fn number(name: &str, value: &str, range: &str, fits: impl Fn(f64) -> bool) -> Result<f64, String> {
    match value.parse::<f64>() {
        Ok(parsed) if parsed.is_finite() && fits(parsed) => Ok(parsed),
        _ => Err(format!("{name} must be a number {range}, not '{value}'")),
    }
}

/// A whole number in a range; `64.0` is as good as `64`, since quantised domains may be written either way.
fn count(name: &str, value: &str, least: u32, most: u32) -> Result<usize, String> {
    match value.parse::<f64>() {
        Ok(parsed) if parsed.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&parsed) => {
            Ok(parsed as usize)
        }
        _ => Err(format!("{name} must be a whole number from {least} to {most}, not '{value}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Activation, Request, Settings};

    fn parse(line: &str) -> Result<Request, String> {
        Settings::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn both_ways_of_giving_a_value_are_read() {
        let expected = Settings { lr: 0.5, hidden: 8, activation: Activation::Tanh, ..Settings::default() };
        assert_eq!(parse("--lr 5e-1 --hidden=8.0 --activation tanh"), Ok(Request::Train(expected)));
    }

    #[test]
    fn a_bad_argument_is_named_in_the_error() {
        for (line, expected) in [
            ("--lr 0", "--lr must be a number above 0, not '0'"),
            ("--lr nan", "--lr must be a number above 0, not 'nan'"),
            ("--momentum 1", "--momentum must be a number 0 or more and below 1, not '1'"),
            ("--hidden 8.5", "--hidden must be a whole number from 1 to 4096, not '8.5'"),
            ("--activation gelu", "--activation must be relu or tanh, not 'gelu'"),
            ("--epochs", "--epochs needs a value"),
            ("--rate 1", "unknown argument '--rate'"),
        ] {
            assert_eq!(parse(line), Err(expected.to_owned()), "{line}");
        }
    }
}
