//! The command line, and the file of hyperparameters.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::json::Json;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
usage: penguins-trainer [--params FILE] [--metrics FILE]
  --metrics FILE   where to write {\"rmse\": ..., \"r2\": ...}  (metrics.json)
  --params FILE    the hyperparameters, if RETRIAL_PARAMS does not name their file; one of
                   {\"model\": {\"_name\": \"ridge\", \"alpha\": 1, \"degree\": 2}}
                   {\"model\": {\"_name\": \"kernel\", \"alpha\": 0.1, \"width\": 5}}
                   {\"model\": {\"_name\": \"boosting\", \"trees\": 100, \"depth\": 2, \"rate\": 0.1, \"rows\": 0.8}}";

/// The kind of model and its own hyperparameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Model {
    /// Ridge regression; from degree 2 on with products of features.
    Ridge { alpha: f64, degree: usize },
    /// Kernel ridge regression with a Gaussian kernel.
    Kernel { alpha: f64, width: f64 },
    /// Gradient-boosted trees; `rows` is the share of the data that each sees.
    Boosting { trees: usize, depth: usize, rate: f64, rows: f64 },
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ridge { alpha, degree } => write!(f, "ridge: alpha={alpha} degree={degree}"),
            Self::Kernel { alpha, width } => write!(f, "kernel: alpha={alpha} width={width}"),
            Self::Boosting { trees, depth, rate, rows } => {
                write!(f, "boosting: trees={trees} depth={depth} rate={rate} rows={rows}")
            }
        }
    }
}

impl Model {
    /// Reads `{"model": {"_name": ..., ...}}`; the error names what is wrong.
    pub(crate) fn from_json(json: &Json) -> Result<Self, String> {
        let model = json.get("model").ok_or("there is no \"model\"")?;
        let name = match model.get("_name") {
            Some(Json::Text(name)) => name.as_str(),
            _ => return Err("\"model\" has no \"_name\"".to_owned()),
        };
        let number = |parameter: &str, least: f64, most: f64| match model.get(parameter) {
            Some(Json::Number(value)) if (least..=most).contains(value) => Ok(*value),
            Some(_) => {
                Err(format!("\"{parameter}\" of model \"{name}\" must be a number from {least} to {most}"))
            }
            None => Err(format!("model \"{name}\" has no \"{parameter}\"")),
        };
        let count = |parameter: &str, least: f64, most: f64| match number(parameter, least, most)? {
            value if value.fract() == 0.0 => Ok(value as usize),
            value => Err(format!("\"{parameter}\" of model \"{name}\" must be a whole number, not {value}")),
        };
        match name {
            "ridge" => {
                Ok(Self::Ridge { alpha: number("alpha", 1e-9, 1e9)?, degree: count("degree", 1.0, 2.0)? })
            }
            "kernel" => {
                Ok(Self::Kernel { alpha: number("alpha", 1e-9, 1e9)?, width: number("width", 1e-3, 1e3)? })
            }
            "boosting" => Ok(Self::Boosting {
                trees: count("trees", 1.0, 10_000.0)?,
                depth: count("depth", 1.0, 20.0)?,
                rate: number("rate", 1e-6, 1.0)?,
                rows: number("rows", 0.05, 1.0)?,
            }),
            _ => Err(format!("there is no model \"{name}\", only ridge, kernel and boosting")),
        }
    }
}

/// One trial, already checked.
#[derive(Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) model: Model,
    pub(crate) metrics: PathBuf,
}

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    Train(Settings),
    Help,
}

impl Settings {
    /// Reads the arguments (without the program's own name) and the file of hyperparameters; `given` is the value of
    /// `RETRIAL_PARAMS`, if set.
    pub(crate) fn parse(
        mut arguments: impl Iterator<Item = String>,
        given: Option<OsString>,
    ) -> Result<Request, String> {
        let (mut metrics, mut parameters) = (PathBuf::from("metrics.json"), None);
        while let Some(argument) = arguments.next() {
            let mut value =
                || arguments.next().map(PathBuf::from).ok_or_else(|| format!("{argument} needs a file"));
            match argument.as_str() {
                "--help" | "-h" => return Ok(Request::Help),
                "--metrics" => metrics = value()?,
                "--params" => parameters = Some(value()?),
                _ => return Err(format!("unknown argument '{argument}'")),
            }
        }
        let path = given
            .map(PathBuf::from)
            .or(parameters)
            .ok_or("neither RETRIAL_PARAMS nor --params names a file")?;
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let model = Json::parse(&text).and_then(|json| Model::from_json(&json));
        Ok(Request::Train(Self {
            model: model.map_err(|why| format!("{}: {why}", path.display()))?,
            metrics,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Json, Model};

    fn read(text: &str) -> Result<Model, String> {
        Json::parse(text).and_then(|json| Model::from_json(&json))
    }

    #[test]
    fn each_kind_of_model_has_its_own_parameters() {
        assert_eq!(
            read(r#"{"model": {"_name": "ridge", "alpha": 0.1, "degree": 2}}"#),
            Ok(Model::Ridge { alpha: 0.1, degree: 2 })
        );
        assert_eq!(
            read(r#"{"model": {"_name": "boosting", "trees": 50.0, "depth": 3, "rate": 0.1, "rows": 1}}"#),
            Ok(Model::Boosting { trees: 50, depth: 3, rate: 0.1, rows: 1.0 })
        );
    }

    #[test]
    fn a_bad_parameter_is_named_in_the_error() {
        for (text, expected) in [
            ("{}", "there is no \"model\""),
            (r#"{"model": "ridge"}"#, "\"model\" has no \"_name\""),
            (
                r#"{"model": {"_name": "forest"}}"#,
                "there is no model \"forest\", only ridge, kernel and boosting",
            ),
            (r#"{"model": {"_name": "kernel", "alpha": 1}}"#, "model \"kernel\" has no \"width\""),
            (
                r#"{"model": {"_name": "ridge", "alpha": -1}}"#,
                "\"alpha\" of model \"ridge\" must be a number from 0.000000001 to 1000000000",
            ),
            (
                r#"{"model": {"_name": "ridge", "alpha": 1, "degree": 1.5}}"#,
                "\"degree\" of model \"ridge\" must be a whole number, not 1.5",
            ),
        ] {
            assert_eq!(read(text), Err(expected.to_owned()), "{text}");
        }
    }
}
