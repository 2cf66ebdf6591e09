//! The command line: arguments to library calls, results to text or JSON.
//!
//! Exit codes: 0 done, 1 failed (one message on standard error), 2 wrong usage.

mod evaluate;
mod export;
mod inspect;
mod predict;
mod quantize;
mod source;
mod train;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Trains GRUs on the host and exports models that give the same bits on a microcontroller.
#[derive(Parser)]
#[command(name = "grulet", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(train::Train),
    Evaluate(evaluate::Evaluate),
    Predict(predict::Predict),
    Quantize(quantize::Quantize),
    Export(export::Export),
    Inspect(inspect::Inspect),
}

/// Parses the arguments of the process and runs the command.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Train(command) => command.run(),
        Command::Evaluate(command) => command.run(),
        Command::Predict(command) => command.run(),
        Command::Quantize(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Inspect(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has closed it: nothing is lost, as for any filter.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints a value as JSON.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}
