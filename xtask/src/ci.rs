//! Everything that a change must pass.

use anyhow::{Result, bail};
use clap::Args;

use crate::avx512::Avx512;
use crate::cores::Cores;
use crate::demo::Demo;
use crate::firmware::{Build, Firmware as _};
use crate::icount::Icount;
use crate::{sh, test};
use grulet_board_tools::Board;

/// Arguments of `cargo xtask ci`.
#[derive(Args)]
pub struct Ci {
    /// Leave out the tests, for `cargo xtask test` to run them.
    #[arg(long)]
    without_tests: bool,
}

impl Ci {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        // What may have to be installed comes first, so that its failure does too.
        let avx512 = Avx512::POSSIBLE && sh::succeeds(sh::command("dpkg").arg("--version"));
        if avx512 {
            Avx512::ensure()?;
        }
        sh::say("formatting");
        for manifest in ["Cargo.toml", "firmware-example/Cargo.toml"] {
            sh::run(sh::command("cargo").args(["fmt", "--all", "--check", "--manifest-path", manifest]))?;
        }
        sh::say("lints");
        let clippy = ["clippy", "--workspace", "--all-targets", "--all-features", "--quiet", "--", "-D", "warnings"];
        sh::run(sh::command("cargo").args(clippy))?;
        sh::say("documentation");
        let doc = ["doc", "--workspace", "--all-features", "--no-deps", "--document-private-items", "--quiet"];
        sh::run(sh::command("cargo").args(doc).env("RUSTDOCFLAGS", "-D warnings"))?;
        sh::say("the package as crates.io would get it");
        sh::run(sh::command("cargo").args(["package", "--package", "grulet", "--allow-dirty", "--quiet"]))?;
        for board in Board::real()? {
            sh::say(&format!("the firmware for {} ({})", board.name, board.core));
            board.build_all(&["selftest", "bench"], &Build::default())?;
        }
        Cores::COMPARE.run()?;
        Icount::COMPARE.run()?;
        Demo { tested: true, ..Demo::default() }.run()?;
        sh::say("the same on the boards again, with a fault that must be found");
        match (Demo { fault: true, ..Demo::default() }).compare() {
            Err(error) if format!("{error:#}").contains("bits differ, first at step") => {}
            Err(error) => return Err(error.context("the demo failed for another reason than the fault")),
            Ok(()) => bail!("the demo did not notice that the chip's model is another one"),
        }
        if avx512 {
            Avx512::default().run()?;
        } else {
            sh::say("left out: vectors of other widths, which take an x86-64 with Debian's packages");
        }
        if self.without_tests {
            sh::say("everything but the tests passed");
        } else {
            test::run()?;
            sh::say("everything passed");
        }
        Ok(())
    }
}
