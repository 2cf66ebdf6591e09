//! Running other programs.

use std::path::{Path, PathBuf};
use std::process::Command;

pub use grulet_board_tools::sh::{apt_install, output, run, say, shown, succeeds};

/// The folder of the repository.
pub fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// A command in the repository's folder.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = grulet_board_tools::sh::command(program);
    command.current_dir(root());
    command
}
