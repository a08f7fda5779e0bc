//! The program of the penguins example; everything is in the library of this package.

use std::process::ExitCode;

fn main() -> ExitCode {
    penguins_trainer::program()
}
