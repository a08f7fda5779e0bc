//! The `retrial` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A task's supervisor is this program again; it must start fast and needs nothing of the rest.
    if let Some(code) = backends::local::supervise_if_asked() {
        return code;
    }
    retrial::cli::main()
}
