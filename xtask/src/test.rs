//! All tests.

use anyhow::{Context, Result};

use crate::arm::Way;
use crate::firmware::{BOARDS, Build, Qemu};
use crate::{qemu, sh};

/// Runs them.
pub fn run() -> Result<()> {
    // What may have to be installed comes first, so that its failure does too.
    qemu::ensure()?;
    for board in &BOARDS {
        Way::find(board.target)?;
    }

    sh::say("unit, property, vector, blob, compile-fail and documentation tests: some minutes the first time");
    sh::run(sh::command("cargo").args(["test", "--workspace", "--all-features", "--quiet"]))?;

    sh::say("the runtime without its features, and with each alone");
    for features in ["", "alloc", "micromath", "saturations"] {
        sh::run(sh::command("cargo").args(["check", "--quiet", "--package", "grulet", "--features", features]))?;
    }

    for board in &BOARDS {
        sh::say(&format!("no panic can be reached in the runtime, linked for the {}", board.core));
        board
            .run("no_panic", &Build::default())
            .context("if the link failed for want of `a_panic_can_be_reached`, one can be")?;
    }
    Qemu::ALL.run()?;
    sh::say("all tests passed");
    Ok(())
}
