//! All tests.

use std::collections::HashSet;

use anyhow::{Context, Result};
use rayon::prelude::*;

use crate::firmware::{Build, Firmware as _, Qemu};
use crate::{pipe, project, sh};
use grulet_board_tools::Board;
use grulet_board_tools::Way;
use grulet_board_tools::qemu;

/// Runs them.
pub fn run() -> Result<()> {
    // What may have to be installed comes first, so that its failure does too.
    qemu::ensure(&Board::emulated()?)?;
    for board in Board::all()? {
        Way::find(&board.target)?;
    }

    sh::say("unit, property, vector, blob, compile-fail and documentation tests: some minutes the first time");
    sh::run(sh::command("cargo").args(["test", "--workspace", "--all-features", "--quiet"]))?;

    sh::say("the runtime without its features, and with each alone");
    for features in ["", "alloc", "micromath", "saturations"] {
        sh::run(sh::command("cargo").args(["check", "--quiet", "--package", "grulet", "--features", features]))?;
    }

    // Once for every target: what is linked for a board is the target's code.
    let mut proven = HashSet::new();
    let mut boards: Vec<Board> = Board::full()?.into_iter().chain(Board::emulated()?).collect();
    boards.retain(|board| proven.insert(board.target.clone()));
    boards.par_iter().try_for_each(|board| {
        sh::say(&format!("no panic can be reached in the runtime, linked for the {}", board.core));
        let result = board.run("no_panic", &Build::default());
        result.map(drop).context("if the link failed for want of `a_panic_can_be_reached`, one can be")
    })?;
    Qemu::ALL.run()?;
    sh::say("that lines which a board cannot answer are errors");
    pipe::check_faults()?;
    sh::say("counts beyond the 24 bits of a SysTick, on the board whose clock is the fastest");
    Board::named("netduinoplus2")?.run("counter", &Build::default())?;
    project::run()?;
    sh::say("all tests passed");
    Ok(())
}
