//! Firmware onto a board on the desk, by probe-rs.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use crate::firmware::{Build, Firmware as _, source};
use crate::sh;
use grulet_board_tools::{Board, probe};

/// Arguments of `cargo xtask flash`.
#[derive(Args)]
pub struct Flash {
    /// The board, a folder of firmware-example/boards.
    #[arg(long)]
    board: String,
    /// The binary, the name of a file in firmware-example/src/bin.
    #[arg(long, default_value = "hello")]
    bin: String,
    /// Print the command, and neither build nor run anything.
    #[arg(long)]
    dry_run: bool,
    /// More arguments for `probe-rs run`, as `-- --probe 0d28:0204`.
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Flash {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let board = Board::named(&self.board)?;
        let Some(chip) = &board.chip else {
            bail!("{} is emulated, there is nothing to flash: cargo xtask qemu {}", board.name, self.bin);
        };
        source(&self.bin)?;
        if self.dry_run {
            println!("{}", sh::shown(&self.probe(chip, &board.program(&self.bin))));
            return Ok(());
        }
        probe::ensure()?;
        sh::say(&format!("building {} for {} ({})", self.bin, board.name, board.core));
        let mut command = self.probe(chip, &board.build(&self.bin, &Build::default())?);
        sh::say(&sh::shown(&command));
        sh::run(&mut command)
    }

    /// The command that flashes a program, shows what it prints, and ends when it exits.
    fn probe(&self, chip: &str, program: &Path) -> Command {
        probe::command(chip, &self.arguments, program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flash(board: &str, bin: &str) -> Flash {
        Flash { board: board.into(), bin: bin.into(), dry_run: true, arguments: vec!["--speed".into(), "4000".into()] }
    }

    #[test]
    fn the_command_names_chip_arguments_and_program() {
        let command = flash("pico", "bench").probe("RP2040", Path::new("folder/bench"));
        assert_eq!(sh::shown(&command), "`probe-rs run --chip RP2040 --speed 4000 folder/bench`");
    }

    #[test]
    fn a_dry_run_builds_nothing_and_needs_no_probe_rs() {
        for board in Board::real().expect("all boards are sound") {
            flash(&board.name, "bench").run().expect("it only prints");
        }
    }

    #[test]
    fn emulated_boards_and_binaries_that_are_not_there_are_refused() {
        let error = |flash: Flash| flash.run().expect_err("nothing to flash").to_string();
        assert!(error(flash("mps2-an386", "hello")).contains("emulated"));
        assert!(error(flash("pico", "helo")).contains("src/bin has the binaries"));
        assert!(error(flash("picoo", "hello")).contains("no board `picoo`"));
    }
}
