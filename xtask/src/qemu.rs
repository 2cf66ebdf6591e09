//! The emulator.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use wait_timeout::ChildExt;

use crate::boards::Board;
use crate::sh;

/// A program that runs for longer hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// The emulator of a board's processor, and Debian's package that it comes in.
fn emulator(board: &Board) -> (&'static str, &'static str) {
    if board.is_riscv() { ("qemu-system-riscv32", "qemu-system-misc") } else { ("qemu-system-arm", "qemu-system-arm") }
}

/// Makes sure that there is an emulator for each of these boards.
pub fn ensure(boards: &[Board]) -> Result<()> {
    for board in boards {
        let (program, package) = emulator(board);
        if !sh::succeeds(Command::new(program).arg("--version")) {
            sh::apt_install(&[package]).with_context(|| format!("{program} is not on the PATH"))?;
        }
    }
    Ok(())
}

/// Runs a program on an emulated board and returns what it printed. Each instruction takes a nanosecond of the machine's
/// time, so that its timers count instructions, the same number at every run.
pub fn run(board: &Board, program: &Path) -> Result<String> {
    let Some(machine) = &board.qemu else {
        bail!("{} is not emulated: cargo xtask flash --board {0} --bin NAME", board.name);
    };
    let mut printed = tempfile::tempfile()?;
    let mut command = sh::command(emulator(board).0);
    command.args(["-M", machine]);
    if let Some(cpu) = &board.cpu {
        command.args(["-cpu", cpu]);
    }
    if board.is_riscv() {
        // The program is all the firmware there is.
        command.args(["-bios", "none"]);
    }
    command
        .args(["-nographic", "-monitor", "none", "-serial", "none", "-icount", "shift=0"])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(program)
        .stdin(Stdio::null())
        .stdout(printed.try_clone()?)
        .stderr(printed.try_clone()?);
    let mut child = command.spawn().with_context(|| format!("cannot start {}", emulator(board).0))?;
    let status = child.wait_timeout(PATIENCE)?;
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let mut text = String::new();
    printed.seek(SeekFrom::Start(0))?;
    printed.read_to_string(&mut text)?;
    match status {
        Some(status) if status.success() => Ok(text),
        Some(status) => bail!("{} on {machine} ended with {status} and this output:\n{text}", program.display()),
        None => bail!("{} on {machine} was stopped after {PATIENCE:?}; its output:\n{text}", program.display()),
    }
}
