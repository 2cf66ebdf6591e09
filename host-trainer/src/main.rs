//! `grulet`: train, evaluate and export GRUs for microcontrollers from the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    grulet_trainer::cli::main()
}
