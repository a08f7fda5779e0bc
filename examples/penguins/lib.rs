//! Predicts a penguin's body mass with one of three kinds of model, judges it by cross-validation, and writes the
//! result to a JSON file.
//!
//! Which model, and its hyperparameters, come from a JSON file, because they are nested: ridge regression has other
//! settings than boosted trees. Read [`settings::Model`] first.

mod boosting;
mod data;
mod json;
mod ridge;
mod settings;
mod validation;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use data::Penguins;
use settings::{Request, Settings, USAGE};
use validation::Score;

/// The error of a model, in grams, without files or output.
///
/// `parameters` is the text of a file of hyperparameters; the error says what is wrong in it.
pub fn error_in_grams(parameters: &str) -> Result<f64, String> {
    let model = json::Json::parse(parameters).and_then(|json| settings::Model::from_json(&json))?;
    validation::cross_validate(&Penguins::load()?, &model, |_, _| Ok(())).map(|score| score.rmse)
}

/// Why the trainer ended without a result; the two kinds have different exit codes.
enum Failure {
    /// The command line or the parameters are wrong: exit code 2.
    Usage(String),
    /// Something went wrong while working: exit code 1.
    Work(String),
}

/// The program: reads the command line, trains, and says how it went.
pub fn program() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            complain(&format!("{message}\n\n{USAGE}"));
            ExitCode::from(2)
        }
        Err(Failure::Work(message)) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let given = std::env::var_os("RETRIAL_PARAMS").filter(|value| !value.is_empty());
    let settings = match Settings::parse(std::env::args().skip(1), given).map_err(Failure::Usage)? {
        Request::Train(settings) => settings,
        Request::Help => return say(USAGE).map_err(Failure::Work),
    };
    train(&settings).map_err(Failure::Work)
}

fn train(settings: &Settings) -> Result<(), String> {
    let penguins = Penguins::load()?;
    say(&format!("{} penguins, {}", penguins.masses.len(), settings.model))?;
    let score = validation::cross_validate(&penguins, &settings.model, |fold, rmse| {
        say(&format!("fold {fold}/{}: rmse={rmse:.1}", validation::FOLDS))
    })?;
    write_metrics(&settings.metrics, score)?;
    say(&format!("all folds: rmse={:.2} r2={:.4}", score.rmse, score.r2))
}

/// Writes the file under another name first, so that nobody reads half of it.
fn write_metrics(path: &Path, score: Score) -> Result<(), String> {
    let describe = |e: std::io::Error| format!("cannot write {}: {e}", path.display());
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    fs::write(&temporary, format!("{{\"rmse\": {:.4}, \"r2\": {:.6}}}\n", score.rmse, score.r2))
        .map_err(describe)?;
    fs::rename(&temporary, path).map_err(describe)
}

fn say(line: &str) -> Result<(), String> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")
        .and_then(|()| output.flush())
        .map_err(|e| format!("cannot write to standard output: {e}"))
}

fn complain(message: &str) {
    // Nobody is left to tell when standard error itself cannot be written.
    let _ = writeln!(std::io::stderr(), "penguins-trainer: {message}");
}
