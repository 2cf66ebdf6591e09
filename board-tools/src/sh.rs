//! Running other programs.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Says what is about to happen.
pub fn say(text: &str) {
    eprintln!("==> {text}");
}

/// A command. The settings that cargo passes to this program are taken out, because they would choose the toolchain of every
/// cargo below it.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "RUSTC"] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a command and returns what it printed; what it says on standard error is shown if it fails.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", shown(command)))?;
    let text = String::from_utf8(output.stdout).with_context(|| format!("output of {}", shown(command)))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}\n{text}{errors}", shown(command), output.status);
    }
    Ok(text)
}

/// Whether a command runs and succeeds, in silence.
pub fn succeeds(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// A command as it would be typed.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    format!("`{}`", words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "))
}

/// Installs packages of a Debian-like system, where this process may.
pub fn apt_install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    let by_hand = format!("install them yourself: sudo apt-get install {list}");
    if !succeeds(Command::new("apt-get").arg("--version")) {
        bail!("needed: {list} (Debian's names), but this system has no apt-get: install them by its own means");
    }
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root {
        bail!("needed: {list}; {by_hand}");
    }
    say(&format!("installing {list} with apt-get: a minute or two, once"));
    let apt = |arguments: &[&str]| {
        let mut command = command("apt-get");
        // Its chatter would drown ours; it is shown if it fails.
        output(command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
    };
    let install = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    // A list of packages that is missing gives nothing, and an old one gives packages that are too old. If it cannot be
    // renewed, the packages may be there all the same.
    let update = apt(&["update"]);
    apt(&install).or_else(|error| update.and(Err(error))).context(by_hand)?;
    Ok(())
}
