//! The project's own commands.
//!
//! `sh` runs programs; `arm` finds a way to build for the chip, `qemu` an emulator to run it in; `firmware` builds and runs
//! the binaries of `firmware-example/` for its `boards`. Over these: `flash`, `pipe`, `cores`, `demo`, `test`, `examples`, `ci`.

mod avx512;
mod ci;
mod compare;
mod cores;
mod demo;
mod examples;
mod firmware;
mod flash;
mod fuzz;
mod icount;
mod interop;
mod pipe;
mod project;
mod sh;
mod steps;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train on real data, export, run on two emulated chips, and compare every bit.
    Demo(demo::Demo),
    /// Train every example in full with several seeds, and print a table of what they reach.
    Examples(examples::Examples),
    /// Run all tests, those on the emulated chips included.
    Test,
    /// Run the firmware's binaries in QEMU and compare what they print with the `.out` file beside each.
    Qemu(firmware::Qemu),
    /// Build a firmware binary for a board on the desk, flash it and show what it prints.
    Flash(flash::Flash),
    /// Give an emulated board samples, a line of numbers each, and print the outputs of its model.
    Pipe(pipe::Pipe),
    /// Run the same models on every emulated core and compare bits and costs with benches/cores.md.
    Cores(cores::Cores),
    /// Count the instructions of a GRU step on every core and compare with benches/icount.md.
    Icount(icount::Icount),
    /// Train in emulated processors with AVX2 and with AVX-512, and compare every bit. Needs Debian's packages.
    Avx512(avx512::Avx512),
    /// Exchange models with other frameworks, and compare what those give. Needs python3 and, once, the network.
    Interop(interop::Interop),
    /// Feed the readers of files with bytes that look for a panic or a hunger for memory. Needs a C++ compiler.
    Fuzz(fuzz::Fuzz),
    /// Run steps of a model on this machine, for `icount` to count.
    #[command(hide = true)]
    Steps(steps::Steps),
    /// Check all that a change must pass: tests, formatting, lints, documentation, packaging, the demo.
    Ci(ci::Ci),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(command) => command.run(),
        Command::Examples(command) => command.run(),
        Command::Test => test::run(),
        Command::Qemu(command) => command.run(),
        Command::Flash(command) => command.run(),
        Command::Pipe(command) => command.run(),
        Command::Cores(command) => command.run(),
        Command::Icount(command) => command.run(),
        Command::Avx512(command) => command.run(),
        Command::Interop(command) => command.run(),
        Command::Fuzz(command) => command.run(),
        Command::Steps(command) => command.run(),
        Command::Ci(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
