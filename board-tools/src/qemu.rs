//! The emulator.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use wait_timeout::ChildExt;

use crate::{Board, sh};

/// A program that runs for longer hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// The emulator of a board's processor, and Debian's package that it comes in.
fn emulator(board: &Board) -> (&'static str, &'static str) {
    if board.is_riscv() { ("qemu-system-riscv32", "qemu-system-misc") } else { ("qemu-system-arm", "qemu-system-arm") }
}

/// Makes sure that there is an emulator for each of these boards.
///
/// # Errors
/// If there is none and it cannot be installed.
pub fn ensure(boards: &[Board]) -> Result<()> {
    for board in boards {
        let (program, package) = emulator(board);
        if !sh::succeeds(Command::new(program).arg("--version")) {
            sh::apt_install(&[package]).with_context(|| format!("{program} is not on the PATH"))?;
        }
    }
    Ok(())
}

/// The command that runs a program on an emulated board; the program's file comes last. Each instruction takes a nanosecond
/// of the machine's time, so that its timers count instructions, the same number at every run.
pub fn arguments(board: &Board) -> Option<Vec<String>> {
    let mut arguments = vec![emulator(board).0.to_owned(), "-M".to_owned(), board.qemu.clone()?];
    if let Some(cpu) = &board.cpu {
        arguments.extend(["-cpu".to_owned(), cpu.clone()]);
    }
    if board.is_riscv() {
        // The program is all the firmware there is.
        arguments.extend(["-bios", "none"].map(str::to_owned));
    }
    let rest = ["-nographic", "-monitor", "none", "-serial", "none", "-icount", "shift=0", "-semihosting-config"];
    arguments.extend(rest.map(str::to_owned));
    arguments.extend(["enable=on,target=native", "-kernel"].map(str::to_owned));
    Some(arguments)
}

/// The command that runs a program on an emulated board.
///
/// # Errors
/// If the board is not emulated.
pub fn command(board: &Board, program: &Path) -> Result<Command> {
    let Some(arguments) = arguments(board) else {
        bail!("{} is on the desk, QEMU has none like it; choose one of its machines", board.name);
    };
    let mut command = sh::command(&arguments[0]);
    command.args(&arguments[1..]).arg(program);
    Ok(command)
}

/// Runs a program on an emulated board and returns what it printed.
///
/// # Errors
/// If the board is not emulated, the program fails, or it does not end.
pub fn run(board: &Board, program: &Path) -> Result<String> {
    run_with(board, program, Stdio::null())
}

/// The same with an input that the program may read.
///
/// # Errors
/// As there.
pub fn run_with(board: &Board, program: &Path, input: Stdio) -> Result<String> {
    let machine = board.qemu.as_deref().unwrap_or_default();
    let mut printed = tempfile::tempfile()?;
    let mut command = command(board, program)?;
    command.stdin(input).stdout(printed.try_clone()?).stderr(printed.try_clone()?);
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
