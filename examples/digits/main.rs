//! The program of the digits example; everything is in the library of this package.

use std::process::ExitCode;

fn main() -> ExitCode {
    digits_trainer::program()
}
