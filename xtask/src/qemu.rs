//! The emulator.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use wait_timeout::ChildExt;

use crate::sh;

const PROGRAM: &str = "qemu-system-arm";
/// A program that runs for longer hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// Makes sure that there is an emulator.
pub fn ensure() -> Result<()> {
    if sh::succeeds(Command::new(PROGRAM).arg("--version")) {
        return Ok(());
    }
    sh::apt_install(&[PROGRAM]).with_context(|| format!("{PROGRAM} is not on the PATH"))
}

/// Runs a program on `machine` and returns what it printed. Each instruction takes a nanosecond of the machine's time, so
/// that its timers count instructions, the same number at every run.
pub fn run(machine: &str, program: &Path) -> Result<String> {
    let mut printed = tempfile::tempfile()?;
    let mut command = sh::command(PROGRAM);
    command
        .args(["-M", machine, "-nographic", "-monitor", "none", "-serial", "none", "-icount", "shift=0"])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(program)
        .stdin(Stdio::null())
        .stdout(printed.try_clone()?)
        .stderr(printed.try_clone()?);
    let mut child = command.spawn().with_context(|| format!("cannot start {PROGRAM}"))?;
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
