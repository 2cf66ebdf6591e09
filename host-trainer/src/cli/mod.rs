//! The command line: arguments to library calls, results to text or JSON.
//!
//! Exit codes: 0 done, 1 failed (one message on standard error), 2 wrong usage, 130 or 143 ended by Ctrl-C or SIGTERM.

mod anomaly;
mod bench;
mod evaluate;
mod export;
mod folds;
mod import;
mod inspect;
mod new;
mod outputs;
mod predict;
mod quantize;
mod signals;
mod source;
mod sweep;
mod train;
mod validate;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::data::Dataset;
use crate::evaluate::Predictions;
use crate::files;
use crate::run::RunError;
use crate::run::folds::FoldsError;
use crate::sweep::SweepError;

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
    Sweep(sweep::Sweep),
    Evaluate(evaluate::Evaluate),
    Predict(predict::Predict),
    Anomaly(anomaly::Anomaly),
    Quantize(quantize::Quantize),
    Export(export::Export),
    Import(import::Import),
    Inspect(inspect::Inspect),
    New(new::New),
    Validate(validate::Validate),
    Bench(bench::Bench),
}

/// Parses the arguments of the process and runs the command.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Train(command) => command.run(),
        Command::Sweep(command) => command.run(),
        Command::Evaluate(command) => command.run(),
        Command::Predict(command) => command.run(),
        Command::Anomaly(command) => command.run(),
        Command::Quantize(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Import(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::New(command) => command.run(),
        Command::Validate(command) => command.run(),
        Command::Bench(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has closed it: nothing is lost, as for any filter.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if is_interrupted(&error) => {
            let _ = writeln!(io::stderr(), "{error}");
            signals::exit_code()
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {}", message(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error with its causes, but for those that it has told already.
fn message(error: &anyhow::Error) -> String {
    error
        .chain()
        .skip(1)
        .map(ToString::to_string)
        .fold(error.to_string(), |text, cause| if text.contains(&cause) { text } else { format!("{text}: {cause}") })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn is_interrupted(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(RunError::Interrupted { .. }))
        || matches!(error.downcast_ref(), Some(FoldsError::Interrupted { .. }))
        || matches!(error.downcast_ref(), Some(SweepError::Interrupted { .. }))
}

/// Prints a text, which ends its last line.
fn print(text: &str) -> anyhow::Result<()> {
    io::stdout().lock().write_all(text.as_bytes()).context("cannot write to standard output")
}

/// Prints a value as JSON.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

/// Says on standard error if more than one in a thousand inputs of a model in integers is beyond what its calibration saw.
fn tell_saturated_inputs(predictions: &Predictions, data: &Dataset) {
    let (saturated, all) = (predictions.saturated_inputs, data.total_steps() * data.inputs());
    if saturated > all / 1000 {
        // Nobody may be listening there.
        _ = writeln!(
            io::stderr(),
            "note: {saturated} of {all} inputs are beyond what the calibration of this int8 model saw, and cut there; \
             quantize it again with such data as --calib"
        );
    }
}

/// Prints a result as JSON where `json` is `-`; else as `text`, and with a file's name as JSON into that file.
fn print_or_json(
    json: Option<&Path>,
    value: &impl serde::Serialize,
    text: impl FnOnce() -> Result<String, std::fmt::Error>,
) -> anyhow::Result<()> {
    match json {
        Some(path) if path.as_os_str() == "-" => return print_json(value),
        Some(path) => files::write(path, serde_json::to_string_pretty(value)? + "\n")?,
        None => {}
    }
    print(&text()?)
}

/// An override of the configuration, as far as its form goes.
fn setting(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.trim().is_empty() => Ok(text.to_owned()),
        _ => Err("write KEY=VALUE, such as train.epochs=10".to_owned()),
    }
}
