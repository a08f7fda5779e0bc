//! Diagnostics on standard error, for whoever operates the program.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts them. `RETRIAL_LOG` says what is shown, for example `debug` or `retrial=debug,warn`.
pub fn start(verbose: bool) {
    let default = if verbose { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env("RETRIAL_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // A second start, as in tests, changes nothing.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(
            std::io::stderr().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        )
        .with_target(false)
        .without_time()
        .try_init();
}
