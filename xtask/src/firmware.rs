//! Building the binaries of `firmware-example/` and running them on emulated boards.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use rayon::prelude::*;
use similar::TextDiff;

use crate::sh;
use grulet_board_tools::Board;
use grulet_board_tools::Way;
use grulet_board_tools::qemu;

/// The binary whose link proves that nothing panics, and the feature that it needs.
const NO_PANIC: (&str, &str) = ("no_panic", "no-panic");

/// Settings of a build, as `firmware-example/build.rs` reads them: another model, other samples, another network.
#[derive(Default)]
pub struct Build {
    /// Variables and their values.
    pub environment: Vec<(&'static str, String)>,
}

/// The folder of the firmware's package.
pub fn package() -> PathBuf {
    sh::root().join("firmware-example")
}

/// The binaries of `firmware-example/` for a board.
pub trait Firmware {
    /// Where a binary's program will be. Builds and installs nothing.
    fn program(&self, binary: &str) -> PathBuf;
    /// Builds one binary, and returns the program.
    fn build(&self, binary: &str, build: &Build) -> Result<PathBuf> {
        Ok(self.build_all(&[binary], build)?.join(binary))
    }
    /// Builds binaries beside each other, and returns the folder of their programs.
    fn build_all(&self, binaries: &[&str], build: &Build) -> Result<PathBuf>;
    /// Builds one binary, runs it, and returns what it printed.
    fn run(&self, binary: &str, build: &Build) -> Result<String>;
}

impl Firmware for Board {
    fn program(&self, binary: &str) -> PathBuf {
        let (_, folder) = Way::present(&self.target).cargo("build", &package(), &self.target);
        folder.join("release").join(binary)
    }

    fn build_all(&self, binaries: &[&str], build: &Build) -> Result<PathBuf> {
        let way = Way::find(&self.target)?;
        let (mut cargo, folder) = way.cargo("build", &package(), &self.target);
        let proof = if binaries == [NO_PANIC.0] { NO_PANIC.1 } else { "" };
        cargo.args(["--release", "--quiet", "--locked", "--no-default-features"]);
        cargo.args(["--features", &format!("{},{proof}", self.name)]);
        cargo.args(binaries.iter().flat_map(|binary| ["--bin", binary]));
        cargo.envs(build.environment.iter().map(|(name, value)| (name, value)));
        sh::run(&mut cargo)?;
        Ok(folder.join("release"))
    }

    fn run(&self, binary: &str, build: &Build) -> Result<String> {
        let program = self.build(binary, build)?;
        // What a binary reads lies beside it.
        match fs::File::open(source(binary)?.with_extension("in")) {
            Ok(input) => qemu::run_with(self, &program, input.into()),
            Err(_) => qemu::run(self, &program),
        }
    }
}

/// Arguments of `cargo xtask qemu`.
#[derive(Args)]
pub struct Qemu {
    /// One binary, the name of a file in firmware-example/src/bin; all that have a snapshot unless given.
    name: Option<String>,
    /// Write the snapshots anew instead of comparing with them.
    #[arg(long)]
    overwrite: bool,
}

impl Qemu {
    /// All binaries on all boards.
    pub const ALL: Qemu = Qemu { name: None, overwrite: false };

    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let boards = Board::full()?;
        qemu::ensure(&boards)?;
        let binaries = match &self.name {
            Some(name) => vec![name.clone()],
            None => sh::stems(&package().join("src/bin"), "out")?,
        };
        // The boards' targets differ, and so their programs' folders: one board's programs run while another's are built.
        let printed = boards.par_iter().map(|board| {
            let names: Vec<&str> = binaries.iter().map(|binary| &**binary).collect();
            board.build_all(&names, &Build::default())?;
            let run = |binary: &String| {
                let printed = board.run(binary, &Build::default())?;
                sh::say(&format!("{binary} on {} ({}):\n{}", board.name, board.core, printed.trim_end()));
                Ok(printed)
            };
            binaries.iter().map(run).collect::<Result<Vec<String>>>()
        });
        let printed = printed.collect::<Result<Vec<_>>>()?;
        for (index, (board, printed)) in boards.iter().zip(&printed).enumerate() {
            for (binary, printed) in binaries.iter().zip(printed) {
                // The first board's output is every board's.
                self.compare(&source(binary)?.with_extension("out"), printed, board, self.overwrite && index == 0)?;
            }
        }
        Ok(())
    }

    fn compare(&self, path: &Path, printed: &str, board: &Board, overwrite: bool) -> Result<()> {
        let printed = without_counts(printed);
        if overwrite {
            return fs::write(path, printed).with_context(|| format!("cannot write {}", path.display()));
        }
        let expected = fs::read_to_string(path)
            .with_context(|| format!("cannot read {}; --overwrite makes one", path.display()))?;
        if expected != printed {
            let diff = TextDiff::from_lines(&expected, &printed);
            let diff = diff.unified_diff().header("expected", &board.name).to_string();
            bail!("the output differs from {}; if it should, renew it with --overwrite\n{diff}", path.display());
        }
        Ok(())
    }
}

/// The source of a binary; an error if there is no such binary.
pub fn source(binary: &str) -> Result<PathBuf> {
    let source = package().join("src/bin").join(binary).with_extension("rs");
    if !source.is_file() {
        bail!("there is no {}; firmware-example/src/bin has the binaries", source.display());
    }
    Ok(source)
}

/// Instruction counts differ from board to board and from compiler to compiler; everything else must not.
fn without_counts(printed: &str) -> String {
    let line = |line: &str| match line.split_once(": ") {
        Some((name, _)) if name.starts_with("instructions") => format!("{name}: …\n"),
        _ => format!("{line}\n"),
    };
    printed.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_instruction_counts_are_left_out() {
        let printed = "mse: 0.03\ninstructions per step: 4805\nhash: 12\n";
        assert_eq!(super::without_counts(printed), "mse: 0.03\ninstructions per step: …\nhash: 12\n");
    }
}
