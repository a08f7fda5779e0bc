//! Trains a small neural network on 1,797 handwritten digits and prints its validation accuracy after every epoch.
//!
//! It knows nothing of the engine that runs it: settings come from the command line, the metric goes to standard
//! output. Two optional environment variables let a lost trial go on where it was: see [`checkpoint`].
//! The same arguments always give the same lines. Read [`network::Network`] first.

mod checkpoint;
mod data;
mod network;
mod random;
mod settings;

use std::io::Write;
use std::process::ExitCode;

use data::Split;
use network::Network;
use settings::{Request, Settings, USAGE};

/// Trains without files or output: the mean cross-entropy on the validation images after the last epoch, in nats.
///
/// `arguments` are those of the command line; the error says which one is wrong and why.
pub fn validation_loss(arguments: impl Iterator<Item = String>) -> Result<f64, String> {
    let Request::Train(settings) = Settings::parse(arguments)? else {
        return Err("there is nothing to train".to_owned());
    };
    let split = Split::load()?;
    let mut network = Network::new(&settings);
    for epoch in 1..=settings.epochs {
        network.train_epoch(&split.training, &settings, epoch);
    }
    Ok(network.evaluate(&split.validation).loss)
}

/// Why the trainer ended without a result; the two kinds have different exit codes.
enum Failure {
    /// The command line is wrong: exit code 2.
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
    let settings = match Settings::parse(std::env::args().skip(1)).map_err(Failure::Usage)? {
        Request::Train(settings) => settings,
        Request::Help => return say(USAGE).map_err(Failure::Work),
    };
    train(&settings).map_err(Failure::Work)
}

/// Trains for the epochs that are left, printing and saving after each.
fn train(settings: &Settings) -> Result<(), String> {
    let split = Split::load()?;
    let save_to = checkpoint::directory("RETRIAL_CHECKPOINT_DIR");
    let resumed = match checkpoint::directory("RETRIAL_RESUME_FROM") {
        Some(directory) => checkpoint::load(&directory, settings)?,
        None => None,
    };
    let (mut network, done) = resumed.unwrap_or_else(|| (Network::new(settings), 0));
    if done >= settings.epochs {
        // Everything had been trained before: repeat the last line, so that a metric is there to be read.
        return report(done, &network, &split);
    }
    for epoch in done + 1..=settings.epochs {
        network.train_epoch(&split.training, settings, epoch);
        report(epoch, &network, &split)?;
        if !network.is_finite() {
            complain(
                "the weights have overflowed (a smaller --lr or --momentum would help): training ends here",
            );
            return Ok(());
        }
        if let Some(directory) = &save_to {
            checkpoint::save(directory, settings, &network, epoch)?;
        }
    }
    Ok(())
}

fn report(epoch: usize, network: &Network, split: &Split) -> Result<(), String> {
    let score = network.evaluate(&split.validation);
    say(&format!("epoch {epoch} validation: accuracy={:.4} loss={:.4}", score.accuracy, score.loss))
}

/// Prints one line and flushes it, so that a watcher sees it now and not when the buffer is full.
fn say(line: &str) -> Result<(), String> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")
        .and_then(|()| output.flush())
        .map_err(|e| format!("cannot write to standard output: {e}"))
}

fn complain(message: &str) {
    // Nobody is left to tell when standard error itself cannot be written.
    let _ = writeln!(std::io::stderr(), "digits-trainer: {message}");
}
