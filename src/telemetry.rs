//! Diagnostics on standard error, for whoever operates the program.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts them. `RETRIAL_LOG` says what is shown, for example `debug` or `retrial=debug,warn`; with `RETRIAL_LOG_FORMAT=json` each line is
/// an object with its time, for programs.
pub fn start(verbose: bool) {
    let default = if verbose { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env("RETRIAL_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let to_stderr =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second start, as in tests, changes nothing.
    let _ = if std::env::var_os("RETRIAL_LOG_FORMAT").is_some_and(|format| format == "json") {
        to_stderr.json().flatten_event(true).try_init()
    } else {
        let colours = std::io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        to_stderr.with_ansi(colours).without_time().try_init()
    };
}
