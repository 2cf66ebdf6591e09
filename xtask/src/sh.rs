//! Running other programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

pub use grulet_board_tools::sh::{apt_install, output, run, say, shown, succeeds};

/// The folder of the repository: of that which cargo runs, as one that shares its target folder may have built this.
pub fn root() -> PathBuf {
    let run = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).filter(|folder| folder.ends_with("xtask"));
    let xtask = run.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    xtask.parent().unwrap_or(&xtask).to_owned()
}

/// A command in the repository's folder, which builds into that one's target folder.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = grulet_board_tools::sh::command(program);
    command.current_dir(root()).env_remove("CARGO_TARGET_DIR");
    command
}

/// The command-line tool as the tests have built it, which takes no second build.
pub fn tested_grulet() -> Result<PathBuf> {
    run(command("cargo").args([
        "test",
        "--workspace",
        "--all-features",
        "--quiet",
        "--test",
        "determinism",
        "--no-run",
    ]))?;
    binary("debug")
}

/// The command-line tool as users build it.
pub fn built_grulet() -> Result<PathBuf> {
    run(command("cargo").args(["build", "--release", "--quiet", "--package", "grulet-trainer"]))?;
    binary("release")
}

/// The command-line tool among what cargo built in a profile.
fn binary(profile: &str) -> Result<PathBuf> {
    let path = root().join("target").join(profile).join(format!("grulet{}", std::env::consts::EXE_SUFFIX));
    ensure!(path.is_file(), "{} is not there; leave out build.target-dir of cargo's configuration", path.display());
    Ok(path)
}

/// The names of a folder's files that end with `.extension`, without that, sorted.
pub fn stems(folder: &Path, extension: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if let (true, Some(stem)) = (path.extension().is_some_and(|end| end == extension), path.file_stem()) {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
