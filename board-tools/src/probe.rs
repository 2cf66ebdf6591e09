//! Boards on the desk, by probe-rs.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::sh;

const PROGRAM: &str = "probe-rs";

/// Makes sure that there is a probe-rs.
///
/// # Errors
/// If there is none; the message has the command that installs it.
pub fn ensure() -> Result<()> {
    if !sh::succeeds(Command::new(PROGRAM).arg("--version")) {
        bail!("{PROGRAM} is not on the PATH; install it: cargo install probe-rs-tools --locked");
    }
    Ok(())
}

/// The command that flashes a program, shows what it prints, and ends when it exits.
pub fn command(chip: &str, arguments: &[String], program: &Path) -> Command {
    let mut command = sh::command(PROGRAM);
    command.args(["run", "--chip", chip]).args(arguments).arg(program);
    command
}
